"""The tissue phantom: format, planted truth, reproducibility, and one measure per planted factor."""

import csv
import hashlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from analysis.topics.planted import LIVE_DECODERS, WEIGHTS_OF_FREQUENCY
from benchmarks import phantom_factors
from benchmarks.phantom_factors import PLANTED_LEVELS
from imbalance_bench import quickstart
from imbalance_bench.cli import data_view as data_printing
from imbalance_bench.cli.main import main
from imbalance_bench.config import load_study
from imbalance_bench.data.phantom import (
    DESIGNS,
    FACTORS,
    PRESETS,
    GroupCounts,
    PhantomSpec,
    factorial_design,
    generate_phantom,
    generate_series,
    largest_rank_correlation,
)
from imbalance_bench.data.phantom.layout import lay_out
from imbalance_bench.data.phantom.plan import plan_images
from imbalance_bench.errors import UserError

TISSUE = PRESETS["tissue"]
SMALL = TISSUE.model_copy(update={"size_px": 192, "images_per_group": 2})
TINY = TISSUE.model_copy(
    update={"size_px": 96, "region_um": 24.0, "images_per_group": 2, "groups": GroupCounts(train=2, val=1, test=1)}
)
UNLABELLED_ID = 255


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_phantom(SMALL, tmp_path_factory.mktemp("phantom") / "tissue")


def labels_of(folder: Path, image_id: str) -> NDArray[np.uint8]:
    with Image.open(folder / "masks" / f"{image_id}.png") as mask:
        return np.array(mask)


def drawn_labels(spec: PhantomSpec) -> Iterator[NDArray[np.uint8]]:
    """The label maps of a data set without its images."""
    for plan in plan_images(spec):
        yield lay_out(spec, plan, np.random.default_rng(plan.index)).labels


def test_format(dataset: Path) -> None:
    described = yaml.safe_load((dataset / "dataset.yaml").read_text(encoding="utf-8"))
    assert described["groups_known"] is True
    assert described["unlabelled_id"] == UNLABELLED_ID
    assert described["mpp_um"] == SMALL.mpp_um
    assert [c["id"] for c in described["classes"]] == list(range(len(SMALL.classes)))
    assert [c["name"] for c in described["classes"]] == [c.name for c in SMALL.classes]
    index = rows_of(dataset / "index.csv")
    assert len(index) == SMALL.n_images
    for row in index:
        labels = labels_of(dataset, row["image_id"])
        assert labels.dtype == np.uint8
        with Image.open(dataset / "images" / f"{row['image_id']}.png") as image:
            assert image.mode == "RGB"
            assert image.size == (int(row["width_px"]), int(row["height_px"])) == labels.shape[::-1]
        assert set(np.unique(labels)) <= {*range(len(SMALL.classes)), UNLABELLED_ID}
    assert {p.stem for p in (dataset / "images").iterdir()} == {row["image_id"] for row in index}


def test_shares_and_unlabelled_area(dataset: Path) -> None:
    pixels = np.zeros(256, np.int64)
    for row in rows_of(dataset / "index.csv"):
        pixels += np.bincount(labels_of(dataset, row["image_id"]).ravel(), minlength=256)
    shares = pixels[: len(SMALL.classes)] / pixels[:UNLABELLED_ID].sum()
    assert shares == pytest.approx([c.share for c in SMALL.classes], rel=0.1)
    assert pixels[UNLABELLED_ID] / pixels.sum() == pytest.approx(SMALL.unlabelled_share, rel=0.05)


@pytest.mark.parametrize(
    "shares",
    [
        (0.2, 0.2, 0.2, 0.2, 0.2),
        (0.9, 0.05, 0.02, 0.02, 0.01),
        (0.3, 0.3, 0.3, 0.06, 0.04),
        (0.47, 0.17, 0.16, 0.11, 0.09),
    ],
)
@pytest.mark.parametrize("images_per_group", [1, 4])
def test_shares_hold_for_other_mixtures(shares: tuple[float, ...], images_per_group: int) -> None:
    classes = tuple(c.model_copy(update={"share": s}) for c, s in zip(TISSUE.classes, shares, strict=True))
    changed = {"classes": classes, "label_noise_px": 1.0, "images_per_group": images_per_group}
    spec = SMALL.model_copy(update=changed)
    pixels = np.zeros(256, np.int64)
    for labels in drawn_labels(spec):
        pixels += np.bincount(labels.ravel(), minlength=256)
    assert pixels[: len(shares)] / pixels[:UNLABELLED_ID].sum() == pytest.approx(shares, rel=0.1)


