"""Where a data set is built before it becomes DEST: a hidden neighbour in which the call after a killed one resumes.

Its name can be foreseen, so what lies there is trusted only when it is a real folder of this user that holds nothing
but what a preparation writes; a link is not followed, and a foreign folder is left as it is.
"""

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imbalance_bench.errors import UserError
from imbalance_bench.locking import LockHeldError, locked
from imbalance_bench.manifest import write_json

CHANGES = "changes"  # what became of the colours of each mask, until dataset.yaml sums them up
_SIGNATURE, _LOCK = "preparation.json", "lock"
_FOLDERS = ("images", "masks", "instances")
_FILES = ("index.csv", "dataset.yaml")
_UNFINISHED = re.compile(r"\.(index\.csv|dataset\.yaml|preparation\.json)\.\d+\.[0-9a-f]{8}")


@contextmanager
def building_folder(dest: Path) -> Iterator[Path]:
    """Create or take up the folder in which `dest` is built, for one process at a time; a context manager.

    Raises:
        UserError: What lies there is not ours, or another process writes it.
    """
    folder = dest.parent / f".{dest.name}.preparing"
    dest.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir()
    _require_ours(folder)
    try:
        with locked(folder / _LOCK, patience_s=0):
            yield folder
    except LockHeldError:
        raise UserError(f"{folder} is being written by another process. Wait for it, or choose another DEST.") from None


def resume_or_clear(folder: Path, signature: str) -> None:
    """Keep what an interrupted preparation of the same signature left, and nothing else."""
    if _signature(folder) != signature:
        _clear(folder)
    for torn in folder.glob("*/.*"):  # half a file, from a writer that was killed
        torn.unlink()
    write_json(folder / _SIGNATURE, {"signature": signature})  # first: a folder without it is not believed
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)


def discard_unless_begun(folder: Path) -> None:
    """Remove a folder in which no image has been written yet."""
    if not any((folder / "masks").glob("*.png")):
        shutil.rmtree(folder)


def require_replaceable(dest: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a destination that is not free: it must be new, empty, or with `overwrite` a prepared data set.

    Raises:
        UserError: It is a link, holds something else, or holds the source.
    """
    if dest.is_symlink():
        raise UserError(f"{dest} must be a folder. Got a link. Give the folder that it leads to.")
    if not dest.exists() or (dest.is_dir() and not any(dest.iterdir())):
        return
    if not overwrite:
        raise UserError(
            f"{dest} must be a new or empty folder. Got one that holds something. "
            "Choose another DEST, or add --overwrite where it is a prepared data set."
        )
    names = {path.name for path in dest.iterdir()} if dest.is_dir() else {"a file"}
    foreign = sorted(names - {*_FOLDERS, *_FILES, CHANGES, _SIGNATURE, _LOCK})
    if foreign or not names.issuperset(_FILES):
        finding = f"'{foreign[0]}' in it" if foreign else "none"
        raise UserError(
            f"{dest} must be a prepared data set and nothing else to be overwritten. Got {finding}. "
            "Move it away yourself, or choose another DEST."
        )
    if source.resolve().is_relative_to(dest.resolve()):
        raise UserError(f"{dest} must not hold the source {source} to be overwritten. Choose another DEST.")


def publish(folder: Path, dest: Path) -> None:
    """Let the finished folder become `dest`, in the place of an empty folder or of the data set that it replaces."""
    if dest.exists() and any(dest.iterdir()):
        old = Path(tempfile.mkdtemp(prefix=f".{dest.name}.replaced-", dir=dest.parent))
        dest.rename(old / dest.name)
        try:
            folder.rename(dest)
        except OSError:
            (old / dest.name).rename(dest)
            raise
        finally:
            if dest.exists():
                shutil.rmtree(old)
    else:
        if dest.exists():
            dest.rmdir()
        folder.rename(dest)
    shutil.rmtree(dest / CHANGES, ignore_errors=True)
    for name in (_SIGNATURE, _LOCK):
        (dest / name).unlink(missing_ok=True)


def _require_ours(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UserError(f"{folder} must be a folder. Got a link or a file. Remove it, or choose another DEST.")
    if status.st_uid != os.geteuid():
        raise UserError(f"{folder} belongs to another user. Remove it, or choose another DEST.")
    names = set()
    for child in folder.iterdir():
        kind = child.lstat().st_mode
        is_ours = child.name in (*_FOLDERS, *_FILES, CHANGES, _SIGNATURE, _LOCK) or _UNFINISHED.fullmatch(child.name)
        if not is_ours or not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
            raise _foreign(folder, child.name)
        names.add(child.name)
    if names - {_LOCK} and all(_UNFINISHED.fullmatch(name) is None for name in names) and _signature(folder) is None:
        raise _foreign(folder, min(names - {_LOCK}))


def _foreign(folder: Path, name: str) -> UserError:
    return UserError(
        f"{folder} holds '{name}', which no preparation left there, and is not touched. "
        "Move it away, or choose another DEST."
    )


def _signature(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _SIGNATURE).read_text(encoding="utf-8"))["signature"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear(folder: Path) -> None:
    for old in folder.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name != _LOCK:
            old.unlink()
