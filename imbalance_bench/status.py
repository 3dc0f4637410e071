"""How far a study is, read from its records. No torch."""

from dataclasses import dataclass

from imbalance_bench.damage import Remedy, damages
from imbalance_bench.locking import is_locked
from imbalance_bench.records import RunRecord, RunState, StudyRecords

DAMAGED = "damaged"


@dataclass(frozen=True)
class RunStatus:
    """One planned run.

    Attributes:
        model: Label of its model in a study of several; None in a study with one.
        state: waiting, running, interrupted, done, failed or damaged.
        step: Steps done at the last checkpoint.
        steps: In all; 0 before the run has started.
        seconds: Time that a finished run took.
        error: Why it failed, or what is damaged.
    """

    run_id: str
    method: str
    fold: int
    seed: int
    model: str | None
    state: str
    step: int
    steps: int
    seconds: float | None
    error: str | None


def study_status(records: StudyRecords) -> list[RunStatus]:
    """Return the status of every planned run, in the order of the plan."""
    return [_run_status(records.run(run["run_id"]), run) for run in records.plan()["runs"]]


def _run_status(record: RunRecord, planned: dict) -> RunStatus:
    damaged = damages(record)
    status = {} if any(each.remedy == Remedy.REBUILD for each in damaged) else record.status()
    state, error = str(status.get("state", "waiting")), status.get("error")
    if state == RunState.RUNNING and not is_locked(record.lock_path):
        state = "interrupted"
    if damaged:
        state, error = DAMAGED, "; ".join(map(str, damaged))
    done = state == RunState.DONE
    return RunStatus(
        run_id=planned["run_id"],
        method=planned["method"],
        fold=planned["fold"],
        seed=planned["seed"],
        model=planned.get("model"),
        state=state,
        step=status.get("step", 0),
        steps=status.get("steps", 0),
        seconds=record.manifest()["cost"]["seconds"] if done else None,
        error=error,
    )
