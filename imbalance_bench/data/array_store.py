"""Named arrays on disk, filled row by row: resumable after a kill, safe with several writers, never half believed.

A folder holds NAME.npy for each array, `layout.json` once all of them are allocated, `journal` with the rows that are
on disk and their checksums, `complete.json` at the end, and `lock`, held by the one process that writes. The order is
what makes it safe: rows are flushed before the journal mentions them, the journal before `complete.json` appears.

Every opening reads the arrays once and compares the checksum of each chunk (CRC-32). A chunk that changed on the disk
is made anew, and believed only if that gives the bytes it had.
"""

import errno
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.errors import UserError
from imbalance_bench.locking import locked
from imbalance_bench.manifest import write_json

OnProgress = Callable[[int, int], None]
Fill = Callable[[Sequence[int]], Mapping[str, np.ndarray]]
Layout = Mapping[str, tuple[tuple[int, ...], Any]]

_RECORD = struct.Struct("<QQII")  # first row, row after the last, CRC-32 of the rows in all arrays, CRC-32 of these
_SPAN = struct.Struct("<QQI")
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
        key: str = "",
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
            key: Hash of everything the content depends on; a store that was filled under another one is refused.

        Raises:
            UserError: The disk is too small (exit code 1), or the folder holds something else or is damaged beyond what
                `fill` can make anew.
        """
        if rows < 1 or chunk < 1:
            raise ValueError(f"A store must have at least one row per store and chunk. Got {rows} and {chunk}.")
        plan = _Plan(
            Path(folder), {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in arrays.items()}, rows, key
        )
        report = on_progress or (lambda _done, _rows: None)
        if not plan.is_complete():
            plan.make_folder()
            with locked(plan.folder / "lock", on_wait=lambda: _report_journal(plan, report)):
                if not plan.is_complete():
                    with _disk_full_explained(plan):
                        _fill_missing(plan, fill, chunk, report, description)
        damaged = _damaged_chunks(plan)
        if damaged:
            with locked(plan.folder / "lock", on_wait=lambda: _report_journal(plan, report)):
                for chunk_of in _damaged_chunks(plan):  # another process may have made them anew
                    _make_anew(plan, fill, chunk_of)
        return cls(plan.folder, {name: plan.map(name) for name in plan.arrays})


def require_undamaged(folder: Path) -> None:
    """Read a finished store once, and refuse it where a checksum differs or there is none.

    Raises:
        UserError: It is damaged, or was written by an earlier version.
    """
    try:
        layout = json.loads((folder / "complete.json").read_text(encoding="utf-8"))["layout"]
        arrays = {name: (tuple(each["row_shape"]), np.dtype(each["dtype"])) for name, each in layout["arrays"].items()}
        plan = _Plan(folder, arrays, int(layout["rows"]), "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder} must be a finished store. Run the study again.") from None
    if plan.chunks() is None:
        raise UserError(f"{folder} has no checksums. Run the study again, which fills it once more.")
    if _damaged_chunks(plan):
        raise UserError(f"{folder} is damaged. Run the study again, which makes what is damaged anew.")


@dataclass(frozen=True)
class _Plan:
    """What a folder should hold, and its files."""

    folder: Path
    arrays: dict[str, tuple[tuple[int, ...], np.dtype]]
    rows: int
    key: str

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
        """Return whether the store is finished, and refuse one that holds something else.

        A store of an earlier version has no checksums: it counts as unfinished, and is filled once more.
        """
        if not self.complete_file.exists():
            return False
        self.require_layout(self.complete_file)
        return self.chunks() is not None

    def chunks(self) -> "list[_Chunk] | None":
        """Return the chunks of a finished store with their checksums; None where the file names none."""
        try:
            content = json.loads(self.complete_file.read_text(encoding="utf-8"))["chunks"]
            chunks = [_Chunk(*map(int, each)) for each in content]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return chunks if sum(part.stop - part.start for part in chunks) == self.rows else None

    def require_layout(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found, key = content["layout"], content.get("key", self.key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            found, key = "something unreadable", self.key
        if found != self.layout():
            raise UserError(f"{path} must describe {self.layout()}. Got {found}. Delete the folder {self.folder}.")
        if key != self.key:
            raise UserError(
                f"{path} is of another store ({key[:12]} for {self.key[:12]}). Delete the folder {self.folder}."
            )

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


@dataclass(frozen=True)
class _Chunk:
    """Rows that were written together.

    Args:
        start: First row.
        stop: Row after the last.
        checksum: CRC-32 of these rows of every array, in the order of their names.
    """

    start: int
    stop: int
    checksum: int


def _report_journal(plan: _Plan, report: OnProgress) -> None:
    """Report how far the process that fills the store has come."""
    report(sum(each.stop - each.start for each in _read_journal(plan)[0]), plan.rows)


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
    for each in finished:
        done[each.start : each.stop] = True
    with _written_files(plan) as files, plan.journal.open("ab", buffering=0) as journal:
        journal.truncate(good_bytes)  # a torn last record would misalign the next one
        report(int(done.sum()), plan.rows)
        for start, stop in _missing_chunks(done, chunk):
            values = _checked(plan, fill(range(start, stop)), stop - start)
            _write_rows(plan, files, start, values)
            span = _SPAN.pack(start, stop, _checksum(values))
            journal.write(span + struct.pack("<I", zlib.crc32(span)))
            os.fsync(journal.fileno())
            done[start:stop] = True
            report(int(done.sum()), plan.rows)
    chunks = [[each.start, each.stop, each.checksum] for each in _read_journal(plan)[0]]
    held = {"layout": plan.layout(), "bytes": plan.total_bytes(), "description": dict(description)}
    write_json(plan.complete_file, held | {"key": plan.key, "chunks": sorted(chunks)})


@contextmanager
def _written_files(plan: _Plan) -> Iterator[dict[str, BinaryIO]]:
    """Open every array for writing."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(plan.array_file(name).open("r+b", buffering=0)) for name in plan.arrays}


