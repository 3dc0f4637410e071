"""One process at a time works on a run, trained or scored. No torch."""

from collections.abc import Iterator
from contextlib import contextmanager

from imbalance_bench.errors import UserError
from imbalance_bench.locking import LockHeldError, locked
from imbalance_bench.manifest import sweep_temporaries
from imbalance_bench.records import PICTURE_FOLDERS, RunRecord

LOCK_PATIENCE_S = 1.0  # others look at the lock for a moment to see whether somebody works on the run


class RunInUseError(UserError):
    """Another process works on the run."""


@contextmanager
def exclusive(record: RunRecord) -> Iterator[None]:
    """Hold the run's lock, and remove what a writer that died before has left; a context manager.

    Raises:
        RunInUseError: Another process works on it.
    """
    record.path.mkdir(parents=True, exist_ok=True)
    try:
        with locked(record.lock_path, patience_s=LOCK_PATIENCE_S):
            for folder in (record.path, *(record.path / name for name in PICTURE_FOLDERS)):
                sweep_temporaries(folder)
            yield
    except LockHeldError:
        raise RunInUseError(
            f"{record.path}: another process works on this run. Wait for it, or end it.", exit_code=1
        ) from None
