"""One damaged file of a finished study: it costs its run alone, is named with its fix, and no number changes unsaid."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from analysis.pipeline import analyze_study
from imbalance_bench.cli.main import main
from imbalance_bench.damage import Remedy, damages, what_is_wrong
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.repair import repair_study
from imbalance_bench.status import study_status
from tests.small_study import small_config

Change = Callable[[Path], object]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00 nonsense")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study that a test may damage."""
    shutil.copytree(finished_study, tmp_path / "copy")
    return tmp_path / "copy"


def dfa_run(root: Path) -> RunRecord:
    planned = next(run for run in StudyRecords(root).plan()["runs"] if run["method"] == "dfa")
    return StudyRecords(root).run(planned["run_id"])


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def picture_of(record: RunRecord, folder: str) -> Path:
    return sorted((record.path / folder).iterdir())[0]


TABLE = Remedy.EVALUATE
CASES: list[tuple[str, Change, Remedy]] = [
    ("status.json", empty, Remedy.REBUILD),
    ("status.json", garbage, Remedy.REBUILD),
    ("status.json", Path.unlink, Remedy.REBUILD),
    ("manifest.json", empty, Remedy.TRAIN),
    ("manifest.json", Path.unlink, Remedy.TRAIN),
    ("counts.parquet", halve, TABLE),
    ("counts.parquet", Path.unlink, TABLE),
    ("interventions.parquet", halve, TABLE),
    ("boundary.parquet", garbage, TABLE),
    ("epochs.parquet", halve, Remedy.TRAIN),
    ("class_parameters.parquet", empty, Remedy.TRAIN),
    ("model.safetensors", halve, Remedy.TRAIN),
    ("predictions", halve, TABLE),
    ("attention", empty, TABLE),
]


@pytest.mark.parametrize(("name", "change", "remedy"), CASES)
def test_a_damaged_file_is_found_and_named_with_its_fix(study: Path, name: str, change: Change, remedy: Remedy) -> None:
    record = dfa_run(study)
    assert not damages(record, thorough=True)
    path = record.path / name
    path = picture_of(record, name) if path.is_dir() else path
    change(path)
    found = damages(record)
    assert [(each.path, each.remedy) for each in found] == [(path, remedy)]
    states = [row.state for row in study_status(StudyRecords(study))]
    assert sorted(set(states)) == ["damaged", "done"]
    assert states.count("damaged") == 1
    shown = call("status", study)
    assert shown.exit_code == 0, shown.output
    assert f"{path} {found[0].reason}" in shown.output
    assert f"fix: imbalance-bench repair {study}" in shown.output


@pytest.mark.parametrize("name", ["predictions", "status.json"])
def test_a_changed_bit_is_found_by_a_thorough_look(study: Path, name: str) -> None:
    record = dfa_run(study)
    path = record.path / name
    path = picture_of(record, name) if path.is_dir() else path
    if path.suffix == ".json":
        path.write_text(path.read_text().replace("{", "[", 1))
    else:
        flip(path)
    assert what_is_wrong(path, thorough=True) is not None


def scores_of(root: Path) -> pd.DataFrame:
    scores = pd.read_csv(root / "analysis" / "method_scores.csv")
    return scores[scores["method"] != "dfa"].reset_index(drop=True)


@pytest.mark.parametrize(
    ("name", "change"),
    [("status.json", empty), ("manifest.json", garbage), ("counts.parquet", halve), ("interventions.parquet", halve)],
)
def test_the_analysis_goes_on_without_a_damaged_run_and_says_so(study: Path, name: str, change: Change) -> None:
    analyze_study(study)
    before = scores_of(study)
    change(dfa_run(study).path / name)
    result = analyze_study(study)
    runs = result.tables["runs"]
    assert runs.loc[runs["state"] == "damaged", "run_id"].tolist() == [dfa_run(study).run_id]
    pd.testing.assert_frame_equal(scores_of(study), before)
    [said] = [each.sentence for each in result.verdicts if "1 damaged" in each.sentence]
    assert name in said
    assert "`imbalance-bench repair` mends them" in said


def test_a_damaged_prediction_is_left_out_of_pictures_and_said(study: Path) -> None:
    analyze_study(study)
    before = pd.read_csv(study / "analysis" / "method_scores.csv")
    control = next(StudyRecords(study).run(run["run_id"]) for run in StudyRecords(study).plan()["runs"])
    halve(picture_of(control, "predictions"))
    result = analyze_study(study)
    pd.testing.assert_frame_equal(pd.read_csv(study / "analysis" / "method_scores.csv"), before)
    assert any("1 saved prediction or attention maps of 1 run are damaged" in each.sentence for each in result.verdicts)
    drawn = call("plot", study, "gallery", "--out", study / "gallery.png")
    assert drawn.exit_code == 0, drawn.output


