"""Nearest borders, profiles, adjacency, feature overlap, the control's measures. Oracles: closed forms, plain loops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy import integrate, ndimage
from scipy.ndimage import gaussian_filter

from analysis.geometry.nearest_border import border_lengths, edge_sums, pixels_near_borders
from analysis.measures.construct import ByRow
from analysis.measures.context import border_shares
from analysis.measures.control_runs import first_steps, vote_entropy
from analysis.measures.estimates import adjacency_table, border_profile_table, measure_table
from analysis.measures.feature_space import (
    Gaussians,
    bhattacharyya,
    class_overlaps,
    shrunk,
    silhouettes,
    sum_features,
)
from analysis.measures.scale import Scale
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey, summarise_image
from imbalance_bench.data.taxonomy import UNLABELLED

stats: Any = scipy.stats  # their return types are not declared
distance_transform_edt: Any = ndimage.distance_transform_edt

NAMES = ("a", "b", "c")
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def paint(haematoxylin: np.ndarray) -> np.ndarray:
    """Paint a map of haematoxylin on constant eosin."""
    densities = np.stack([haematoxylin, np.full_like(haematoxylin, 0.3)], -1)
    return np.clip(255 * np.exp(-densities @ STAINS), 0, 255).round().astype(np.uint8)


def surveyed(pairs, mpp: float | None = 0.5, k: int = 3) -> Survey:
    """Survey (image, mask) pairs, each a group of its own."""
    scale, sums, parts = Scale(mpp, 2.0), ClassSums.zeros(len(pairs), k), []
    for unit, (image, mask) in enumerate(pairs):
        summary = summarise_image(image, mask, k, scale, str(unit))
        sums.add(unit, summary.sums)
        parts.append(summary.instances.assign(unit=unit))
    ones = np.ones(len(pairs), np.int64)
    unit_of = {str(unit): unit for unit in range(len(pairs))}
    instances = pd.concat(parts, ignore_index=True)
    return Survey(unit_of, np.ones((1, len(pairs)), bool), ones, sums.images, sums, instances, scale)


def stripes() -> np.ndarray:
    """Draw three vertical stripes of classes 0, 1, 2; below, an unlabelled strip."""
    mask = np.repeat(np.array([0, 1, 2], np.uint8), 20)[None].repeat(40, axis=0)
    mask[36:] = UNLABELLED
    return mask


def test_nearest_borders_of_a_half_plane():
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[:, 15:] = 1
    near = pixels_near_borders(mask, 6)
    depth = np.full(mask.shape, np.nan)
    depth.ravel()[near.index] = near.depth_px
    expected = np.abs(np.arange(40) - 14.5)
    np.testing.assert_array_equal(depth, np.where(expected <= 6, expected, np.nan)[None].repeat(30, axis=0))
    np.testing.assert_array_equal(near.other, 1 - near.own)


def test_nearest_borders_equal_the_distance_transform():
    fields = gaussian_filter(np.random.default_rng(0).normal(size=(3, 80, 80)), (0, 6, 6))
    mask = fields.argmax(axis=0).astype(np.uint8)
    near = pixels_near_borders(mask, 9)
    for c in range(3):
        to_others = distance_transform_edt(mask == c).ravel()
        own = near.own == c
        beyond = to_others[near.index[own]] - near.depth_px[own]  # from the border to the centre of the pixel beyond
        assert (beyond <= 0.5 + 1e-9).all()
        assert (beyond >= -0.5).all()
        assert beyond.mean() == pytest.approx(0.4, abs=0.1)


def test_unlabelled_areas_and_image_edges_are_not_borders():
    mask = np.full((20, 20), UNLABELLED, dtype=np.uint8)
    mask[:8], mask[12:] = 0, 1
    assert not len(pixels_near_borders(mask, 9).index)
    assert border_lengths(mask, 2).sum() == 0


def test_border_lengths_and_shares_of_stripes():
    mask = stripes()
    lengths = border_lengths(mask, 3)
    np.testing.assert_array_equal(lengths, [[0, 36, 0], [36, 0, 36], [0, 36, 0]])
    np.testing.assert_array_equal(lengths, border_lengths(np.rot90(mask), 3))
    shares = border_shares(np.ones((1, 1)), surveyed([(paint(np.full(mask.shape, 0.5)), mask)]))[0]
    np.testing.assert_allclose(shares, [[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]])


def test_the_profile_shows_the_step_at_its_place_and_height():
    mask = np.zeros((80, 120), dtype=np.uint8)
    mask[:, 60:] = 1
    low, high = paint(np.full((80, 120), 0.3)), paint(np.full((80, 120), 0.9))
    found = surveyed([(np.where(mask[..., None] == 1, high, low), mask)] * 2, k=2)
    profile = border_profile_table(found, NAMES[:2], resamples=20, seed=0)
    own = profile[(profile["class"] == "b") & (profile["stain"] == "haematoxylin")].sort_values("distance")
    assert list(own["distance"]) == [each + 0.5 for each in range(-10, 10)]  # um
    outside, inside = own[own["distance"] < 0]["value"], own[own["distance"] > 0]["value"]
    assert outside.nunique() == inside.nunique() == 1
    assert inside.iloc[0] - outside.iloc[0] == pytest.approx(0.6, abs=0.05)
    assert (own["n"] == 2 * 80 * 2).all()  # two columns of 0.5 um per step, in two images


def test_edge_sums_equal_a_plain_loop():
    mask = gaussian_filter(np.random.default_rng(1).normal(size=(3, 60, 60)), (0, 5, 5)).argmax(axis=0).astype(np.uint8)
    mask[:6, :20] = UNLABELLED
    stains = np.random.default_rng(2).random((60, 60, 2))
    near = pixels_near_borders(mask, 12)
    found = edge_sums(mask, near, stains, 3, sigma_px=2, band_px=3)
    depth, other = np.full(mask.shape, np.inf), np.full(mask.shape, UNLABELLED)
    depth.ravel()[near.index], other.ravel()[near.index] = near.depth_px, near.other
    for stain in (0, 1):
        smooth = gaussian_filter(stains[..., stain], 2, truncate=3)
        down, right = (np.asarray(np.gradient(smooth, axis=axis)) for axis in (0, 1))
        down[[0, -1]], right[:, [0, -1]] = 0, 0  # no neighbour on one side
        slope = np.hypot(down, right)
        for c in range(3):
            at_border = ((mask == c) | (other == c)) & (depth <= 2)
            inside = (mask == c) & (depth > 3.5)
            for row, area in enumerate((at_border, inside)):
                assert found[row, c, 0] == area.sum() > 0
                assert found[row, c, 1 + stain] == pytest.approx(slope[area].sum())


def test_scale_once_micrometres_are_used():
    rng = np.random.default_rng(0)
    mask = (gaussian_filter(rng.normal(size=(120, 120)), 7) > 0.02).astype(np.uint8)
    image = paint(0.3 + 0.5 * gaussian_filter(mask.astype(float), 1.5))
    finer = [np.kron(each, np.ones((2, 2) + (1,) * (each.ndim - 2), np.uint8)) for each in (image, mask)]
    one, two = (
        measure_table(found, NAMES[:2], resamples=10, seed=0).set_index(["measure", "class"])["value"]
        for found in (surveyed([(image, mask)] * 2, 0.5, 2), surveyed([tuple(finer)] * 2, 0.25, 2))
    )
    for measure in ("pixel_share", "median_area", "perimeter_per_area", "border_exposure", "border_stain_overlap"):
        np.testing.assert_allclose(two[measure], one[measure], rtol=0.06, err_msg=measure)
    assert two["edge_strength"].rank().tolist() == one["edge_strength"].rank().tolist()


def scene(blur: float, mixed: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw disks of b and c in a; the border of b is blurred, the interior of b takes grains of the stain of c."""
    y, x = np.mgrid[:240, :240]
    mask = np.zeros((240, 240), np.uint8)
    for cy in (50, 130, 200):
        mask[(y - cy) ** 2 + (x - 60) ** 2 < 30**2] = 1
        mask[(y - cy) ** 2 + (x - 180) ** 2 < 30**2] = 2
    rng = np.random.default_rng(3)
    level = np.choose(mask, [0.3, 0.7, 1.1]) + rng.normal(0, 0.03, mask.shape)
    deep = distance_transform_edt(mask == 1) > 8  # the rim stays pure: borders must not move with context
    level = np.where(deep & (rng.random(mask.shape) < mixed), 1.1, level)
    if blur:
        left = x < 120
        smooth = gaussian_filter(np.choose(mask, [0.3, 0.7, 1.1]), blur) + rng.normal(0, 0.03, mask.shape)
        level = np.where(
            left & (np.abs(distance_transform_edt(mask == 1) - distance_transform_edt(mask != 1)) < 8), smooth, level
        )
    return paint(level), mask


