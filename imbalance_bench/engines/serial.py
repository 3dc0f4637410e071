"""One run after the other, in this process."""

from collections.abc import Sequence

from imbalance_bench.engines.base import Listener, RunJob, RunOutcome
from imbalance_bench.engines.worker import execute_job


class SerialEngine:
    """Executes runs in order; the choice for one GPU, and for finding faults."""

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute all jobs; see `Engine`."""
        outcomes = []
        for job in jobs:
            outcome = execute_job(job, listener.on_progress)
            listener.on_outcome(outcome)
            outcomes.append(outcome)
        return outcomes
