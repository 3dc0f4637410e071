"""Rounds of an engine until every run has ended: lost runs are tried again, and those of another runner waited for."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imbalance_bench.engines.base import Engine, Listener, Obstacle, RunJob, RunOutcome, RunProgress
from imbalance_bench.locking import LockHeldError, is_locked, locked
from imbalance_bench.records import RunState, StudyRecords

_POLL_S = 0.5
_SHORT_OF_MEMORY = (Obstacle.LOST, Obstacle.OUT_OF_MEMORY)  # the system kills a process when memory runs out


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
        relay.begin_round(waiting)
        outcomes = engine(workers).execute(waiting, relay)
        ended += [outcome for outcome in outcomes if relay.is_last(outcome)]
        again = [outcome for outcome in outcomes if not relay.is_last(outcome)]
        tries.update(outcome.run_id for outcome in again if relay.used_a_try(outcome))
        if any(outcome.obstacle in _SHORT_OF_MEMORY for outcome in again):
            workers = max(1, workers // 2)
        waiting = [by_id[outcome.run_id] for outcome in again]
        if waiting and all(outcome.obstacle == Obstacle.IN_USE for outcome in again):
            wait_for_others(waiting, listener)
        for job in [job for job in waiting if StudyRecords(job.root).run(job.run_id).is_done()]:
            waiting.remove(job)
            ended.append(RunOutcome(job.run_id, job.label))
            listener.on_outcome(ended[-1])
    for outcome in ended:
        if outcome.obstacle in (Obstacle.LOST, Obstacle.STOPPED):  # its process could not write that itself
            _write_failed(by_id[outcome.run_id], outcome.error)
    return ended


def wait_for_others(jobs: Sequence[RunJob], listener: Listener) -> None:
    """Return when another runner has let go of one of these runs, finished or not."""
    locks = {job.run_id: StudyRecords(job.root).run(job.run_id).lock_path for job in jobs}
    listener.on_remark(f"waiting for another process, which trains {len(locks)} run{'s' if len(locks) > 1 else ''}")
    while all(is_locked(path) for path in locks.values()):
        time.sleep(_POLL_S)


class _Relay:
    """Passes the last outcome of each run to a listener, and remarks for the outcomes before it."""

    def __init__(self, listener: Listener, tries: Counter[str], retries: int) -> None:
        self._listener, self._tries, self._retries = listener, tries, retries
        self._jobs, self._steps = dict[str, RunJob](), dict[str, int]()

    def begin_round(self, jobs: Sequence[RunJob]) -> None:
        """Remember how far each run is."""
        self._jobs = {job.run_id: job for job in jobs}
        self._steps = {job.run_id: _last_step(job) for job in jobs}

    def is_last(self, outcome: RunOutcome) -> bool:
        """Return whether the run is not to be tried again."""
        if outcome.obstacle is None or not self.used_a_try(outcome):
            return outcome.obstacle is None
        return self._tries[outcome.run_id] >= self._retries

    def used_a_try(self, outcome: RunOutcome) -> bool:
        """Return whether the try counts: one that a scheduler ended does not where the run came further."""
        if outcome.obstacle == Obstacle.STOPPED:
            return _last_step(self._jobs[outcome.run_id]) <= self._steps[outcome.run_id]
        return outcome.obstacle != Obstacle.IN_USE

    def on_progress(self, progress: RunProgress) -> None:
        self._listener.on_progress(progress)

    def on_outcome(self, outcome: RunOutcome) -> None:
        if self.is_last(outcome):
            self._listener.on_outcome(outcome)
        elif outcome.obstacle != Obstacle.IN_USE:
            left = self._retries - self._tries[outcome.run_id]
            again = f"is tried again ({left} of {self._retries})" if self.used_a_try(outcome) else "continues"
            self._listener.on_remark(f"{outcome.label}: {outcome.error} It {again}.")

    def on_remark(self, line: str) -> None:
        self._listener.on_remark(line)


def _last_step(job: RunJob) -> int:
    return StudyRecords(job.root).run(job.run_id).last_step()


def _write_failed(job: RunJob, error: str | None) -> None:
    record = StudyRecords(job.root).run(job.run_id)
    record.path.mkdir(parents=True, exist_ok=True)
    try:
        with locked(record.lock_path, patience_s=1):
            if not record.is_done():
                record.write_status(RunState.FAILED, step=record.last_step(), steps=job.steps, error=error)
    except LockHeldError:
        return  # another runner has taken it up
