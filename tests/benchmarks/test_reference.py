"""Reference studies: the committed tables are what the committed records give, and bundles are checked against them."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import reference
from imbalance_bench.bundle import export_bundle
from imbalance_bench.errors import UserError


@pytest.fixture(scope="module")
def reanalysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference.reanalysed("consep", tmp_path_factory.mktemp("reference"))


def test_the_committed_tables_are_reprinted(reanalysed: Path) -> None:
    assert reference.differences("consep", reanalysed) == []


def test_a_number_that_was_changed_is_found(reanalysed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(reference.COMMITTED / "consep" / "answers", tmp_path / "consep" / "answers")
    path = tmp_path / "consep" / "answers" / "tables" / "method_scores.csv"
    path.write_text(path.read_text().replace("0.57", "0.58", 1))
    monkeypatch.setattr(reference, "COMMITTED", tmp_path)
    assert len(reference.differences("consep", reanalysed)) == 1


@pytest.mark.parametrize("name", sorted(reference.STUDIES))
def test_every_reference_study_can_be_read(name: str, tmp_path: Path) -> None:
    config = reference.STUDIES[name].config(name, tmp_path, "none")
    assert config.control == reference.CONTROL
    assert config.name == name
    labels = [method.label for method in config.methods]
    assert "dfa" in labels
    assert config.model.decoder == "tied_detail"


def test_a_bundle_of_the_same_study_is_admitted_and_another_refused(tmp_path: Path) -> None:
    committed = reference.COMMITTED / "consep"
    own = shutil.copytree(committed, tmp_path / "own", ignore=shutil.ignore_patterns("answers"))
    export_bundle(own, tmp_path / "own.zip")
    assert reference.admitted(tmp_path / "own.zip") == "consep"
    for path in own.glob("runs/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["pairing"]["batches"] = "0" * 64
        path.write_text(json.dumps(manifest))
    export_bundle(own, tmp_path / "other.zip")
    with pytest.raises(UserError, match="other splits, start weights or batches"):
        reference.admitted(tmp_path / "other.zip")


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'consep'"):
        reference._known("concep")
