"""Runs as tasks of a Ray cluster: one that runs already, or one that is started on this machine."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imbalance_bench.cluster_sections import RaySection
from imbalance_bench.engines.base import Execute, Listener, Obstacle, RunJob, RunOutcome
from imbalance_bench.engines.process import GRACE_S
from imbalance_bench.engines.record_watch import RecordWatch
from imbalance_bench.errors import UserError, first_line
from imbalance_bench.interruption import STOP_SIGNALS, Interrupted, at_safe_points, stop_signals

if TYPE_CHECKING:
    from imbalance_bench.config import ComputeSection

_POLL_S = 1.0
_ANSWER_S = 10.0  # how long the head of a cluster may take to accept a connection


def _ray() -> Any:
    """Ray, which is imported where it is used only; type checkers need not have it."""
    return importlib.import_module("ray")


class RayEngine:
    """Executes runs on a Ray cluster whose machines share the study directory and the cache.

    Tasks receive paths and return how the run ended; everything else is in the study directory, as on every engine.

    Args:
        workers: Runs at a time, as far as the cluster has room.
        compute: How runs execute, and what each asks Ray for.
        execute: Executes one job in a worker; importable there.
    """

    def __init__(self, workers: int, compute: ComputeSection, execute: Execute | None = None) -> None:
        self._workers, self._threads, self._section = workers, compute.threads, compute.ray or RaySection()
        self._execute = execute

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute all jobs; see `Engine`."""
        ray = _ray()

        self._connect()
        # a lost task is tried again by whoever asked for it, as on every engine
        wanted = {"num_cpus": self._section.cpus or self._threads, "num_gpus": self._section.gpus, "max_retries": 0}
        task = ray.remote(**wanted)(_work)
        queue, records, outcomes = deque(jobs), RecordWatch(listener), list[RunOutcome]()
        running = dict[Any, RunJob]()
        try:
            while queue or running:
                while queue and len(running) < self._workers:
                    job = queue.popleft()
                    running[task.remote(job, self._execute)] = job
                ready, _ = ray.wait(list(running), timeout=_POLL_S)
                records.look(running.values())
                for reference in ready:
                    outcome = _outcome_of(reference, running.pop(reference))
                    listener.on_outcome(outcome)
                    outcomes.append(outcome)
        except BaseException:
            with at_safe_points():  # a second Ctrl-C ends the patience with them
                _stop(list(running))
            raise
        finally:
            ray.shutdown()
        return outcomes

    def _connect(self) -> None:
        """Join the cluster that the study names, or start one on this machine.

        Raises:
            UserError: There is none at that address.
        """
        ray = _ray()

        from imbalance_bench.data.prepared import usable_cores

        address = self._section.address
        here = {"num_cpus": usable_cores(), "include_dashboard": False} if address is None else {}
        if address is not None:
            _require_answer(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sends no usage statistics
        try:
            with _signals_wait():
                ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **here)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UserError(_not_there(address, error), exit_code=1) from None


def _require_answer(address: str) -> None:
    """Try the address once: Ray itself tries for some 20 minutes before it gives up.

    Raises:
        UserError: Nothing listens there.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = place.hostname, place.port
        if host is None or port is None:  # such as "auto", which Ray looks up at once
            return
        socket.create_connection((host, port), timeout=_ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise UserError(_not_there(address, error), exit_code=1) from None


def _not_there(address: str | None, error: Exception) -> str:
    return f"`compute.ray.address` must be that of a running Ray cluster. Got {address}: {first_line(error)}"


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back the signals that stop a study, and put back their handlers, which Ray replaces by its own.

    Ray's handler of SIGTERM prints a stack and ends the process: none must come while it is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    _unblock_in_children()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@cache
def _unblock_in_children() -> None:
    """Let the processes that Ray starts receive what is held back here: a mask is inherited. Once for the process."""
    os.register_at_fork(after_in_child=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOP_SIGNALS))


def _work(job: RunJob, execute: Execute | None) -> RunOutcome:
    """Execute one run in a worker of Ray; a checkpoint is saved when it is cancelled or its machine is taken away."""
    if execute is None:
        from imbalance_bench.engines.worker import execute_job as execute  # imports torch

    signal.signal(signal.SIGINT, signal.default_int_handler)  # as which Ray cancels, also where a shell ignores it
    try:
        with stop_signals((signal.SIGINT, signal.SIGTERM), quiet=True):
            return execute(job, lambda _: None)
    except Interrupted as error:
        reason = f"its process was stopped by {signal.Signals(error.number).name}."
        return RunOutcome(job.run_id, job.label, reason, Obstacle.STOPPED)


def _outcome_of(reference: Any, job: RunJob) -> RunOutcome:
    """How a task ended."""
    ray = _ray()
    from ray.exceptions import OutOfMemoryError, RayError  # pyright: ignore[reportMissingImports]

    try:
        return ray.get(reference)
    except OutOfMemoryError as error:
        return RunOutcome(job.run_id, job.label, first_line(error), Obstacle.OUT_OF_MEMORY)
    except RayError as error:
        reason = f"its Ray worker was lost ({type(error).__name__}: {first_line(error)})."
        return RunOutcome(job.run_id, job.label, reason, Obstacle.LOST)


def _stop(references: list[Any]) -> None:
    """Let every task save a checkpoint and end; those that do not are killed with their workers."""
    ray = _ray()

    for reference in references:
        ray.cancel(reference, force=False)
    deadline = time.monotonic() + GRACE_S
    while references and time.monotonic() < deadline:
        _, references = ray.wait(references, num_returns=len(references), timeout=_POLL_S)
    for reference in references:
        ray.cancel(reference, force=True)
