"""`analyze` measures context on the features that the study's runs were trained on, and on no others."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import save_file

from analysis.measures.cached_features import find_features
from analysis.measures.trained_features import IMAGES, UNRECORDED, trained_features
from analysis.pipeline import analyze_study
from analysis.study.runs import read_study
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import write_json
from imbalance_bench.models.encoders import EncoderChoice, build_encoder
from imbalance_bench.records import StudyRecords
from tests.small_study import small_config, write_dataset

BRIEF = {"resamples": 50, "permutations": 100}
OTHERS: dict[str, dict[str, Any]] = {
    "larger tiles": {"dataset": {"tile_px": 96, "stride_px": 96}},
    "another stride": {"dataset": {"tile_px": 64, "stride_px": 32}},
    "another normalisation": {"model": {"encoder_mean": [0.9, 0.1, 0.1], "encoder_std": [0.05, 0.3, 0.3]}},
    "another scale": {"model": {"encoder_scale": 2.0}},
    "another architecture": {"model": {"architecture": "deeplabv3plus"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set and weights of an encoder."""
    folder = tmp_path_factory.mktemp("features")
    weights = folder / "weights.safetensors"
    save_file(build_encoder(EncoderChoice("tu-test_resnet", "none", {})).module.state_dict(), weights)
    return write_dataset(folder / "discs", size_px=128), weights


def train(world: tuple[Path, Path], root: Path, cache: Path, **sections: Any) -> Path:
    dataset, weights = world
    model = {"encoder_weights": str(weights)} | sections.pop("model", {})
    content = {"methods": ["cross_entropy", "dfa"]} | sections
    if "architecture" in model:
        content["methods"] = ["cross_entropy"]
    config = small_config(dataset, **content, model=model, analysis=BRIEF)
    execute_study(config, root, Execution(cache, engine="serial", what_next=False))
    return root


def context(root: Path, cache: Path) -> pd.Series:
    """Overlaps with the nearest rivals by class; NaN where no features were found."""
    measures = analyze_study(root, cache_dir=cache).tables["measures"]
    return measures[measures["measure"] == "nearest_rival_overlap"].set_index("class")["value"]


def measured_on(root: Path, cache: Path) -> tuple[tuple[Path, ...], str]:
    """Return the stores that context is measured on, and the reason if there are none."""
    records = StudyRecords.open(root)
    facts = records.dataset()
    dataset = PreparedDataset.open(facts["path"])
    found, reason = trained_features(read_study(records).data, records.plan(), cache, dataset, facts["data_hash"])
    assert (found is None) == bool(reason)
    return () if found is None else found.folders, reason


def stores(cache: Path) -> set[Path]:
    return set(cache.glob("features-*"))


