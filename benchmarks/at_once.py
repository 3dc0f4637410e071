"""Work on several things at once, each in a process of its own, as long as there is time to begin another."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import nullcontext
from typing import TypeVar

from imbalance_bench.worker_pool import worker_pool

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_on(
    items: Iterable[Item], act: Callable[[Item], Result], at_once: int, may_begin: Callable[[Item], bool]
) -> Iterator[tuple[Item, Result, float]]:
    """Yield items with what came of them and the seconds that they took, as they are done.

    Args:
        items: In the order in which they are begun.
        act: Works on one: in this process if one is worked on at a time, else importable in another.
        at_once: Items at a time.
        may_begin: Asked of the next item; when it says no, what was begun is finished.
    """
    waiting = deque(items)
    with worker_pool(at_once) if at_once > 1 else nullcontext() as pool:
        running = dict[Future[Result], tuple[Item, float]]()
        while True:
            while waiting and len(running) < at_once and may_begin(waiting[0]):
                item, started = waiting.popleft(), time.monotonic()
                running[_begun(act, item, pool)] = item, started
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                item, started = running.pop(done)
                yield item, done.result(), time.monotonic() - started


def _begun(act: Callable[[Item], Result], item: Item, pool: ProcessPoolExecutor | None) -> "Future[Result]":
    """Work on an item in a pool; without one, here and now."""
    if pool is not None:
        return pool.submit(act, item)
    done = Future[Result]()
    done.set_result(act(item))
    return done