def test_groups_and_splits(dataset: Path) -> None:
    index = rows_of(dataset / "index.csv")
    splits_of_group = {g: {r["split"] for r in rows} for g, rows in itertools.groupby(index, lambda r: r["group_id"])}
    assert len(splits_of_group) == SMALL.n_groups
    assert all(len(splits) == 1 for splits in splits_of_group.values())
    for split in ("train", "val", "test"):
        present = np.zeros(256, bool)
        for row in index:
            if row["split"] == split:
                present[np.unique(labels_of(dataset, row["image_id"]))] = True
        assert present[: len(SMALL.classes)].all(), split


def test_truth_agrees_with_the_specification(dataset: Path) -> None:
    truth = rows_of(dataset / "truth.csv")
    assert len(truth) == len(SMALL.classes)
    for class_id, (row, planted) in enumerate(zip(truth, SMALL.classes, strict=True)):
        assert int(row["class_id"]) == class_id
        assert (row["class"], row["rival"] or None) == (planted.name, planted.rival)
        for factor in ("share", "ambiguity", "morphology", "context"):
            assert float(row[factor]) == getattr(planted, factor)
    assert sum(float(row["measured_share"]) for row in truth) == pytest.approx(1, abs=1e-4)


def test_instances_are_the_components_of_the_masks(dataset: Path) -> None:
    instances = rows_of(dataset / "instances.csv")
    names = [c.name for c in SMALL.classes]
    for row in rows_of(dataset / "index.csv")[:3]:
        labels = labels_of(dataset, row["image_id"])
        here = [r for r in instances if r["image_id"] == row["image_id"]]
        assert sum(int(r["area_px"]) for r in here) == (labels != UNLABELLED_ID).sum()
        for r in here:
            box = labels[int(r["top"]) : int(r["bottom"]), int(r["left"]) : int(r["right"])]
            assert (box == names.index(r["class"])).sum() >= int(r["area_px"])
            at_edge = "0" in (r["top"], r["left"]) or str(SMALL.size_px) in (r["bottom"], r["right"])
            assert r["touches_border"] == "True" or not at_edge


def test_bytes_depend_on_the_specification_only(tmp_path: Path) -> None:
    one = digests(generate_phantom(TINY, tmp_path / "one"))
    several = digests(generate_phantom(TINY, tmp_path / "several", workers=2))
    assert one == several
    other = digests(generate_phantom(TINY.model_copy(update={"seed": 1}), tmp_path / "other"))
    assert not {k for k in one if k.startswith("images/")} & {k for k in one if one[k] == other[k]}


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_phantom(TINY, tmp_path / "out", on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, TINY.n_images) for i in range(TINY.n_images)]


def test_an_existing_destination_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="not an empty folder"):
        generate_phantom(TINY, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_nothing_is_left_behind_when_drawing_fails(tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_phantom(TINY, tmp_path / "out", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0.9}, "sum to 1"),
        ({"rival": "tumour"}, "must be another class"),
        ({"rival": None}, "needs a `rival`"),
        ({"name": "fat"}, "each name must serve one class"),
        ({"texture": "fat"}, "each texture must serve one class"),
        ({"ambiguity": 1.5}, "less than or equal to 1"),
        ({"colour": "red"}, "pattern"),
        ({"sharpness": 1.0}, "Extra inputs"),
    ],
)
def test_wrong_specifications_are_refused(change: dict[str, object], message: str) -> None:
    raw = TISSUE.model_dump(mode="json")
    raw["classes"][1] |= change
    with pytest.raises(ValidationError, match=message):
        PhantomSpec.model_validate(raw)


