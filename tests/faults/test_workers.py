"""Workers that die or run out of memory: the run is tried again, the others go on, and the reason is told."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from imbalance_bench.config import TrainingSection
from imbalance_bench.engines import process as process_module
from imbalance_bench.engines.base import Engine, Listener, Obstacle, RunJob, RunOutcome
from imbalance_bench.engines.process import ProcessEngine
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import RunState, StudyRecords
from imbalance_bench.training import loop
from imbalance_bench.training.memory import is_short_of_memory, short_of_memory
from tests.faults.jobs import execute, killed
from tests.faults.listener import Told, errors
from tests.small_study import small_config


def jobs(root: Path, *labels: str) -> list[RunJob]:
    return [RunJob(root, f"run{number}", label, root) for number, label in enumerate(labels)]


def test_a_killed_worker_costs_one_try_of_one_run(tmp_path: Path) -> None:
    told, wanted = Told(), jobs(tmp_path, killed(), "fine", "fine", "fine", "fine")
    outcomes = execute_rounds(lambda n: ProcessEngine(n, execute), Effort(2, retries=1), wanted, told)
    assert errors(outcomes) == {f"run{number}": None for number in range(5)}
    assert sorted(told.steps) == ["run0", *(f"run{number}" for number in range(5))]
    assert [line.split(":")[0] for line in told.remarks] == [killed()]
    assert "was killed (SIGKILL), as the system does when memory runs out" in told.remarks[0]
    assert len(told.outcomes) == 5


@pytest.mark.parametrize(
    ("label", "cause"),
    [
        (killed(always=True), "was killed (SIGKILL)"),
        (f"always {int(signal.SIGSEGV)}", "was ended by SIGSEGV"),
        ("exits 3", "ended with exit code 3"),
    ],
)
def test_a_run_that_always_loses_its_worker_fails_alone(tmp_path: Path, label: str, cause: str) -> None:
    told, wanted = Told(), jobs(tmp_path, label, "fine")
    outcomes = execute_rounds(lambda n: ProcessEngine(n, execute), Effort(2, retries=2), wanted, told)
    found = errors(outcomes)
    assert found["run1"] is None
    assert cause in str(found["run0"])
    assert (tmp_path / "run0.tries").read_text() == "xxx"
    status = StudyRecords(tmp_path).run("run0").status()
    assert (status["state"], status["error"]) == (RunState.FAILED, found["run0"])


def test_a_worker_that_is_told_to_stop_is_lost_and_not_failed(tmp_path: Path) -> None:
    [outcome] = ProcessEngine(1, execute).execute(jobs(tmp_path, f"always {int(signal.SIGTERM)}"), Told())
    assert outcome.obstacle == Obstacle.LOST
    assert "was stopped by SIGTERM" in str(outcome.error)


def test_a_stopped_worker_is_ended_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "GRACE_S", 20.0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ProcessEngine(2, execute).execute(jobs(tmp_path, f"always {int(signal.SIGSTOP)}", "waits 60"), Told())
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 15  # far from the grace: both handled their signal


def test_after_lost_memory_fewer_run_at_a_time(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    class Short:
        def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
            asked[-1] = (asked[-1][0], len(jobs))
            lost = Obstacle.OUT_OF_MEMORY if len(asked) < 4 else None
            outcomes = [RunOutcome(job.run_id, job.label, "short" if lost else None, lost) for job in jobs]
            for outcome in outcomes:
                listener.on_outcome(outcome)
            return outcomes

    def engine(workers: int) -> Engine:
        asked.append((workers, 0))
        return Short()

    outcomes = execute_rounds(engine, Effort(8, retries=3), jobs(tmp_path, "a", "b"), Told())
    assert [workers for workers, _ in asked] == [8, 4, 2, 1]
    assert errors(outcomes) == {"run0": None, "run1": None}


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_errors_are_told_from_others(error: Exception, short: bool) -> None:
    assert is_short_of_memory(error) == short


def test_the_message_names_what_memory_grows_with() -> None:
    said = str(short_of_memory(MemoryError(), TrainingSection(batch_size=7, crop_px=96)))
    assert "`training.batch_size` 7 and `training.crop_px` 96" in said
    assert "--workers" in said


@pytest.mark.parametrize(("retries", "fails"), [(1, False), (0, True)])
def test_a_run_short_of_memory_is_tried_again(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, retries: int, fails: bool
) -> None:
    straight, taken = loop.StageTrainer._take_step, []

    def short_once(self: loop.StageTrainer, *, with_gradient_norms: bool) -> None:
        taken.append(self.step)
        if len(taken) == 4:
            raise MemoryError
        straight(self, with_gradient_norms=with_gradient_norms)

    monkeypatch.setattr(loop.StageTrainer, "_take_step", short_once)
    config = small_config(dataset, methods=["cross_entropy"], compute={"retries": retries})
    execution = Execution(cache=shared_cache, engine="serial")
    if fails:
        with pytest.raises(
            UserError, match=r"ran out of memory with `training.batch_size` 2 and `training.crop_px` 32"
        ):
            execute_study(config, tmp_path / "s", execution)
        return
    execute_study(config, tmp_path / "s", execution)
    assert len(StudyRecords(tmp_path / "s").finished()) == 1
    assert taken == [0, 1, 2, 3, 2, 3, 4, 5]  # on from the checkpoint of step 2
