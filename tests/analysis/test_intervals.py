"""Intervals. Oracles: scipy.stats.bootstrap (BCa), Student's t, simulation (see test_calibration.py)."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.intervals import (
    Uncertainty,
    multinomial_weights,
    percentile_interval,
    uncertainty,
    unit_weights,
)

stats: Any = scipy.stats  # its return types are not declared


def of_mean(d, by_seed=None, resamples=4000, seed=0):
    d = np.asarray(d, dtype=float)
    weights = multinomial_weights(len(d), resamples, np.random.default_rng(seed)) / len(d)
    jackknife = (d.sum() - d) / (len(d) - 1)
    return uncertainty(d.mean(), weights @ d, jackknife, np.array([0.0]) if by_seed is None else by_seed, len(d))


def test_equals_scipy_bca_where_there_are_many_units():
    d = np.random.default_rng(0).gamma(0.5, 1, 400)
    oracle = stats.bootstrap((d,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    low, high = of_mean(d, resamples=20_000).interval(0.95)
    width = oracle.confidence_interval.high - oracle.confidence_interval.low
    assert low == pytest.approx(oracle.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(oracle.confidence_interval.high, abs=0.03 * width)
    assert d.mean() - low < 0.95 * (high - d.mean())  # skewed: a symmetric interval would be wrong


def test_few_normal_units_give_about_students_interval():
    d = stats.norm.ppf((np.arange(10) + 0.5) / 10)
    low, high = of_mean(d, resamples=20_000).interval(0.95)
    half = stats.t.ppf(0.975, 9) * d.std(ddof=1) / np.sqrt(10)
    assert low == pytest.approx(-half, rel=0.04)
    assert high == pytest.approx(half, rel=0.04)


def test_seeds_widen_the_interval_as_students_t_does():
    d = np.full(12, 0.3)  # units do not vary: only seeds are left
    seeds = np.array([0.2, 0.3, 0.4])
    known = of_mean(d, seeds)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    for low, high in (known.interval(0.95), known.test_interval(0.95)):
        assert (low, high) == (pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    expected = stats.ttest_1samp(seeds, 0).pvalue
    assert of_mean(d, seeds).p_of_zero() == pytest.approx(expected, rel=1e-3)


def test_whole_parts_add_like_variances_where_tests_look():
    d = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    seeds = np.array([-0.2, 0.0, 0.2])
    alone, both = of_mean(d).test_interval(0.95), of_mean(d, seeds).test_interval(0.95)
    extra = stats.t.ppf(0.975, 2) * 0.2 / np.sqrt(3)
    assert both[1] == pytest.approx(np.hypot(alone[1], extra))
    assert both[0] == pytest.approx(-np.hypot(alone[0], extra))


@pytest.mark.parametrize(
    ("seed_error", "degrees"),
    [(0.0, 39.0), (1.0, 2 / (1 / 39 + 1 / 2)), (3.0, 10 / (1 / 39 + 9 / 2))],  # of the error over units
)
def test_shown_interval_is_one_t_with_shared_degrees_of_freedom(seed_error, degrees):
    d = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    low, high = of_mean(d).interval(0.95)
    own = (high - low) / 2 / stats.t.ppf(0.975, 39)  # standard error over units, as the bootstrap gives it
    seeds = np.array([-1, 0, 1]) * seed_error * own * np.sqrt(3)
    half = stats.t.ppf(0.975, degrees) * own * np.sqrt(1 + seed_error**2)
    shown = of_mean(d, seeds).interval(0.95)
    assert (shown[1] - shown[0]) / 2 == pytest.approx(half, rel=1e-3)


@given(
    st.integers(2, 60),
    st.integers(1, 10),
    st.floats(0, 5),
    st.floats(0, 5),
    st.floats(0.5, 0.9999),
)
def test_what_tests_look_at_is_never_narrower_than_what_is_shown(units, seeds, below, seed_error, level):
    known = Uncertainty(0.0, np.array([-below, 0.0, 1.0]), 0.0, 0.0, units, seed_error * (seeds > 1), seeds)
    shown, tested = known.interval(level), known.test_interval(level)
    assert tested[0] <= shown[0] + 1e-9 * abs(shown[0])
    assert tested[1] >= shown[1] - 1e-9 * abs(shown[1])
    if seeds == 1 or seed_error == 0:
        assert shown == pytest.approx(tested)


@pytest.mark.parametrize("seeds", [None, np.array([0.1, 0.4, 0.7])])
def test_p_is_where_the_interval_of_tests_touches_zero(seeds):
    d = stats.norm.ppf((np.arange(15) + 0.5) / 15) + 0.4
    known = of_mean(d, seeds, resamples=20_000)
    p = known.p_of_zero()
    assert known.test_interval(1 - 1.02 * p)[0] > 0 > known.test_interval(1 - 0.98 * p)[0]
    if seeds is None:
        assert p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.015)


@pytest.mark.parametrize("n", [0, 1])
def test_one_unit_has_no_interval(n):
    known = uncertainty(0.5, np.full(10, 0.5), np.full(n, np.nan), np.array([0.5]), n)
    assert np.isnan([known.interval(0.95), known.test_interval(0.95)]).all()
    assert np.isnan(known.p_of_zero())


def test_degenerate_values():
    assert of_mean(np.zeros(8)).interval(0.95) == (0.0, 0.0)
    assert of_mean(np.zeros(8)).p_of_zero() == 1.0
    nothing = uncertainty(np.nan, np.full(5, np.nan), np.full(5, np.nan), np.array([np.nan]), 5)
    assert np.isnan(nothing.interval(0.95)).all()


def test_intervals_nest_and_hold_the_estimate():
    known = of_mean(np.random.default_rng(4).beta(8, 2, 11) - 0.5, np.array([0.25, 0.31, 0.35]))
    for interval in (known.interval, known.test_interval):
        ends = [interval(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
        assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in pairwise(ends))
        assert all(low <= known.estimate <= high for low, high in ends)


def test_weights_are_shared_and_reproducible():
    first = unit_weights(7, 50, 3)
    assert (first.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(first, unit_weights(7, 50, 3))
    assert not np.array_equal(first, unit_weights(7, 50, 4))


def test_percentiles_reach_as_far_as_student():
    drawn = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    low, high = percentile_interval(np.random.default_rng(0).permutation(drawn), 13, 0.95)
    assert (low, high) == (
        pytest.approx(-stats.t.ppf(0.975, 13), rel=5e-3),
        pytest.approx(stats.t.ppf(0.975, 13), rel=5e-3),
    )
    assert percentile_interval(drawn, 1, 0.95) == (drawn[0], drawn[-1])  # one degree of freedom: as far as they go


@pytest.mark.parametrize("shift", [-1e-16, 0.0, 1e-16])
def test_resamples_that_tie_with_the_estimate_up_to_rounding_count_half(shift):
    drawn = np.array([0.1, 0.3, 0.3, 0.3, 0.5]) + shift
    assert uncertainty(0.3, drawn, np.array([0.2, 0.4]), np.array([0.3]), 2).bias == pytest.approx(0)
