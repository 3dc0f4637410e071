"""The slurm engine with submitit's local executor in place of a cluster, and Slurm's answers in place of Slurm."""

import json
import os
import shutil
import signal
from collections.abc import Collection
from pathlib import Path

import pytest

from imbalance_bench.config import ComputeSection, SlurmSection
from imbalance_bench.engines.base import Obstacle, RunJob
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.engines.slurm_queue import (
    FORGOTTEN,
    JobState,
    SlurmQueue,
    jobs_file,
    submitted_jobs,
    sweep_submissions,
)
from imbalance_bench.locking import locked
from imbalance_bench.manifest import LOCK
from imbalance_bench.records import RunState, StudyRecords
from imbalance_bench.status import study_status
from tests.faults.jobs import execute, killed
from tests.faults.listener import Told, errors

pytest.importorskip("submitit", reason="pip install 'imbalance-bench[slurm]'")
from imbalance_bench.engines import slurm
from imbalance_bench.engines.slurm import SlurmEngine

pytestmark = [  # submitit's local jobs outlive the objects that started them, as jobs of a cluster do
    pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class LocalQueue:
    """Tells whether submitit's local jobs, which are processes, are alive."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def states(self, jobs: Collection[str]) -> dict[str, JobState] | None:
        return {job: JobState("RUNNING" if _is_alive(job) else FORGOTTEN) for job in jobs}

    def cancel(self, jobs: Collection[str]) -> None:
        self.cancelled += jobs
        for job in jobs:
            os.kill(int(job), signal.SIGTERM)


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "POLL_S", 0.1)
    monkeypatch.setattr(slurm, "ASKING_S", (0.2, 0.2))


def engine(queue: LocalQueue | None = None) -> SlurmEngine:
    compute = ComputeSection(slurm=SlurmSection(minutes=5, warning_s=10))
    return SlurmEngine(2, compute, cluster="local", queue=queue or LocalQueue(), execute=execute)


def jobs(root: Path, *labels: str) -> list[RunJob]:
    return [RunJob(root, f"run{number}", label, root, steps=2) for number, label in enumerate(labels)]


def test_each_run_is_a_job_and_a_failure_is_told(tmp_path: Path) -> None:
    told = Told()
    outcomes = engine().execute(jobs(tmp_path, "fine", "fails", "fine"), told)
    assert errors(outcomes) == {"run0": None, "run1": "as it was told to", "run2": None}
    assert {outcome.obstacle for outcome in outcomes} == {None}
    assert "submitted 3 runs" in told.remarks[0]


def test_what_a_killed_submission_left_is_swept(tmp_path: Path) -> None:
    sweep_submissions(tmp_path)  # where Slurm was never used
    left = tmp_path / slurm.FOLDER / ".submission_file_0123.sh"
    left.parent.mkdir()
    left.touch()
    link = left.with_name(".submission_file_4567.sh")
    link.symlink_to(left.parent / "4567_submission.sh")  # of a job that Slurm has
    with locked(left.parent / LOCK):  # another command submits
        sweep_submissions(tmp_path)
        assert left.exists()
    sweep_submissions(tmp_path)
    assert not left.exists()
    assert link.is_symlink()


def test_a_job_that_dies_is_submitted_again(tmp_path: Path) -> None:
    told = Told()
    outcomes = execute_rounds(lambda _: engine(), Effort(2, retries=1), jobs(tmp_path, killed(), "fine"), told)
    assert errors(outcomes) == {"run0": None, "run1": None}
    assert (tmp_path / "run0.tries").read_text() == "xx"
    assert (tmp_path / "run1.tries").read_text() == "x"
    assert any(FORGOTTEN in line and "log: " in line for line in told.remarks)


def test_a_job_that_always_dies_fails(tmp_path: Path) -> None:
    [outcome] = execute_rounds(lambda _: engine(), Effort(1, retries=0), jobs(tmp_path, killed(always=True)), Told())
    assert outcome.obstacle == Obstacle.STOPPED
    assert StudyRecords(tmp_path).run("run0").status()["state"] == RunState.FAILED


def test_a_warned_job_is_queued_again_under_its_id(tmp_path: Path) -> None:
    told = Told()
    outcomes = engine().execute(jobs(tmp_path, f"once {int(signal.SIGUSR2)}"), told)
    assert errors(outcomes) == {"run0": None}
    assert (tmp_path / "run0.tries").read_text() == "xx"
    assert len(told.remarks) == 2  # submitted once; one running


def test_what_was_submitted_and_left_is_not_submitted_again(tmp_path: Path) -> None:
    wanted, told = jobs(tmp_path, "waits 4", "waits 4"), Told()
    engine().submit(wanted, told)
    first = submitted_jobs(tmp_path)
    outcomes = engine().execute(wanted, told)
    assert errors(outcomes) == {"run0": None, "run1": None}
    assert submitted_jobs(tmp_path) == first
    assert (tmp_path / "run0.tries").read_text() == "x"
    assert told.remarks[1].startswith("2 runs queued or running in Slurm already")


def test_interrupting_cancels_the_jobs_of_this_command_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, queue = (
        jobs(tmp_path, "waits 60", "waits 60")[:1],
        jobs(tmp_path, "waits 60", "waits 60"),
        LocalQueue(),
    )
    engine().submit(first, Told())

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine(queue).execute(second, Told())
    submitted = submitted_jobs(tmp_path)
    assert queue.cancelled == [submitted["run1"]]
    queue.cancel([submitted["run0"]])


SQUEUE = """#!/bin/sh
echo '7_0|RUNNING|None'
echo '7_1|PENDING|Priority'
echo '7_2|TIMEOUT|TimeLimit'
echo '9|PENDING|Resources'
"""


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A squeue that knows four jobs."""
    path = tmp_path / "bin" / "squeue"
    path.parent.mkdir()
    path.write_text(SQUEUE)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_squeue_is_understood(squeue: Path) -> None:
    told = SlurmQueue().states(["7_0", "7_1", "7_2", "8"])
    assert told is not None
    assert [told[job].is_alive for job in ("7_0", "7_1", "7_2", "8")] == [True, True, False, False]
    assert (told["7_1"].is_queued, told["7_1"].reason, told["7_0"].is_queued) == (True, "Priority", False)
    squeue.write_text("#!/bin/sh\nexit 1\n")
    assert SlurmQueue().states(["7_0"]) is None


def test_status_asks_slurm(squeue: Path, finished_study: Path, tmp_path: Path) -> None:
    study = shutil.copytree(finished_study, tmp_path / "study")
    ids = [run["run_id"] for run in StudyRecords(study).plan()["runs"]][:5]
    for run_id in ids[:4]:
        shutil.rmtree(study / "runs" / run_id)
    jobs_file(study).parent.mkdir()
    jobs_file(study).write_text(json.dumps(dict(zip(ids, ("7_0", "7_1", "7_2", "8", "9"), strict=True))))
    rows = {row.run_id: row for row in study_status(StudyRecords(study))}
    assert [rows[run_id].state for run_id in ids] == ["running", "queued", "lost", "lost", "done"]
    assert rows[ids[1]].job == "7_1 (Priority)"
    assert "job 7_2 is TIMEOUT" in str(rows[ids[2]].error)
    squeue.write_text("#!/bin/sh\nexit 1\n")
    silent = {row.run_id: row for row in study_status(StudyRecords(study))}
    assert [silent[run_id].state for run_id in ids] == ["waiting"] * 4 + ["done"]
    assert sum("does not answer" in str(row.error) for row in silent.values()) == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"run0": 3}'])
def test_a_damaged_list_of_jobs_is_no_list(tmp_path: Path, content: str) -> None:
    jobs_file(tmp_path).parent.mkdir()
    jobs_file(tmp_path).write_text(content)
    assert submitted_jobs(tmp_path) == {}
