"""What decides the features of an encoder - weights as loaded, mean, standard deviation - is known, and never mixed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from analysis.pipeline import analyze_study
from imbalance_bench.cli.main import main
from imbalance_bench.config import StudyConfig
from imbalance_bench.engines.base import RunJob
from imbalance_bench.engines.worker import execute_job
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.manifest import write_json
from imbalance_bench.models import bare_encoders, encoders
from imbalance_bench.models.encoders import EncoderChoice, build_encoder
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.repair import repair_study
from tests.small_study import small_config

UNCACHED = {"augmentation": {"cached_views": 0}}
Upstream = Callable[[float], None]


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """Publish weights of every encoder, without a network; called, it publishes others."""
    build, published = encoders._hierarchical_encoder, {"value": 0.01}

    def fetch(choice: EncoderChoice) -> Any:
        module = build(replace(choice, weights="none"))
        if choice.weights == "imagenet":
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.fill_(published["value"])
        return module

    monkeypatch.setattr(encoders, "_hierarchical_encoder", fetch)

    def publish(value: float) -> None:
        published["value"] = value
        forget(monkeypatch)

    publish(0.01)
    return publish


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does."""
    monkeypatch.setattr(bare_encoders, "_BARE", {})
    monkeypatch.setattr(bare_encoders, "_STATES_AFTER", {})


