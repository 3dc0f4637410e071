"""The record bundle: what it leaves out, and that nothing in one that was received is believed."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imbalance_bench.bundle import INDEX, UNTUNED_FORMAT, Bundled, export_bundle, import_bundle
from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import TABLES

Change = Callable[[dict[str, bytes], dict[str, Any]], object]


@pytest.fixture(scope="module")
def bundle(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "study.records.zip"
    assert export_bundle(finished_study, out) == Bundled(10, 0)
    return out


def content(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_records_are_whole_and_nothing_else_leaves(bundle: Path, finished_study: Path, tmp_path: Path) -> None:
    files = content(bundle)
    assert not [name for name in files if name.endswith((".png", ".safetensors", ".pt"))]
    assert not [name for name, raw in files.items() if str(finished_study.parent).encode() in raw]
    assert not [name for name, raw in files.items() if b'"/' in raw or b": /" in raw], "no absolute path"
    assert import_bundle(bundle, tmp_path / "in") == Bundled(10, 0)
    ours, theirs = StudyRecords.open(finished_study), StudyRecords.open(tmp_path / "in")
    assert [run.run_id for run in ours.finished()] == [run.run_id for run in theirs.finished()]
    for run in ours.finished():
        for name in TABLES:
            held, found = (records.run(run.run_id).path / f"{name}.parquet" for records in (ours, theirs))
            assert held.exists() == found.exists()
            assert not held.exists() or held.read_bytes() == found.read_bytes()


def test_the_same_records_give_the_same_bytes(bundle: Path, finished_study: Path, tmp_path: Path) -> None:
    export_bundle(finished_study, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    import_bundle(bundle, tmp_path / "in")
    export_bundle(tmp_path / "in", tmp_path / "third.zip")
    first, third = content(bundle), content(tmp_path / "third.zip")
    assert first == third


def test_a_study_that_was_not_tuned_is_readable_for_earlier_versions(bundle: Path) -> None:
    assert json.loads(content(bundle)[INDEX])["format"] == UNTUNED_FORMAT


def test_an_imported_study_is_analysed_and_reported(bundle: Path, tmp_path: Path) -> None:
    study = tmp_path / "in"
    for words in (["import", str(bundle), str(study)], ["status", str(study)], ["analyze", str(study)]):
        found = CliRunner().invoke(main, words)
        assert found.exit_code == 0, found.output
    assert "the data set did not come with this record bundle" in found.output
    found = CliRunner().invoke(main, ["report", str(study)])
    assert found.exit_code == 0, found.output
    assert (study / "report" / "index.html").exists()


def rewritten(bundle: Path, out: Path, change: Change) -> Path:
    files = content(bundle)
    index = json.loads(files.pop(INDEX))
    change(files, index)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INDEX, json.dumps(index))
        for name, raw in files.items():
            archive.writestr(name, raw)
    return out


def add(name: str, raw: bytes) -> Change:
    def change(files: dict[str, bytes], index: dict[str, Any]) -> None:
        files[name] = raw
        index["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}

    return change


def declare_less(files: dict[str, bytes], _: dict[str, Any]) -> None:
    files["plan.json"] = b"0" * 10**7  # of which the index knows nothing: it is not unpacked whole


def data_set(path: str) -> Change:
    def change(files: dict[str, bytes], index: dict[str, Any]) -> None:
        add("dataset.json", json.dumps(json.loads(files["dataset.json"]) | {"path": path}).encode())(files, index)

    return change


CHANGES: dict[str, tuple[Change, str]] = {
    "another byte": (
        lambda files, _: files.update({"plan.json": files["plan.json"] + b" "}),
        "the content that was exported",
    ),
    "a byte changed": (
        lambda files, _: files.update({"plan.json": files["plan.json"][:-1] + b" "}),
        "the content that was exported",
    ),
    "a bomb": (declare_less, "the content that was exported"),
    "a file less": (lambda files, _: files.pop("splits.json"), "splits.json"),
    "a file more": (lambda files, _: files.update({"runs/0/x": b""}), "runs/0/x"),
    "traversal": (add("../evil", b"x"), "Do not trust it"),
    "traversal within": (add("runs/../../evil", b"x"), "Do not trust it"),
    "absolute": (add("/tmp/evil", b"x"), "Do not trust it"),
    "weights": (add("runs/000000000000/model.safetensors", b"x"), "Do not trust it"),
    "a run without plan": (add("runs/000000000000/status.json", b'{"state": "done"}'), "its plan does not name"),
    "no plan": (lambda files, index: (files.pop("plan.json"), index["files"].pop("plan.json")), "plan.json"),
    "a data set here": (data_set("/etc"), "names a data set on this machine"),
    "format": (lambda _, index: index.update(format=99), "Update imbalance-bench"),
    "size": (lambda _, index: index["files"]["plan.json"].update(bytes=-1), "`files.plan.json.bytes` must be >= 0"),
    "huge": (lambda _, index: index["files"]["plan.json"].update(bytes=2**50), "must be <="),
    "another kind": (lambda _, index: index.update(files=3), "files"),
    "a file of tuning alone": (add("tuning/choices.json", b"{}"), "must hold tuning/plan.json"),
    "weights of a trial": (add("tuning/runs/000000000000/model.safetensors", b"x"), "Do not trust it"),
    "tuning within tuning": (add("tuning/tuning/plan.json", b"{}"), "Do not trust it"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_bundle_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path, change: str) -> None:
    damage, told = CHANGES[change]
    bad = rewritten(bundle, tmp_path / "bad.zip", damage)
    with pytest.raises(UserError) as caught:
        import_bundle(bad, tmp_path / "in")
    assert told in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip"]


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"no archive at all", bytes(1000)])
def test_what_is_no_bundle(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(raw)
    with pytest.raises(UserError, match=r"bad\.zip must be a record bundle"):
        import_bundle(tmp_path / "bad.zip", tmp_path / "in")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip"]


def test_flipped_bits_never_pass(bundle: Path, tmp_path: Path) -> None:
    raw = bundle.read_bytes()
    good = content(bundle)
    for place in range(0, len(raw), max(len(raw) // 60, 1)):
        (tmp_path / "bad.zip").write_bytes(raw[:place] + bytes([raw[place] ^ 16]) + raw[place + 1 :])
        try:
            import_bundle(tmp_path / "bad.zip", tmp_path / "in")
        except UserError:
            assert not (tmp_path / "in").exists()
            continue
        for name, expected in good.items():  # a bit of the archive that means nothing, such as a time
            assert name == INDEX or (tmp_path / "in" / name).read_bytes() == expected
        shutil.rmtree(tmp_path / "in")


def test_a_folder_with_something_in_it_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mine").write_text("mine")
    with pytest.raises(UserError, match="must be empty or not exist"):
        import_bundle(bundle, tmp_path / "in")
    assert (tmp_path / "in" / "mine").read_text() == "mine"


def test_a_run_that_is_not_done_stays_at_home(finished_study: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(finished_study, study)
    run = StudyRecords.open(study).finished()[0]
    status = run.status() | {"state": "failed", "error": f"{tmp_path}: no space left"}
    (run.path / "status.json").write_text(json.dumps(status))
    assert export_bundle(study, tmp_path / "out.zip") == Bundled(9, 0)
    assert not [name for name in content(tmp_path / "out.zip") if run.run_id in name]
