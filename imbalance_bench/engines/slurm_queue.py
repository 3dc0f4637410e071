"""What Slurm says of the jobs of a study, for the engine and for `status`. Needs no submitit, no torch."""

import os
import subprocess
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from imbalance_bench.errors import UserError
from imbalance_bench.locking import LockHeldError, locked
from imbalance_bench.manifest import LOCK
from imbalance_bench.record_documents import read_document

FOLDER = "slurm"  # of a study directory: logs of jobs, and which job executes which run
_JOBS_FILE = "jobs.json"
_LONGEST_S = 60
_ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
_ENDED |= {"PREEMPTED", "REVOKED"}
FORGOTTEN = "no longer known to Slurm"


@dataclass(frozen=True)
class JobState:
    """What Slurm says of one job.

    Attributes:
        word: Such as PENDING or RUNNING.
        reason: Why it waits, such as Resources.
    """

    word: str
    reason: str = ""

    @property
    def is_alive(self) -> bool:
        """True while it waits, runs, or is about to be queued again."""
        return self.word not in _ENDED and self.word != FORGOTTEN

    @property
    def is_queued(self) -> bool:
        """True while it waits."""
        return self.word.startswith(("PENDING", "REQUEUE"))


class Queue(Protocol):
    """A scheduler that answers about jobs."""

    def states(self, jobs: Collection[str]) -> dict[str, JobState] | None:
        """State of each job; None where the scheduler does not answer."""
        ...

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs: each process gets SIGTERM, and some time to save a checkpoint."""
        ...


class SlurmQueue:
    """Slurm, through its own commands."""

    def states(self, jobs: Collection[str]) -> dict[str, JobState] | None:
        """See `Queue`. Jobs that ended minutes ago are forgotten."""
        # all jobs of the user: asked for one that it has forgotten, squeue fails as if it could not answer
        words = ["squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%r"]
        try:
            answer = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        listed = {}
        for line in answer.stdout.splitlines():
            job, _, state = line.strip().partition("|")
            word, _, reason = state.partition("|")
            listed[job] = JobState(word, "" if reason == "None" else reason)
        return {job: listed.get(job, JobState(FORGOTTEN)) for job in jobs}

    def cancel(self, jobs: Collection[str]) -> None:
        """See `Queue`."""
        subprocess.run(["scancel", *jobs], capture_output=True, timeout=_LONGEST_S, check=False)


@dataclass(frozen=True)
class Submissions:
    """The jobs of the runs of a study.

    Attributes:
        jobs: Id of the job that a run was last submitted as, by run id.
        states: What Slurm says of each, by run id; None where it does not answer here.
    """

    jobs: dict[str, str]
    states: dict[str, JobState] | None

    @classmethod
    def of(cls, root: Path, runs: Collection[str], queue: Queue | None = None) -> Self:
        """Ask for the jobs of some runs; Slurm is left alone where none was submitted."""
        jobs = {run: job for run, job in submitted_jobs(root).items() if run in runs}
        states = (queue or SlurmQueue()).states(set(jobs.values())) if jobs else {}
        return cls(jobs, None if states is None else {run: states[job] for run, job in jobs.items()})


def jobs_file(root: Path) -> Path:
    """File that says which job executes which run."""
    return root / FOLDER / _JOBS_FILE


def submitted_jobs(root: Path) -> dict[str, str]:
    """Id of the job that each run was last submitted as; a damaged file says nothing, and runs are submitted again."""
    path = jobs_file(root)
    if not path.exists():
        return {}
    try:
        content = read_document(path)
    except UserError:
        return {}
    return {run: job for run, job in content.items() if isinstance(job, str)}


def sweep_submissions(root: Path) -> None:
    """Remove what commands that were killed while they submitted have left, unless another one submits now."""
    folder = root / FOLDER
    if not folder.is_dir():
        return
    with suppress(LockHeldError), locked(folder / LOCK, patience_s=0):
        for path in folder.glob(".submission_file_*.sh"):
            if not path.is_symlink():  # submitit leaves a link once Slurm has the job
                path.unlink(missing_ok=True)


def log_of(root: Path, job: str) -> Path:
    """What a job has printed."""
    return root / FOLDER / job / f"{job}_0_log.err"
