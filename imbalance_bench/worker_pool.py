"""Processes that map a function over images, and end with the command that started them."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

PARENT_CHECK_S = 1.0


def worker_pool(workers: int, prepare: Callable[..., object] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Return a pool of spawned processes.

    A worker leaves Ctrl-C to the command, which ends the pool, and ends itself once the command is gone: workers of a
    pool hold both ends of its queue, and would wait for the next task for ever.

    Args:
        workers: How many.
        prepare: Called once in each worker, with the arguments.
        arguments: Its arguments.
    """
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (os.getpid(), prepare, arguments))


def wait_for_end_of(parent: int) -> None:
    """Return once `parent` is no longer the parent of this process."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)


def _begin(parent: int, prepare: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with(parent: int) -> None:
    wait_for_end_of(parent)
    os._exit(1)
