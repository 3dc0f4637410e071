"""Provenance, and writes that either happen or do not."""

import hashlib
import io
import json
import os
import platform
import re
import secrets
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from imbalance_bench.file_access import refusal

RECORDED_LIBRARIES = (
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
)


class _Watched(io.BufferedWriter):
    """A file that remembers what the disk refused: PyTorch's writer of archives makes a RuntimeError of it."""

    refused: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, and remember a failure."""
        try:
            return super().write(data)
        except OSError as error:
            self.refused = error
            raise


_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")  # as `write_atomically` names what it writes


LOCK = ".lock"  # of a folder


def is_trace_of_a_writer(name: str) -> bool:
    """Return whether a file of this name is the lock of a folder, or half a file that a killed writer has left."""
    return name == LOCK or _TEMPORARY.fullmatch(name) is not None


def sweep_temporaries(folder: Path, *, idle_s: float = 0) -> list[Path]:
    """Remove the temporary files that killed writers left in a folder, and return them.

    Args:
        folder: Need not exist. Nobody writes in it now, or `idle_s` says when a file counts as left.
        idle_s: Leave files that were written to within this many seconds.
    """
    swept = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime >= idle_s:
            path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file through a temporary neighbour and a rename: readers see the old content or the new, never half.

    Raises:
        UserError: The file cannot be written, or no space is left; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file: _Watched | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _Watched(io.FileIO(temporary, "xb")) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else file.refused if file is not None else None
        refused = refusal(OSError(cause.errno, cause.strerror, str(path))) if cause is not None else None
        if refused is not None:
            raise refused from error
        raise


def write_json(path: Path, content: object) -> None:
    """Write an object as readable JSON, atomically, with sorted keys."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def canonical_hash(content: object) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of `content`: sorted keys, no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a result."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in RECORDED_LIBRARIES}


def code_version() -> dict[str, Any]:
    """Version of this distribution; in a git checkout also its commit and whether files were changed since."""
    version: dict[str, Any] = {"version": metadata.version("imbalance-bench"), "commit": None, "dirty": None}
    here = Path(__file__).resolve().parent.parent
    if (here / ".git").exists():
        version["commit"] = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
        version["dirty"] = None if changed is None else bool(changed)
    return version


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where git is missing or refuses."""
    try:
        completed = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()
