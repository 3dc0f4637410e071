"""Several runs side by side, each in a process of its own."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from imbalance_bench.engines.base import Execute, Listener, Obstacle, RunJob, RunOutcome, RunProgress
from imbalance_bench.interruption import Interrupted, at_safe_points, blocked, stop_signals, unblock
from imbalance_bench.worker_pool import wait_for_end_of

_POLL_S = 0.2
GRACE_S = 30.0  # for the step in progress and the checkpoint after it


class ProcessEngine:
    """Executes runs in worker processes on one machine.

    A worker that dies takes the run it had with it and nothing else: another takes its place.

    Args:
        workers: Runs at a time.
        execute: Executes one job in a worker; importable there.
        devices: CUDA devices, as CUDA_VISIBLE_DEVICES names them: each worker sees one, the one that fewest others see.
    """

    def __init__(self, workers: int, execute: Execute | None = None, devices: Sequence[str] = ()) -> None:
        self._limit, self._execute, self._devices = workers, execute, devices

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute all jobs; see `Engine`."""
        queue, outcomes, workers = deque(jobs), [], list[_Worker]()
        try:
            while queue or workers:
                while queue and len(workers) < self._limit:
                    workers.append(_Worker(queue.popleft(), self._execute, self._free_device(workers)))
                for worker in _ready(workers):
                    message = worker.receive()
                    if isinstance(message, RunProgress):
                        listener.on_progress(message)
                        continue
                    listener.on_outcome(message)
                    outcomes.append(message)
                    if message.obstacle in (Obstacle.LOST, Obstacle.OUT_OF_MEMORY) or not queue:
                        worker.dismiss()  # a fresh one for what comes: memory may be in pieces
                        workers.remove(worker)
                    else:
                        worker.give(queue.popleft())
        except BaseException:
            with at_safe_points():  # a second Ctrl-C ends the patience with them
                _stop(workers)
            raise
        return outcomes

    def _free_device(self, workers: Sequence["_Worker"]) -> str | None:
        """The device that fewest workers see; None: all devices."""
        taken = Counter(worker.device for worker in workers)
        return min(self._devices, key=lambda device: taken[device], default=None)


class _Worker:
    """A process that executes one job after the other, and what it works on."""

    def __init__(self, job: RunJob, execute: Execute | None, device: str | None) -> None:
        self.device = device
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, os.getpid(), execute, device))
        with blocked():  # signals come through once it can handle them
            self.process.start()
        theirs.close()  # so that its death ends the pipe
        self.give(job)

    def give(self, job: RunJob) -> None:
        """Let it execute another job."""
        self._job = job
        try:
            self.pipe.send(job)
        except OSError:
            return  # it is dead, which `receive` will find

    def receive(self) -> RunProgress | RunOutcome:
        """Return what it says, or that it died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join()
            return RunOutcome(self._job.run_id, self._job.label, _cause(self.process.exitcode), Obstacle.LOST)

    def dismiss(self) -> None:
        """End it; it waits for a job, or is dead."""
        self.pipe.close()
        self.process.join(GRACE_S)
        self.process.kill()


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait until a worker has something to say or dies."""
    ready = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in ready]


def _stop(workers: Sequence[_Worker]) -> None:
    """Let every worker save a checkpoint and end; those that do not are killed."""
    try:
        for worker in workers:
            worker.process.terminate()
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGCONT)  # one that was stopped must handle the signal too
        deadline = time.monotonic() + GRACE_S
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


def _cause(exit_code: int | None) -> str:
    """Say what a process died of."""
    if exit_code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as the system does when memory runs out."
    if exit_code is not None and exit_code < 0:
        return f"its process was ended by {signal.Signals(-exit_code).name}."
    if exit_code is not None and exit_code > 128:
        return f"its process was stopped by {signal.Signals(exit_code - 128).name}."
    return f"its process ended with exit code {exit_code}."


def _work(pipe: Connection, parent: int, execute: Execute | None, device: str | None) -> None:
    """Execute jobs in a worker until the pipe ends."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device  # before CUDA starts in this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what to do
    with stop_signals((signal.SIGTERM, signal.SIGUSR1), quiet=True):
        try:
            unblock()
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
            if execute is None:
                from imbalance_bench.engines.worker import execute_job as execute  # imports torch

            while True:
                outcome = execute(pipe.recv(), _Reports(pipe))
                pipe.send(outcome)
        except Interrupted as error:
            raise SystemExit(error.exit_code) from None
        except (EOFError, OSError):
            return  # dismissed, or the parent is gone


class _Reports:
    """Sends progress to the parent, not too often."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._last = pipe, 0.0

    def __call__(self, progress: RunProgress) -> None:
        now = time.monotonic()
        if now - self._last < _POLL_S and progress.step != progress.steps:
            return
        self._last = now
        try:
            self._pipe.send(progress)
        except OSError:
            return  # the parent is gone, and `_end_with` ends this process at its next safe point


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: with a checkpoint if there is time."""
    wait_for_end_of(parent)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