@pytest.fixture(scope="module")
def alone(world: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a cache of its own."""
    folder = tmp_path_factory.mktemp("alone")
    train(world, folder / "study", folder / "cache")
    return folder


def copied(alone: Path, tmp_path: Path) -> tuple[Path, Path]:
    root, cache = (Path(shutil.copytree(alone / name, tmp_path / name)) for name in ("study", "cache"))
    return root, cache


def test_the_measures_of_a_study_do_not_depend_on_others_in_its_cache(
    world: tuple[Path, Path], alone: Path, tmp_path: Path
) -> None:
    root, cache = copied(alone, tmp_path)
    expected = context(root, cache)
    assert expected.notna().all()
    (own,) = stores(cache)
    train(world, tmp_path / "other", cache, **OTHERS["larger tiles"])
    pd.testing.assert_series_equal(context(root, cache), expected)
    shutil.rmtree(own)
    verdicts = {each.id: each.sentence for each in analyze_study(root, cache_dir=cache).verdicts}
    assert own.name in verdicts["data/context"]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_each_study_finds_its_own_features(
    world: tuple[Path, Path], alone: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    root, cache = copied(alone, tmp_path)
    (own,) = stores(cache)
    another = train(world, tmp_path / "other", cache, **other)
    (others,) = stores(cache) - {own}
    assert measured_on(root, cache)[0] == (own,)
    assert measured_on(another, cache)[0] == (others,)
    shutil.rmtree(own)
    assert own.name in measured_on(root, cache)[1]


def test_runs_that_saw_images_have_no_features(world: tuple[Path, Path], alone: Path, tmp_path: Path) -> None:
    """Frozen features of the same encoder lie in the cache, and the study was trained on none."""
    afresh = train(world, tmp_path / "s", alone / "cache", training={"augmentation": {"cached_views": 0}})
    assert measured_on(afresh, alone / "cache") == ((), IMAGES)


def test_a_store_under_the_name_of_another_is_refused(alone: Path, tmp_path: Path) -> None:
    root, cache = copied(alone, tmp_path)
    (own,) = stores(cache)
    content = json.loads((own / "complete.json").read_text())
    (own / "complete.json").write_text(json.dumps(content | {"key": content["key"][:16] + "0" * 48}))
    with pytest.raises(UserError, match="must be of the features"):
        measured_on(root, cache)


def test_records_of_an_earlier_version_find_the_features_that_their_plan_describes(alone: Path, tmp_path: Path) -> None:
    root, cache = copied(alone, tmp_path)
    for run in StudyRecords.open(root).finished():
        content = run.manifest()
        del content["encoders"]
        write_json(run.path / "manifest.json", content)
    (own,) = stores(cache)
    dataset = PreparedDataset.open(StudyRecords.open(root).dataset()["path"])
    content = json.loads((own / "complete.json").read_text())
    described = {key: value for key, value in content["description"].items() if key not in ("mean", "std")}
    (own / "complete.json").write_text(json.dumps(content | {"description": described}))
    assert measured_on(root, cache)[0] == (own,)
    newer = Path(shutil.copytree(own, cache / "features-newer"))
    renamed = content["description"] | {"encoder": ["another", "w" * 64]}
    (newer / "complete.json").write_text(json.dumps(content | {"description": renamed}))
    with pytest.raises(
        UserError, match=r"several kinds.*Choose one of another, tu-test_resnet"
    ):  # neither is passed over
        find_features(cache, dataset, data_hash=dataset.content_hash())
    shutil.rmtree(newer)
    for key, value in (("tiling", [64, 32]), ("scale", 2.0), ("mean", [0.5, 0.5, 0.5]), ("architecture", "unet")):
        (own / "complete.json").write_text(json.dumps(content | {"description": described | {key: value}}))
        assert "as the plan describes them" in measured_on(root, cache)[1]
    plan = json.loads((root / "plan.json").read_text())
    plan["identity"]["training"]["augmentation"]["cached_views"] = 0
    write_json(root / "plan.json", plan)
    assert measured_on(root, cache)[1] == IMAGES
    del plan["identity"]
    write_json(root / "plan.json", plan)
    assert measured_on(root, cache)[1] == UNRECORDED


def test_runs_of_an_earlier_version_do_not_hide_the_features_of_later_ones(alone: Path, tmp_path: Path) -> None:
    root, cache = copied(alone, tmp_path)
    first, *_ = read_study(StudyRecords.open(root)).data
    content = StudyRecords.open(root).run(first.run_id).manifest()
    del content["encoders"]
    write_json(root / "runs" / first.run_id / "manifest.json", content)
    assert measured_on(root, cache)[0] == tuple(stores(cache))  # whose description names a normalisation: of later runs
    shutil.rmtree(cache)
    assert "as the plan describes" not in measured_on(root, cache)[1]


def test_fused_encoders_are_measured_together(world: tuple[Path, Path], tmp_path: Path) -> None:
    pair = {"encoder": ["tu-test_resnet", "tu-test_vit"], "encoder_weights": [str(world[1]), "none"]}
    root, cache = train(world, tmp_path / "s", tmp_path / "cache", model=pair), tmp_path / "cache"
    assert set(measured_on(root, cache)[0]) == stores(cache)
    assert len(stores(cache)) == 2
    assert context(root, cache).notna().all()
    shutil.rmtree(measured_on(root, cache)[0][1])
    assert not measured_on(root, cache)[0]  # half of what it was trained on is not what it was trained on


def test_describe_asks_which_features_where_they_differ(world: tuple[Path, Path], alone: Path, tmp_path: Path) -> None:
    cache = Path(shutil.copytree(alone / "cache", tmp_path / "cache"))
    dataset = PreparedDataset.open(world[0])
    (own,) = stores(cache)
    train(world, tmp_path / "more", cache, training={"augmentation": {"cached_views": 1}})
    found = find_features(cache, dataset, data_hash=dataset.content_hash())
    assert found is not None  # other views of the same tiles are the same features
    train(world, tmp_path / "other", cache, **OTHERS["another normalisation"])
    with pytest.raises(
        UserError, match=r"several kinds.*Choose one of features-.* \(tu-test_resnet, weights \w+, tiles of 64 px"
    ):
        find_features(cache, dataset, data_hash=dataset.content_hash())
    chosen = find_features(cache, dataset, data_hash=dataset.content_hash(), wanted=own.name)
    assert chosen is not None
    assert chosen.folders == (own,)
