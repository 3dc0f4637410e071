"""When memory runs out: how this is recognised, and what the user can do."""

import gc

import torch

from imbalance_bench.config import TrainingSection
from imbalance_bench.errors import UserError

_OF_ALLOCATORS = ("DefaultCPUAllocator", "out of memory")  # raised as a plain RuntimeError by CPU, cuDNN and MPS


class ShortOfMemoryError(UserError):
    """Memory ran out: the same run may succeed where less else is in memory."""


def is_short_of_memory(error: BaseException) -> bool:
    """Return whether an error says that host or device memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OF_ALLOCATORS)


def advice(section: TrainingSection) -> str:
    """Name what the memory of a run grows with, and what to change.

    A batch is never split behind the user's back: batch normalisation and losses that pool over a batch (Dice,
    Tversky, Lovasz) give other gradients on two halves than on the whole.
    """
    return (
        f"with `training.batch_size` {section.batch_size} and `training.crop_px` {section.crop_px}. Use fewer "
        "--workers; or lower one of the two, which makes it another study, and give another --out."
    )


def short_of_memory(error: BaseException, section: TrainingSection) -> ShortOfMemoryError:
    """Return the error for a person, after what the failed attempt held has been given back."""
    where = "the device" if isinstance(error, torch.OutOfMemoryError) else "this machine"
    error.__traceback__ = None  # whose frames hold the tensors
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return ShortOfMemoryError(f"{where} ran out of memory {advice(section)}", exit_code=1)
