"""Measures that do not know how many there are. Oracles: enumeration, loops over pairs, scikit-learn, simulation."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from analysis.geometry.instances import FEATURES, instance_shapes, whole_instances, whole_weights
from analysis.geometry.runs import find_runs
from analysis.measures.estimates import measure_table
from analysis.measures.feature_space import sum_features
from analysis.measures.morphology import morphology_measures
from analysis.measures.rarefaction import rarefied_indices
from analysis.measures.scale import Scale
from analysis.measures.stains import STAIN_BINS, corrected_overlap, overlap
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey
from analysis.statistics.pair_differences import NORMAL_SD, PairDifferences
from benchmarks.measure_drift import WORLDS, measure_drift

UNITS = 6


def surveyed(border: np.ndarray | None = None, instances: pd.DataFrame | None = None, k: int = 4) -> Survey:
    """Return a survey of six groups that holds what is given and nothing else."""
    sums = ClassSums.zeros(UNITS, k)
    if border is not None:
        sums.border[:] = border
    nothing = pd.DataFrame(columns=["unit", "class_id", "weight", *FEATURES])
    return Survey(
        unit_of={str(unit): unit for unit in range(UNITS)},
        in_fold=np.ones((1, UNITS), bool),
        n_groups=np.ones(UNITS, np.int64),
        group_presence=sums.images,
        sums=sums,
        instances=nothing if instances is None else instances,
        scale=Scale(0.5, 2.0),
    )


# rarefaction

THINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=80)


@settings(deadline=None)
@given(THINGS, st.integers(1, 6), st.integers(0, 99))
def test_every_class_gives_as_many_things_and_the_scarce_hold_back_no_other(things, fewest, seed):
    own, group, part = np.array(things).T
    tile = group * 4 + part
    found = rarefied_indices(own, [group, tile], 4, fewest=fewest, rng=np.random.default_rng(seed))
    there = np.bincount(own, minlength=4)
    lengths = {len(each) for each, n in zip(found, there, strict=True) if n >= fewest}
    assert len(lengths) <= 1
    assert all(length >= fewest for length in lengths)
    for c, places in enumerate(found):
        assert (own[places] == c).all()
        assert len(set(places.tolist())) == len(places)
        assert not len(places) or there[c] >= fewest


def test_groups_and_tiles_are_equal_where_every_class_has_enough_in_each():
    own, group, tile = (each.ravel() for each in np.mgrid[:3, :6, :5])
    tile = np.repeat(group * 5 + tile, 10)
    own, group = np.repeat(own, 10), np.repeat(group, 10)
    scarce = (own != 1) | ((group < 2) & (tile % 5 < 2))  # class 1: 2 groups, 4 tiles, 40 things
    own, group, tile = own[scarce], group[scarce], tile[scarce]
    for seed in range(20):
        found = rarefied_indices(own, [group, tile], 3, fewest=5, rng=np.random.default_rng(seed))
        assert [len(each) for each in found] == [40] * 3
        assert [len(set(group[each])) for each in found] == [2] * 3
        assert [len(set(tile[each])) for each in found] == [4] * 3
    capped = rarefied_indices(own, [group, tile], 3, fewest=5, most=9, rng=np.random.default_rng(0))
    assert [len(each) for each in capped] == [9] * 3
    assert [len(set(tile[each])) for each in capped] == [4] * 3  # every tile has its turn


# instances that an edge cuts


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 9), (7, 12), (11, 5)])
def test_weights_of_whole_instances_stand_for_every_place_of_the_image(height, width):
    shape, total = (18, 23), 0.0
    for top in range(shape[0]):
        for left in range(shape[1]):
            mask = np.zeros(shape, np.uint8)
            mask[top : top + height, left : left + width] = 1
            runs = find_runs(mask)
            whole = whole_instances(runs, np.zeros(shape, bool), 1)
            found = instance_shapes(runs, runs.image(np.where(whole, np.arange(len(whole)), 0)), whole)
            total += found.loc[found["class_id"] == 1, "weight"].sum()
    assert total == pytest.approx(shape[0] * shape[1])


def test_weights_are_trimmed():
    assert whole_weights(np.array([98]), np.array([98]), (100, 100))[0] == 10
    assert whole_weights(np.array([1]), np.array([1]), (1000, 1000))[0] == pytest.approx(1, abs=0.01)


def test_an_instance_stands_for_as_many_as_places_counted_one_by_one():
    """Miles and Lantuejoul by enumeration: of all H W places of its corner on a torus, those in which it is whole."""
    height, width = 13, 17
    for h, w in ((1, 1), (3, 5), (6, 2), (8, 9)):
        whole = sum(
            top >= 1 and left >= 1 and top + h <= height - 1 and left + w <= width - 1
            for top in range(height)
            for left in range(width)
        )
        found = whole_weights(np.array([h]), np.array([w]), (height, width))[0]
        assert found == pytest.approx(min(height * width / whole, 10))


def test_large_and_small_instances_come_out_in_their_true_numbers():
    rng = np.random.default_rng(0)
    whole, weighted = np.zeros(2), np.zeros(2)
    for _ in range(40_000):  # squares of 40 and 8 px, as many of each, thrown on a plane of which one sees 100 x 100 px
        place, large = rng.integers(-50, 150, 2), rng.integers(2)
        edge = (8, 40)[large]
        if (place >= 1).all() and (place + edge <= 99).all():
            whole[large] += 1
            weighted[large] += whole_weights(np.array([edge]), np.array([edge]), (100, 100))[0]
    assert whole[1] / whole[0] < 0.5
    assert weighted[1] / weighted[0] == pytest.approx(1, abs=0.08)


# stain overlap


def normal(middle: float, spread: float) -> np.ndarray:
    """Return a normal distribution over the joint bins."""
    bins = np.arange(24)
    parts = [np.exp(-(((bins - each) / spread) ** 2) / 2) for each in (middle, 11)]
    joint = np.outer(*parts).ravel()
    return joint / joint.sum()


@pytest.mark.parametrize("spread", [1.5, 3.0, 4.5])
def test_a_true_overlap_of_sixty_reads_sixty_from_300_pixels_on(spread):
    low, high = 0.0, 10.0
    while high - low > 1e-6:
        apart = (low + high) / 2
        plain = overlap(normal(11 - apart, spread), normal(11 + apart, spread))
        low, high = (apart, high) if plain > 0.6 else (low, apart)
    sides = normal(11 - low, spread), normal(11 + low, spread)
    rng = np.random.default_rng(0)
    for n, other in ((300, 300), (300, 3000), (1000, 1000), (3000, 3000), (30_000, 300)):
        one, two = (rng.multinomial(m, p, size=300).astype(float) for m, p in zip((n, other), sides, strict=True))
        found = corrected_overlap(one, two)
        assert 0.57 < found.mean() < 0.63
        assert 0.57 < np.median(found) < 0.63
    assert overlap(*(rng.multinomial(300, p, size=50).astype(float) for p in sides)).mean() < 0.52


def expected_divergence(totals: np.ndarray, n: int) -> float:
    """Return the mean divergence of two sides of n pixels with permuted labels, by the hypergeometric distribution."""
    found = 0.0
    for a in totals:
        for c in range(max(0, a - n), min(a, n) + 1):
            shares = [each / a for each in (c, a - c) if each]
            known = 1 + sum(x * math.log2(x) for x in shares)
            found += hypergeom.pmf(c, 2 * n, n, a) * a / (2 * n) * known
    return found


def test_what_chance_makes_is_that_of_permuted_labels():
    rng = np.random.default_rng(1)
    for n in (20, 60, 400):
        p = normal(11, 2.0)
        inside, outside = (rng.multinomial(n, p).astype(float) for _ in range(2))
        chance = expected_divergence((inside + outside).astype(int)[inside + outside > 0], n)
        divergence = (1 - overlap(inside, outside)) ** 2
        exact = 1 - np.sqrt(max(0.0, (divergence - chance) / (1 - chance)))
        assert corrected_overlap(inside, outside) == pytest.approx(exact, abs=0.02)


def test_corrected_overlap_closed_forms():
    p = np.array([0.0, 3e6, 1e6])
    assert corrected_overlap(p, 5 * p) == pytest.approx(1)
    assert corrected_overlap(np.array([9.0, 0]), np.array([0, 4.0])) == pytest.approx(0)
    assert np.isnan(corrected_overlap(p, np.zeros(3)))
    assert np.isnan(corrected_overlap(np.array([1.0, 0]), np.array([0, 1.0])))  # no bin with two pixels
    large = corrected_overlap(np.array([1e7, 0]), np.array([1e7, 1e7]))
    assert large == pytest.approx(1 - np.sqrt(0.311278), abs=1e-5)


# pairs


def test_mean_difference_equals_a_loop_over_pairs_of_different_groups():
    rng = np.random.default_rng(0)
    values, mass, group = rng.normal(size=30), rng.uniform(1, 3, 30), rng.integers(0, 5, 30)
    pairs = PairDifferences.of(np.stack([-values, values]), mass, group, 6)
    weights = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 1, 0, 3, 1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 4]], float)
    np.testing.assert_allclose(*pairs.mean(weights))  # mirrored values differ as much
    for row, found in zip(weights, pairs.mean(weights)[1], strict=True):
        alone = len({g for g in group if row[g] > 0}) < 2
        total = difference = 0.0
        for i in range(30):
            for j in range(30):
                if i != j and (alone or group[i] != group[j]):
                    both = row[group[i]] * row[group[j]] * mass[i] * mass[j]
                    total, difference = total + both, difference + both * abs(values[i] - values[j])
        assert found == pytest.approx(difference / total if total else np.nan, nan_ok=True)


def test_mean_difference_does_not_know_the_number_of_things_or_groups():
    rng = np.random.default_rng(0)
    for groups, of_each in ((2, 3), (5, 1), (20, 20)):
        group = np.repeat(np.arange(groups), of_each)
        found = []
        for _ in range(1000):
            values = rng.normal(size=groups)[group] * np.sqrt(0.5) + rng.normal(size=len(group)) * np.sqrt(0.5)
            pairs = PairDifferences.of(values[None], np.ones(len(group)), group, groups)
            found.append(NORMAL_SD * pairs.mean(np.ones((1, groups)))[0, 0])
        assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / np.sqrt(1000))


def test_fourier_variance_equals_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    unit, mass, values = rng.integers(0, UNITS, 25), rng.uniform(1, 2, 25), rng.normal(size=(25, 37))
    found = surveyed(k=1, instances=pd.DataFrame(0.0, range(25), ["weight", *FEATURES]).assign(unit=unit, class_id=0))
    for u in range(UNITS):
        own = unit == u
        found.sums.outline[u, 0, 0] = own.sum()
        weighted = mass[own, None] * np.column_stack([np.ones(own.sum()), (values[own] ** 2).sum(1), values[own]])
        found.sums.fourier[u, 0] = weighted.sum(axis=0)
    measures = morphology_measures(found)
    row = list(measures.units).index("fourier_variance")
    weights = np.array([1.0, 2, 0, 1, 3, 1])
    pairs = [(i, j) for i in range(25) for j in range(25) if unit[i] != unit[j]]
    both = np.array([mass[i] * mass[j] * weights[unit[i]] * weights[unit[j]] for i, j in pairs])
    apart = np.array([((values[i] - values[j]) ** 2).sum() / 2 for i, j in pairs])
    assert measures.evaluate(weights[None])[row, 0, 0] == pytest.approx((both * apart).sum() / both.sum())


# together


@pytest.mark.parametrize("construct", ["context", "boundary", "morphology"])
def test_primary_measures_of_equal_classes_do_not_follow_their_number(construct):
    draws = 40
    for name, (world, n) in WORLDS[construct].items():
        _, after = measure_drift(world, n, draws, name)
        assert after[3] <= 0.175, name  # 7 of 40; of a fair test of .046 more in 1 of 2000
        assert abs(after[2]) < 0.2, name
    before = [measure_drift(world, n, 20, "first")[0][2] for world, n in WORLDS[construct].values()]
    assert max(before) > 0.2  # the earlier measure follows the number in at least one of its worlds


def test_instances_that_touch_do_not_make_a_common_class_varied():
    world, n = next(iter(WORLDS["density"].values()))
    before, after = measure_drift(world, n, 4, "dense")
    assert before[0] > 2 * before[1]
    assert after[0] == pytest.approx(after[1], rel=0.3)


def test_reliability_is_high_where_classes_differ_low_where_they_do_not_and_unknown_in_one_group():
    rng = np.random.default_rng(0)

    def table(spread: np.ndarray, units: np.ndarray) -> Any:
        own = np.repeat(np.arange(4), 60)
        values = {name: np.exp(rng.normal(size=240) * spread[own]) for name in FEATURES}
        instances = pd.DataFrame(values).assign(class_id=own, weight=1.0, unit=units)
        rows = measure_table(surveyed(instances=instances), ("a", "b", "c", "d"), resamples=100, seed=0)
        return rows[rows["measure"] == "shape_dispersion"]

    everywhere = rng.integers(0, UNITS, 240)
    differ = table(np.array([0.1, 0.3, 0.6, 1.0]), everywhere)
    assert differ["reliability"].nunique() == 1
    assert differ["reliability"].iloc[0] > 0.95
    assert (differ["standard_error"] > 0).all()
    half_width = (differ["high"] - differ["low"]) / 3.92
    np.testing.assert_allclose(differ["standard_error"], half_width, rtol=0.25)
    alike = [table(np.full(4, 0.4), rng.integers(0, UNITS, 240))["reliability"].iloc[0] for _ in range(8)]
    assert np.mean(alike) < 0.5
    assert ((np.array(alike) >= 0) & (np.array(alike) <= 1)).all()
    assert table(np.array([0.1, 0.3, 0.6, 1.0]), np.zeros(240, int))["reliability"].isna().all()


def test_rarefied_measures_rest_on_equally_much_of_every_class_and_say_so():
    rng = np.random.default_rng(0)
    border = np.zeros((UNITS, 2, 4, STAIN_BINS), np.int64)
    for c, n in enumerate((5000, 700, 90, 20)):
        for unit in range(UNITS if c < 2 else 3):
            border[unit, :, c] = rng.multinomial(n, normal(11, 2.0), size=2)
    rows = measure_table(surveyed(border), ("a", "b", "c", "d"), resamples=50, seed=0).set_index(["measure", "class"])
    of_border = rows.loc["border_stain_overlap"]
    assert of_border["n"].tolist() == [60, 60, 60, 60]
    assert of_border["value"].notna().all()
    border[:, :, 3] = border[:, :, 3] // 4  # fewer than 50 pixels: not measured, and holds back no other
    rows = measure_table(surveyed(border), ("a", "b", "c", "d"), resamples=50, seed=0).set_index(["measure", "class"])
    assert rows.loc["border_stain_overlap"]["n"].tolist() == [270, 270, 270, 0]
    assert rows.loc["border_stain_overlap"]["value"].isna().tolist() == [False, False, False, True]
    assert rows.loc["border_haematoxylin_overlap"]["n"].tolist()[:3] == [30_000, 4200, 270]


def test_feature_samples_of_a_fold_are_from_its_groups_alone():
    rng = np.random.default_rng(0)
    tiles = [(unit, np.repeat([0, 1], 40), rng.normal(size=(80, 5))) for unit in range(UNITS) for _ in range(2)]
    in_fold = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], bool)
    found = sum_features("any", lambda: iter(tiles), n_units=UNITS, n_classes=2, in_fold=in_fold)
    for fold, members in enumerate(in_fold):
        for sample in found.samples[fold]:
            assert (sample.count[~members] == 0).all()
            assert (sample.count[members] == 80).all()