def measured(**planted) -> Any:
    values = measure_table(surveyed([scene(**planted)] * 2), NAMES, resamples=5, seed=0)
    return values.pivot(index="measure", columns="class", values="value")


def test_blurring_raises_boundary_ambiguity_only_and_mixing_raises_context_only():
    base, blurred, more = (measured(blur=blur, mixed=0.0) for blur in (0.0, 2.0, 5.0))
    border, rival = ("border_stain_overlap", "b"), ("rival_stain_overlap", "b")
    assert base.loc[border] < blurred.loc[border] < more.loc[border]
    assert base.loc[("edge_strength", "b")] > blurred.loc[("edge_strength", "b")] > more.loc[("edge_strength", "b")]
    mixed, much = (measured(blur=0.0, mixed=share) for share in (0.25, 0.5))
    assert base.loc[rival] < mixed.loc[rival] < much.loc[rival]
    assert much.loc[border] == pytest.approx(base.loc[border], abs=0.02)
    untouched = ["pixel_share", "shape_dispersion", "median_area", "fourier_variance", "fractal_dimension"]
    for other in (more, much):
        pd.testing.assert_frame_equal(other.loc[untouched], base.loc[untouched])
    for measure in ("border_stain_overlap", "edge_strength"):
        assert more.loc[measure, "c"] == pytest.approx(base.loc[measure, "c"], rel=0.02)


