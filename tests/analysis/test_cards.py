"""Difficulty cards, and the features that they and `analyze` read from the cache."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from analysis.cards import description
from analysis.cards.figures import scaled
from analysis.measures import survey as survey_module
from analysis.measures.cached_features import find_features
from analysis.measures.feature_space import class_overlaps, feature_sums
from analysis.measures.survey import survey
from analysis.pipeline import analyze_study
from imbalance_bench.cli.main import main
from imbalance_bench.data.array_store import ArrayStore
from imbalance_bench.data.caches import features_folder
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.data.tiling import tile_dataset
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study

STRANGE = "<script>alert('x')</script> & Zellen \u7d30\u80de"
TILE_PX = 32


def write_cache(
    folder: Path,
    dataset: PreparedDataset,
    data_hash: str,
    *,
    encoder: str = "toy",
    separation: float = 3.0,
    key: str = "",
) -> Path:
    """Write features as `run` does: one level of 20 channels, the first K of which say the class."""
    tiles = tile_dataset(dataset, TILE_PX, TILE_PX)
    rng = np.random.default_rng(0)
    level = rng.normal(size=(len(tiles) + 3, 20, TILE_PX // 4, TILE_PX // 4))  # three more views at the end
    for row, tile in enumerate(tiles):
        mask = dataset.read_mask(tile.image_id)[tile.top : tile.top + TILE_PX, tile.left : tile.left + TILE_PX]
        for c in range(len(dataset.info.classes)):
            level[row, c] += separation * (mask[2::4, 2::4] == c)
    target = folder / (features_folder(key) if key else f"features-{encoder}")
    described = {"data": data_hash, "encoder": [encoder, "w"], "strides": [4], "tiling": [TILE_PX, TILE_PX]}
    arrays = {"level_0": (level.shape[1:], np.float16)}
    fill = lambda rows: {"level_0": level[list(rows)].astype(np.float16)}  # noqa: E731
    ArrayStore.open_or_fill(target, arrays=arrays, rows=len(level), fill=fill, chunk=8, description=described, key=key)
    return target


@pytest.fixture
def study(tmp_path: Path) -> Path:
    few = {"resamples": 100, "permutations": 100}
    root = write_synthetic_study(
        tmp_path / "study", methods=("cross_entropy", "dfa"), seeds=2, n_images=4, analysis=few
    )
    info = yaml.safe_load((root / "dataset" / "dataset.yaml").read_text(encoding="utf-8"))
    info["classes"][2]["name"] = STRANGE
    (root / "dataset" / "dataset.yaml").write_text(yaml.safe_dump(info, allow_unicode=True), encoding="utf-8")
    facts = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    facts["classes"][2]["name"] = STRANGE
    facts["data_hash"] = PreparedDataset.open(root / "dataset").content_hash()
    write_json(root / "dataset.json", facts)
    return root


def describe(data: Path, out: Path, cache: Path, *more: str):
    return CliRunner().invoke(main, ["data", "describe", str(data), "--out", str(out), "--cache", str(cache), *more])


def test_describe_writes_tables_and_a_page_per_class_and_leaves_the_data_alone(
    study: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(description, "RESAMPLES", 50)
    data, out, cache = study / "dataset", tmp_path / "cards", tmp_path / "cache"
    dataset = PreparedDataset.open(data)
    write_cache(cache, dataset, dataset.content_hash())
    before = sorted((path, path.stat().st_mtime_ns) for path in data.rglob("*"))
    result = describe(data, out, cache)
    assert result.exit_code == 0, result.output
    assert sorted((path, path.stat().st_mtime_ns) for path in data.rglob("*")) == before
    content = json.loads((out / "describe.json").read_text(encoding="utf-8"))
    measures = pd.read_csv(out / "measures.csv", keep_default_na=False, na_values=[""])
    assert content["encoder"] == "toy"
    assert content["images"] == len(dataset.entries)
    for each in content["classes"]:
        rows = measures[measures["class"] == each["name"]].set_index("measure")
        assert set(rows.index) == set(each["measures"])
        for measure, values in each["measures"].items():
            value = np.nan if values["value"] is None else values["value"]
            np.testing.assert_allclose(rows.loc[measure, "value"], value)
    pages = {path.name: path.read_text(encoding="utf-8") for path in out.glob("*.html")}
    assert set(pages) == {"index.html", *(f"class-{c:03d}.html" for c in range(len(dataset.info.classes)))}
    for page in pages.values():
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; Zellen \u7d30\u80de" in page
        assert re.findall(r'(?:src|href)="(?!data:|#|class-|index)[^"]{0,60}', page) == []
    for expected in ("Its shapes", "Across its border", "Its nearest rival", "data:image/webp"):
        assert expected in pages["class-001.html"]


def layers() -> np.ndarray:
    """Draw layered skin: every layer touches two edges of the image."""
    return np.repeat(np.array([0, 1, 2, 3], np.uint8), 24)[:, None].repeat(96, axis=1)


def one_class() -> np.ndarray:
    """Draw an image that one class fills."""
    return np.full((96, 96), 1, np.uint8)


def one_pixel() -> np.ndarray:
    """Draw a class of one pixel in an image that another one fills."""
    mask = np.full((96, 96), 1, np.uint8)
    mask[40, 50] = 2
    return mask


def unlabelled() -> np.ndarray:
    """Draw nothing."""
    return np.full((96, 96), 255, np.uint8)


@pytest.mark.parametrize("draw", [layers, one_class, one_pixel, unlabelled])
@pytest.mark.parametrize("everywhere", [True, False])
def test_images_without_a_whole_instance_are_described(
    study: Path, tmp_path: Path, monkeypatch, draw, everywhere: bool
) -> None:
    monkeypatch.setattr(description, "RESAMPLES", 20)
    dataset = PreparedDataset.open(study / "dataset")
    for entry in dataset.entries if everywhere else dataset.entries[:1]:
        Image.fromarray(draw()).save(dataset.mask_path(entry.image_id))
    out = tmp_path / "cards"
    result = describe(study / "dataset", out, tmp_path / "nothing")
    assert result.exit_code == 0, result.output
    measures = pd.read_csv(out / "measures.csv").set_index(["measure", "class"])
    shapes = measures.loc["shape_dispersion"]
    assert shapes["value"].isna().all() == everywhere
    assert (shapes.loc[shapes["value"].isna(), "n"] < 5).all()
    page = (out / "class-001.html").read_text(encoding="utf-8")
    assert not re.search(
        r"\bnan\b|\bNone\b|\binf\b", re.sub(r"<style.*?</style>|data:[^\"]*", "", page, flags=re.DOTALL)
    )


def test_without_features_context_is_missing_and_said(study: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(description, "RESAMPLES", 50)
    result = describe(study / "dataset", tmp_path / "cards", tmp_path / "nothing", "--split", "val")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "cards" / "describe.json").read_text(encoding="utf-8"))["images"] == 4
    assert "context: not measured" in result.output
    rows = pd.read_csv(tmp_path / "cards" / "measures.csv")
    by_features = rows[rows["measure"] == "nearest_rival_overlap"]
    assert by_features["value"].isna().all()
    assert (by_features["n"] == 0).all()
    assert rows.loc[rows["measure"] == "rival_stain_overlap", "value"].notna().all()
    analysed = analyze_study(study, cache_dir=tmp_path / "nothing")
    assert "data/context" in {each.id for each in analysed.verdicts}
    attained = next(each for each in analysed.verdicts if each.id == "attainability/classes")
    assert attained.numbers["tests"] == 3


def test_analyze_reads_the_cache_of_its_data_and_only_that(study: Path, tmp_path: Path) -> None:
    facts = json.loads((study / "dataset.json").read_text(encoding="utf-8"))
    dataset = PreparedDataset.open(study / "dataset")
    key, numbers = "a" * 64, [0.5, 0.5, 0.5]
    for run in StudyRecords.open(study).finished():
        trained_on = {"name": "toy", "mean": numbers, "std": numbers, "weights": "b" * 64, "features": key}
        write_json(run.path / "manifest.json", run.manifest() | {"encoders": [trained_on]})
    write_cache(tmp_path / "own", dataset, facts["data_hash"], key=key)
    write_cache(tmp_path / "other", dataset, "another")
    analysed = analyze_study(study, cache_dir=tmp_path / "own")
    measures = analysed.tables["measures"]
    context = measures[measures["measure"] == "nearest_rival_overlap"]
    assert context["value"].between(0, 1).all()
    assert (context["n"] > 0).all()
    assert "data/context" not in {each.id for each in analysed.verdicts}
    attained = next(each for each in analysed.verdicts if each.id == "attainability/classes")
    assert attained.numbers["tests"] == 4
    assert attained.word == "not_testable"  # 5 classes cannot reach .05 / 4
    of_control = measures[measures["construct"].isin(["learnability", "model"])]
    assert {"time_to_learn", "baseline_difficulty", "ensemble_disagreement"} <= set(of_control["measure"])
    assert not of_control["primary"].any()
    scores = analysed.tables["method_scores"].query("metric == 'dice' and aggregation == 'pooled'")
    dice = scores[scores["method"] == "cross_entropy"].set_index("class")["mean"]
    hard = of_control[of_control["measure"] == "baseline_difficulty"].set_index("class")["value"]
    np.testing.assert_allclose(hard, 1 - dice[hard.index])
    assert find_features(tmp_path / "other", dataset, data_hash=facts["data_hash"]) is None


def test_separated_classes_overlap_less(study: Path, tmp_path: Path) -> None:
    dataset, values = PreparedDataset.open(study / "dataset"), []
    ids = [entry.image_id for entry in dataset.entries]
    found = survey(dataset, Taxonomy(dataset.info), [ids], band_um=2.0)
    for separation in (0.5, 4.0):
        write_cache(tmp_path / str(separation), dataset, "hash", separation=separation)
        cached = find_features(tmp_path / str(separation), dataset, data_hash="hash")
        assert cached is not None
        sums = feature_sums(cached, dataset, Taxonomy(dataset.info), found)
        values.append(class_overlaps(np.ones((1, len(ids))), sums)[0][~np.eye(found.n_classes, dtype=bool)])
    assert (values[0] > values[1]).all()


def test_several_encoders_must_be_told_apart(study: Path, tmp_path: Path) -> None:
    dataset = PreparedDataset.open(study / "dataset")
    for encoder in ("one", "two"):
        write_cache(tmp_path / "cache", dataset, dataset.content_hash(), encoder=encoder)
    result = describe(study / "dataset", tmp_path / "cards", tmp_path / "cache")
    assert result.exit_code == 2
    assert "Choose one of one, two" in result.output
    chosen = find_features(tmp_path / "cache", dataset, data_hash=dataset.content_hash(), wanted="two")
    assert chosen is not None
    assert chosen.encoder == "two"
    (tmp_path / "cache" / "features-two" / "level_0.npy").write_bytes(b"torn")
    with pytest.raises(UserError, match="level_0"):
        find_features(tmp_path / "cache", dataset, data_hash=dataset.content_hash(), wanted="two")


def test_processes_and_many_groups_change_nothing_and_samples_are_bounded(study: Path, monkeypatch) -> None:
    dataset = PreparedDataset.open(study / "dataset")
    taxonomy, ids = Taxonomy(dataset.info), [entry.image_id for entry in dataset.entries]
    one, two = (survey(dataset, taxonomy, [ids], band_um=2.0, workers=workers) for workers in (1, 2))
    for name in one.sums.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.sums, name), getattr(two.sums, name))
    pd.testing.assert_frame_equal(one.instances, two.instances)
    monkeypatch.setattr(survey_module, "MOST_UNITS", 6)
    monkeypatch.setattr(survey_module, "MOST_INSTANCES", 20)
    folds = [ids[:12], ids[5:]]
    few = survey(dataset, taxonomy, folds, band_um=2.0)
    assert few.in_fold.shape[1] < len(set(few.unit_of)) == len(ids)
    np.testing.assert_array_equal(few.sums.pixels.sum(axis=0), one.sums.pixels.sum(axis=0))
    for fold, members in zip(folds, few.in_fold, strict=True):
        assert all(members[few.unit_of[image_id]] == (image_id in fold) for image_id in ids)
    assert few.instances.groupby("class_id").size().max() <= 20


def test_scaled_puts_the_rarest_class_at_the_hard_end() -> None:
    values = pd.DataFrame({"low": [0.8, 0.001], "value": [0.9, 0.01], "high": [0.95, 0.1]}, index=["common", "rare"])
    place = scaled(values, "frequency")
    assert place["value"].tolist() == [0, 1]
    assert place["low"].iloc[1] > 1 > place["high"].iloc[1]
    assert scaled(values.iloc[:1], "context")["value"].isna().all()