def _write_rows(plan: _Plan, files: Mapping[str, BinaryIO], start: int, values: Mapping[str, np.ndarray]) -> None:
    """Write rows from `start` on into every array, and wait until they are on the disk."""
    for name, file in files.items():
        _write_all(file, values[name], plan.map(name).offset + start * plan.row_bytes(name))
        os.fsync(file.fileno())


def _checksum(values: Mapping[str, np.ndarray]) -> int:
    """CRC-32 of the bytes of some rows of every array, in the order of their names."""
    found = 0
    for name in sorted(values):
        found = zlib.crc32(np.ascontiguousarray(values[name]).reshape(-1).view(np.uint8).data, found)
    return found


def _damaged_chunks(plan: _Plan) -> list[_Chunk]:
    """Read every chunk of a finished store and return those whose checksum differs; several threads read."""
    arrays = {name: plan.map(name) for name in plan.arrays}

    def differs(each: _Chunk) -> bool:
        return _checksum({name: array[each.start : each.stop] for name, array in arrays.items()}) != each.checksum

    chunks = plan.chunks() or []
    with ThreadPoolExecutor(usable_cores()) as pool:
        return [each for each, damaged in zip(chunks, pool.map(differs, chunks), strict=True) if damaged]


def _make_anew(plan: _Plan, fill: Fill, chunk: _Chunk) -> None:
    """Fill a damaged chunk again; the caller holds the lock.

    Raises:
        UserError: That does not give the bytes that it had, as on another device, so that runs would differ.
    """
    values = _checked(plan, fill(range(chunk.start, chunk.stop)), chunk.stop - chunk.start)
    if _checksum(values) != chunk.checksum:
        raise UserError(
            f"{plan.folder} is damaged in rows {chunk.start} to {chunk.stop - 1}, and making them anew here gives "
            "other values than earlier runs saw. Delete the folder and train again the runs that must be compared.",
            exit_code=1,
        )
    with _written_files(plan) as files:
        _write_rows(plan, files, chunk.start, values)


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
    layout = {"layout": plan.layout(), "description": dict(description), "key": plan.key}
    write_json(plan.layout_file, layout)


def _read_journal(plan: _Plan) -> tuple[list[_Chunk], int]:
    """Return the finished chunks and how many bytes of the journal are intact."""
    try:
        content = plan.journal.read_bytes()
    except FileNotFoundError:
        return [], 0
    chunks: list[_Chunk] = []
    whole = len(content) - len(content) % _RECORD.size
    for position in range(0, whole, _RECORD.size):
        start, stop, of_rows, of_span = _RECORD.unpack_from(content, position)
        if of_span != zlib.crc32(_SPAN.pack(start, stop, of_rows)):
            return chunks, position
        chunks.append(_Chunk(start, stop, of_rows))
    return chunks, whole


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