def test_a_class_alone_has_no_rival_no_border_and_absent_classes_have_n_zero():
    mask = np.zeros((40, 40), np.uint8)
    found = surveyed([(paint(np.full((40, 40), 0.4)), mask)] * 2)
    table = measure_table(found, NAMES, resamples=10, seed=0)
    absent = table[table["class"] != "a"]
    assert absent["value"].isna().all()
    assert (absent["n"] == 0).all()
    lonely = table[table["class"] == "a"].set_index("measure")["value"]
    assert lonely[["rival_stain_overlap", "adjacency_entropy", "border_stain_overlap", "edge_strength"]].isna().all()
    assert not adjacency_table(found, NAMES, resamples=10, seed=0)["nearest_rival"].any()


def test_stain_overlap_of_pairs_is_symmetric_and_relabels():
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (60, 60)).astype(np.uint8)
    image = paint(0.3 + 0.1 * mask + rng.normal(0, 0.05, mask.shape))
    one = surveyed([(image, mask)]).stain_overlaps(np.ones((1, 1)))[0]
    two = surveyed([(image, np.array([2, 0, 1], np.uint8)[mask])]).stain_overlaps(np.ones((1, 1)))[0]
    np.testing.assert_allclose(one, one.T)
    np.testing.assert_allclose(two[np.ix_([2, 0, 1], [2, 0, 1])], one)
    assert one[0, 1] > one[0, 2]


# features


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Gaussians:
    """Return one Gaussian."""
    return Gaussians.of(mean, covariance, np.array(True))


def test_bhattacharyya_equals_quadrature():
    means, deviations = np.array([[0.3], [1.9]]), np.array([0.8, 1.7])
    one, two = (stats.norm(mean[0], deviation) for mean, deviation in zip(means, deviations, strict=True))
    oracle = integrate.quad(lambda x: np.sqrt(one.pdf(x) * two.pdf(x)), -20, 20)[0]
    found = bhattacharyya(
        *(gaussian(mean, np.array([[each**2]])) for mean, each in zip(means, deviations, strict=True))
    )
    assert float(found) == pytest.approx(oracle, abs=1e-9)
    same = np.array([[2.0, 0.3], [0.3, 1.0]])
    assert float(bhattacharyya(gaussian(np.ones(2), same), gaussian(np.ones(2), same))) == pytest.approx(1)
    nothing = Gaussians.of(np.ones((1, 2)), same[None], np.array([False]))
    assert np.isnan(bhattacharyya(nothing, nothing)).all()


def ledoit_wolf(x: np.ndarray) -> float:
    """Write out the intensity of Ledoit and Wolf 2004 in a loop."""
    x = x - x.mean(axis=0)
    n, d = x.shape
    sample = x.T @ x / n
    target = np.trace(sample) / d * np.eye(d)
    error = sum(((np.outer(row, row) - sample) ** 2).sum() for row in x) / n**2
    return min(1.0, error / ((sample - target) ** 2).sum())


