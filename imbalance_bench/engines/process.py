"""Several runs side by side, each in a process of its own."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from queue import Empty
from typing import Any

from imbalance_bench.engines.base import Listener, RunJob, RunOutcome, RunProgress

_POLL_S = 0.2
_PARENT_CHECK_S = 1.0

_progress: Any = None  # the queue to the parent, set once in each worker


class ProcessEngine:
    """Executes runs in worker processes on one machine.

    Args:
        workers: Runs at a time.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute all jobs; see `Engine`."""
        context = multiprocessing.get_context("spawn")
        outcomes: list[RunOutcome] = []
        queue: Any = context.Queue()
        pool = ProcessPoolExecutor(
            min(self._workers, max(len(jobs), 1)),
            mp_context=context,
            initializer=_start_worker,
            initargs=(queue, os.getpid()),
        )
        try:
            pending = {pool.submit(_execute, job): job for job in jobs}
            while pending:
                done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                _drain(queue, listener)
                for future in done:
                    outcome = _outcome(future, pending.pop(future))
                    listener.on_outcome(outcome)
                    outcomes.append(outcome)
            pool.shutdown()
        except BaseException:
            _end(pool)
            raise
        return outcomes


def _execute(job: RunJob) -> RunOutcome:
    from imbalance_bench.engines.worker import execute_job  # torch is imported in the worker alone

    last = 0.0

    def report(progress: RunProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _POLL_S or progress.step == progress.steps:
            last = now
            _progress.put(progress)

    return execute_job(job, report)


def _start_worker(queue: Any, parent: int) -> None:
    """Run once in each worker: leave Ctrl-C to the parent, and end when the parent is gone."""
    global _progress
    _progress = queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _drain(queue: Any, listener: Listener) -> None:
    while True:
        try:
            listener.on_progress(queue.get_nowait())
        except Empty:
            return


def _outcome(future: "Future[RunOutcome]", job: RunJob) -> RunOutcome:
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a worker process died (out of memory?). Use fewer --workers; the study resumes."
        return RunOutcome(job.run_id, job.label, reason)


def _end(pool: ProcessPoolExecutor) -> None:
    """Stop at once: every run has its checkpoint."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
