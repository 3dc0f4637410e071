"""The resumable state of a run: one file, replaced atomically, read without unpickling code, and checked.

The file is a zip archive whose entries have CRC-32 checksums, which PyTorch writes and does not read; we read them. The
state says whose it is.
"""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from imbalance_bench.decoding import CONTENT_ERRORS
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_atomically
from imbalance_bench.records import CHECKPOINT

REFUSED_NAME = "checkpoint.refused.pt"


# what a changed bit outside the checked entries can make of a file


class _RefusedError(Exception):
    """Why a checkpoint is not believed."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, with the id of the run whose folder it is."""
    owned = {"run_id": folder.name, **state}
    write_atomically(folder / CHECKPOINT, lambda file: torch.save(owned, file))


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Read the state, or return None where the run has saved none.

    A file that is damaged, or that another run saved, is set aside as `checkpoint.refused.pt` with a warning of one
    line, and the run restarts: it loses time and nothing else.

    Raises:
        UserError: The file cannot be opened.
    """
    path = folder / CHECKPOINT
    try:
        _require_checksums(path)
        state = torch.load(path, map_location=device, weights_only=True)
        _require_owner(state, folder.name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} must be readable. Got: {error.strerror}.", exit_code=1) from error
    except _RefusedError as error:
        return _set_aside(path, str(error))
    except CONTENT_ERRORS:
        return _set_aside(path, "is damaged")
    return state


def delete_checkpoint(folder: Path) -> None:
    """Remove the file once the run is done."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _require_checksums(path: Path) -> None:
    """Read every entry of the archive once and compare its CRC-32."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except CONTENT_ERRORS as error:
        raise _RefusedError("is damaged") from error
    except OSError as error:
        if error.errno is None:  # of a decompressor, not of the system
            raise _RefusedError("is damaged") from error
        raise
    if damaged is not None:
        raise _RefusedError("is damaged")


def _require_owner(state: object, run_id: str) -> None:
    if not isinstance(state, dict):
        raise _RefusedError("is no checkpoint")
    if state.get("run_id") != run_id:
        raise _RefusedError(f"is of run {state.get('run_id', 'unknown')}")


def _set_aside(path: Path, why: str) -> None:
    path.replace(path.with_name(REFUSED_NAME))
    warnings.warn(f"{path} {why}: it is kept as {REFUSED_NAME}, and the run restarts.", stacklevel=3)
