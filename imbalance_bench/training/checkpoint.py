"""The resumable state of a run: one file, replaced atomically, read without unpickling code."""

import pickle
from pathlib import Path
from typing import Any

import torch

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_atomically
from imbalance_bench.records import CHECKPOINT


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values."""
    write_atomically(folder / CHECKPOINT, lambda file: torch.save(state, file))


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Read the state, or return None where the run has not saved one.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged. Delete it; the run then starts afresh.", exit_code=1) from error


def delete_checkpoint(folder: Path) -> None:
    """Remove the file once the run is done."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
