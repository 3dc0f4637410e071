"""What the file system refuses, in one line: decided here for every path of every command."""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from imbalance_bench.errors import UserError

_ELSEWHERE = "Give another path."
# what is wrong with a path, and how to correct it
_REFUSALS = {
    errno.ENOENT: ("does not exist", "Check the path."),
    errno.ENOTDIR: ("leads through a file as if it were a folder", "Check the path."),
    errno.EISDIR: ("is a folder, and a file is needed", "Check the path."),
    errno.EEXIST: ("exists and is not a folder", _ELSEWHERE),
    errno.ENOTEMPTY: ("is a folder that is not empty", _ELSEWHERE),
    errno.EACCES: ("is denied to this user", "Change its permissions, or give another path."),
    errno.EPERM: ("must not be changed by this user", "Change its permissions, or give another path."),
    errno.EROFS: ("is on a file system that is read-only", _ELSEWHERE),
    errno.ELOOP: ("is a symbolic link that leads back to itself", "Correct the link, or give another path."),
    errno.ENAMETOOLONG: ("is longer than the file system allows", "Give a shorter path."),
    errno.EINVAL: ("is not a path that the file system accepts", _ELSEWHERE),
    errno.EILSEQ: ("is not a path that the file system accepts", _ELSEWHERE),
    errno.ENXIO: ("is a device without a driver", _ELSEWHERE),
    errno.ENODEV: ("is on a device that is gone", _ELSEWHERE),
    errno.EBUSY: ("is in use", "Close what uses it."),
    errno.ETXTBSY: ("is in use", "Close what uses it."),
    errno.EXDEV: ("is on two file systems", _ELSEWHERE),
    errno.ESTALE: ("is on a network drive that has lost it", "Mount the drive again."),
}
_MACHINE = {  # nothing is wrong with the path, and the same command works later
    errno.ENOSPC: "no space left on the disk. Free some, or give another --out; the study then resumes.",
    errno.EDQUOT: "no space left in the quota. Free some, or give another --out; the study then resumes.",
    errno.EFBIG: "no space left on the disk for a file of this size. Free some, or give another --out.",
    errno.EIO: "the disk does not answer (input/output error). Check it, then give the same command again.",
    errno.EMFILE: "too many files are open. Raise the limit (`ulimit -n`), or set fewer --workers.",
    errno.ENFILE: "too many files are open on this machine. Close some, or set fewer --workers.",
}


def refusal(error: OSError, path: Path | str | None = None) -> UserError | None:
    """Return what the file system refused as one line; None where the error is about no path.

    Args:
        error: As raised by Python or a library.
        path: The file, where the error does not name it.
    """
    named = error.filename if isinstance(error.filename, str | bytes | os.PathLike) else path
    where = os.fsdecode(named) if named else "the output disk"
    if error.errno in _MACHINE:
        return UserError(f"{where}: {_MACHINE[error.errno]}", exit_code=1)
    number = error.errno if error.errno is not None else _number_of_kind(error)
    if number not in _REFUSALS or not named:
        return None
    wrong, fix = _REFUSALS[number]
    return UserError(f"{where} {wrong}. {fix}")


def require_writable(path: Path) -> None:
    """Refuse an output that could not be written, before the work for it begins.

    Args:
        path: A file or folder that exists or not. Nothing is left behind.

    Raises:
        UserError: It cannot be made or changed.
    """
    try:
        there = _nearest_existing(path)
        folder = there if there.is_dir() else there.parent
        if there != path and folder != there:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        _probe(folder)
    except OSError as error:
        refused = refusal(OSError(error.errno, error.strerror, str(path)))
        if refused is None:
            raise
        raise refused from None


def _nearest_existing(path: Path) -> Path:
    """Return the path, or the first folder above it that exists; a name too long or a loop is an OSError."""
    for candidate in (path, *path.parents):
        with suppress(FileNotFoundError):
            candidate.stat()
            return candidate
        if candidate.is_symlink():  # to nowhere
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(candidate))
    return path


def _probe(folder: Path) -> None:
    """Make and remove a file."""
    probe = folder / f".probe.{os.getpid()}.{secrets.token_hex(4)}"
    os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    probe.unlink()


def _number_of_kind(error: OSError) -> int | None:
    """Errno of the errors that libraries raise by their class alone."""
    kinds = {
        FileNotFoundError: errno.ENOENT,
        PermissionError: errno.EACCES,
        NotADirectoryError: errno.ENOTDIR,
        IsADirectoryError: errno.EISDIR,
    }
    return kinds.get(type(error))
