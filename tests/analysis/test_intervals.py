"""Intervals. Oracles: Student's t (SciPy), the jackknife by its definition; coverage: test_calibration_benchmark.py."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis.scoring.comparisons import difference_influence
from analysis.scoring.image_rows import Folds
from analysis.scoring.influence import Influence
from analysis.scoring.units import Ratios, scores_by_seed
from analysis.statistics.corrections import holm, holm_multipliers
from analysis.statistics.intervals import (
    Uncertainty,
    fold_error,
    level_after_correction,
    multinomial_weights,
    percentile_interval,
    unit_weights,
    variance_over_units,
)

stats: Any = scipy.stats  # its return types are not declared

NORMAL = stats.norm.ppf((np.arange(15) + 0.5) / 15)


def of_mean(d, fold=None):
    """The uncertainty of the mean of (S, n) or (n,) values."""
    values = np.atleast_2d(np.asarray(d, dtype=float))
    folds = None if fold is None else Folds.of(np.arange(values.shape[1]), fold)
    return difference_influence(values[..., None]).over(folds).uncertainty(0)


def seeds_apart(values, shifts):
    """Values of seeds that differ from each other by a constant."""
    return np.asarray(values)[None] + np.asarray(shifts)[:, None]


@pytest.mark.parametrize("d", [NORMAL + 0.4, np.array([0.1, 0.3]), np.random.default_rng(0).gamma(0.5, 1, 40)])
def test_one_seed_gives_students_interval_and_p(d):
    oracle = stats.ttest_1samp(d, 0)
    assert of_mean(d).interval(0.95) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert of_mean(d).p_of_zero() == pytest.approx(max(oracle.pvalue, 1e-6), rel=1e-4)


def test_units_that_agree_leave_students_t_over_seeds():
    seeds = np.array([0.2, 0.3, 0.4])
    known, oracle = of_mean(seeds_apart(np.zeros(12), seeds)), stats.ttest_1samp(seeds, 0)
    assert known.interval(0.95) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert known.p_of_zero() == pytest.approx(oracle.pvalue, rel=1e-4)


def test_parts_add_like_standard_errors_each_with_its_own_quantile():
    shifts = np.array([-0.2, 0.0, 0.2])
    alone, both = of_mean(NORMAL).half_width(0.99), of_mean(seeds_apart(NORMAL, shifts)).half_width(0.99)
    extra = stats.t.ppf(0.995, 2) * 0.2 / np.sqrt(3)
    assert both == pytest.approx(np.hypot(alone, extra))


def test_what_unit_and_seed_do_together_counts_once():
    rng = np.random.default_rng(1)
    together = rng.normal(size=(4, 400))  # nothing else: its variance over units is that of the seeds' means
    both = variance_over_units(together / 400) / np.mean((together.mean(axis=0) / 400) ** 2) / 400
    assert both < 0.15
    units = np.broadcast_to(rng.normal(size=400), (4, 400))
    assert variance_over_units(units / 400) == pytest.approx(np.sum((units[0] / 400) ** 2))


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=12), st.integers(1, 5), st.floats(0.5, 0.9999))
def test_intervals_nest_hold_the_estimate_and_agree_with_p(values, seeds, level):
    d = np.array(values)[None] + 0.1 * np.random.default_rng(seeds).normal(size=(seeds, len(values)))
    known = of_mean(d)
    low, high = known.interval(level)
    assert low <= known.estimate <= high
    p = known.p_of_zero()
    if abs(1 - level - p) > 1e-4 * p:
        assert (low <= 0 <= high) == (1 - level < p)
    ends = [known.interval(each) for each in (0.5, 0.8, 0.95, 0.99)]
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in pairwise(ends))


@given(st.lists(st.floats(1e-5, 1), min_size=1, max_size=9))
def test_the_corrected_level_excludes_exactly_what_holm_rejects(ps):
    p = np.array(ps)
    for each, times, corrected in zip(p, holm_multipliers(p), holm(p), strict=True):
        level = level_after_correction(each, each * times, 0.05)
        if abs(corrected - 0.05) > 1e-9:
            assert (each < 1 - level) == (corrected < 0.05)


@pytest.mark.parametrize("n", [0, 1])
def test_one_unit_has_no_interval(n):
    known = of_mean(np.full(3, np.nan) if n == 0 else np.array([0.5, np.nan, np.nan]))
    assert np.isnan(known.interval(0.95)).all()
    assert np.isnan([known.p_of_zero(), known.p_of_relevance(1.0)]).all()


def test_degenerate_values():
    assert of_mean(np.zeros(8)).interval(0.95) == (0.0, 0.0)
    assert of_mean(np.zeros(8)).p_of_zero() == 1.0
    assert of_mean(np.full(8, 0.5)).p_of_zero() < 1e-5


def test_a_ratio_of_sums_has_the_bias_and_variance_of_the_jackknife():
    rng = np.random.default_rng(2)
    below = rng.lognormal(size=(1, 9, 1))
    parts = Ratios(below * rng.uniform(size=(1, 9, 1)), below, np.ones((9, 1), dtype=int))
    known = Influence.of(parts).uncertainty(0)
    estimate = float(parts.numerator.sum() / below.sum())
    without = np.array([np.delete(parts.numerator, u).sum() / np.delete(below, u).sum() for u in range(9)])
    assert known.estimate == pytest.approx(estimate)
    assert known.bias == pytest.approx(8 * (without.mean() - estimate))
    assert known.unit_error == pytest.approx(np.sqrt(8 / 9 * np.sum((without - without.mean()) ** 2)))
    assert known.degrees == pytest.approx([below.sum() ** 2 / (below**2).sum() - 1])
    low, high = known.interval(0.95)
    assert (low + high) / 2 == pytest.approx(estimate - known.bias)


def test_macro_keeps_the_quantile_of_a_class_in_few_units():
    rng = np.random.default_rng(3)
    d = rng.normal(size=(30, 2))
    d[3:, 1] = np.nan  # in three units only
    found = difference_influence(d[None])
    macro, parts = found.uncertainty(2), [found.uncertainty(c) for c in (0, 1)]
    variances = np.array([each.unit_error**2 for each in parts])
    reach = np.sqrt((variances * stats.t.ppf(0.975, [29, 2]) ** 2).sum() / variances.sum())
    assert macro.half_width(0.95) == pytest.approx(macro.unit_error * reach)
    assert macro.half_width(0.95) > 1.5 * macro.unit_error * stats.t.ppf(0.975, 29)
    assert macro.estimate == pytest.approx(scores_by_seed_mean(d))


def scores_by_seed_mean(d):
    occurs = np.isfinite(d)
    parts = Ratios(np.nan_to_num(d)[None], occurs[None].astype(float), occurs.astype(int))
    return scores_by_seed(parts)[0, -1]


def test_a_class_in_one_unit_lends_its_variance_from_the_others():
    d = np.random.default_rng(4).normal(size=(20, 3))
    d[1:, 2] = np.nan
    found = difference_influence(d[None])
    assert np.isnan(found.uncertainty(2).interval(0.95)).all()  # of its own it has none
    borrowed = np.mean([d[:, c].var(ddof=1) for c in (0, 1)])
    assert found.unit_variance[2] == pytest.approx(borrowed)
    assert found.uncertainty(3).unit_error > np.sqrt(borrowed) / 3  # 1 / classes of it enters the macro mean


def test_folds_that_differ_widen_the_interval_as_nadeau_and_bengio_do():
    fold = np.arange(20) % 5
    d = np.random.default_rng(5).normal(size=20) * 0.1 + np.array([-1, -0.5, 0, 0.5, 1])[fold]
    means = np.array([d[fold == f].mean() for f in range(5)])
    expected = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * means.var(ddof=1))
    assert of_mean(d, fold).half_width(0.95) == pytest.approx(expected)
    assert fold_error(means, 0.25) == pytest.approx(expected / stats.t.ppf(0.975, 4))
    alike = np.random.default_rng(6).normal(size=20)
    alike -= np.array([alike[fold == f].mean() for f in range(5)])[fold]
    assert of_mean(alike, fold).half_width(0.95) == pytest.approx(of_mean(alike).half_width(0.95))


def of_shared(d, folds):
    """The uncertainty of the mean over units of (V,) values, one of each test."""
    values = np.asarray(d, dtype=float)
    means = np.bincount(folds.unit, values) / np.bincount(folds.unit)
    apart = difference_influence(values[None, :, None])
    return difference_influence(means[None, :, None]).over(folds, apart).uncertainty(0)


def repeated(units, folds, repeats, rng):
    """Repeated cross-validation: every unit is tested once in each repeat."""
    fold = np.stack([folds * r + rng.permutation(units) % folds for r in range(repeats)], axis=1)
    return Folds(np.repeat(np.arange(units), repeats), fold.ravel())


def test_folds_that_share_units_have_the_part_of_nadeau_and_bengio():
    rng = np.random.default_rng(7)
    folds = repeated(20, 5, 2, rng)
    lucky = np.linspace(-1, 1, 10)
    d = rng.normal(size=40) * 0.1 + lucky[folds.fold]
    found, means = of_shared(d, folds), np.array([d[folds.fold == f].mean() for f in range(10)])
    assert found.fold_error == pytest.approx(np.sqrt((1 / 10 + 1 / 4) * means.var(ddof=1)))
    assert found.n_folds == 5  # the degrees of freedom of one cross-validation, although there are ten folds
    tested = [set(folds.unit[folds.fold == f]) for f in range(10)]
    overlap = np.mean([len(a & b) / 4 for n, a in enumerate(tested) for b in tested[:n]])
    assert found.fold_overlap == pytest.approx(overlap)
    by_units = of_mean(d.reshape(20, 2).mean(axis=1)).half_width(0.95)
    by_folds = found.fold_error * stats.t.ppf(0.975, 4)
    assert found.half_width(0.95) == pytest.approx(np.hypot(by_folds, np.sqrt(overlap) * by_units))
    assert found.half_width(0.95) > 1.5 * by_units


def test_folds_that_test_the_same_units_are_added_to_the_variation_over_units():
    folds = Folds(np.repeat(np.arange(15), 3), np.tile(np.arange(3), 15))
    d = NORMAL[folds.unit] + np.array([-1, 0, 1])[folds.fold]
    by_folds = stats.t.ppf(0.975, 2) * np.sqrt(1 / 3 + 1 / 2)  # variance over folds: 1
    assert of_shared(d, folds).half_width(0.95) == pytest.approx(np.hypot(of_mean(NORMAL).half_width(0.95), by_folds))
    alike = of_shared(NORMAL[folds.unit], folds)  # training sets make no difference
    assert alike.half_width(0.95) == pytest.approx(of_mean(NORMAL).half_width(0.95))


def test_more_repeats_do_not_widen_an_interval():
    widths = []
    for repeats in (1, 2, 3):
        rng, found = np.random.default_rng(8), []
        for _ in range(100):
            folds, slides = repeated(20, 5, repeats, rng), rng.normal(size=20)
            lesson = 0.5 * rng.normal(size=5 * repeats)
            d = slides[folds.unit] + lesson[folds.fold] + 0.3 * rng.normal(size=20 * repeats)
            found.append((of_shared(d, folds) if repeats > 1 else of_mean(d, folds.fold)).half_width(0.95))
        widths.append(np.mean(found))
    assert widths[1] < 1.03 * widths[0]
    assert widths[2] < 1.03 * widths[1]
    assert widths[2] > 0.7 * widths[0]


def test_a_class_in_some_units_has_the_folds_that_tested_these():
    rng = np.random.default_rng(9)
    folds = repeated(20, 5, 2, rng)
    d, here = rng.normal(size=40), folds.unit < 10
    common = np.stack([d, np.where(here, d, np.nan)], axis=1)
    means = np.stack([common[folds.unit == unit].mean(axis=0) for unit in range(20)])
    found = difference_influence(means[None]).over(folds, difference_influence(common[None]))
    alone = of_shared(d[here], folds.at(here))
    assert found.uncertainty(1).half_width(0.95) == pytest.approx(alone.half_width(0.95))
    assert found.uncertainty(0).half_width(0.95) == pytest.approx(of_shared(d, folds).half_width(0.95))


def test_folds_that_share_units_need_what_each_of_them_tested():
    folds = repeated(6, 3, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs `apart`"):
        difference_influence(np.zeros((1, 6, 1))).over(folds)


def test_a_unit_at_the_mean_counts_in_its_fold():
    d, fold = np.array([0.0, 2, 1, 2, 2, 2, -3, -3, -3]), np.repeat(np.arange(3), 3)  # the first one is the mean
    means = np.array([1.0, 2, -3])
    assert of_mean(d, fold).fold_error == pytest.approx(np.sqrt((1 / 3 + 1 / 2) * means.var(ddof=1)))


def test_a_single_part_need_not_know_its_size():
    wide, narrow = (Uncertainty(0.0, 1.0, np.array([size]), np.array([9.0])) for size in (1.0, 1e-9))
    assert wide.half_width(0.9) == pytest.approx(narrow.half_width(0.9))


def test_weights_are_shared_and_reproducible():
    first = unit_weights(7, 50, 3)
    assert (first.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(first, unit_weights(7, 50, 3))
    assert not np.array_equal(first, unit_weights(7, 50, 4))
    assert multinomial_weights(3, 4, np.random.default_rng(0)).shape == (4, 3)


def test_percentiles_reach_as_far_as_student():
    drawn = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    low, high = percentile_interval(np.random.default_rng(0).permutation(drawn), 13, 0.95)
    assert (low, high) == (
        pytest.approx(-stats.t.ppf(0.975, 13), rel=5e-3),
        pytest.approx(stats.t.ppf(0.975, 13), rel=5e-3),
    )
    assert percentile_interval(drawn, 1, 0.95) == (drawn[0], drawn[-1])  # one degree of freedom: as far as they go
