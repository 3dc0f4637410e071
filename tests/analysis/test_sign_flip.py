"""Permutation tests and corrections. Oracles: scipy.stats, R, all patterns by hand."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.corrections import benjamini_hochberg, holm
from analysis.statistics.sign_flip import sign_flip_p, smallest_sign_flip_p

stats: Any = scipy.stats  # its return types are not declared

FEW = st.lists(st.integers(-5, 5), min_size=1, max_size=8)
PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def p_of(values, permutations=2000, seed=0):
    return sign_flip_p(np.array(values, dtype=float), permutations=permutations, rng=np.random.default_rng(seed))


@given(FEW)
def test_equals_all_sign_patterns(values):
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=len(values))
    ]
    assert p_of(values) == pytest.approx(np.mean([total >= abs(sum(values)) for total in sums]))


def test_equals_scipy_exact():
    d = np.random.default_rng(1).normal(0.4, 1, 9)
    oracle = stats.permutation_test(
        (d,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert p_of(d) == pytest.approx(oracle.pvalue, abs=1e-12)


def test_fisher_darwin_example():
    # Darwin's maize, Fisher 1935, section 21: 863 + 863 of 2^15 sign patterns, p = 0.0527
    d = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert p_of(d) == pytest.approx(2 * 863 / 2**15)


@given(FEW)
def test_bounds_and_symmetry(values):
    p = p_of(values)
    assert smallest_sign_flip_p(len(values), 1) <= p <= 1
    assert p == p_of([-value for value in values])


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (5, 0.0625), (6, 0.03125), (20, 2 / 2**20)])
def test_smallest_p_is_reached(n, expected):
    assert smallest_sign_flip_p(n, 100) == expected
    assert p_of(np.linspace(1, 2, n)) == pytest.approx(expected)


def test_monte_carlo_follows_the_plus_one_rule_and_its_seed():
    d = np.ones(40)
    assert p_of(d, permutations=999) == 1 / 1000
    d = np.random.default_rng(2).normal(0.2, 1, 30)
    assert p_of(d, seed=1) == p_of(d, seed=1) != p_of(d, seed=2)
    assert p_of(d, permutations=50_000) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.02)


def test_missing_values_are_left_out():
    assert p_of([1.0, np.nan, 2.0]) == p_of([1.0, 2.0])
    assert np.isnan(p_of([np.nan]))


@given(PS)
def test_corrections_equal_scipy_and_the_definition(values):
    p = np.array(values)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-12)
    for place, adjusted in zip(p, holm(p), strict=True):
        steps = [min(1, each * np.sum(p >= each)) for each in p if each <= place]  # ties: the largest multiplier wins
        assert adjusted == pytest.approx(max(steps))


def test_corrections_equal_r():
    p = np.array([0.01, 0.02, 0.03, 0.04, 0.05])  # R 4.3: p.adjust(p, "holm") and p.adjust(p, "BH")
    np.testing.assert_allclose(holm(p), [0.05, 0.08, 0.09, 0.09, 0.09])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.05] * 5)


def test_corrections_do_not_count_missing_tests():
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.04])), [0.02, np.nan, 0.04])
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.01, np.nan, 0.04])), [0.02, np.nan, 0.04])
    assert np.isnan(holm(np.array([np.nan]))).all()
