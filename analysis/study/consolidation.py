"""Writes the consolidated records of a study, and brings them up to date. See `analysis.study.consolidated`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.study.consolidated import (
    FOLDER,
    FORMAT,
    INDEX,
    RUN_COLUMNS,
    RUNS,
    ConsolidatedRecords,
    ConsolidatedRun,
    marks_of,
    read_consolidated_runs,
)
from imbalance_bench.damage import damages
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import file_hash, write_atomically, write_json
from imbalance_bench.record_checks import require_sound_rows
from imbalance_bench.records import PICTURE_FOLDERS, RunRecord, StudyRecords
from imbalance_bench.table_files import may_predict_none, read_arrow
from imbalance_bench.table_schemas import TABLES

WORTH_RUNS = 200  # fewer are read as fast from their own files
_GROUP_ROWS = 250_000
_BATCH_RUNS = 200  # runs
OnProgress = Callable[[str, int, int], None]


def consolidated_records(records: StudyRecords, on_progress: OnProgress = lambda *_: None) -> StudyRecords:
    """Return the records of a study for reading all of its runs; a study of many runs is consolidated first.

    Args:
        records: The study.
        on_progress: Called with (step, number done, total number).

    Returns:
        `records` itself for a small study, or if the study directory cannot be written.
    """
    planned = sorted(records.plan()["runs"], key=lambda run: (run.get("model") or "", run["method"]))
    if len(planned) < WORTH_RUNS:
        return records
    consolidated_runs = read_consolidated_runs(records.root)
    runs = (
        _finished_run(records.run(run["run_id"]), consolidated_runs.get(run["run_id"]))
        for run in _with_progress(planned, on_progress)
    )
    finished = [run for run in runs if run is not None]
    if any(isinstance(run, _UnreadRun) for run in finished):
        try:
            _write(records.root, finished, on_progress)
        except (OSError, UserError):  # a study in a read-only or full directory can still be analysed
            return records
        consolidated_runs = read_consolidated_runs(records.root)
    return ConsolidatedRecords(records.root, consolidated_runs)


@dataclass
class _UnreadRun:
    """A finished run that must be read from its own files.

    Args:
        record: The run.
        marks: Marks of its files, before they were read.
        damaged_pictures: Saved predictions and attention maps that cannot be read.
        sound: False once something is found to be wrong with it; reading it alone says what.
    """

    record: RunRecord
    marks: str
    damaged_pictures: tuple[str, ...]
    sound: bool = True

    def arrow(self, name: str) -> pa.Table | None:
        """Read a table; None where the run has none."""
        path = self.record.path / f"{name}.parquet"
        if not self.sound or not path.exists():
            return None
        try:
            return read_arrow(path, name)
        except UserError:
            self.sound = False
            return None


_FinishedRun = ConsolidatedRun | _UnreadRun


def _finished_run(record: RunRecord, consolidated_run: ConsolidatedRun | None) -> _FinishedRun | None:
    """Return the run, consolidated or to be read; None if it is not finished or its scores are damaged."""
    if consolidated_run is not None:
        return consolidated_run
    marks = marks_of(record.path)
    if not marks or not record.is_done():
        return None
    damaged = damages(record, thorough=True)
    if any(damage.touches_scores for damage in damaged):
        return None
    pictures = tuple(damage.path.name for damage in damaged if damage.path.parent.name in PICTURE_FOLDERS)
    return _UnreadRun(record, marks, pictures)


def _write(root: Path, finished: Sequence[_FinishedRun], on_progress: OnProgress) -> None:
    """Write every file, the index last."""
    folder, row_counts_of = root / FOLDER, {}
    folder.mkdir(exist_ok=True)
    for done, name in enumerate(TABLES):
        on_progress("consolidating records", done, len(TABLES))
        path = folder / f"{name}.parquet"
        row_counts = row_counts_of[name] = []
        write_atomically(path, lambda file, name=name, rows=row_counts: _write_table(file, name, finished, rows))
    descriptions = [_description(run) for run in finished]
    columns = [
        pa.array([row[column] for row in descriptions], RUN_COLUMNS.field(column).type)
        for column in ("run_id", "marks", "manifest", "status", "damaged_pictures")
    ]
    runs = pa.table([*columns, *(pa.array(row_counts_of[name], pa.int64()) for name in TABLES)], schema=RUN_COLUMNS)
    write_atomically(folder / RUNS, lambda file: pq.write_table(runs, file, compression="zstd"))
    files = [RUNS, *(f"{name}.parquet" for name in TABLES)]
    write_json(folder / INDEX, {"format": FORMAT, "files": {name: file_hash(folder / name) for name in files}})
    on_progress("consolidating records", len(TABLES), len(TABLES))


def _description(run: _FinishedRun) -> dict[str, Any]:
    """Return the first columns of a row of runs.parquet."""
    if isinstance(run, ConsolidatedRun):
        return dict(run.row)
    row = {"run_id": run.record.run_id, "damaged_pictures": run.damaged_pictures}
    texts = {name: (run.record.path / f"{name}.json").read_text(encoding="utf-8") for name in ("manifest", "status")}
    unchanged = run.sound and marks_of(run.record.path) == run.marks
    return row | texts | {"marks": run.marks if unchanged else ""}


def _write_table(file: IO[bytes], name: str, finished: Sequence[_FinishedRun], row_counts: list[int]) -> None:
    """Write the rows of all runs, and append the number of rows of each to `row_counts`, -1 for no table."""
    with pq.ParquetWriter(file, TABLES[name], compression="zstd") as writer:
        pending, n_rows = [], 0
        for batch in _batches(finished):
            tables = [run.arrow(name) for run in batch]
            _check(name, batch, tables)
            for table in tables:
                row_counts.append(-1 if table is None else table.num_rows)
                if table is None or not table.num_rows:
                    continue
                pending.append(table.replace_schema_metadata())
                n_rows += table.num_rows
                if n_rows >= _GROUP_ROWS:
                    writer.write_table(pa.concat_tables(pending), row_group_size=n_rows)
                    pending, n_rows = [], 0
        if pending:
            writer.write_table(pa.concat_tables(pending), row_group_size=n_rows)


def _batches(finished: Sequence[_FinishedRun]) -> Iterator[list[_FinishedRun]]:
    remaining = iter(finished)
    while batch := list(islice(remaining, _BATCH_RUNS)):
        yield batch


def _check(name: str, batch: Sequence[_FinishedRun], tables: Sequence[pa.Table | None]) -> None:
    """Mark the newly read runs whose rows contradict one another as not sound."""
    pairs = zip(batch, tables, strict=True)
    new_runs = [(run, table) for run, table in pairs if isinstance(run, _UnreadRun) and table is not None]
    for none_predicted in (False, True):
        alike = [(run, table) for run, table in new_runs if may_predict_none(table) == none_predicted]
        if alike and not _is_sound(name, [table for _, table in alike], none_predicted):
            for run, table in alike:
                run.sound &= _is_sound(name, [table], none_predicted)


def _is_sound(name: str, tables: Sequence[pa.Table], none_predicted: bool) -> bool:
    plain = [table.replace_schema_metadata() for table in tables]
    number = pa.concat_arrays([pa.array([index] * len(table), pa.int32()) for index, table in enumerate(plain)])
    rows = pa.concat_tables(plain).append_column("run", number).to_pandas()
    try:
        require_sound_rows(Path(name), name, rows, may_predict_none=none_predicted, within=("run",))
    except UserError:
        return False
    return True


def _with_progress(planned: Iterable[dict[str, Any]], on_progress: OnProgress) -> Iterator[dict[str, Any]]:
    runs = list(planned)
    for done, run in enumerate(runs):
        if not done % 100:
            on_progress("checking records", done, len(runs))
        yield run
    on_progress("checking records", len(runs), len(runs))