def test_repair_rebuilds_a_status_and_nothing_else(study: Path) -> None:
    record = dfa_run(study)
    before = record.status()
    empty(record.path / "status.json")
    shown = call("repair", study)
    assert f"{record.run_id}: status.json is empty: rewrote status.json" in shown.output
    assert record.status() | {"updated": ""} == before | {"updated": ""}
    assert call("repair", study).output.strip() == "nothing to repair"


def resume(root: Path, dataset: Path, cache: Path) -> None:
    methods = ["cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa"]
    execute_study(small_config(dataset, methods=methods, seeds=[0, 1]), root, Execution(cache=cache, engine="serial"))


def contents(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".json", ".jsonl"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in names if path.name != ".lock"}


@pytest.mark.parametrize(
    ("damaged", "remedy"),
    [
        (("counts.parquet", "boundary.parquet"), Remedy.EVALUATE),
        (("predictions", "attention"), Remedy.EVALUATE),
        (("epochs.parquet",), Remedy.TRAIN),
    ],
)
def test_after_repair_the_same_command_gives_the_same_bytes(
    study: Path, dataset: Path, shared_cache: Path, damaged: tuple[str, ...], remedy: Remedy
) -> None:
    record = dfa_run(study)
    before, trained = contents(record.path), (record.path / "manifest.json").read_bytes()
    for name in damaged:
        path = record.path / name
        halve(picture_of(record, name) if path.is_dir() else path)
    with pytest.raises(UserError, match=r"1 of 10 runs are damaged and were left alone\. First: .* repair"):
        resume(study, dataset, shared_cache)
    [repair] = repair_study(study)
    assert repair.needs_run
    assert (study / "damaged" / record.run_id).exists() == (remedy == Remedy.TRAIN)
    resume(study, dataset, shared_cache)
    assert contents(record.path) == before
    assert ((record.path / "manifest.json").read_bytes() == trained) == (remedy == Remedy.EVALUATE)
    assert len(StudyRecords(study).finished()) == 10


def test_a_table_that_the_run_wrote_and_that_is_gone_is_damage(study: Path) -> None:
    record = dfa_run(study)
    (record.path / "boundary.parquet").unlink()  # runs of earlier versions have none, and this one wrote it
    [damage] = damages(record, thorough=True)
    assert (damage.path.name, damage.reason, damage.remedy) == ("boundary.parquet", "is missing", Remedy.EVALUATE)


def test_weights_that_are_not_those_of_the_run_are_not_believed(study: Path) -> None:
    record = dfa_run(study)
    content = bytearray((record.path / "model.safetensors").read_bytes())
    content[-3] ^= 1  # a structure that is whole, and another value
    (record.path / "model.safetensors").write_bytes(content)
    assert damages(record) == []
    [damage] = damages(record, thorough=True)
    assert (damage.remedy, damage.path.name) == (Remedy.TRAIN, "model.safetensors")
    [repair] = repair_study(study)
    assert repair.needs_run
    assert not record.path.exists()
    assert (study / "damaged" / record.run_id / "counts.parquet").exists()


def test_a_damaged_checkpoint_is_removed_and_the_run_begins_anew(study: Path) -> None:
    record = dfa_run(study)
    record.write_status(record_state := "running", step=4, steps=6)  # pyright: ignore[reportArgumentType]
    (record.path / "checkpoint.pt").write_bytes(b"torn")
    [damage] = damages(record)
    assert (damage.remedy, record_state) == (Remedy.RESTART, "running")
    repair_study(study)
    assert not (record.path / "checkpoint.pt").exists()
    assert record.last_step() == 0


@pytest.mark.parametrize("change", [empty, garbage, Path.unlink])
def test_a_lost_plan_is_planned_again(study: Path, dataset: Path, shared_cache: Path, change: Change) -> None:
    before = json.loads((study / "plan.json").read_text())
    change(study / "plan.json")
    shown = call("repair", study)
    assert shown.exit_code == 0, shown.output
    assert "finished runs keep their ids" in shown.output
    resume(study, dataset, shared_cache)
    after = json.loads((study / "plan.json").read_text())
    assert after["runs"] == before["runs"]


def test_repair_refuses_what_is_no_study(tmp_path: Path) -> None:
    shown = call("repair", tmp_path)
    assert shown.exit_code == 2
    assert "must be a study directory" in shown.output
