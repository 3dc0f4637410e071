"""Records of many finished runs in one Parquet file per table, so that they are opened and checked once.

    <study>/consolidated/
        index.json       SHA-256 of the files beside it
        runs.parquet     of each run its manifest, its status, the marks of its files and its rows in each table
        <table>.parquet  rows of all runs in the order of runs.parquet; no run is spread over two row groups

The runs' own files stay what counts: a run is taken from here while the names, sizes and times of its files are those
that were read (`marks_of`). The folder may be deleted at any time; `consolidation` writes it.
"""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import file_hash, is_trace_of_a_writer
from imbalance_bench.record_documents import document_of, read_document
from imbalance_bench.records import PICTURE_FOLDERS, RunRecord, StudyRecords
from imbalance_bench.table_schemas import TABLES

FOLDER = "consolidated"
INDEX, RUNS = "index.json", "runs.parquet"
FORMAT = 1  # raise it when the files below mean something else
RUN_COLUMNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("marks", pa.string()),  # "": something was wrong with the run; it is never taken from here
        ("manifest", pa.string()),  # JSON
        ("status", pa.string()),  # JSON
        ("damaged_pictures", pa.list_(pa.string())),
        *((f"rows_{name}", pa.int64()) for name in TABLES),  # -1: the run has no such table
    ]
)
_ABSENT = -1
_GROUPS_KEPT = 2  # decoded row groups of each table; runs are read in their order


@dataclass(frozen=True)
class HeldRun(RunRecord):
    """A run whose records were read and found sound before, and have not been touched since.

    Args:
        held: Its row of runs.parquet.
        first: Table -> its first row there.
        files: The tables.
    """

    held: Mapping[str, Any]
    first: Mapping[str, int]
    files: "Mapping[str, TableFile]"

    @property
    def damaged_pictures(self) -> tuple[str, ...]:
        """Saved predictions and attention maps that cannot be read."""
        return tuple(self.held["damaged_pictures"])

    def manifest(self) -> dict[str, Any]:
        """Configuration, hashes, seeds, versions, timing and pairing digests."""
        return document_of(self.held["manifest"], self.path / "manifest.json")

    def status(self) -> dict[str, Any]:
        """{"state", "step", "steps", "updated", "error"}."""
        return document_of(self.held["status"], self.path / "status.json")

    def table(self, name: str) -> pd.DataFrame:
        """Rows of a table that the run has."""
        return self.files[name].frame(self.first[name], self.held[f"rows_{name}"])

    def arrow(self, name: str) -> pa.Table | None:
        """Rows of a table as they are stored; None where the run has none."""
        rows = self.held[f"rows_{name}"]
        return None if rows == _ABSENT else self.files[name].arrow(self.first[name], rows)

    def _optional(self, name: str) -> pd.DataFrame | None:
        return None if self.held[f"rows_{name}"] == _ABSENT else self.table(name)


class TableFile:
    """A table of all runs, decoded by row groups."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._group = lru_cache(_GROUPS_KEPT)(lambda group: self._file.read_row_group(group))
        self._group_frame = lru_cache(_GROUPS_KEPT)(lambda group: self._group(group).to_pandas())

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path)

    @cached_property
    def _starts(self) -> list[int]:
        meta = self._file.metadata
        sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        return [0, *np.cumsum(sizes).tolist()]

    def arrow(self, first: int, rows: int) -> pa.Table:
        """Return rows of one run."""
        if not rows:
            return self._file.schema_arrow.empty_table()
        group = bisect_right(self._starts, first) - 1
        return self._group(group).slice(first - self._starts[group], rows)

    def frame(self, first: int, rows: int) -> pd.DataFrame:
        """Return the same in memory, numbered from 0."""
        if not rows:
            return self.arrow(first, rows).to_pandas()
        group = bisect_right(self._starts, first) - 1
        begin = first - self._starts[group]
        found = self._group_frame(group).iloc[begin : begin + rows]
        found.index = pd.RangeIndex(rows)
        return found


@dataclass(frozen=True)
class ConsolidatedRecords(StudyRecords):
    """A study directory whose finished runs are read from its consolidated files.

    Args:
        held: Run id -> record, of the runs that have not been touched since.
    """

    held: Mapping[str, HeldRun]

    def run(self, run_id: str) -> RunRecord:
        """Return the record of one run, started or not."""
        return self.held.get(run_id) or super().run(run_id)


def held_runs(root: Path) -> dict[str, HeldRun]:
    """Return the runs that the consolidated files of a study hold and whose own files have not been touched since.

    Nothing where there are no such files, or where they are damaged or of another version.
    """
    folder = root / FOLDER
    try:
        index = read_document(folder / INDEX)
        files = index["files"]
        whole = index["format"] == FORMAT and all(file_hash(folder / name) == known for name, known in files.items())
        if not whole or RUNS not in files:
            return {}
        rows = pq.read_table(folder / RUNS, schema=RUN_COLUMNS).to_pylist()
    except (UserError, OSError, pa.ArrowException, AttributeError, TypeError):
        return {}
    tables = {name: TableFile(folder / f"{name}.parquet") for name in TABLES if f"{name}.parquet" in files}
    next_row, held = dict.fromkeys(TABLES, 0), {}
    for row in rows:
        path, first = root / "runs" / row["run_id"], dict(next_row)
        for name in TABLES:
            next_row[name] += max(row[f"rows_{name}"], 0)
        if row["marks"] and marks_of(path) == row["marks"]:
            held[row["run_id"]] = HeldRun(path, row, first, tables)
    return held


def marks_of(folder: Path) -> str:
    """Return a hash (hex) of names, sizes and times of the files of a run; "" where it has none."""
    marks = []
    for part in ("", *PICTURE_FOLDERS):
        try:
            with os.scandir(folder / part) as entries:
                files = [each for each in entries if each.is_file() and not is_trace_of_a_writer(each.name)]
        except OSError:
            continue
        for file in files:
            found = file.stat()
            # a change of content that puts the time of the content back still changes the time of the file
            marks.append((part, file.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return hashlib.sha256(repr(sorted(marks)).encode()).hexdigest() if marks else ""
