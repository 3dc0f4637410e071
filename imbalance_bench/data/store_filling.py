"""Filling an array store: allocate its arrays, write the missing rows, and refill damaged chunks.

Rows are on disk before the journal mentions them, and the journal before `complete.json` appears, so that a kill at any
moment costs at most one chunk. The caller holds the store's lock.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import numpy as np

from imbalance_bench.data.store_journal import Chunk, append_to_journal, read_journal, rows_checksum
from imbalance_bench.data.store_layout import StoreLayout
from imbalance_bench.errors import UserError

OnProgress = Callable[[int, int], None]  # rows done, rows of the store
Fill = Callable[[Sequence[int]], Mapping[str, np.ndarray]]  # row numbers -> their rows of every array

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def fill_missing(
    layout: StoreLayout, fill: Fill, chunk_rows: int, on_progress: OnProgress, description: Mapping[str, Any]
) -> None:
    """Fill every row that the journal does not mention.

    Args:
        layout: Of the store.
        fill: Returns the rows of every array.
        chunk_rows: Rows per call of `fill`.
        on_progress: Called with (rows done, N).
        description: What the store holds.

    Raises:
        UserError: The disk is too small (exit code 1), or the folder holds something else.
    """
    with _disk_full_explained(layout):
        if layout.layout_file.exists():
            layout.require_layout(layout.layout_file)
            for name in layout.arrays:
                layout.map(name)
        else:
            _allocate(layout, description)
        chunks, intact_bytes = read_journal(layout.journal)
        is_filled = np.zeros(layout.rows, dtype=bool)
        for chunk in chunks:
            is_filled[chunk.rows] = True
        with _arrays_for_writing(layout) as files, layout.journal.open("ab", buffering=0) as journal:
            journal.truncate(intact_bytes)  # a torn last record would misalign the next one
            on_progress(int(is_filled.sum()), layout.rows)
            for start, stop in _missing_spans(is_filled, chunk_rows):
                values = _checked(layout, fill(range(start, stop)), stop - start)
                _write_rows(layout, files, start, values)
                append_to_journal(journal, Chunk(start, stop, rows_checksum(values)))
                is_filled[start:stop] = True
                on_progress(int(is_filled.sum()), layout.rows)
        layout.write_complete(description, read_journal(layout.journal)[0])


def refill(layout: StoreLayout, fill: Fill, chunk: Chunk) -> None:
    """Fill a damaged chunk of a finished store again.

    Raises:
        UserError: That does not give the bytes that it had, as on another device, so that runs would differ.
    """
    values = _checked(layout, fill(range(chunk.start, chunk.stop)), chunk.n_rows)
    if rows_checksum(values) != chunk.checksum:
        raise UserError(
            f"{layout.folder} is damaged in rows {chunk.start} to {chunk.stop - 1}, and computing them again "
            "here gives other values than earlier runs saw. Delete the folder, and train these runs again.",
            exit_code=1,
        )
    with _arrays_for_writing(layout) as files:
        _write_rows(layout, files, chunk.start, values)


def _allocate(layout: StoreLayout, description: Mapping[str, Any]) -> None:
    """Create every array at its full size, so that a full disk is an error now and not a crash later."""
    layout.journal.unlink(missing_ok=True)
    for name in layout.arrays:
        layout.array_file(name).unlink(missing_ok=True)
    if layout.total_bytes() > shutil.disk_usage(layout.folder).free:
        raise _disk_too_small(layout)
    try:
        for name, (shape, dtype) in layout.arrays.items():
            path = layout.array_file(name)
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(layout.rows, *shape))
            if hasattr(os, "posix_fallocate"):
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        for name in layout.arrays:
            layout.array_file(name).unlink(missing_ok=True)
        raise
    layout.write_layout(description)


@contextmanager
def _disk_full_explained(layout: StoreLayout) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise _disk_too_small(layout) from None


def _disk_too_small(layout: StoreLayout) -> UserError:
    needed, free = layout.total_bytes() / 1e9, shutil.disk_usage(layout.folder).free / 1e9
    return UserError(
        f"{layout.folder} must be on a disk with {needed:.3g} GB to spare. Got {free:.3g} GB free. "
        "Free some space, or choose another cache folder.",
        exit_code=1,
    )


def _missing_spans(is_filled: np.ndarray, chunk_rows: int) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `chunk_rows` consecutive rows that are not filled, ascending."""
    missing = np.flatnonzero(~is_filled)
    position = 0
    while position < len(missing):
        start = int(missing[position])
        stop = start + 1
        while stop < len(is_filled) and not is_filled[stop] and stop - start < chunk_rows:
            stop += 1
        yield start, stop
        position += stop - start


def _checked(layout: StoreLayout, values: Mapping[str, np.ndarray], n_rows: int) -> dict[str, np.ndarray]:
    """Return the rows as contiguous arrays of the declared type, or say what is wrong with `fill`."""
    if set(values) != set(layout.arrays):
        raise ValueError(f"fill must return the arrays {sorted(layout.arrays)}. Got {sorted(values)}.")
    checked = {}
    for name, (shape, dtype) in layout.arrays.items():
        array = np.asarray(values[name])
        if array.shape != (n_rows, *shape) or not np.can_cast(array.dtype, dtype, casting="same_kind"):
            raise ValueError(
                f"fill must return {name} as {(n_rows, *shape)} of {dtype}. Got {array.shape} of {array.dtype}."
            )
        checked[name] = np.ascontiguousarray(array, dtype=dtype)
    return checked


@contextmanager
def _arrays_for_writing(layout: StoreLayout) -> Iterator[dict[str, BinaryIO]]:
    """Open the file of every array."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(layout.array_file(name).open("r+b", buffering=0)) for name in layout.arrays}


def _write_rows(
    layout: StoreLayout, files: Mapping[str, BinaryIO], start: int, values: Mapping[str, np.ndarray]
) -> None:
    """Write rows from `start` on into every array, and wait until they are on the disk."""
    for name, file in files.items():
        _write_all(file, values[name], layout.map(name).offset + start * layout.row_bytes(name))
        os.fsync(file.fileno())


def _write_all(file: BinaryIO, array: np.ndarray, offset: int) -> None:
    """Write through the file, not the map: a disk that fills up is then an OSError and not a SIGBUS."""
    file.seek(offset)
    view = memoryview(array.reshape(-1).view(np.uint8).data)
    while view:
        view = view[file.write(view) :]