TARGET = TISSUE.class_id("tumour")


def with_factor(factor: str, level: float, seed: int) -> PhantomSpec:
    """The tissue preset with neutral factors everywhere, apart from one factor of the tumour."""
    neutral = {"ambiguity": 0.2, "morphology": 0.3, "context": 0.0}
    classes = [c.model_copy(update=neutral) for c in TISSUE.classes]
    classes[TARGET] = classes[TARGET].model_copy(update={factor: level, "rival": "inflammatory"})
    changed = {"classes": tuple(classes), "seed": seed, "groups": GroupCounts(train=2, val=1, test=1)}
    return SMALL.model_copy(update=changed)


def elongation_spread(spec: PhantomSpec) -> float:
    """Standard deviation of the log axis ratio over the tumour regions that nothing cuts."""
    spread = []
    for labels in drawn_labels(spec):
        components = np.empty(labels.shape, np.int32)
        ndimage.label(labels == TARGET, output=components)
        outside = np.pad(labels == UNLABELLED_ID, 1, constant_values=True)
        touching = np.unique(components[np.asarray(ndimage.binary_dilation(outside), bool)[1:-1, 1:-1]])
        for i in set(range(1, int(components.max()) + 1)) - set(touching.tolist()):
            variances = np.linalg.eigvalsh(np.cov(np.argwhere(components == i), rowvar=False))
            spread.append(np.log(variances[1] / variances[0]) / 2)
    return float(np.std(spread))


def test_each_factor_raises_its_own_measure_and_leaves_the_others() -> None:
    """The table of docs/phantom.md, for one seed, the extreme levels and fewer images."""
    trial = phantom_factors.Trial(groups=GroupCounts(train=2, val=1, test=1), images_per_group=2)
    levels = {factor: (planted[0], planted[-1]) for factor, planted in PLANTED_LEVELS.items()}
    measured = {
        factor: [trial.measure((factor, level), seed=0) for level in planted] for factor, planted in levels.items()
    }
    for factor, at_levels in measured.items():
        own = [each[factor] for each in at_levels]
        assert own[0] < own[1], factor
        for other in (each for each in measured if each != factor):
            moved = np.ptp([each[other] for each in at_levels])
            assert moved < np.ptp([each[other] for each in measured[other]]) / 3, (factor, other)
    assert max(each["share_error"] for rows in measured.values() for each in rows) < 0.1


def table_of(slopes: dict[str, float]) -> phantom_factors.Values:
    """A made-up table of one seed: a level moves a measure by the slope `factor>measure`, by default its own by 1."""
    neutral = ("share", phantom_factors.NEUTRAL["share"])
    values: phantom_factors.Values = {}
    for factor in phantom_factors.FACTORS:
        planted = phantom_factors.planted_levels(factor)
        for place, each in enumerate(planted):
            steps = place - planted.index(neutral)
            values[0, each] = {
                other: steps * slopes.get(f"{factor}>{other}", float(factor == other))
                for other in phantom_factors.FACTORS
            } | {"share_error": 0.01}
    return values


def test_the_table_of_factors_says_what_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    for change, holds in (
        ({}, True),
        ({"share>context": 0.3}, True),
        ({"share>context": 0.4}, False),
        ({"morphology>morphology": -1.0}, False),
    ):
        assert phantom_factors.effects(table_of(change), 1)["morphology"].moved["share"] == pytest.approx(0)
        assert phantom_factors.print_table(table_of(change), 1) is holds, change
    assert "| context | rival_stain_overlap |" in capsys.readouterr().out


def test_morphology_spreads_the_drawn_shapes_at_constant_mean_area() -> None:
    even, mixed = (
        with_factor("morphology", level, 0).model_copy(update={"images_per_group": 6}) for level in (0.0, 1.0)
    )
    assert elongation_spread(mixed) > 1.5 * elongation_spread(even)
    means = [
        np.mean([r.area_px for p in plan_images(s) for r in p.regions if r.class_id == TARGET]) for s in (even, mixed)
    ]
    assert means[1] == pytest.approx(means[0], rel=0.05)