def another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a version of timm that scales images in another way."""
    published = encoders.timm.get_pretrained_cfg("test_resnet")
    assert published is not None
    monkeypatch.setattr(encoders.timm, "get_pretrained_cfg", lambda _: replace(published, mean=(0.25, 0.5, 0.5)))
    forget(monkeypatch)


def config_of(dataset: Path, weights: str, **sections: Any) -> StudyConfig:
    model = {"encoder_weights": weights} | sections.pop("model", {})
    return small_config(dataset, **({"methods": ["cross_entropy"]} | sections), model=model)


def weights_file(path: Path) -> str:
    save_file(build_encoder(EncoderChoice("tu-test_resnet", "none", {})).module.state_dict(), path)
    return str(path)


def train(config: StudyConfig, root: Path, cache: Path) -> StudyRecords:
    execute_study(config, root, Execution(cache, engine="serial", what_next=False))
    return StudyRecords.open(root)


def stores(cache: Path) -> set[str]:
    return {path.parent.name for path in cache.glob("features-*/complete.json")}


def test_another_normalisation_is_another_cache_and_is_not_mixed(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, cache = config_of(dataset, weights_file(tmp_path / "w.safetensors")), tmp_path / "cache"
    (run,) = train(config, tmp_path / "one", cache).finished()
    another_library(monkeypatch)
    with pytest.raises(
        UserError, match=r"the mean of tu-test_resnet .* \[0.25, 0.5, 0.5\] instead of \[0.5, 0.5, 0.5\]"
    ):
        prepare_study(config, tmp_path / "one", lambda *_: None)
    with pytest.raises(
        UserError, match=r"the mean of tu-test_resnet .* \[0.25, 0.5, 0.5\] instead of \[0.5, 0.5, 0.5\]"
    ):
        TrainedModel.open(run.path)
    (other,) = train(config, tmp_path / "two", cache).finished()
    assert len(stores(cache)) == 2
    first, second = (each.manifest()["encoders"][0] for each in (run, other))
    assert (first["mean"][0], second["mean"][0]) == (0.5, 0.25)
    assert first["weights"] == second["weights"] == run.manifest()["hashes"]["encoder_weights"]
    assert {f"features-{each['features'][:16]}" for each in (first, second)} == stores(cache)


@pytest.mark.parametrize("training", [{}, UNCACHED], ids=["cached", "encoded afresh"])
def test_other_published_weights_are_another_cache_and_are_not_mixed(
    tmp_path: Path, dataset: Path, upstream: Upstream, training: dict[str, Any]
) -> None:
    config, cache = config_of(dataset, "imagenet", training=training), tmp_path / "cache"
    (run,) = train(config, tmp_path / "one", cache).finished()
    TrainedModel.open(run.path)
    upstream(0.02)
    with pytest.raises(UserError, match="the weights of tu-test_resnet"):
        prepare_study(config, tmp_path / "one", lambda *_: None)
    with pytest.raises(UserError, match="the weights of tu-test_resnet"):
        TrainedModel.open(run.path)
    (other,) = train(config, tmp_path / "two", cache).finished()
    assert len(stores(cache)) == (0 if training else 2)
    first, second = (each.manifest()["encoders"][0] for each in (run, other))
    assert first["weights"] != second["weights"]
    assert run.run_id == other.run_id  # not known before they are fetched, so no part of the id


@pytest.mark.parametrize("training", [{}, UNCACHED], ids=["cached", "encoded afresh"])
def test_a_run_refuses_weights_that_were_not_planned(
    tmp_path: Path, dataset: Path, upstream: Upstream, training: dict[str, Any]
) -> None:
    study = prepare_study(config_of(dataset, "imagenet", training=training), tmp_path / "s", lambda *_: None)
    upstream(0.02)
    (run,) = study.runs
    outcome = execute_job(RunJob(study.root, run.run_id, run.label, tmp_path / "cache"), lambda _: None)
    assert "the weights of tu-test_resnet" in str(outcome.error)
    assert not stores(tmp_path / "cache")
    upstream(0.01)
    outcome = execute_job(RunJob(study.root, run.run_id, run.label, tmp_path / "cache"), lambda _: None)
    assert outcome.error is None


def test_a_dry_run_fetches_nothing(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = encoders._hierarchical_encoder

    def refuse(choice: EncoderChoice) -> Any:
        assert choice.weights != "imagenet"
        return build(choice)

    monkeypatch.setattr(encoders, "_hierarchical_encoder", refuse)
    execute_study(config_of(dataset, "imagenet"), tmp_path / "s", Execution(tmp_path / "cache", dry_run=True))
    assert not (tmp_path / "s").exists()


def test_a_random_encoder_behind_another_has_features_of_its_own(tmp_path: Path, dataset: Path) -> None:
    cache = tmp_path / "cache"
    pair = config_of(dataset, "none", model={"encoder": ["tu-test_vit", "tu-test_resnet"]})
    behind = train(pair, tmp_path / "pair", cache).finished()[0].manifest()["encoders"]
    alone = train(config_of(dataset, "none"), tmp_path / "alone", cache).finished()[0].manifest()["encoders"]
    assert behind[1]["weights"] != alone[0]["weights"]
    assert len(stores(cache)) == 3


def test_a_model_that_becomes_one_of_a_list_stays_as_it_was_built(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(dataset, "none")
    prepare_study(config, tmp_path / "s", lambda *_: None)
    model = config.model.model_copy(update={"label": "first"})
    grown = config.model_copy(update={"models": (model,)})
    another_library(monkeypatch)
    with pytest.raises(UserError, match=r"the mean of tu-test_resnet"):
        prepare_study(grown, tmp_path / "s", lambda *_: None)


def test_a_plan_of_an_earlier_version_is_continued_and_says_more_from_then_on(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    config, root = config_of(dataset, "none"), tmp_path / "s"
    (run,) = train(config, root, shared_cache).finished()
    for path, key in ((root / "plan.json", "encoders"), (run.path / "manifest.json", "encoders")):
        content = json.loads(path.read_text())
        del content[key]
        write_json(path, content)
    more = config_of(dataset, "none", methods=["cross_entropy", "dfa"])
    records = train(more, root, shared_cache)
    assert [run.run_id] == [each.run_id for each in records.finished() if "encoders" not in each.manifest()]
    assert len(records.plan()["encoders"][""]) == 1
    analyze_study(root)


def test_predict_needs_no_published_weights_where_all_are_stored(
    tmp_path: Path, dataset: Path, upstream: Upstream
) -> None:
    config = config_of(dataset, "imagenet", model={"encoder_tuning": "full"})
    (run,) = train(config, tmp_path / "s", tmp_path / "cache").finished()
    upstream(0.02)
    TrainedModel.open(run.path)


def test_records_are_not_made_again_on_other_features(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    config, root = config_of(dataset, "none"), tmp_path / "s"
    (run,) = train(config, root, shared_cache).finished()
    (run.path / "counts.parquet").write_bytes(b"torn")
    content = run.manifest()
    content["encoders"][0]["features"] = "0" * 64
    write_json(run.path / "manifest.json", content)
    repair_study(root)
    with pytest.raises(UserError, match="trained on other encoders or cached features"):
        train(config, root, shared_cache)


def test_runs_on_other_features_are_not_paired(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    config = config_of(dataset, "none", methods=["cross_entropy", "dfa"])
    run = train(config, tmp_path / "s", shared_cache).finished()[0]
    content = run.manifest()
    content["encoders"][0]["features"] = "0" * 64
    write_json(run.path / "manifest.json", content)
    result = CliRunner().invoke(main, ["analyze", str(tmp_path / "s")])
    assert result.exit_code == 1
    assert "their encoders differ" in result.output
