"""Consolidated records say what the runs' own files say, and never more than those."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.study import consolidated, consolidation
from analysis.study.runs import read_study
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.table_files import write_table
from imbalance_bench.table_schemas import TABLES
from tests.analysis.synthetic import write_synthetic_study


def seal(run: RunRecord) -> None:
    """Write the digests of a run's files as they are now."""
    content = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    write_json(run.path / "manifest.json", content | {"schema": SCHEMA_VERSION, "files": run.digests()})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "study"
    write_synthetic_study(
        root, methods=("cross_entropy", "dfa"), seeds=3, n_images=3, borders=True, interventions=True, attention="live"
    )
    for run in StudyRecords(root).runs():
        seal(run)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(consolidation, "WORTH_RUNS", 2)
    monkeypatch.setattr(consolidation, "_GROUP_ROWS", 100)  # several row groups
    monkeypatch.setattr(consolidation, "_BATCH_RUNS", 4)
    shutil.copytree(made, tmp_path / "study")
    return tmp_path / "study"


def require_same(root: Path, records: StudyRecords) -> None:
    plain = StudyRecords(root)
    for row in plain.plan()["runs"]:
        run, held = plain.run(row["run_id"]), records.run(row["run_id"])
        assert held.manifest() == run.manifest()
        assert held.status() == run.status()
        for name in TABLES:
            if (run.path / f"{name}.parquet").exists():
                pd.testing.assert_frame_equal(held.table(name), run.table(name))
        for name in ("interventions", "dynamics", "boundary"):
            assert (getattr(held, name)() is None) == (getattr(run, name)() is None)


def test_every_table_is_that_of_the_run(root: Path) -> None:
    records = consolidation.consolidated_records(StudyRecords(root))
    assert len(consolidated.read_consolidated_runs(root)) == 6
    require_same(root, records)


def test_untouched_runs_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consolidation.consolidated_records(StudyRecords(root))

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(consolidation, "read_arrow", refuse)
    monkeypatch.setattr(consolidation, "damages", refuse)
    assert len(read_study(consolidation.consolidated_records(StudyRecords(root))).data) == 6


def test_changed_run_is_read_from_its_own_files(root: Path) -> None:
    consolidation.consolidated_records(StudyRecords(root))
    run = next(StudyRecords(root).runs())
    counts = run.counts()
    counts.loc[:, ["image_id"]] = counts["image_id"].replace("test_000", "test_00x")
    times = (run.path / "counts.parquet").stat()
    write_table(run.path / "counts.parquet", "counts", counts)
    os.utime(run.path / "counts.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    seal(run)
    records = consolidation.consolidated_records(StudyRecords(root))
    assert "test_00x" in set(records.run(run.run_id).counts()["image_id"])
    require_same(root, records)


def test_damaged_run_is_never_taken_from_what_was_kept(root: Path) -> None:
    consolidation.consolidated_records(StudyRecords(root))
    run = next(StudyRecords(root).runs())
    path = run.path / "counts.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    study = read_study(consolidation.consolidated_records(StudyRecords(root)))
    states = study.runs.set_index("run_id")["state"]
    assert states[run.run_id] == "damaged"
    assert (states == "done").sum() == 5


def test_contradictory_rows_are_told_of_the_one_run(root: Path) -> None:
    run = next(StudyRecords(root).runs())
    counts = run.counts()
    counts["tp"] += (counts.index == 0).astype(np.int64)
    write_table(run.path / "counts.parquet", "counts", counts)
    seal(run)
    records = consolidation.consolidated_records(StudyRecords(root))
    states = read_study(records).runs.set_index("run_id")["state"]
    assert states[run.run_id] == "damaged"
    assert (states == "done").sum() == 5
    with pytest.raises(UserError, match="add up"):
        records.run(run.run_id).counts()


@pytest.mark.parametrize("name", ["counts.parquet", "runs.parquet", "index.json"])
def test_damaged_copy_is_made_anew(root: Path, name: str) -> None:
    consolidation.consolidated_records(StudyRecords(root))
    path = root / consolidated.FOLDER / name
    path.write_bytes(path.read_bytes()[:-7])
    assert consolidated.read_consolidated_runs(root) == {}
    require_same(root, consolidation.consolidated_records(StudyRecords(root)))
    assert len(consolidated.read_consolidated_runs(root)) == 6


def test_new_run_joins_those_that_are_kept(root: Path) -> None:
    plan = json.loads((root / "plan.json").read_text())
    write_json(root / "plan.json", plan | {"runs": plan["runs"][:-1]})
    consolidation.consolidated_records(StudyRecords(root))
    assert len(consolidated.read_consolidated_runs(root)) == 5
    write_json(root / "plan.json", plan)
    require_same(root, consolidation.consolidated_records(StudyRecords(root)))
    assert len(consolidated.read_consolidated_runs(root)) == 6