@pytest.mark.parametrize("name", DESIGNS)
def test_designs_set_frequency_and_difficulty_apart(name: str) -> None:
    specs = factorial_design(name, seed=0)
    assert len(specs) == DESIGNS[name].datasets
    assert len({s.name for s in specs}) == len({s.seed for s in specs}) == len(specs)
    assert largest_rank_correlation(specs) < 0.25
    for spec in specs:
        assert sorted(c.share for c in spec.classes) == pytest.approx(sorted(DESIGNS[name].shares))
        assert len({c.ambiguity for c in spec.classes}) == (2 if DESIGNS[name].crossed else len(spec.classes))
    assert factorial_design(name, seed=0) == specs


def test_the_factorial_design_crosses_every_share_with_every_combination() -> None:
    specs = factorial_design("factorial", seed=1)
    cells = [{tuple(getattr(s.classes[k], f) for f in FACTORS) for s in specs} for k in range(5)]
    assert [len(each) for each in cells] == [40] * 5
    assert largest_rank_correlation(specs) == pytest.approx(0, abs=1e-12)


def small_series() -> list[PhantomSpec]:
    return [TINY.model_copy(update={"name": f"small-{n}", "seed": n}) for n in range(3)]


def test_a_series_is_resumed_and_its_factors_are_gathered(tmp_path: Path) -> None:
    dest = tmp_path / "series"
    table = generate_series(small_series(), dest)
    whole = digests(dest)
    rows = rows_of(table)
    assert [row["dataset"] for row in rows[::5]] == ["small-0", "small-1", "small-2"]
    assert [row["class"] for row in rows[:5]] == [c.name for c in TINY.classes]
    assert [float(row["ambiguity"]) for row in rows[:5]] == [c.ambiguity for c in TINY.classes]
    kept = (dest / "small-0/index.csv").stat().st_mtime_ns
    shutil.rmtree(dest / "small-1")
    (dest / ".small-1-torn").mkdir()
    table.unlink()
    seen: list[tuple[int, int]] = []
    generate_series(small_series(), dest, on_progress=lambda *step: seen.append(step))
    assert seen == [(2, 3), (3, 3)]
    assert digests(dest) == whole
    assert (dest / "small-0/index.csv").stat().st_mtime_ns == kept
    assert sorted(p.name for p in dest.iterdir()) == ["factors.csv", "series.json", "small-0", "small-1", "small-2"]
    with pytest.raises(UserError, match="holds another series of phantoms"):
        generate_series(small_series()[:2], dest)
    with pytest.raises(UserError, match="not an empty folder"):
        generate_series(small_series(), dest / "small-0")


def test_the_command_of_designs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_printing, "factorial_design", lambda _name, _seed: small_series())
    result = CliRunner().invoke(main, ["data", "phantom", str(tmp_path / "out"), "--design", "latin"])
    assert result.exit_code == 0, result.output
    assert "3 data sets of 5 classes" in result.output
    assert "ambiguity" in result.output
    result = CliRunner().invoke(main, ["data", "phantom", str(tmp_path), "--design", "latin", "--preset", "organ"])
    assert result.exit_code == 2
    assert "--design brings its own preset" in result.output


def test_an_unknown_design_is_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'latin'"):
        factorial_design("latinn", seed=0)


def test_the_factors_of_the_quickstart_are_not_correlated_over_eight_classes() -> None:
    spec = PRESETS["quickstart"]
    assert len(spec.classes) == 8
    assert largest_rank_correlation([spec]) < 0.2
    for factor in FACTORS:
        assert len({getattr(each, factor) for each in spec.classes}) == 8


def test_the_study_of_the_quickstart_plants_what_it_must_find() -> None:
    config = load_study(Path(quickstart.__file__).with_name("quickstart.yaml"))
    entries = {each.label: each for each in config.methods}
    assert entries["quarter_steps"].steps_fraction == 0.25
    assert {*entries["inverse_sqrt"].parts} <= {*WEIGHTS_OF_FREQUENCY}
    assert config.model.decoder in LIVE_DECODERS
    assert "dfa" in entries
