"""Records of many finished runs in one Parquet file per table, so that they are opened and checked once.

    <study>/consolidated/
        index.json       SHA-256 of the files beside it
        runs.parquet     for each run its manifest, its status, the marks of its files and its rows in each table
        <table>.parquet  rows of all runs in the order of runs.parquet; no run is spread over two row groups

The files of the runs themselves remain authoritative: a run is read from here only while the names, sizes and times of
its files (`marks_of`) are the same as when it was consolidated. The folder may be deleted at any time; `consolidation`
writes it.
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
        ("marks", pa.string()),  # "": something was wrong with the run; it is never read from here
        ("manifest", pa.string()),  # JSON
        ("status", pa.string()),  # JSON
        ("damaged_pictures", pa.list_(pa.string())),
        *((f"rows_{name}", pa.int64()) for name in TABLES),  # -1: the run has no such table
    ]
)
_ABSENT = -1
_GROUPS_KEPT = 2  # decoded row groups of each table; runs are read in their order


@dataclass(frozen=True)
class ConsolidatedRun(RunRecord):
    """A run whose records were found sound when they were consolidated, and have not been changed since.

    Args:
        row: Its row of runs.parquet.
        first: Table -> the first row of the run in it.
        files: Table -> its consolidated file.
    """

    row: Mapping[str, Any]
    first: Mapping[str, int]
    files: "Mapping[str, TableFile]"

    @property
    def damaged_pictures(self) -> tuple[str, ...]:
        """Saved predictions and attention maps that cannot be read."""
        return tuple(self.row["damaged_pictures"])

    def manifest(self) -> dict[str, Any]:
        """Configuration, hashes, seeds, versions, timing and pairing digests."""
        return document_of(self.row["manifest"], self.path / "manifest.json")

    def status(self) -> dict[str, Any]:
        """{"state", "step", "steps", "updated", "error"}."""
        return document_of(self.row["status"], self.path / "status.json")

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows of a table that the run has."""
        return self.files[name].frame(self.first[name], self.row[f"rows_{name}"])

    def arrow(self, name: str) -> pa.Table | None:
        """Return the rows of a table as they are stored; None if the run has no such table."""
        rows = self.row[f"rows_{name}"]
        return None if rows == _ABSENT else self.files[name].arrow(self.first[name], rows)

    def _optional(self, name: str) -> pd.DataFrame | None:
        return None if self.row[f"rows_{name}"] == _ABSENT else self.table(name)


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
        """Return the rows of one run."""
        if not rows:
            return self._file.schema_arrow.empty_table()
        group = bisect_right(self._starts, first) - 1
        return self._group(group).slice(first - self._starts[group], rows)

    def frame(self, first: int, rows: int) -> pd.DataFrame:
        """Return the rows of one run as a frame, numbered from 0."""
        if not rows:
            return self.arrow(first, rows).to_pandas()
        group = bisect_right(self._starts, first) - 1
        begin = first - self._starts[group]
        rows_of_run = self._group_frame(group).iloc[begin : begin + rows]
        rows_of_run.index = pd.RangeIndex(rows)
        return rows_of_run


@dataclass(frozen=True)
class ConsolidatedRecords(StudyRecords):
    """A study directory whose finished runs are read from its consolidated files.

    Args:
        consolidated_runs: Run id -> record, of the runs that have not been changed since they were consolidated.
    """

    consolidated_runs: Mapping[str, ConsolidatedRun]

    def run(self, run_id: str) -> RunRecord:
        """Return the record of one run, started or not."""
        return self.consolidated_runs.get(run_id) or super().run(run_id)


def read_consolidated_runs(root: Path) -> dict[str, ConsolidatedRun]:
    """Return the runs in the consolidated files of a study whose own files have not been changed since.

    The result is empty if there are no consolidated files, or if they are damaged or of another version.
    """
    folder = root / FOLDER
    try:
        index = read_document(folder / INDEX)
        files = index["files"]
        whole = index["format"] == FORMAT and all(file_hash(folder / name) == digest for name, digest in files.items())
        if not whole or RUNS not in files:
            return {}
        rows = pq.read_table(folder / RUNS, schema=RUN_COLUMNS).to_pylist()
    except (UserError, OSError, pa.ArrowException, AttributeError, TypeError):
        return {}
    tables = {name: TableFile(folder / f"{name}.parquet") for name in TABLES if f"{name}.parquet" in files}
    next_row, runs = dict.fromkeys(TABLES, 0), {}
    for row in rows:
        path, first = root / "runs" / row["run_id"], dict(next_row)
        for name in TABLES:
            next_row[name] += max(row[f"rows_{name}"], 0)
        if row["marks"] and marks_of(path) == row["marks"]:
            runs[row["run_id"]] = ConsolidatedRun(path, row, first, tables)
    return runs


def marks_of(folder: Path) -> str:
    """Return a hash (hex) of the names, sizes and times of the files of a run; "" if it has no files."""
    marks = []
    for part in ("", *PICTURE_FOLDERS):
        try:
            with os.scandir(folder / part) as entries:
                files = [entry for entry in entries if entry.is_file() and not is_trace_of_a_writer(entry.name)]
        except OSError:
            continue
        for file in files:
            stat = file.stat()
            # a change that restores the modification time still changes st_ctime_ns
            marks.append((part, file.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return hashlib.sha256(repr(sorted(marks)).encode()).hexdigest() if marks else ""
