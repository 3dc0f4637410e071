"""Records of predictions made elsewhere: locked, hashed, mended and shared as those of our own runs."""

import fcntl
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from analysis.study.runs import read_study
from imbalance_bench.damage import damages
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import file_hash
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.table_files import read_table, write_table
from tests.foreign_predictions import TESTED, guess, two_methods, typed


@pytest.fixture
def scored(dataset: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return the file for `score` and the study that came of it."""
    file = two_methods(tmp_path / "given", dataset)
    done = typed("score", file, "--out", tmp_path / "study")
    assert done.exit_code == 0, done.output
    return file, tmp_path / "study"


def runs_of(study: Path) -> list[RunRecord]:
    return StudyRecords.open(study).finished()


def states(study: Path) -> list[str]:
    return list(read_study(StudyRecords.open(study)).runs["state"])


def test_every_table_has_its_digest(scored: tuple[Path, Path]) -> None:
    for run in runs_of(scored[1]):
        manifest = run.manifest()
        assert manifest["schema"] == SCHEMA_VERSION
        assert manifest["files"] == {path.name: file_hash(path) for path in run.path.glob("*.parquet")}
        assert not damages(run, thorough=True)


def test_a_table_that_was_changed_is_damage_and_scored_again(scored: tuple[Path, Path]) -> None:
    file, study = scored
    run = runs_of(study)[0]
    path = run.path / "counts.parquet"
    before = path.read_bytes()
    shutil.copy(runs_of(study)[1].path / "counts.parquet", path)  # whole and sound, and of another run
    assert sorted(states(study)) == ["damaged", "done"]
    again = typed("score", file, "--out", study)
    assert again.exit_code == 0, again.output
    assert "2 runs: 1 scored now, 1 before" in again.output
    assert path.read_bytes() == before
    assert states(study) == ["done", "done"]


@pytest.mark.parametrize("name", ["counts.parquet", "manifest.json", "epochs.parquet"])
def test_repair_says_that_score_makes_it_again(name: str, scored: tuple[Path, Path]) -> None:
    study = scored[1]
    run = runs_of(study)[0]
    (run.path / name).write_bytes(b"")
    mended = typed("repair", study)
    assert mended.exit_code == 0, mended.output
    assert "`score` makes it again" in mended.output
    assert f"next: imbalance-bench score {study / 'foreign.yaml'} --out {study}" in mended.output
    assert (study / "damaged" / run.run_id).is_dir()
    again = typed("score", study / "foreign.yaml", "--out", study)
    assert again.exit_code == 0, again.output
    assert "1 scored now" in again.output
    assert states(study) == ["done", "done"]


def test_a_lost_status_is_rebuilt(scored: tuple[Path, Path]) -> None:
    status = runs_of(scored[1])[0].path / "status.json"
    status.unlink()
    mended = typed("repair", scored[1])
    assert mended.exit_code == 0, mended.output
    assert json.loads(status.read_text())["state"] == "done"
    assert "next:" not in mended.output


def test_another_version_that_scored_is_no_environment_of_training(scored: tuple[Path, Path]) -> None:
    path = runs_of(scored[1])[0].path / "manifest.json"
    content = json.loads(path.read_text())
    content["environment"]["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(content))
    assert typed("analyze", scored[1]).exit_code == 0
    verdicts = (scored[1] / "analysis" / "verdicts.json").read_text()
    assert "made elsewhere" in verdicts
    assert "not made alike" not in verdicts


def test_a_lost_plan_is_planned_again_by_score_alone(scored: tuple[Path, Path]) -> None:
    file, study = scored
    before = [run.run_id for run in runs_of(study)]
    (study / "plan.json").unlink()
    mended = typed("repair", study)
    assert "`score` with the study file plans again" in mended.output
    again = typed("score", file, "--out", study)
    assert "2 runs: 0 scored now, 2 before" in again.output, again.output
    assert [run.run_id for run in runs_of(study)] == before


def test_a_run_that_another_process_scores_is_left_alone(scored: tuple[Path, Path]) -> None:
    file, study = scored
    run = runs_of(study)[0]
    (run.path / "status.json").unlink()
    with run.lock_path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = typed("score", file, "--out", study)
    assert refused.exit_code == 1
    assert "another process works on this run" in refused.output
    assert not run.is_done()


def test_a_study_is_shared_without_a_path(scored: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, received = tmp_path / "shared.zip", tmp_path / "received"
    assert typed("export", scored[1], "--out", bundle).exit_code == 0
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert "foreign.yaml" in files
    assert "study.yaml" not in files
    assert not [name for name, raw in files.items() if str(tmp_path).encode() in raw or b'"/' in raw or b": /" in raw]
    for words in (["import", bundle, received], ["status", received], ["analyze", received], ["report", received]):
        done = typed(*words)
        assert done.exit_code == 0, f"{words}: {done.output}"
    assert "made elsewhere" in (received / "analysis" / "verdicts.json").read_text()


def test_only_a_table_that_says_so_may_hold_misses_that_are_nobodys(dataset: Path, tmp_path: Path) -> None:
    """Pixels that are predicted as none of the classes, by a file with `no_class`, and by one without."""
    labels = {"background": 0, "common": 1, "rare": 2}
    file = two_methods(tmp_path / "given", dataset, labels=labels, no_class=[9])
    for image_id in TESTED:
        mask = guess(dataset, image_id, 0)
        mask[mask == 1] = 9
        Image.fromarray(mask).save(tmp_path / "given" / "first" / f"{image_id}.png")
    done = typed("score", file, "--out", tmp_path / "study")
    assert done.exit_code == 0, done.output
    assert states(tmp_path / "study") == ["done", "done"]
    rows = [run.counts() for run in runs_of(tmp_path / "study")]
    (open_ended,) = [each for each in rows if each["fp"].sum() < each["fn"].sum()]
    write_table(tmp_path / "counts.parquet", "counts", open_ended)
    with pytest.raises(UserError, match="must be a false negative of another"):
        read_table(tmp_path / "counts.parquet", "counts")
    (closed,) = [each for each in rows if each["fp"].sum() == each["fn"].sum()]
    at = closed.index[closed["fn"] > 0][0]
    closed.loc[at, ["tp", "fn"]] += [1, -1]  # a false positive that nothing misses
    write_table(tmp_path / "counts.parquet", "counts", closed, may_predict_none=True)
    with pytest.raises(UserError, match="must be a false negative of another"):
        read_table(tmp_path / "counts.parquet", "counts")
