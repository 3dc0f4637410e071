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


def end_with_parent(parent: int) -> None:
    """End this process once `parent` is no longer its parent, whatever it does then."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _begin(parent: int, prepare: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    if prepare is not None:
        prepare(*arguments)
