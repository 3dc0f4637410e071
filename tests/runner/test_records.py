"""Records: schemas are exact, writes are atomic, damage is named."""

import errno
import json
from pathlib import Path

import pandas as pd
import pytest

from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import RunRecord, RunState, StudyRecords
from imbalance_bench.seeding import derive_seed, generator
from imbalance_bench.table_files import read_table, write_table

ROW = {"image_id": "a", "group_id": "g", "split": "test", "class_id": 0, "tp": 1, "fp": 2, "fn": 3, "n_valid": 4}


def test_tables_round_trip_and_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = pd.DataFrame([ROW | {"n_valid": 8}, ROW | {"class_id": 1, "fp": 4, "n_valid": 8}])
    write_table(tmp_path / "a.parquet", "counts", rows)
    write_table(tmp_path / "b.parquet", "counts", rows[list(rows.columns)[::-1]])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_table(tmp_path / "a.parquet", "counts").to_dict("records") == rows.to_dict("records")


def test_tables_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="counts must have the columns"):
        write_table(tmp_path / "a.parquet", "counts", pd.DataFrame([ROW | {"dice": 0.5}]))
    with pytest.raises(Exception, match=r"0\.5"):
        write_table(tmp_path / "a.parquet", "counts", pd.DataFrame([ROW | {"tp": 0.5}]))
    assert list(tmp_path.iterdir()) == []
    write_table(tmp_path / "a.parquet", "counts", pd.DataFrame([ROW]))
    with pytest.raises(UserError, match=r"a\.parquet: columns"):
        read_table(tmp_path / "a.parquet", "epochs")
    (tmp_path / "a.parquet").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"a\.parquet: not a readable counts table"):
        read_table(tmp_path / "a.parquet", "counts")


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"a": 1})

    def torn(file) -> None:
        file.write(b'{"a"')
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="no space left on the disk") as caught:
        write_atomically(path, torn)
    assert caught.value.exit_code == 1
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_run_is_done_only_when_its_status_says_so(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run")
    assert record.status() == {}
    assert not record.is_done()
    record.write_status(RunState.RUNNING, step=1, steps=2)
    assert not record.is_done()
    record.write_status(RunState.DONE, step=2, steps=2)
    assert record.is_done()
    assert record.status()["step"] == 2


def test_damaged_json_and_foreign_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(UserError, match=r"plan\.json: not readable as JSON"):
        read_document(tmp_path / "plan.json")
    with pytest.raises(UserError, match="is not a study directory"):
        StudyRecords.open(tmp_path / "elsewhere")


def test_hashes_do_not_depend_on_the_order_of_keys() -> None:
    assert canonical_hash({"a": 1, "b": [2, 3]}) == canonical_hash({"b": [2, 3], "a": 1})
    assert canonical_hash({"a": 1}) != canonical_hash({"a": 2})


def test_seeds_are_named_and_stable() -> None:
    assert derive_seed(0, "weights") == 133441691874178746  # a change here voids every earlier result
    assert derive_seed(0, "weights") != derive_seed(1, "weights")
    assert derive_seed(0, "epoch", 1) != derive_seed(0, "epoch", 2)
    assert generator(0, "a").integers(1 << 30) == generator(0, "a").integers(1 << 30)


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("focl", ["focal", "dfa"]) == " Did you mean 'focal'?"
    assert nearest("xyz", ["focal", "dfa"]) == " Known: dfa, focal."
