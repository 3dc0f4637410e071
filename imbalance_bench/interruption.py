"""What SIGINT, SIGTERM and SIGUSR1 do: work stops where it can be resumed, and the command says how.

Within `at_safe_points` a signal is noted, and the work itself stops where its state is whole (`stop_if_asked`); a
second Ctrl-C stops it at once. Elsewhere a signal raises `Interrupted`, except during an import: an exception raised in
the middle of the initialisation of a C extension is lost or becomes another, so the process ends there and then.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # USR1: sent by Slurm before a time limit

_safe_points = 0  # depth of `at_safe_points`
_noted: int | None = None  # the signal that waits for a safe point


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to stop.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(message_of(number))
        self.number = number

    @property
    def exit_code(self) -> int:
        """As a shell reports a process that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


def message_of(number: int) -> str:
    """Return the line for a person."""
    how = "Interrupted" if number == signal.SIGINT else f"Stopped by {signal.Signals(number).name}"
    return f"{how}. Run the same command again to resume."


@contextmanager
def stop_signals(signals: Sequence[int] = STOP_SIGNALS, *, quiet: bool = False) -> Iterator[None]:
    """Handle signals as this module says; a context manager, without effect outside the main thread.

    A signal that is ignored stays ignored, as shells expect of jobs in the background and `nohup`.

    Args:
        signals: Which.
        quiet: Print nothing when a signal ends an import.
    """
    global _noted
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        global _noted
        first, _noted = _noted is None, _noted or number
        if _safe_points:
            if first or number != signal.SIGINT:  # schedulers repeat themselves; a person who does means it
                return
        elif _is_importing(frame):
            _leave(number, quiet=quiet)
        raise Interrupted(number)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in signals}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    _noted = None
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) or _noted is None:
            raise
        raise Interrupted(_noted) from None  # a library has raised its own in place of ours, as Ray does
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _noted = None


@contextmanager
def at_safe_points() -> Iterator[None]:
    """Let signals wait for the next call of `stop_if_asked`; a context manager."""
    global _safe_points
    _safe_points += 1
    try:
        yield
    finally:
        _safe_points -= 1


def asked_to_stop() -> bool:
    """Return whether a signal waits for a safe point."""
    return _noted is not None


def stop_if_asked() -> None:
    """Stop here if a signal has asked for it.

    Raises:
        Interrupted: It has.
    """
    if _noted is not None:
        raise Interrupted(_noted)


@contextmanager
def blocked() -> Iterator[None]:
    """Hold the signals back, and let processes that are started meanwhile begin their life so; a context manager."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Let the signals through in a process that was started while they were held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(number: int, *, quiet: bool) -> None:
    """End the process without unwinding."""
    if not quiet:
        cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
        os.write(2, f"{cursor}Error: {message_of(number)}\n".encode())
    os._exit(128 + number)