def features_of(rng, shift: float, n: int = 120, c: int = 12) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Draw two classes `shift` apart, in four units."""
    draws = [(unit, np.repeat([0, 1], n), rng.normal(size=(2 * n, c))) for unit in range(4)]
    for _, classes, values in draws:
        values[classes == 1, 0] += shift
    return draws


def test_feature_overlap_falls_with_distance_and_equals_a_plain_fit():
    overlaps = []
    for shift in (0.0, 2.0, 6.0):
        draws = features_of(np.random.default_rng(1), shift)
        sums = sum_features("encoder", lambda draws=draws: iter(draws), n_units=4, n_classes=3)
        found = class_overlaps(np.ones((1, 4)), sums)[0]
        assert np.isnan(found[2]).all()
        classes, values = (np.concatenate([each[part] for each in draws]) for part in (1, 2))
        parts = [values[classes == c] for c in (0, 1)]
        total = np.mean([part.T @ part / len(part) for part in parts], axis=0)
        middle = np.mean([part.mean(axis=0) for part in parts], axis=0)
        scaled = values / np.sqrt(np.diag(total - np.outer(middle, middle)))
        fits = [scaled[classes == c] for c in (0, 1)]
        shrinkage = [ledoit_wolf(each) for each in fits]
        np.testing.assert_allclose(sums.samples[0][0].shrinkage[:2], shrinkage, rtol=1e-9)
        covariances = [
            shrunk(np.cov(each.T, bias=True), np.array(share)) for each, share in zip(fits, shrinkage, strict=True)
        ]
        oracle = bhattacharyya(
            *(gaussian(each.mean(axis=0), covariance) for each, covariance in zip(fits, covariances, strict=True))
        )
        assert found[0, 1] == pytest.approx(float(oracle), rel=1e-9)
        overlaps.append(found[0, 1])
    assert overlaps[0] > 0.95
    assert overlaps[0] > overlaps[1] > overlaps[2]


def test_resampling_units_equals_copying_them():
    draws = features_of(np.random.default_rng(2), 1.0)
    weights = np.array([[0.0, 2.0, 1.0, 1.0]])
    one = sum_features("encoder", lambda: iter(draws), n_units=4, n_classes=2).samples[0][0]
    summed = [np.tensordot(weights[0], each, 1)[None] for each in (one.first, one.second, one.count)]
    copied = replace(one, count=summed[2], first=summed[0], second=summed[1])
    assert one.overlaps(weights)[0, 0, 1] == pytest.approx(copied.overlaps(np.ones((1, 1)))[0, 0, 1])
    assert summed[2].sum() == sum(len(draws[unit][1]) for unit in (1, 1, 2, 3))


def test_silhouettes_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    values, classes = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    classes[classes == 2] = 1
    classes[0] = 2  # alone in its class
    found = silhouettes(values, classes)
    assert np.isnan(found[0])
    for i in range(1, 40):
        far = {
            c: [np.linalg.norm(values[i] - values[j]) for j in range(40) if classes[j] == c and j != i]
            for c in range(3)
        }
        inside = np.mean(far.pop(classes[i]))
        outside = min(np.mean(each) for each in far.values())
        assert found[i] == pytest.approx((outside - inside) / max(inside, outside))


# the control's runs


def test_time_to_learn_is_censored_and_absent_classes_are_missing():
    counts = {0: [(0, 5, 10), (9, 1, 1)], 1: [(0, 5, 10), (1, 5, 9)], 2: [(0, 3, 0), (0, 1, 0)]}  # tp, fp, fn
    rows = [
        [0, step, "val", quantity, c, value]
        for c, by_step in counts.items()
        for step, triple in zip((100, 200), by_step, strict=True)
        for quantity, value in zip(("tp", "fp", "fn"), triple, strict=True)
    ]
    epochs = pd.DataFrame(rows, columns=["stage", "step", "split", "quantity", "class_id", "value"])
    steps, last = first_steps(epochs, 4, 0.5)
    np.testing.assert_array_equal(steps, [200, np.inf, np.nan, np.nan])
    assert last == 200


def test_vote_entropy():
    votes = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 2], [0, 0, 3]])
    np.testing.assert_allclose(vote_entropy(votes, 4), [0, 1, 2])


def test_rows_of_weights_are_computed_once_whatever_the_block_they_are_asked_in():
    computed = []

    def evaluate(w: np.ndarray) -> np.ndarray:
        computed.append(len(w))
        return w.sum(axis=1)

    of_rows, weights = ByRow(evaluate, 3), np.arange(14.0).reshape(7, 2)
    first = of_rows(weights)
    np.testing.assert_array_equal(first, weights.sum(axis=1))
    first[:] = 0  # of the caller, not of what is kept
    np.testing.assert_array_equal(of_rows(weights[:6]), weights[:6].sum(axis=1))
    np.testing.assert_array_equal(of_rows(weights[1:3]), weights[1:3].sum(axis=1))
    assert computed == [3, 3, 1, 2]
