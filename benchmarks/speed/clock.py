"""Seconds on a CPU, where others work beside us, and on a GPU, which works on after a call has returned."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch


def finish(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def wall_s(command: Callable[[], object], device: str) -> float:
    """Return the wall time of a command and of what it leaves on the device, s."""
    finish(device)
    started = time.perf_counter()
    command()
    finish(device)
    return time.perf_counter() - started


def own_s(command: Callable[[], object], device: str) -> float:
    """Return processor time of this process on a CPU, wall time on a GPU, s."""
    if device == "cuda":
        return wall_s(command, device)
    started = time.process_time()
    command()
    return time.process_time() - started


def own_unit(device: str) -> str:
    """Unit of `own_s`."""
    return "s" if device == "cuda" else "CPU s"


@dataclass
class Spans:
    """Adds up the time of the outermost calls of some functions; on a GPU from their first kernel to their last.

    Args:
        device: `cpu` or `cuda`.
        clock: On a CPU.
    """

    device: str
    clock: Callable[[], float] = time.perf_counter
    _depth: int = 0
    _cpu_s: float = 0.0
    _marks: list[tuple[Any, Any]] = field(default_factory=list)

    @contextmanager
    def watching(self, owner: Any, name: str) -> Iterator[None]:
        """Time calls of `owner.name` meanwhile."""
        plain: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            with self._call():
                return plain(*arguments, **options)

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, plain)

    @contextmanager
    def _call(self) -> Iterator[None]:
        self._depth += 1
        outermost, started, mark = self._depth == 1, self.clock(), self._mark()
        try:
            yield
        finally:
            self._depth -= 1
            if outermost and mark is None:
                self._cpu_s += self.clock() - started
            elif outermost:
                self._marks.append((mark, self._mark()))

    def _mark(self) -> Any:
        if self.device != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @property
    def seconds(self) -> float:
        """Sum so far."""
        finish(self.device)
        return self._cpu_s + sum(before.elapsed_time(after) for before, after in self._marks) / 1e3
