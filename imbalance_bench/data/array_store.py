"""Named arrays on disk, filled row by row: resumable after a kill, safe with several writers, never half believed.

A folder holds NAME.npy for each array, `layout.json` once all of them are allocated, `journal` with the rows that are
on disk, `complete.json` at the end, and `lock`, held by the one process that writes. The order is what makes it safe:
rows are flushed before the journal mentions them, the journal before `complete.json` appears.
"""

import errno
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from imbalance_bench.errors import UserError
from imbalance_bench.locking import locked
from imbalance_bench.manifest import write_json

OnProgress = Callable[[int, int], None]
Fill = Callable[[Sequence[int]], Mapping[str, np.ndarray]]
Layout = Mapping[str, tuple[tuple[int, ...], Any]]

_RECORD = struct.Struct("<QQI")  # first row, row after the last, CRC-32 of both
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ArrayStore:
    """A complete set of arrays, read through memory maps.

    Open it with `open_or_fill`. Two stores of the same folder, in any processes, see the same bytes.
    """

    def __init__(self, folder: Path, arrays: Mapping[str, np.memmap]) -> None:
        self.folder = folder
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> np.memmap:
        """Return one array, read-only, (rows, *shape of a row)."""
        return self._arrays[name]

    @classmethod
    def open_or_fill(
        cls,
        folder: Path,
        *,
        arrays: Layout,
        rows: int,
        fill: Fill,
        chunk: int,
        on_progress: OnProgress | None = None,
        description: Mapping[str, Any],
    ) -> Self:
        """Open a complete store, or fill what is missing of it first.

        While another process fills the same folder, this one waits; if that process dies, this one goes on from the
        last finished chunk.

        Args:
            folder: One folder per store; its name should be a hash of everything the content depends on.
            arrays: Name -> (shape of one row, dtype).
            rows: N, at least 1.
            fill: Given ascending consecutive row numbers, returns every array's rows, (n, *shape). Called in order.
            chunk: Rows per call of `fill`.
            on_progress: Called with (rows done, N), also while waiting for another process.
            description: What the store holds, as JSON for humans; not compared.

        Raises:
            UserError: The disk is too small (exit code 1), or the folder holds something else or is damaged.
        """
        if rows < 1 or chunk < 1:
            raise ValueError(f"A store must have at least one row per store and chunk. Got {rows} and {chunk}.")
        plan = _Plan(
            Path(folder), {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in arrays.items()}, rows
        )
        report = on_progress or (lambda _done, _rows: None)
        if not plan.is_complete():
            plan.make_folder()
            with locked(plan.folder / "lock", on_wait=lambda: _report_journal(plan, report)):
                if not plan.is_complete():
                    with _disk_full_explained(plan):
                        _fill_missing(plan, fill, chunk, report, description)
        return cls(plan.folder, {name: plan.map(name) for name in plan.arrays})


@dataclass(frozen=True)
class _Plan:
    """What a folder should hold, and its files."""

    folder: Path
    arrays: dict[str, tuple[tuple[int, ...], np.dtype]]
    rows: int

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def layout_file(self) -> Path:
        return self.folder / "layout.json"

    @property
    def complete_file(self) -> Path:
        return self.folder / "complete.json"

    def array_file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def row_bytes(self, name: str) -> int:
        shape, dtype = self.arrays[name]
        return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize

    def total_bytes(self) -> int:
        return sum(self.rows * self.row_bytes(name) for name in self.arrays)

    def layout(self) -> dict[str, Any]:
        arrays = {name: {"row_shape": list(shape), "dtype": dtype.str} for name, (shape, dtype) in self.arrays.items()}
        return {"rows": self.rows, "arrays": arrays}

    def make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.folder} must be a folder that can be written. Got: {error.strerror}. "
                "Choose another cache folder.",
                exit_code=1,
            ) from None

    def is_complete(self) -> bool:
        """Return whether the store is finished, and refuse one that holds something else."""
        if not self.complete_file.exists():
            return False
        self.require_layout(self.complete_file)
        return True

    def require_layout(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["layout"]
        except (OSError, ValueError, KeyError, TypeError):
            found = "something unreadable"
        if found != self.layout():
            raise UserError(f"{path} must describe {self.layout()}. Got {found}. Delete the folder {self.folder}.")

    def map(self, name: str) -> np.memmap:
        """Map one array read-only."""
        path = self.array_file(name)
        shape, dtype = self.arrays[name]
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path} must be a complete array. Got: {error}. Delete the folder {self.folder}."
            ) from None
        if not isinstance(array, np.memmap) or array.shape != (self.rows, *shape) or array.dtype != dtype:
            raise UserError(
                f"{path} must hold {(self.rows, *shape)} of {dtype}. Got {array.shape} of {array.dtype}. "
                f"Delete the folder {self.folder}."
            )
        return array


def _report_journal(plan: _Plan, report: OnProgress) -> None:
    """Report how far the process that fills the store has come."""
    report(sum(stop - start for start, stop in _read_journal(plan)[0]), plan.rows)


