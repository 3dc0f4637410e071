"""Metrics and their aggregates; oracle: loops over Python integers, and the definitions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.scoring.metrics import AGGREGATIONS, METRICS, Metric, mean_over_occurring, score
from analysis.scoring.units import (
    Ratios,
    UnitCounts,
    complete_block,
    crossed_scores,
    effective_units,
    ratios,
    scores_by_seed,
    without_each,
)

COUNT = st.integers(0, 10**9)


def counts_of(
    seeds: int = 2, images: int = 6, classes: int = 3, groups: int = 3, unit: str = "group", rng_seed: int = 0
) -> UnitCounts:
    rng = np.random.default_rng(rng_seed)
    counts = rng.integers(0, 50, size=(3, seeds, images, classes))
    truth = rng.integers(0, 2, size=(images, classes)) * rng.integers(1, 60, size=(images, classes))
    truth[0] = 40  # every class occurs somewhere
    counts[0] = rng.integers(0, truth[None] + 1, size=(seeds, images, classes))
    counts[2] = truth - counts[0]  # the truth is the same for all seeds
    group = np.sort(np.arange(images) % groups)
    names = tuple(f"image{i}" for i in range(images))
    units = tuple(f"group{g}" for g in range(groups)) if unit == "group" else names
    return UnitCounts(tuple(range(seeds)), units, names, group if unit == "group" else np.arange(images), group, counts)


def naive(counts: UnitCounts, seed: int, metric: Metric, aggregation: str, c: int) -> float:
    members: dict[int, list[int]] = {}
    for image in range(len(counts.images)):
        key = {"pooled": 0, "per_image": image, "per_group": int(counts.group_of_image[image])}[aggregation]
        total = members.setdefault(key, [0, 0, 0])
        for kind in range(3):
            total[kind] += int(counts.counts[kind, seed, image, c])
    values = []
    for tp, fp, fn in members.values():
        if tp + fn:
            above, below = {
                "dice": (2 * tp, 2 * tp + fp + fn),
                "iou": (tp, tp + fp + fn),
                "recall": (tp, tp + fn),
                "precision": (tp, tp + fp),
            }[metric]
            values.append(above / below if below else 0.0)
    return sum(values) / len(values)


@pytest.mark.parametrize("unit", ["group", "image"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_every_aggregate_equals_the_loop(metric, aggregation, unit):
    counts = counts_of(unit=unit)
    found = scores_by_seed(ratios(counts, metric, aggregation))
    for seed in range(2):
        expected = [naive(counts, seed, metric, aggregation, c) for c in range(3)]
        np.testing.assert_allclose(found[seed], np.array([*expected, np.mean(expected)]), rtol=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_perfect_prediction_scores_one_and_absent_class_nothing(metric, aggregation):
    counts = counts_of()
    perfect = counts.counts.copy()
    perfect[0] += perfect[2]
    perfect[1:] = 0
    perfect[0, :, :, 1] = 0  # class 1 occurs nowhere
    found = scores_by_seed(ratios(replace(counts, counts=perfect), metric, aggregation))
    np.testing.assert_array_equal(found, [[1, np.nan, 1, 1]] * 2)


@given(tp=COUNT, fp=COUNT, fn=COUNT)
def test_scores_are_bounded_and_consistent(tp, fp, fn):
    values = {metric: float(score(metric, *(np.array(each) for each in (tp, fp, fn)))) for metric in METRICS}
    if tp + fn == 0:
        assert np.isnan(list(values.values())).all()
        return
    assert all(0 <= value <= 1 for value in values.values())
    assert values["dice"] == pytest.approx(2 * values["iou"] / (1 + values["iou"]), rel=1e-9)
    assert values["iou"] <= min(values["recall"], values["precision"] if tp + fp else 1) + 1e-12


def test_absent_class_is_missing_whatever_was_predicted():
    assert np.isnan(score("dice", np.array(0), np.array(0), np.array(0)))
    assert np.isnan(score("dice", np.array(0), np.array(7), np.array(0)))
    assert score("precision", np.array(0), np.array(0), np.array(5)) == 0


def test_mean_over_occurring_leaves_out_the_missing():
    values = np.array([[1.0, np.nan, 0.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_over_occurring(values), [0.5, np.nan])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_weights_equal_copies_of_units(aggregation):
    counts = counts_of(groups=3)
    parts = ratios(counts, "dice", aggregation)
    weights = np.array([[2.0, 0.0, 1.0]])
    rows = np.concatenate([np.flatnonzero(counts.unit_of_image == u) for u in (0, 0, 2)])
    unit = np.repeat([0, 1, 2], [int((counts.unit_of_image == u).sum()) for u in (0, 0, 2)])
    copied = UnitCounts(
        counts.seeds, ("a", "b", "c"), tuple(map(str, range(len(rows)))), unit, unit, counts.counts[:, :, rows]
    )
    expected = scores_by_seed(ratios(copied, "dice", aggregation)).mean(axis=0)
    np.testing.assert_allclose(crossed_scores(parts, weights, np.ones((1, 2)))[0, :3], expected[:3], rtol=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("unit", ["group", "image"])
def test_leave_one_out_equals_zero_weights(unit, aggregation):
    parts = ratios(counts_of(unit=unit), "dice", aggregation)
    units = parts.occurs.shape[0]
    expected = crossed_scores(parts, 1 - np.eye(units), np.ones((units, 2)))[:, :-1]
    np.testing.assert_allclose(without_each(parts).mean(axis=0), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], ((), ())),
        ([(0, 0), (0, 1)], ((0,), (0, 1))),
        ([(0, 0), (1, 0), (0, 1), (0, 2)], ((0, 1), (0,))),  # fewer runs than one fold with three seeds, but all images
        ([(f, s) for s in range(3) for f in range(4) if f != s], ((1, 2, 3), (0,))),  # no seed has all four
        ([(0, 0), (1, 0), (1, 1), (2, 1), (1, 2), (2, 2)], ((1, 2), (1, 2))),
        ([(f, s) for f in range(3) for s in range(2)], ((0, 1, 2), (0, 1))),
    ],
)
def test_complete_block_has_most_folds_then_most_seeds(pairs, expected):
    assert complete_block(pairs) == expected


def test_units_of_unequal_weight_count_as_fewer():
    below = np.array([[[1.0, 3, 0, 0], [1, 1, 0, 5], [1, 0, 0, 0]]])  # the third class is never predicted, but occurs
    occurs = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]])
    found = effective_units(Ratios(np.zeros((1, 3, 4)), below, occurs))
    assert found[:3] == pytest.approx([3, 16 / 10, 2])  # Kish: (3 + 1)^2 / (3^2 + 1^2)
    assert np.isnan(found[3])  # does not occur
    shares = np.array([1 / 3 + 3 / 4 + 1 / 2, 1 / 3 + 1 / 4 + 1 / 2, 1 / 3]) / 3
    assert found[4] == pytest.approx(1 / np.sum(shares**2))
    alone = effective_units(Ratios(np.ones((2, 1, 1)), np.ones((2, 1, 1)), np.ones((1, 1))))
    assert list(alone) == [1, 1]
