"""Rounds of an engine until every run has ended: lost runs are tried again, and those of another runner waited for."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imbalance_bench.engines.base import Engine, Listener, Obstacle, RunJob, RunOutcome, RunProgress
from imbalance_bench.locking import LockHeldError, is_locked, locked
from imbalance_bench.records import RunState, StudyRecords

_POLL_S = 0.5


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        workers: Runs at a time; half as many in each round after one in which memory ran short.
        retries: Tries of a run after the first.
    """

    workers: int
    retries: int


def execute_rounds(
    engine: Callable[[int], Engine], effort: Effort, jobs: Sequence[RunJob], listener: Listener
) -> list[RunOutcome]:
    """Execute jobs until each is finished or has failed, here or by another runner of the study.

    Args:
        engine: Makes an engine for a number of workers.
        effort: How hard to try.
        jobs: Of one study.
        listener: Told about progress, and about the last outcome of each run.

    Returns:
        The last outcome of each job.
    """
    by_id, tries, workers = {job.run_id: job for job in jobs}, Counter[str](), effort.workers
    ended: list[RunOutcome] = []
    relay = _Relay(listener, tries, effort.retries)
    waiting = list(jobs)
    while waiting:
        outcomes = engine(workers).execute(waiting, relay)
        ended += [outcome for outcome in outcomes if relay.is_last(outcome)]
        again = [outcome for outcome in outcomes if not relay.is_last(outcome)]
        lost = [outcome.run_id for outcome in again if outcome.obstacle != Obstacle.IN_USE]
        tries.update(lost)
        workers = max(1, workers // 2) if lost else workers
        waiting = [by_id[outcome.run_id] for outcome in again]
        if waiting and not lost:
            wait_for_others(waiting, listener)
        for job in [job for job in waiting if StudyRecords(job.root).run(job.run_id).is_done()]:
            waiting.remove(job)
            ended.append(RunOutcome(job.run_id, job.label))
            listener.on_outcome(ended[-1])
    for outcome in ended:
        if outcome.obstacle == Obstacle.LOST:  # its process could not write that itself
            _write_failed(by_id[outcome.run_id], outcome.error)
    return ended


def wait_for_others(jobs: Sequence[RunJob], listener: Listener) -> None:
    """Return when another runner has let go of one of these runs, finished or not."""
    held = {job.run_id: StudyRecords(job.root).run(job.run_id).lock_path for job in jobs}
    listener.on_remark(f"waiting for another process, which trains {len(held)} run{'s' if len(held) > 1 else ''}")
    while all(is_locked(path) for path in held.values()):
        time.sleep(_POLL_S)


class _Relay:
    """Tells a listener the last outcome of each run, and of those before that the run goes on."""

    def __init__(self, listener: Listener, tries: Counter[str], retries: int) -> None:
        self._listener, self._tries, self._retries = listener, tries, retries

    def is_last(self, outcome: RunOutcome) -> bool:
        """Return whether the run is not to be tried again."""
        if outcome.obstacle is None or outcome.obstacle == Obstacle.IN_USE:
            return outcome.obstacle is None
        return self._tries[outcome.run_id] >= self._retries

    def on_progress(self, progress: RunProgress) -> None:
        self._listener.on_progress(progress)

    def on_outcome(self, outcome: RunOutcome) -> None:
        if self.is_last(outcome):
            self._listener.on_outcome(outcome)
        elif outcome.obstacle != Obstacle.IN_USE:
            left = self._retries - self._tries[outcome.run_id]
            self._listener.on_remark(f"{outcome.label}: {outcome.error} It is tried again ({left} of {self._retries}).")

    def on_remark(self, line: str) -> None:
        self._listener.on_remark(line)


def _write_failed(job: RunJob, error: str | None) -> None:
    record = StudyRecords(job.root).run(job.run_id)
    record.path.mkdir(parents=True, exist_ok=True)
    try:
        with locked(record.lock_path, patience_s=1):
            if not record.is_done():
                record.write_status(RunState.FAILED, step=record.last_step(), steps=job.steps, error=error)
    except LockHeldError:
        return  # another runner has taken it up
