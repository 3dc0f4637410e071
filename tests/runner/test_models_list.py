"""`models:` as a list: every method with every model, each paired within itself, in one directory."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from imbalance_bench.cli.main import main
from imbalance_bench.config import load_study, parse_study
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.data.phantom.spec import GroupCounts
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status
from tests.small_study import study_content

METHODS = ["cross_entropy", "inverse_sqrt", "dfa"]
# of small studies in records of format 2; a change voids every earlier result
RUN_IDS = ["b4035ee0bf40", "4a68b78c9488"]


def two_models(folder: Path, **sections: Any) -> dict[str, Any]:
    content = study_content(folder, methods=METHODS, **sections)
    model = content.pop("model")
    other = model | {"label": "resnet18", "encoder": "resnet18"}
    return content | {"models": [model | {"label": "tiny"}, other]}


def run(folder: Path, content: dict[str, Any], *words: str) -> Result:
    file = folder / "study.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    arguments = ["run", str(file), "--out", str(folder / "out"), "--cache", str(folder / "cache"), *words]
    return CliRunner().invoke(main, [*arguments, "--engine", "serial"])


def bytes_of(out: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "counts.parquet", "class_parameters.parquet")
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for name in names for path in out.rglob(name)}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = PRESETS["tissue"].model_copy(
        update={"groups": GroupCounts(train=2, val=1, test=1), "images_per_group": 1, "size_px": 256}
    )
    return generate_phantom(spec, tmp_path_factory.mktemp("models") / "phantom")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, phantom: Path) -> Path:
    folder = tmp_path_factory.mktemp("two-models")
    result = run(folder, two_models(phantom, dataset={"tile_px": 128, "stride_px": 128}))
    assert result.exit_code == 0, result.output
    return folder / "out"


def test_two_models_with_three_methods_run_on_the_phantom_and_resume(
    tmp_path: Path, finished: Path, phantom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = StudyRecords.open(finished).plan()["runs"]
    assert [(row["model"], row["method"]) for row in rows] == [(m, x) for m in ("tiny", "resnet18") for x in METHODS]
    assert {row["architecture"] for row in rows} == {"class_query"}
    assert [row.state for row in study_status(StudyRecords.open(finished))] == ["done"] * 6

    from imbalance_bench.training.run import RunExecution

    save, saved = RunExecution._save, []

    def stop_later(self: RunExecution, index: int, trainer: Any) -> None:
        save(self, index, trainer)
        saved.append(index)
        if len(saved) == 10:  # within the fourth run, which is the second model's first
            raise KeyboardInterrupt

    monkeypatch.setattr(RunExecution, "_save", stop_later)
    content = two_models(phantom, dataset={"tile_px": 128, "stride_px": 128})
    assert run(tmp_path, content).exit_code == 130
    states = [(row.model, row.state) for row in study_status(StudyRecords.open(tmp_path / "out"))]
    assert states[:4] == [("tiny", "done")] * 3 + [("resnet18", "interrupted")]
    monkeypatch.undo()
    assert run(tmp_path, content).exit_code == 0
    assert bytes_of(tmp_path / "out") == bytes_of(finished)


def test_runs_are_paired_within_a_model_and_differ_between_models(finished: Path) -> None:
    records = StudyRecords.open(finished)
    manifests = {(row["model"], row["method"]): records.run(row["run_id"]).manifest() for row in records.plan()["runs"]}
    digests = {label: {m["pairing"]["initial_weights"] for (of, _), m in manifests.items() if of == label} for label in
               ("tiny", "resnet18")}  # fmt: skip
    assert [len(of_model) for of_model in digests.values()] == [1, 1]
    assert digests["tiny"] != digests["resnet18"]
    assert len({m["pairing"]["batches"] for m in manifests.values()}) == 1
    assert {(label, m["model"]["label"], m["model"]["encoder"]) for (label, _), m in manifests.items()} == {
        ("tiny", "tiny", "tu-test_resnet"),
        ("resnet18", "resnet18", "resnet18"),
    }


def test_status_and_plan_name_the_model(tmp_path: Path, finished: Path, phantom: Path) -> None:
    shown = CliRunner().invoke(main, ["status", str(finished)]).output
    assert "model" in shown.splitlines()[0]
    assert shown.count("resnet18") == 3
    result = run(tmp_path, two_models(phantom, dataset={"tile_px": 128, "stride_px": 128}), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "6: 2 models x 3 methods x 1 folds x 1 seeds" in result.output
    assert "model resnet18" in result.output
    assert not (tmp_path / "out").exists()


def test_several_models_are_analysed_and_reported_within_each(tmp_path: Path, finished: Path) -> None:
    study = shutil.copytree(finished, tmp_path / "study")
    result = CliRunner().invoke(main, ["analyze", str(study)])
    assert result.exit_code == 0, result.output
    compared = pd.read_csv(study / "analysis" / "comparisons.csv")
    pairs = set(zip(compared["method"], compared["control"], strict=True))
    others = [method for method in METHODS if method != METHODS[0]]
    assert pairs == {(f"{x} ({m})", f"{METHODS[0]} ({m})") for m in ("tiny", "resnet18") for x in others}
    leaders = pd.read_csv(study / "analysis" / "leaders.csv")
    assert set(leaders["model"]) == {"tiny", "resnet18"}
    effects = {(row["method"], row["class"]): row["difference"] for row in compared.to_dict("records")}
    between = pd.read_csv(study / "analysis" / "model_interactions.csv")
    assert set(between["method"]) == set(others)
    assert set(zip(between["model"], between["other_model"], strict=True)) == {("tiny", "resnet18")}
    for row in between.to_dict("records"):
        tiny, other = (effects[f"{row['method']} ({model})", row["class"]] for model in ("tiny", "resnet18"))
        assert (row["of_model"], row["of_other"]) == pytest.approx((tiny, other))
        assert row["difference"] == pytest.approx(tiny - other)
    assert set(pd.read_csv(study / "analysis" / "model_differences.csv")["method"]) == set(METHODS)
    measures = pd.read_csv(study / "analysis" / "measures.csv")
    assert set(measures.loc[measures["measure"] == "time_to_learn", "n"]) == {1}, (
        "one seed of the first model's control"
    )
    assert CliRunner().invoke(main, ["report", str(study)]).exit_code == 0
    assert (study / "figures" / "model_effects.svg").exists()
    assert "Several models" in (study / "report" / "index.html").read_text()


@pytest.mark.parametrize("label", ["tiny", "resnet18"])
def test_predict_opens_the_model_of_the_run(tmp_path: Path, finished: Path, phantom: Path, label: str) -> None:
    row = next(r for r in StudyRecords.open(finished).plan()["runs"] if r["model"] == label and r["method"] == "dfa")
    record = StudyRecords.open(finished).run(row["run_id"])
    kept = next((record.path / "predictions").iterdir())
    image = next((phantom / "images").glob(f"{kept.stem}.*"))
    result = CliRunner().invoke(main, ["predict", str(record.path), str(image), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.asarray(Image.open(tmp_path / f"{kept.stem}_mask.png")), np.asarray(Image.open(kept)))


def test_one_model_keeps_its_run_ids_and_grows_into_a_list(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    config = parse_study(study_content(dataset), source="test")
    study = prepare_study(config, tmp_path / "out", lambda *_: None)
    assert [run.run_id for run in study.runs] == RUN_IDS
    execute_study(config, tmp_path / "out", Execution(cache=shared_cache, engine="serial"))
    plan = StudyRecords.open(tmp_path / "out").plan()
    assert "models" not in plan
    assert [row.keys() & {"model"} for row in plan["runs"]] == [set(), set()]
    content: dict[str, Any] = two_models(dataset) | {"methods": ["cross_entropy"]}
    grown = prepare_study(parse_study(content, source="test"), tmp_path / "out", lambda *_: None)
    assert [grown.records.run(run.run_id).is_done() for run in grown.runs] == [True, False]
    rows = [(row["model"], row["method"]) for row in grown.records.plan()["runs"]]
    assert sorted(rows) == [("resnet18", "cross_entropy"), ("tiny", "cross_entropy"), ("tiny", "dfa")]
    with pytest.raises(UserError, match=r"the list `models` .* instead of one `model`"):
        prepare_study(config, tmp_path / "out", lambda *_: None)
    content["models"][1]["channels"] = 32
    with pytest.raises(UserError, match=r"model 'resnet18'.channels` 16 instead of 32"):
        prepare_study(parse_study(content, source="test"), tmp_path / "out", lambda *_: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"encoder": "resnet18"}}, "`model` and `models` exclude each other"),
        ({"models": [{"encoder": "resnet18", "encoder_weights": "none"}]}, "each model needs a `label`"),
        ({"models": [{"label": "a", "encodr": "x"}]}, r"unknown key `models.0.encodr`. Did you mean 'encoder'"),
        ({"models": [{"label": "a", "encoder_weights": "none"}] * 2}, "label` of its own. Got 'a' twice"),
        ({"models": [{"label": x, "encoder_weights": "none"} for x in "ab"]}, "'a' and 'b' are the same model"),
        ({"models": [{"label": "a"}]}, "`encoder_weights` of model 'a' is missing, so the frozen encoder"),
    ],
)
def test_lists_that_say_two_things_are_refused(dataset: Path, change: dict[str, Any], message: str) -> None:
    content = two_models(dataset) | change
    with pytest.raises(UserError, match=message):
        parse_study(content, source="test")


def test_a_random_frozen_encoder_must_be_asked_for(dataset: Path) -> None:
    content = study_content(dataset)
    del content["model"]["encoder_weights"]
    with pytest.raises(UserError, match=r"`model.encoder_weights` is missing, so the frozen encoder would be random"):
        parse_study(content, source="test")
    content["model"]["encoder_tuning"] = "full"
    assert parse_study(content, source="test").model.encoder_frozen is False


def test_the_example_of_several_encoders_is_a_study_of_18_runs() -> None:
    config = load_study(Path(__file__).parents[2] / "examples" / "encoders.yaml")
    assert [model.label for model in config.models] == ["imagenet", "virchow", "sam-hipt"]
    assert len(config.models) * len(config.methods) * len(config.seeds) == 18
