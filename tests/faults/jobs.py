"""What workers do in place of training: die, wait, fail, or end well, as the label of a job says. No torch."""

import os
import signal
import time
from collections.abc import Callable

from imbalance_bench.engines.base import RunJob, RunOutcome, RunProgress
from imbalance_bench.records import RunState, StudyRecords


def execute(job: RunJob, report: Callable[[RunProgress], None]) -> RunOutcome:
    """Do what the label says; `once` and a signal: only the first time."""
    tried = job.root / f"{job.run_id}.tries"
    tries = len(tried.read_text()) if tried.exists() else 0
    tried.write_text("x" * (tries + 1))
    report(RunProgress(job.run_id, job.label, 1, 2))
    word, _, number = job.label.partition(" ")
    if word == "always" or (word == "once" and not tries):
        os.kill(os.getpid(), int(number))
        time.sleep(60)
    if word == "exits":
        os._exit(int(number))
    if word == "waits":
        time.sleep(float(number))
    if word == "tells":
        (job.root / f"{job.run_id}.device").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        time.sleep(float(number))
    if word == "fails":
        return RunOutcome(job.run_id, job.label, "as it was told to")
    StudyRecords(job.root).run(job.run_id).path.mkdir(parents=True, exist_ok=True)
    StudyRecords(job.root).run(job.run_id).write_status(RunState.DONE, step=2, steps=2)
    return RunOutcome(job.run_id, job.label)


def killed(*, always: bool = False) -> str:
    """Label of a job whose worker is killed."""
    return f"{'always' if always else 'once'} {int(signal.SIGKILL)}"
