"""An engine whose scheduler ends the run again and again."""

from collections.abc import Sequence

from imbalance_bench.engines.base import Listener, Obstacle, RunJob, RunOutcome
from imbalance_bench.records import RunState, StudyRecords


class Stopping:
    """Ends its run at each of some steps; None: lets it finish."""

    def __init__(self, steps: list[int | None]) -> None:
        self.left = steps

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        [job], step = jobs, self.left.pop(0)
        if step is None:
            outcome = RunOutcome(job.run_id, job.label)
        else:
            record = StudyRecords(job.root).run(job.run_id)
            record.path.mkdir(parents=True, exist_ok=True)
            record.write_status(RunState.RUNNING, step=step, steps=job.steps)
            outcome = RunOutcome(job.run_id, job.label, "stopped.", Obstacle.STOPPED)
        listener.on_outcome(outcome)
        return [outcome]
