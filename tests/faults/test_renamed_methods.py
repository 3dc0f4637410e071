"""A label is a name: a method that is renamed is not trained again, in studies of today and of earlier versions."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import canonical_hash, write_json
from imbalance_bench.records import StudyRecords
from imbalance_bench.training import loop
from tests.small_study import small_config


def train(root: Path, cache: Path, dataset: Path, methods: list[Any], **sections: Any) -> StudyRecords:
    execute_study(small_config(dataset, methods=methods, **sections), root, Execution(cache=cache, engine="serial"))
    return StudyRecords.open(root)


def named(records: StudyRecords) -> dict[str, str]:
    return {row["run_id"]: row["method"] for row in records.plan()["runs"]}


FOCAL = {"name": "focal", "gamma": 1.0}


def train_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> float:
        raise AssertionError("a run was trained again")

    monkeypatch.setattr(loop.StageTrainer, "_take_step", refuse)


def test_a_renamed_method_keeps_its_runs_and_can_be_predicted_with(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s"
    before = train(root, shared_cache, dataset, ["cross_entropy", FOCAL])
    ids = named(before)
    analysis_hash = before.plan()["analysis_hash"]

    train_no_more(monkeypatch)
    renamed = [{"name": "cross_entropy", "label": "baseline"}, FOCAL | {"label": "mild_focal"}]
    after = train(root, shared_cache, dataset, renamed)
    assert named(after) == {
        run_id: {"cross_entropy": "baseline", "focal": "mild_focal"}[label] for run_id, label in ids.items()
    }
    assert sorted(after.plan()["methods"]) == ["baseline", "mild_focal"]
    assert len(after.finished()) == 2
    plan = after.plan()
    assert (plan["analysis"]["control"], plan["analysis_hash"] == analysis_hash) == ("baseline", False)
    assert plan["analysis_hash"] == canonical_hash(plan["analysis"])  # or the plan would count as changed
    focal = next(run_id for run_id, label in named(after).items() if label == "mild_focal")
    words = ["predict", str(root / "runs" / focal), str(dataset / "images" / "im_0.png"), "--out", str(tmp_path / "p")]
    result = CliRunner().invoke(main, [*words, "--mpp", "0.5"])
    assert result.exit_code == 0, result.output


def test_a_run_of_an_earlier_version_is_found_under_its_old_id(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s"
    (new_id,) = named(train(root, shared_cache, dataset, [FOCAL]))
    old_id = "0123456789ab"  # earlier versions hashed the label too
    (root / "runs" / new_id).rename(root / "runs" / old_id)
    for path in (root / "plan.json", root / "runs" / old_id / "manifest.json"):
        content = json.loads(path.read_text().replace(new_id, old_id))
        (content.get("identity") or content)["schema"] = 1
        write_json(path, content)

    train_no_more(monkeypatch)
    records = train(root, shared_cache, dataset, [FOCAL | {"label": "renamed"}])
    assert named(records) == {old_id: "renamed"}


def test_the_same_training_under_two_labels_is_two_runs(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    root = tmp_path / "s"
    twins = [FOCAL, FOCAL | {"label": "twin"}]
    before = named(train(root, shared_cache, dataset, twins))
    assert sorted(before.values()) == ["focal", "twin"]
    assert named(train(root, shared_cache, dataset, twins[::-1])) == before
    (counts, again) = (run.counts() for run in StudyRecords.open(root).finished())
    assert counts.equals(again)


def test_a_label_taken_over_by_another_method_is_refused(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    root = tmp_path / "s"
    before = named(train(root, shared_cache, dataset, [FOCAL]))
    with pytest.raises(UserError, match="holds runs of 'focal' with other options"):
        train(root, shared_cache, dataset, [FOCAL | {"label": "old"}, {"name": "focal", "gamma": 3.0}])
    assert named(StudyRecords.open(root)) == before