@contextmanager
def _disk_full_explained(plan: _Plan) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise _too_small(plan) from None


def _too_small(plan: _Plan) -> UserError:
    needed, free = plan.total_bytes() / 1e9, shutil.disk_usage(plan.folder).free / 1e9
    return UserError(
        f"{plan.folder} must be on a disk with {needed:.3g} GB to spare. Got {free:.3g} GB free. "
        "Free some space, or choose another cache folder.",
        exit_code=1,
    )


def _fill_missing(plan: _Plan, fill: Fill, chunk: int, report: OnProgress, description: Mapping[str, Any]) -> None:
    """Fill every row that the journal does not mention. The caller holds the lock."""
    if plan.layout_file.exists():
        plan.require_layout(plan.layout_file)
        for name in plan.arrays:
            plan.map(name)
    else:
        _allocate(plan, description)
    finished, good_bytes = _read_journal(plan)
    done = np.zeros(plan.rows, dtype=bool)
    for start, stop in finished:
        done[start:stop] = True
    offsets = {name: plan.map(name).offset for name in plan.arrays}
    files: dict[str, BinaryIO] = {}
    try:
        for name in plan.arrays:
            files[name] = plan.array_file(name).open("r+b", buffering=0)
        with plan.journal.open("ab", buffering=0) as journal:
            journal.truncate(good_bytes)  # a torn last record would misalign the next one
            report(int(done.sum()), plan.rows)
            for start, stop in _missing_chunks(done, chunk):
                values = _checked(plan, fill(range(start, stop)), stop - start)
                for name, file in files.items():
                    _write_all(file, values[name], offsets[name] + start * plan.row_bytes(name))
                    os.fsync(file.fileno())
                span = struct.pack("<QQ", start, stop)
                journal.write(_RECORD.pack(start, stop, zlib.crc32(span)))
                os.fsync(journal.fileno())
                done[start:stop] = True
                report(int(done.sum()), plan.rows)
    finally:
        for file in files.values():
            file.close()
    complete = {"layout": plan.layout(), "bytes": plan.total_bytes(), "description": dict(description)}
    write_json(plan.complete_file, complete)


def _allocate(plan: _Plan, description: Mapping[str, Any]) -> None:
    """Create every array at its full size, so that a full disk is an error now and not a crash later."""
    plan.journal.unlink(missing_ok=True)
    for name in plan.arrays:
        plan.array_file(name).unlink(missing_ok=True)
    if plan.total_bytes() > shutil.disk_usage(plan.folder).free:
        raise _too_small(plan)
    try:
        for name, (shape, dtype) in plan.arrays.items():
            path = plan.array_file(name)
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(plan.rows, *shape))
            if hasattr(os, "posix_fallocate"):
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        for name in plan.arrays:
            plan.array_file(name).unlink(missing_ok=True)
        raise
    layout = {"layout": plan.layout(), "description": dict(description)}
    write_json(plan.layout_file, layout)


def _read_journal(plan: _Plan) -> tuple[list[tuple[int, int]], int]:
    """Return the finished row spans and how many bytes of the journal are intact."""
    try:
        content = plan.journal.read_bytes()
    except FileNotFoundError:
        return [], 0
    spans = []
    whole = len(content) - len(content) % _RECORD.size
    for position in range(0, whole, _RECORD.size):
        start, stop, checksum = _RECORD.unpack_from(content, position)
        if checksum != zlib.crc32(struct.pack("<QQ", start, stop)):
            return spans, position
        spans.append((start, stop))
    return spans, whole


def _missing_chunks(done: np.ndarray, chunk: int) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `chunk` consecutive rows that are not done, ascending."""
    missing = np.flatnonzero(~done)
    position = 0
    while position < len(missing):
        start = int(missing[position])
        stop = start + 1
        while stop < len(done) and not done[stop] and stop - start < chunk:
            stop += 1
        yield start, stop
        position += stop - start


def _checked(plan: _Plan, values: Mapping[str, np.ndarray], n_rows: int) -> dict[str, np.ndarray]:
    """Return the rows as contiguous arrays of the declared type, or say what is wrong with `fill`."""
    if set(values) != set(plan.arrays):
        raise ValueError(f"fill must return the arrays {sorted(plan.arrays)}. Got {sorted(values)}.")
    checked = {}
    for name, (shape, dtype) in plan.arrays.items():
        array = np.asarray(values[name])
        if array.shape != (n_rows, *shape) or not np.can_cast(array.dtype, dtype, casting="same_kind"):
            raise ValueError(
                f"fill must return {name} as {(n_rows, *shape)} of {dtype}. Got {array.shape} of {array.dtype}."
            )
        checked[name] = np.ascontiguousarray(array, dtype=dtype)
    return checked


def _write_all(file: BinaryIO, array: np.ndarray, offset: int) -> None:
    """Write through the file, not the map: a disk that fills up is then an OSError and not a SIGBUS."""
    file.seek(offset)
    view = memoryview(array.reshape(-1).view(np.uint8).data)
    while view:
        view = view[file.write(view) :]
