"""How far a study is, read from its records. No torch."""

from dataclasses import dataclass, replace

from imbalance_bench.damage import Remedy, damages
from imbalance_bench.engines.slurm_queue import JobState, Submissions, log_of
from imbalance_bench.locking import is_locked
from imbalance_bench.records import RunRecord, RunState, StudyRecords

DAMAGED, LOST = "damaged", "lost"


@dataclass(frozen=True)
class RunStatus:
    """One planned run.

    Attributes:
        model: Label of its model in a study of several; None in a study with one.
        state: waiting, queued, running, interrupted, lost, done, failed or damaged.
        step: Steps done at the last checkpoint.
        steps: In all; 0 before the run has started.
        seconds: Time that a finished run took.
        error: Why it failed or is lost, or what is damaged.
        job: Its job in Slurm that waits or runs, and why it waits.
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
    job: str | None = None


def study_status(records: StudyRecords) -> list[RunStatus]:
    """Return the status of every planned run, in the order of the plan; jobs of Slurm are looked up there."""
    rows = [_run_status(records.run(run["run_id"]), run) for run in records.plan()["runs"]]
    submitted = Submissions.of(records.root, {row.run_id for row in rows if row.state not in ("done", DAMAGED)})
    if submitted.states is None:
        first = next(number for number, row in enumerate(rows) if row.run_id in submitted.jobs)
        rows[first] = replace(rows[first], error=f"{rows[first].error or ''} {_SILENT}".strip())
        return rows
    return [
        _as_submitted(records, row, submitted.jobs[row.run_id], submitted.states[row.run_id])
        if row.run_id in submitted.jobs
        else row
        for row in rows
    ]


_SILENT = "submitted to Slurm, which does not answer here: states are those of the records."


def _as_submitted(records: StudyRecords, row: RunStatus, job: str, job_state: JobState) -> RunStatus:
    """What Slurm adds to what the records say."""
    if job_state.is_queued:
        why = f" ({job_state.reason})" if job_state.reason else ""
        return replace(row, state="queued", error=None, job=job + why)
    if job_state.is_alive:
        return replace(row, state=str(RunState.RUNNING), error=None, job=job)
    if row.state in (RunState.FAILED, RunState.RUNNING):
        return row
    error = f"its Slurm job {job} is {job_state.word}; log: {log_of(records.root, job)}. `run` submits it again."
    return replace(row, state=LOST, error=error)


def _run_status(record: RunRecord, planned: dict) -> RunStatus:
    damaged = damages(record)
    status = {} if any(damage.remedy == Remedy.REBUILD for damage in damaged) else record.status()
    state, error = str(status.get("state", "waiting")), status.get("error")
    if state == RunState.RUNNING and not is_locked(record.lock_path):
        state = "interrupted"
    if damaged:
        state, error = DAMAGED, "; ".join(map(str, damaged))
    is_done = state == RunState.DONE
    return RunStatus(
        run_id=planned["run_id"],
        method=planned["method"],
        fold=planned["fold"],
        seed=planned["seed"],
        model=planned.get("model"),
        state=state,
        step=status.get("step", 0),
        steps=status.get("steps", 0),
        seconds=record.manifest()["cost"]["seconds"] if is_done else None,
        error=error,
    )
