"""Difficulty measures: closed forms, invariances, monotonicity. Oracles: scikit-image, SciPy, copied samples."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.color import rgb2hed
from skimage.measure import label, perimeter_crofton, regionprops

from analysis.geometry.instances import crofton_perimeters, instance_shapes, whole_instances
from analysis.geometry.runs import find_runs
from analysis.measures.estimates import measure_table
from analysis.measures.morphology import STANDARDISED
from analysis.measures.scale import Scale
from analysis.measures.stains import (
    STAIN_BINS,
    border_histograms,
    marginal,
    overlap,
    stain_codes,
    stain_densities,
    within,
)
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey, summarise_image, survey
from analysis.statistics.robust import weighted_quantiles
from benchmarks.plain_measures import largest_difference, plain_loop
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import MEASURES, PRIMARY_MEASURES
from tests.analysis.synthetic import write_synthetic_study

stats: Any = scipy.stats  # its return types are not declared

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
VECTORS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def tissue(haematoxylin: np.ndarray, seed: int = 0) -> np.ndarray:
    """Paint a map of haematoxylin with constant eosin and a little noise."""
    rng = np.random.default_rng(seed)
    stains = np.stack([haematoxylin, np.full_like(haematoxylin, 0.3)], -1) * rng.lognormal(
        0, 0.1, (*haematoxylin.shape, 2)
    )
    return np.clip(255 * np.exp(-stains @ VECTORS), 0, 255).round().astype(np.uint8)


def disks(radii, size=400, step=80):
    """Return component numbers: disk i at a lattice point, away from the edge."""
    y, x = np.mgrid[:size, :size]
    components = np.zeros((size, size), dtype=np.int32)
    for i, radius in enumerate(radii):
        cy, cx = 60 + step * (i // 4), 60 + step * (i % 4)
        components[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = i + 1
    return components


def shapes_of(mask: np.ndarray) -> pd.DataFrame:
    """Measure the whole instances of a mask, by class."""
    runs = find_runs(mask)
    whole = whole_instances(runs, mask == UNLABELLED, 16)
    found = instance_shapes(runs, runs.image(np.where(whole, np.arange(len(whole)), 0)), whole)
    return found.sort_values("class_id").reset_index(drop=True)


def histograms(image: np.ndarray, mask: np.ndarray, n_classes: int, band_px: float) -> np.ndarray:
    """Count the stains of an image in the bands of its mask."""
    return border_histograms(stain_codes(stain_densities(image)), mask, n_classes, band_px)


# boundary


@settings(deadline=None)
@given(MASKS, st.floats(0, 6))
def test_within_equals_the_distance_transform(mask, radius):
    if mask.any():
        np.testing.assert_array_equal(within(mask, radius), distance_transform_edt(~mask) <= radius)
    else:
        assert not within(mask, radius).any()


def test_stains_equal_skimage():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    np.testing.assert_allclose(stain_densities(image), rgb2hed(image)[..., :2] * -np.log(1e-6), atol=2e-4)


def test_a_straight_border_has_as_many_rows_as_the_band_is_wide():
    mask = np.zeros((60, 50), dtype=np.uint8)
    mask[30:] = 1
    counts = histograms(tissue(np.full((60, 50), 0.5)), mask, 2, band_px=8)
    np.testing.assert_array_equal(counts.sum(axis=2), [[400, 400], [400, 400]])


def test_unlabelled_areas_and_the_edge_of_the_image_are_no_border():
    mask = np.full((40, 40), UNLABELLED, dtype=np.uint8)
    mask[10:20] = 0
    assert histograms(tissue(np.full((40, 40), 0.5)), mask, 2, band_px=5).sum() == 0
    mask[25:] = 1  # five unlabelled rows between the classes: within the band they still face each other
    counts = histograms(tissue(np.full((40, 40), 0.5)), mask, 2, band_px=8)
    np.testing.assert_array_equal(counts.sum(axis=2), np.full((2, 2), 3 * 40))


def test_overlap_closed_forms():
    p = np.array([0.0, 3, 1])
    assert overlap(p, 5 * p) == pytest.approx(1)
    assert overlap(np.array([1.0, 0]), np.array([0, 2.0])) == pytest.approx(0)
    assert np.isnan(overlap(p, np.zeros(3)))
    # Jensen-Shannon divergence of (1, 0) and (1/2, 1/2) is 0.311278 bits
    assert overlap(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(1 - np.sqrt(0.311278), abs=1e-6)


@given(arrays(float, (2, 6), elements=st.floats(0, 9)))
def test_overlap_is_symmetric_and_bounded(pair):
    value = overlap(pair[0], pair[1])
    if np.isfinite(value):
        assert -1e-9 <= value <= 1 + 1e-9
        assert value == pytest.approx(float(overlap(pair[1], pair[0])))


def test_blurring_a_border_raises_its_ambiguity_and_nothing_else():
    y, x = np.mgrid[:200, :200]
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[(y - 60) ** 2 + (x - 60) ** 2 < 900] = 1
    mask[(y - 140) ** 2 + (x - 140) ** 2 < 900] = 2
    stain = np.where(mask > 0, 1.0, 0.3)
    values = []
    for sigma in (0, 2, 4, 8):
        blurred = np.where(x + y < 200, gaussian_filter(stain, sigma) if sigma else stain, stain)  # around class 1 only
        counts = histograms(tissue(blurred), mask, 3, band_px=6)
        values.append(overlap(counts[0].astype(float), counts[1].astype(float)))
    of_one, of_two = np.array(values)[:, 1], np.array(values)[:, 2]
    assert (np.diff(of_one) > 0.02).all()
    np.testing.assert_allclose(of_two, of_two[0], atol=1e-3)


def test_marginals_keep_all_pixels():
    joint = np.random.default_rng(0).integers(0, 9, (2, 3, STAIN_BINS))
    for stain in ("haematoxylin", "eosin"):
        np.testing.assert_array_equal(marginal(joint, stain).sum(axis=-1), joint.sum(axis=-1))


def test_histograms_survive_quarter_turns_and_relabelling():
    rng = np.random.default_rng(1)
    mask = (gaussian_filter(rng.normal(size=(60, 60)), 5) > 0).astype(np.uint8)
    image = tissue(0.3 + 0.5 * mask)
    counts = histograms(image, mask, 2, 4)
    np.testing.assert_array_equal(counts, histograms(np.rot90(image), np.rot90(mask), 2, 4))
    np.testing.assert_array_equal(counts[:, ::-1], histograms(image, 1 - mask, 2, 4))
    for other in (3, 12, 40, 63, 64, 129):  # flags of 8 to 64 bits, and more than one set of them
        many = histograms(image, mask * np.uint8(other), 130, 4)
        np.testing.assert_array_equal(many[:, [0, other]], counts)
        assert many.sum() == counts.sum()


# morphology


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.integers(0, 3)))
def test_crofton_equals_skimage_for_touching_instances(mask):
    components = np.asarray(label(mask, connectivity=2), dtype=np.int32)
    found = crofton_perimeters(components, components.max() + 1)
    for number in range(1, components.max() + 1):
        assert found[number] == pytest.approx(perimeter_crofton(components == number, directions=4))


def test_features_equal_skimage_and_closed_forms():
    components = disks([8, 12, 16, 20, 24, 28])
    components[300:330, 200:260] = 7  # a rectangle
    found = shapes_of(components.astype(np.uint8))
    for region, row in zip(regionprops(components), found.itertuples(), strict=True):
        assert row.area_px == region.area
        assert row.eccentricity == pytest.approx(region.eccentricity, abs=1e-3)  # skimage: pixels are points
        assert row.solidity == pytest.approx(region.solidity, abs=0.06)  # skimage counts pixels of the hull
    of_disks, rectangle = found.iloc[:6], found.iloc[6]
    assert (of_disks["eccentricity"] < 0.02).all()
    assert of_disks["compactness"].iloc[-1] == pytest.approx(1, abs=0.02)
    assert rectangle["solidity"] == 1
    assert rectangle["eccentricity"] == pytest.approx(np.sqrt(1 - (30 / 60) ** 2), abs=1e-12)
    assert rectangle["compactness"] == pytest.approx(4 * np.pi * 1800 / 180**2, rel=0.15)  # Crofton, 4 directions


def test_cut_and_tiny_instances_are_left_out():
    components = disks([20, 20, 20, 20])
    components[:5, 100:140] = 5  # touches the edge of the image
    components[390, 200:210] = 6  # 10 px
    mask = (components * 10).astype(np.uint8)
    mask[60, 60 + 21] = UNLABELLED  # next to disk 1
    mask[60 + 21, 140 + 21] = UNLABELLED  # not next to disk 2
    assert list(shapes_of(mask)["class_id"]) == [20, 30, 40]
    assert shapes_of(np.zeros((9, 9), dtype=np.uint8)).empty
    assert shapes_of(np.full((9, 9), UNLABELLED, dtype=np.uint8)).empty


def test_shape_survives_translation_and_quarter_turns():
    rng = np.random.default_rng(2)
    blob = np.pad(gaussian_filter(rng.normal(size=(60, 60)), 4) > 0, 20)
    one = shapes_of(blob.astype(np.uint8))
    for moved in (np.roll(blob, (3, -5), (0, 1)), np.rot90(blob)):
        other = shapes_of(moved.astype(np.uint8))
        for name in STANDARDISED:
            np.testing.assert_allclose(np.sort(one[name]), np.sort(other[name]), atol=1e-9)


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 3)), min_size=1, max_size=12).filter(
        lambda rows: any(weight for _, weight in rows)
    )
)
def test_weights_equal_copies(rows):
    values, weights = np.array(sorted(rows), dtype=float).T
    copies = np.repeat(values, weights.astype(int))
    quartiles = weighted_quantiles(values, weights[None], (0.25, 0.5, 0.75))[:, 0]
    np.testing.assert_allclose(quartiles, np.quantile(copies, (0.25, 0.5, 0.75), method="averaged_inverted_cdf"))


def test_no_weight_is_missing():
    assert np.isnan(weighted_quantiles(np.arange(3.0), np.zeros((1, 3)), (0.5,))).all()


# together


def found_in(masks, images=None, mpp=0.5, n_classes=3) -> Survey:
    """Survey masks that need no data set, each its own group."""
    scale = Scale(mpp, band_um=4 * mpp)
    sums, instances = ClassSums.zeros(len(masks), n_classes), []
    for i, mask in enumerate(masks):
        image = tissue(0.2 + 0.2 * (mask % 9)) if images is None else images[i]
        part = summarise_image(image, mask, n_classes, scale, str(i))
        sums.add(i, part.sums)
        instances.append(part.instances.assign(unit=i))
    return Survey(
        unit_of={str(i): i for i in range(len(masks))},
        in_fold=np.ones((1, len(masks)), dtype=bool),
        n_groups=np.ones(len(masks), dtype=np.int64),
        group_presence=sums.images,
        sums=sums,
        instances=pd.concat(instances, ignore_index=True),
        scale=scale,
    )


def values_of(found: Survey, names=("a", "b", "c")) -> Any:
    return measure_table(found, names, resamples=200, seed=0).set_index(["measure", "class"])


def test_the_survey_equals_the_plain_loop_of_the_benchmark():
    mask = (
        gaussian_filter(np.random.default_rng(4).normal(size=(4, 150, 170)), (0, 4, 4)).argmax(axis=0).astype(np.uint8)
    )
    mask[30:50, 60:90] = UNLABELLED
    image = tissue(0.2 + 0.2 * (mask % 9))
    scale = Scale(0.5, 2.0)
    found, plain = summarise_image(image, mask, 5, scale, "one"), plain_loop(image, mask, 5, scale)
    assert largest_difference(plain, found) < 1e-9
    assert len(found.instances) > 5
    assert list(plain) == [0, 1, 2, 3]


def test_one_primary_measure_per_construct():
    table = values_of(found_in([disks([9] * 12).clip(0, 1).astype(np.uint8)] * 3)).reset_index()
    primary = table[table["primary"]].groupby("construct")["measure"].unique()
    assert {construct: list(names) for construct, names in primary.items()} == {
        construct: [PRIMARY_MEASURES[construct]] for construct in PRIMARY_MEASURES
    }


def test_a_plan_may_name_every_measure_of_its_construct_and_no_other():
    table = values_of(found_in([disks([9] * 12).clip(0, 1).astype(np.uint8)] * 3)).reset_index()
    measured = {construct: set(names) for construct, names in table.groupby("construct")["measure"]}
    for construct, names in MEASURES.items():
        assert set(names) == measured[construct]


def test_a_plan_chooses_the_primary_measure():
    found = found_in([disks([9] * 12).clip(0, 1).astype(np.uint8)] * 3)
    chosen = PRIMARY_MEASURES | {"context": "rival_stain_overlap"}
    table = measure_table(found, ("a", "b", "c"), resamples=2, seed=0, primary=chosen)
    assert set(table[table["primary"]]["measure"]) == set(chosen.values())


def test_variable_shapes_disperse_more_and_frequency_counts_pixels():
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(4):
        alike, varied = disks(rng.uniform(14, 16, 8)), disks(rng.uniform(5, 30, 16))
        mask = np.where(varied > 8, 2, np.where(alike > 0, 1, 0)).astype(np.uint8)
        masks.append(mask)
    table = values_of(found_in(masks))
    assert table.loc[("shape_dispersion", "c"), "value"] > 2 * table.loc[("shape_dispersion", "b"), "value"]
    share = np.mean([(mask == 2).mean() for mask in masks])
    assert table.loc[("pixel_share", "c"), "value"] == pytest.approx(share)
    known = table.dropna(subset=["value"])
    assert (known["low"] <= known["high"]).all()
    assert table.loc[("components_per_image", "b"), "value"] == 8


def test_absent_class_is_missing_with_n_zero():
    table = values_of(found_in([disks([9] * 12).clip(0, 1).astype(np.uint8)] * 3)).loc[(slice(None), "c"), :]
    assert table["value"].isna().all()
    assert (table["n"] == 0).all()


def test_survey_decodes_each_training_image_once_and_merges_classes(tmp_path, monkeypatch):
    root = write_synthetic_study(tmp_path / "study", methods=("dfa",), seeds=1)
    dataset = PreparedDataset.open(root / "dataset")
    Image.fromarray(dataset.read_mask("train_000") % 3).save(dataset.mask_path("train_000"))  # without the rare classes
    read, original = [], PreparedDataset.read_image
    monkeypatch.setattr(PreparedDataset, "read_image", lambda self, i: (read.append(i), original(self, i))[1])
    train = [f"train_{n:03d}" for n in range(10)]
    taxonomy = Taxonomy(dataset.info, {"rare": ["necrosis", "vessel"]}, ["stroma"])
    found = survey(dataset, taxonomy, [train[:6], train[3:]], band_um=2.0)
    assert sorted(read) == train
    assert found.scale.band_px == 4.0
    assert found.sums.pixels.shape == (10, 3)
    masks = [taxonomy.apply(dataset.read_mask(image_id)) for image_id in train]
    np.testing.assert_array_equal(found.sums.pixels, [[(mask == c).sum() for c in range(3)] for mask in masks])
    np.testing.assert_array_equal(found.sums.images, found.sums.pixels > 0)
    assert list(found.sums.images[:2, 2]) == [0, 1]
    np.testing.assert_array_equal(found.in_fold, [[n < 6 for n in range(10)], [n >= 3 for n in range(10)]])
    table = measure_table(found, taxonomy.names, resamples=50, seed=0)
    share = [
        sum((m == 0).sum() for m in part) / sum((m != UNLABELLED).sum() for m in part)
        for part in (masks[:6], masks[3:])
    ]
    value = table.query("measure == 'pixel_share' and class_id == 0")["value"].iloc[0]
    assert value == pytest.approx(np.mean(share))


def test_merging_an_unknown_class_is_refused(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=("dfa",), seeds=1)
    with pytest.raises(UserError, match="necrosys"):
        Taxonomy(PreparedDataset.open(root / "dataset").info, {"rare": ["necrosys"]})
