"""Named arrays on disk, filled row by row: resumable after a kill, safe with several writers, and checked when opened.

A folder holds NAME.npy for each array, `layout.json` once all of them are allocated, `journal` with the rows that are
on disk and their checksums, `complete.json` at the end, and `lock`, held by the one process that writes.

Every opening reads the arrays once and compares the checksum of each chunk (CRC-32). A chunk that has changed on the
disk is computed again, and accepted only if that gives the same bytes as before.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np

from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.data.store_filling import Fill, OnProgress, fill_missing, refill
from imbalance_bench.data.store_journal import Chunk, read_journal, rows_checksum
from imbalance_bench.data.store_layout import StoreLayout
from imbalance_bench.errors import UserError
from imbalance_bench.locking import locked


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
        arrays: Mapping[str, tuple[tuple[int, ...], Any]],
        rows: int,
        fill: Fill,
        chunk: int,
        on_progress: OnProgress | None = None,
        description: Mapping[str, Any],
        key: str = "",
    ) -> Self:
        """Open a complete store, or fill what is missing of it first.

        While another process fills the same folder, this one waits; if that process dies, this one resumes after the
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
                `fill` can compute again.
        """
        if rows < 1 or chunk < 1:
            raise ValueError(f"A store must have at least one row per store and chunk. Got {rows} and {chunk}.")
        dtypes = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in arrays.items()}
        layout = StoreLayout(Path(folder), dtypes, rows, key)
        report = on_progress or (lambda _done, _rows: None)

        def report_other_process() -> None:
            report(sum(chunk.n_rows for chunk in read_journal(layout.journal)[0]), rows)

        if not layout.is_complete():
            layout.make_folder()
            with locked(layout.lock_file, on_wait=report_other_process):
                if not layout.is_complete():
                    fill_missing(layout, fill, chunk, report, description)
        if _damaged_chunks(layout):
            with locked(layout.lock_file, on_wait=report_other_process):
                for damaged in _damaged_chunks(layout):  # another process may have refilled them
                    refill(layout, fill, damaged)
        return cls(layout.folder, {name: layout.map(name) for name in layout.arrays})


def require_undamaged(folder: Path) -> None:
    """Read a finished store once, and refuse it where a checksum differs or there is none.

    Raises:
        UserError: It is damaged, or was written by an earlier version.
    """
    layout = StoreLayout.of_finished(folder)
    if layout.finished_chunks() is None:
        raise UserError(f"{folder} has no checksums. Run the study again, which fills it once more.")
    if _damaged_chunks(layout):
        raise UserError(f"{folder} is damaged. Run the study again, which recomputes the damaged part.")


def _damaged_chunks(layout: StoreLayout) -> list[Chunk]:
    """Read every chunk of a finished store and return those whose checksum differs; several threads read."""
    arrays = {name: layout.map(name) for name in layout.arrays}

    def is_damaged(chunk: Chunk) -> bool:
        return rows_checksum({name: array[chunk.rows] for name, array in arrays.items()}) != chunk.checksum

    chunks = layout.finished_chunks() or []
    with ThreadPoolExecutor(usable_cores()) as pool:
        return [chunk for chunk, damaged in zip(chunks, pool.map(is_damaged, chunks), strict=True) if damaged]
