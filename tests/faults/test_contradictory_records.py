"""Records of a newer version, rows that contradict one another and files that changed are refused, never scored."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.pipeline import analyze_study
from analysis.study.runs import read_study
from analysis.topics.scores import class_scores
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import file_hash, write_json
from imbalance_bench.record_documents import SCHEMA_VERSION, read_document
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.table_files import write_table
from tests.analysis.synthetic import write_synthetic_study
from tests.small_study import small_config, write_dataset

QUICK = {"resamples": 50, "permutations": 100}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_synthetic_study(
        tmp_path / "study", methods=("cross_entropy", "dfa"), seeds=2, n_images=4, dataset=False, analysis=QUICK
    )


def first_run(root: Path) -> RunRecord:
    return next(iter(StudyRecords.open(root).runs()))


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    write_json(path, content)


def negative(counts: pd.DataFrame) -> pd.DataFrame:
    counts.loc[0, "tp"] = -5
    return counts


def more_hits(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.assign(tp=counts["tp"] + (counts.index == 0))


CONTRADICTIONS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "negative": (negative, "counts must not be negative"),
    "twice": (lambda counts: pd.concat([counts, counts.iloc[[3]]]), "each row must occur once"),
    "a class less": (lambda counts: counts.drop(index=0), "a row for each of"),
    "the last class": (lambda counts: counts[counts["class_id"] < 4], "must"),
    "does not add up": (more_hits, "must add up"),
    "an image less": (lambda counts: counts[counts["image_id"] != "test_001"], "'test_001' is missing"),
}


@pytest.mark.parametrize("kind", list(CONTRADICTIONS))
def test_counts_that_contradict_themselves_cost_the_run_alone(study: Path, kind: str) -> None:
    change, said = CONTRADICTIONS[kind]
    run = first_run(study)
    write_table(run.path / "counts.parquet", "counts", change(run.counts()).reset_index(drop=True))
    found = read_study(StudyRecords.open(study))
    damaged = found.runs[found.runs["state"] == "damaged"]
    assert damaged["run_id"].tolist() == [run.run_id]
    assert said in damaged["error"].iloc[0]
    assert "counts.parquet" in damaged["error"].iloc[0]
    assert run.run_id not in {each.run_id for each in found.data}


@pytest.mark.parametrize("schema", [SCHEMA_VERSION + 1, None, "1", True])
def test_a_manifest_of_an_unknown_version_is_refused(study: Path, schema: object) -> None:
    run = first_run(study)
    edit_json(run.path / "manifest.json", lambda content: content.update(schema=schema))
    with pytest.raises(UserError, match=r"manifest\.json: `schema` must be at most"):
        run.manifest()
    assert (read_study(StudyRecords.open(study)).runs["state"] == "damaged").sum() == 1


def test_a_plan_of_a_newer_version_is_refused(study: Path) -> None:
    edit_json(study / "plan.json", lambda content: content.update(identity={"schema": SCHEMA_VERSION + 1}))
    with pytest.raises(UserError, match="Update imbalance-bench"):
        analyze_study(study)


@pytest.mark.parametrize("change", [{"fold": 1}, {"seed": 7}, {"run_id": "0" * 12}])
def test_a_manifest_of_another_run_is_refused(study: Path, change: dict[str, Any]) -> None:
    edit_json(first_run(study).path / "manifest.json", lambda content: content.update(change))
    assert (read_study(StudyRecords.open(study)).runs["state"] == "damaged").sum() == 1


def test_every_file_of_a_run_has_a_digest_and_is_read_with_it(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        written = {path.name for path in run.path.iterdir() if path.suffix in (".parquet", ".safetensors")}
        assert run.manifest()["files"] == {name: file_hash(run.path / name) for name in sorted(written)}
        assert "counts.parquet" in written


def test_a_table_that_changed_or_is_gone_is_refused(study: Path) -> None:
    run = first_run(study)
    path = run.path / "counts.parquet"
    digest = {"counts.parquet": file_hash(path), "confusion.parquet": "0" * 64}
    edit_json(run.path / "manifest.json", lambda content: content.update(files=digest))
    run.counts()
    with pytest.raises(UserError, match=r"confusion\.parquet: not readable"):
        run.confusion()
    rows = run.counts()
    rows["tp"], rows["fn"], rows["fp"] = rows["tp"] + rows["fn"], 0, 0  # sound, and another result
    write_table(path, "counts", rows)
    with pytest.raises(UserError, match=r"counts\.parquet has changed since the run wrote it"):
        run.counts()


def test_runs_made_in_different_environments_are_named(study: Path) -> None:
    same = analyze_study(study)
    assert not [each for each in same.verdicts if each.aspect == "environment"]
    runs = list(StudyRecords.open(study).runs())

    def other(content: dict[str, Any]) -> None:
        content["environment"] |= {"threads": 8, "device": "cuda:1", "versions": {"torch": "2.7.0"}}

    for run in runs[:1]:
        edit_json(run.path / "manifest.json", other)
    for run in runs[1:]:
        edit_json(run.path / "manifest.json", lambda content: content["environment"].update(versions={"torch": "2.6"}))
    found = analyze_study(study)
    (verdict,) = (each for each in found.verdicts if each.aspect == "environment")
    for text in ("threads (1: 3 runs", "8: 1 run of", "torch (2.6: 3 runs", "2.7.0: 1 run of", "device (cpu: 3 runs"):
        assert text in verdict.sentence
    assert "precision" not in verdict.sentence
    table = found.tables["environments"]
    assert table[table["property"] == "precision"]["n_runs"].tolist() == [4]
    assert read_document(study / "analysis" / "verdicts.json")["verdicts"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("flipped")
    config = small_config(write_dataset(folder / "discs"), methods=["cross_entropy", "focal"])
    execute_study(config, folder / "study", Execution(cache=shared_cache, engine="serial"))
    return folder / "study"


def scores_of(root: Path) -> pd.DataFrame | None:
    """Scores of the finished runs; None where it is said that a run is not to be believed, or reading stops."""
    try:
        found = read_study(StudyRecords.open(root))
    except Exception:  # noqa: BLE001 - whatever stops it, it prints no score; how it is said is tested elsewhere
        return None
    return class_scores(found) if (found.runs["state"] == "done").all() else None


def test_no_changed_byte_of_a_finished_study_changes_a_score_in_silence(tmp_path: Path, finished: Path) -> None:
    root = Path(shutil.copytree(finished, tmp_path / "study"))
    expected, said = scores_of(root), 0
    assert expected is not None
    rng = np.random.default_rng(0)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix in (".json", ".parquet")]
    assert len(files) > 15
    for path in files:
        whole = path.read_bytes()
        for _ in range(12):
            content = bytearray(whole)
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
            path.write_bytes(content)
            found = scores_of(root)
            assert found is None or found.drop(columns="class").equals(expected.drop(columns="class")), path
            said += found is None
        path.write_bytes(whole)
    assert said >= 48  # every byte of the tables that are read, and what breaks JSON
