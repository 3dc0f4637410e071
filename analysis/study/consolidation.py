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
    HeldRun,
    held_runs,
    marks_of,
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
_CHECKED_TOGETHER = 200  # runs
OnProgress = Callable[[str, int, int], None]


def consolidated(records: StudyRecords, on_progress: OnProgress = lambda *_: None) -> StudyRecords:
    """Return the records of a study for reading all of its runs: consolidated first, where it has many.

    Args:
        records: The study.
        on_progress: Called with (what, runs done, of).

    Returns:
        `records` itself for a small study, or where its directory cannot be written.
    """
    planned = sorted(records.plan()["runs"], key=lambda run: (run.get("model") or "", run["method"]))
    if len(planned) < WORTH_RUNS:
        return records
    held = held_runs(records.root)
    found = [_look_at(records.run(run["run_id"]), held.get(run["run_id"])) for run in _told(planned, on_progress)]
    finished = [each for each in found if each is not None]
    if any(isinstance(each, _ReadNow) for each in finished):
        try:
            _write(records.root, finished, on_progress)
        except (OSError, UserError):  # a directory that is read-only or full is analysed all the same
            return records
        held = held_runs(records.root)
    return ConsolidatedRecords(records.root, held)


@dataclass
class _ReadNow:
    """A finished run that is to be read from its own files.

    Args:
        record: The run.
        marks: Of its files, before they were read.
        damaged_pictures: Saved predictions and attention maps that cannot be read.
        sound: False once something is wrong with it; reading it alone says what.
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


_Finished = HeldRun | _ReadNow


def _look_at(record: RunRecord, held: HeldRun | None) -> _Finished | None:
    """Return the run as it is held, or to be read; None where it is not finished or its scores are damaged."""
    if held is not None:
        return held
    marks = marks_of(record.path)
    if not marks or not record.is_done():
        return None
    damaged = damages(record, thorough=True)
    if any(each.touches_scores for each in damaged):
        return None
    pictures = tuple(each.path.name for each in damaged if each.path.parent.name in PICTURE_FOLDERS)
    return _ReadNow(record, marks, pictures)


def _write(root: Path, finished: Sequence[_Finished], on_progress: OnProgress) -> None:
    """Write every file, the index last."""
    folder, rows = root / FOLDER, {}
    folder.mkdir(exist_ok=True)
    for done, name in enumerate(TABLES):
        on_progress("consolidating records", done, len(TABLES))
        path = folder / f"{name}.parquet"
        counted = rows[name] = []
        write_atomically(path, lambda file, name=name, counted=counted: _write_table(file, name, finished, counted))
    described = [_described(each) for each in finished]
    columns = [
        pa.array([row[column] for row in described], RUN_COLUMNS.field(column).type)
        for column in ("run_id", "marks", "manifest", "status", "damaged_pictures")
    ]
    runs = pa.table([*columns, *(pa.array(rows[name], pa.int64()) for name in TABLES)], schema=RUN_COLUMNS)
    write_atomically(folder / RUNS, lambda file: pq.write_table(runs, file, compression="zstd"))
    files = [RUNS, *(f"{name}.parquet" for name in TABLES)]
    write_json(folder / INDEX, {"format": FORMAT, "files": {name: file_hash(folder / name) for name in files}})
    on_progress("consolidating records", len(TABLES), len(TABLES))


def _described(each: _Finished) -> dict[str, Any]:
    """Return the first columns of a row of runs.parquet."""
    if isinstance(each, HeldRun):
        return dict(each.held)
    row = {"run_id": each.record.run_id, "damaged_pictures": each.damaged_pictures}
    texts = {name: (each.record.path / f"{name}.json").read_text(encoding="utf-8") for name in ("manifest", "status")}
    unchanged = each.sound and marks_of(each.record.path) == each.marks
    return row | texts | {"marks": each.marks if unchanged else ""}


def _write_table(file: IO[bytes], name: str, finished: Sequence[_Finished], counted: list[int]) -> None:
    """Write the rows of all runs, and append to `counted` how many each has, -1 for none."""
    with pq.ParquetWriter(file, TABLES[name], compression="zstd") as writer:
        pending, n_rows = [], 0
        for batch in _batches(finished):
            tables = [each.arrow(name) for each in batch]
            _check(name, batch, tables)
            for table in tables:
                counted.append(-1 if table is None else table.num_rows)
                if table is None or not table.num_rows:
                    continue
                pending.append(table.replace_schema_metadata())
                n_rows += table.num_rows
                if n_rows >= _GROUP_ROWS:
                    writer.write_table(pa.concat_tables(pending), row_group_size=n_rows)
                    pending, n_rows = [], 0
        if pending:
            writer.write_table(pa.concat_tables(pending), row_group_size=n_rows)


def _batches(finished: Sequence[_Finished]) -> Iterator[list[_Finished]]:
    remaining = iter(finished)
    while batch := list(islice(remaining, _CHECKED_TOGETHER)):
        yield batch


def _check(name: str, batch: Sequence[_Finished], tables: Sequence[pa.Table | None]) -> None:
    """Mark the runs that were read now and whose rows contradict one another."""
    new = [(each, t) for each, t in zip(batch, tables, strict=True) if isinstance(each, _ReadNow) and t is not None]
    for none_predicted in (False, True):
        own = [(each, table) for each, table in new if may_predict_none(table) == none_predicted]
        if own and not _is_sound(name, [table for _, table in own], none_predicted):
            for each, table in own:
                each.sound &= _is_sound(name, [table], none_predicted)


def _is_sound(name: str, tables: Sequence[pa.Table], none_predicted: bool) -> bool:
    plain = [table.replace_schema_metadata() for table in tables]
    number = pa.concat_arrays([pa.array([place] * len(table), pa.int32()) for place, table in enumerate(plain)])
    rows = pa.concat_tables(plain).append_column("run", number).to_pandas()
    try:
        require_sound_rows(Path(name), name, rows, may_predict_none=none_predicted, within=("run",))
    except UserError:
        return False
    return True


def _told(planned: Iterable[dict[str, Any]], on_progress: OnProgress) -> Iterator[dict[str, Any]]:
    runs = list(planned)
    for done, run in enumerate(runs):
        if not done % 100:
            on_progress("checking records", done, len(runs))
        yield run
    on_progress("checking records", len(runs), len(runs))
