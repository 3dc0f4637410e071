"""Locks on files: one process at a time, released by the system however the holder ends."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imbalance_bench.errors import UserError

_POLL_S = 0.1
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class LockHeldError(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(
    path: Path, *, patience_s: float = float("inf"), on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock on a file, which is created where there is none; a context manager.

    The lock belongs to the open file, which child processes do not inherit. A link is not followed.

    Args:
        path: The file; its folder exists.
        patience_s: How long to wait for another holder.
        on_wait: Called ten times a second while waiting.

    Raises:
        LockHeldError: Another process holds it and patience has ended.
        UserError: The file system has no locks.
    """
    descriptor = _acquired(path, time.monotonic() + patience_s, on_wait or (lambda: None))
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock on a file; works on a read-only file system."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in _CANNOT_LOCK:
            return False
        raise
    finally:
        os.close(descriptor)
    return False


def _acquired(path: Path, deadline: float, on_wait: Callable[[], None]) -> int:
    """Return the descriptor of the locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _wait_for(descriptor, path, deadline, on_wait)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed by the former holder: what is locked is no longer what others open


def _wait_for(descriptor: int, path: Path, deadline: float, on_wait: Callable[[], None]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeldError(str(path)) from None
            on_wait()
            time.sleep(_POLL_S)
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            raise UserError(
                f"{path} must be on a file system that can lock files. Got: {error.strerror}. Choose another folder."
            ) from None
        else:
            return


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
