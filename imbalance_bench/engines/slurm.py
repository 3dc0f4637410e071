"""Each run a task of a Slurm job array, submitted through submitit.

A job that is about to reach its time limit, or is preempted with a warning, saves a checkpoint and is queued again
under its id. One that Slurm ends (cancelled, killed) is lost: whoever waits for the study submits its run again.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imbalance_bench.cluster_sections import SlurmSection
from imbalance_bench.engines.base import Execute, Listener, Obstacle, RunJob, RunOutcome
from imbalance_bench.engines.record_watch import RecordWatch
from imbalance_bench.engines.slurm_queue import (
    FOLDER,
    JobState,
    Queue,
    SlurmQueue,
    Submissions,
    jobs_file,
    log_of,
    submitted_jobs,
)
from imbalance_bench.errors import UserError
from imbalance_bench.interruption import Interrupted, at_safe_points, stop_if_asked, stop_signals
from imbalance_bench.locking import locked
from imbalance_bench.manifest import LOCK, write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords

if TYPE_CHECKING:
    from imbalance_bench.config import ComputeSection

POLL_S = 2.0  # looks at files
ASKING_S = (1.0, 30.0)  # between questions to Slurm: at first, and after a while
_MOST_TASKS = 1000  # of one array; a cluster's MaxArraySize is 1001 unless it was changed
_OUTCOME = "outcome.json"


class SlurmEngine:
    """Executes runs as jobs of a Slurm cluster that shares the study directory and the cache with this machine.

    Args:
        workers: Runs of one submission at a time.
        compute: How runs execute, and what each asks Slurm for.
        cluster: An executor of submitit.
        queue: Answers about jobs.
        execute: Executes one job there; importable there.
    """

    def __init__(
        self,
        workers: int,
        compute: ComputeSection,
        *,
        cluster: str = "slurm",
        queue: Queue | None = None,
        execute: Execute | None = None,
    ) -> None:
        self._workers, self._threads, self._section = workers, compute.threads, compute.slurm or SlurmSection()
        self._cluster, self._queue, self._execute = cluster, queue or SlurmQueue(), execute
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise UserError("--engine slurm needs the command sbatch. Got none. Run it where jobs can be submitted.")

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute all jobs and wait for them; see `Engine`."""
        ours: set[str] = set()
        try:
            watched = self._hand_over(jobs, listener, ours)
            return self._watch(watched, listener)
        except BaseException:
            with at_safe_points():
                if ours:
                    self._queue.cancel(ours)
            raise

    def submit(self, jobs: Sequence[RunJob], listener: Listener) -> None:
        """Submit what is neither queued nor running, and leave; see `LeavableEngine`."""
        self._hand_over(jobs, listener, set())

    def _hand_over(self, jobs: Sequence[RunJob], listener: Listener, ours: set[str]) -> dict[str, RunJob]:
        """Submit what no job executes; return all jobs by the id that Slurm gave them, and add ours to `ours`."""
        root = jobs[0].root
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        with at_safe_points(), locked(root / FOLDER / LOCK):  # two runners never submit the same run
            alive = self._alive(root, jobs)
            missing = [job for job in jobs if job.run_id not in alive]
            if alive:
                listener.on_remark(f"{_runs(len(alive))} queued or running in Slurm already")
            for start in range(0, len(missing), _MOST_TASKS):
                part = missing[start : start + _MOST_TASKS]
                ids = self._submitted(root, part)
                ours.update(ids)
                alive |= {job.run_id: name for job, name in zip(part, ids, strict=True)}
                write_json(jobs_file(root), submitted_jobs(root) | alive)
                name = ids[0].partition("_")[0]
                listener.on_remark(f"submitted {_runs(len(part))} as Slurm job {name}; logs in {root / FOLDER}")
        stop_if_asked()
        return {alive[job.run_id]: job for job in jobs}

    def _alive(self, root: Path, jobs: Sequence[RunJob]) -> dict[str, str]:
        """Ids of jobs that were submitted earlier and have not ended."""
        submissions = Submissions.of(root, {job.run_id for job in jobs}, self._queue)
        if submissions.states is None:
            raise UserError(
                "squeue must tell which runs are queued already. Got no answer. Wait until Slurm answers.", exit_code=1
            )
        return {run: name for run, name in submissions.jobs.items() if submissions.states[run].is_alive}

    def _submitted(self, root: Path, jobs: Sequence[RunJob]) -> list[str]:
        """Submit an array and return the id of each task."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        limit = {"slurm_max_num_timeout": self._section.requeues} if self._cluster == "slurm" else {}
        executor = submitit.AutoExecutor(root / FOLDER / "%j", cluster=self._cluster, **limit)
        executor.update_parameters(**self._parameters(root))
        try:
            with redirect_stderr(StringIO()), executor.batch():  # submitit prints what sbatch says, and raises it
                submitted = [executor.submit(RunTask(job, self._execute)) for job in jobs]
        except (FailedJobError, FailedSubmissionError) as error:
            refusal = " ".join(str(error).split())[-400:]
            raise UserError(f"Slurm must take the jobs. Got: {refusal} Change `compute.slurm`.", exit_code=1) from None
        return [job.job_id for job in submitted]

    def _parameters(self, root: Path) -> dict[str, Any]:
        """The section in the words of submitit."""
        section = self._section
        optional = {
            "gpus_per_node": section.gpus or None,
            "slurm_partition": section.partition,
            "slurm_account": section.account,
            "slurm_qos": section.qos,
            "slurm_setup": list(section.setup) or None,
        }
        further = {"requeue": True} | {name: value for name, value in section.sbatch.items() if value is not False}
        return {
            "name": root.resolve().name,
            "timeout_min": section.minutes,
            "mem_gb": section.memory_gb,
            "cpus_per_task": section.cpus or self._threads,
            "slurm_signal_delay_s": section.warning_s,
            "slurm_array_parallelism": self._workers,
            "slurm_additional_parameters": further,
        } | {name: value for name, value in optional.items() if value is not None}

    def _watch(self, watched: dict[str, RunJob], listener: Listener) -> list[RunOutcome]:
        """Wait until each job has ended or is lost."""
        outcomes, ended, records = list[RunOutcome](), set[str](), RecordWatch(listener)
        last_line, interval, ask_at = "", ASKING_S[0], 0.0
        while watched:
            states = None
            if time.monotonic() >= ask_at:
                states = self._queue.states(watched)
                ask_at, interval = time.monotonic() + interval, min(1.5 * interval, ASKING_S[1])
            running = [job for name, job in watched.items() if states and not states[name].is_queued]
            records.look(running)
            new_outcomes = [outcome for name, job in watched.items() if (outcome := _outcome_of(name, job)) is not None]
            if states is not None:
                ended_now = {name for name, state in states.items() if not state.is_alive}
                without = {job.run_id for job in watched.values()} - {outcome.run_id for outcome in new_outcomes}
                # ended twice in a row: the file that says how may be seen late on a network disk
                lost = {name for name in ended_now & ended if watched[name].run_id in without}
                new_outcomes += [_lost(watched[name], name, states[name]) for name in sorted(lost)]
                ended = ended_now
                if (line := _in_words(states.values())) not in ("", last_line):
                    listener.on_remark(last_line := line)
            for outcome in new_outcomes:
                listener.on_outcome(outcome)
                outcomes.append(outcome)
            over = {outcome.run_id for outcome in new_outcomes}
            watched = {name: job for name, job in watched.items() if job.run_id not in over}
            if watched:
                time.sleep(min(POLL_S, interval))
        return outcomes


class RunTask:
    """What a job calls: executes one run, and has itself queued again where it is warned.

    Args:
        job: The run.
        execute: Executes it; None: as every engine does.
    """

    def __init__(self, job: RunJob, execute: Execute | None = None) -> None:
        self._job, self._execute = job, execute

    def __call__(self) -> None:
        """Execute the run and write how it ended; a checkpoint is saved when a signal asks for it."""
        import submitit

        execute = self._execute
        if execute is None:
            from imbalance_bench.engines.worker import execute_job as execute  # imports torch

        try:
            with stop_signals((signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2), quiet=True):
                outcome = execute(self._job, lambda _: None)
        except Interrupted as error:
            if error.number != signal.SIGTERM:
                signal.raise_signal(error.number)  # now submitit's: `checkpoint`, then queue this job again
            raise SystemExit(error.exit_code) from None
        obstacle = None if outcome.obstacle is None else str(outcome.obstacle)
        folder = submitit.JobEnvironment().paths.folder
        write_json(folder / _OUTCOME, {"error": outcome.error, "obstacle": obstacle})

    def checkpoint(self) -> Any:
        """Return what runs when the job is requeued: the same, from the checkpoint in the run's folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _outcome_of(name: str, job: RunJob) -> RunOutcome | None:
    """How a run ended, as its job has written; None before that."""
    path = job.root / FOLDER / name / _OUTCOME
    if not path.exists():
        return None
    with suppress(UserError, KeyError, ValueError):
        content = read_document(path)
        obstacle = None if content["obstacle"] is None else Obstacle(content["obstacle"])
        if content["error"] is not None or StudyRecords(job.root).run(job.run_id).is_done():
            return RunOutcome(job.run_id, job.label, content["error"], obstacle)
    return None


def _lost(job: RunJob, name: str, state: JobState) -> RunOutcome:
    obstacle = Obstacle.OUT_OF_MEMORY if state.word == "OUT_OF_MEMORY" else Obstacle.STOPPED
    error = f"its Slurm job {name} is {state.word} and the run has not ended; log: {log_of(job.root, name)}."
    return RunOutcome(job.run_id, job.label, error, obstacle)


def _in_words(states: Iterable[JobState]) -> str:
    """How many wait and why, and how many run; empty where none does."""
    alive = [state for state in states if state.is_alive]
    queued = [state.reason for state in alive if state.is_queued]
    why = f" ({Counter(queued).most_common(1)[0][0]})" if any(queued) else ""
    return f"Slurm: {len(queued)} queued{why}, {len(alive) - len(queued)} running" if alive else ""


def _runs(number: int) -> str:
    return f"{number} run{'s' if number > 1 else ''}"
