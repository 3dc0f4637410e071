"""Intervals. Oracles: scipy.stats.bootstrap (BCa), Student's t, simulation (see test_calibration.py)."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.intervals import multinomial_weights, uncertainty, unit_weights

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
    low, high = of_mean(d, seeds).interval(0.95)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (low, high) == (pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    expected = stats.ttest_1samp(seeds, 0).pvalue
    assert of_mean(d, seeds).p_of_zero() == pytest.approx(expected, rel=1e-3)


def test_parts_add_like_variances():
    d = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    seeds = np.array([-0.2, 0.0, 0.2])
    alone, both = of_mean(d).interval(0.95), of_mean(d, seeds).interval(0.95)
    extra = stats.t.ppf(0.975, 2) * 0.2 / np.sqrt(3)
    assert both[1] == pytest.approx(np.hypot(alone[1], extra))
    assert both[0] == pytest.approx(-np.hypot(alone[0], extra))


def test_p_is_where_the_interval_touches_zero():
    d = stats.norm.ppf((np.arange(15) + 0.5) / 15) + 0.4
    known = of_mean(d, resamples=20_000)
    p = known.p_of_zero()
    assert known.interval(1 - 1.02 * p)[0] > 0 > known.interval(1 - 0.98 * p)[0]
    assert p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.015)


@pytest.mark.parametrize("n", [0, 1])
def test_one_unit_has_no_interval(n):
    known = uncertainty(0.5, np.full(10, 0.5), np.full(n, np.nan), np.array([0.5]), n)
    assert np.isnan(known.interval(0.95)).all()
    assert np.isnan(known.p_of_zero())


def test_degenerate_values():
    assert of_mean(np.zeros(8)).interval(0.95) == (0.0, 0.0)
    assert of_mean(np.zeros(8)).p_of_zero() == 1.0
    nothing = uncertainty(np.nan, np.full(5, np.nan), np.full(5, np.nan), np.array([np.nan]), 5)
    assert np.isnan(nothing.interval(0.95)).all()


def test_intervals_nest_and_hold_the_estimate():
    known = of_mean(np.random.default_rng(4).beta(8, 2, 11) - 0.5, np.array([0.25, 0.31, 0.35]))
    ends = [known.interval(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in pairwise(ends))
    assert all(low <= known.estimate <= high for low, high in ends)


def test_weights_are_shared_and_reproducible():
    first = unit_weights(7, 50, 3)
    assert (first.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(first, unit_weights(7, 50, 3))
    assert not np.array_equal(first, unit_weights(7, 50, 4))
