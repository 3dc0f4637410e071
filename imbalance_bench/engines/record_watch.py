"""Progress of runs that execute elsewhere, read from their records. No torch."""

from collections.abc import Iterable

from imbalance_bench.engines.base import Listener, RunJob, RunProgress
from imbalance_bench.records import StudyRecords


class RecordWatch:
    """Tells a listener how far runs are whenever a record says more than before.

    Args:
        listener: Receives the progress.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener, self._steps = listener, dict[str, int]()

    def look(self, jobs: Iterable[RunJob]) -> None:
        """Read the records of some runs: as of their last checkpoint."""
        for job in jobs:
            step = StudyRecords(job.root).run(job.run_id).last_step()
            if step > self._steps.get(job.run_id, 0):
                self._steps[job.run_id] = step
                self._listener.on_progress(RunProgress(job.run_id, job.label, step, job.steps))
