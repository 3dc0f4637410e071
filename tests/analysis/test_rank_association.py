"""Exact rank correlation. Oracles: all pairings by itertools, scipy.stats, the table of STATISTICS.md."""

from dataclasses import asdict
from itertools import permutations as pairings
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.attainability import classes_needed, correlation_power, rho_needed, smallest_correlation_p
from analysis.statistics.rank_association import exact_null, kendall, rank_association, spearman

stats: Any = scipy.stats  # its return types are not declared

VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6)


def associate(x, y, **options):
    defaults = {"alpha": 0.05, "permutations": 2000, "rng": np.random.default_rng(0)}
    return rank_association(np.array(x, dtype=float), np.array(y, dtype=float), **defaults | options)


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_equals_all_pairings_with_ties(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = associate(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(found.spearman)
        assert np.isnan(found.p_spearman)
        return
    a, b = stats.rankdata(x), stats.rankdata(y)
    for statistic, value, p in (
        (spearman, found.spearman, found.p_spearman),
        (kendall, found.kendall, found.p_kendall),
    ):
        every = np.abs([statistic(a, np.array(order)) for order in pairings(b)])
        assert p == pytest.approx(np.mean(every >= abs(value) - 1e-9))
        if statistic is spearman:
            smallest = np.mean(every >= every.max() - 1e-9)
            assert found.min_p == pytest.approx(smallest)
            assert (found.rho_needed <= every.max() + 1e-9) == (smallest < 0.05)


@given(VALUES)
def test_coefficients_equal_scipy(pairs):
    x, y = np.array(pairs, dtype=float).T
    if np.ptp(x) and np.ptp(y):
        found = associate(x, y)
        assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
        assert found.kendall == pytest.approx(stats.kendalltau(x, y).statistic)


@pytest.mark.parametrize("n", [4, 7, 10])
def test_kendall_p_equals_scipy_exact(n):
    x, y = np.random.default_rng(n).normal(size=(2, n))
    assert associate(x, y).p_kendall == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue)


def test_spearman_p_equals_scipy_permutation_test():
    x, y = np.random.default_rng(5).normal(size=(2, 6))
    oracle = stats.permutation_test(
        (x,), lambda a: stats.spearmanr(a, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    # scipy doubles the smaller tail; without ties the distribution is symmetric, so the two agree
    assert associate(x, y).p_spearman == pytest.approx(oracle.pvalue, abs=1e-9)


def test_five_classes_rho_point_nine_is_not_037():
    x, y = [1, 2, 3, 4, 5], [1, 2, 3, 5, 4]
    found = associate(x, y)
    assert found.spearman == pytest.approx(0.9)
    assert found.p_spearman == pytest.approx(10 / 120)  # .083
    assert stats.spearmanr(x, y).pvalue == pytest.approx(0.037, abs=5e-4)  # what scipy's approximation says


@pytest.mark.parametrize(
    ("k", "smallest", "needed"),
    [(3, 0.333, None), (4, 0.083, None), (5, 0.0167, 1.0), (6, 0.0028, 0.886), (7, 0.0004, 0.786)],
)
def test_attainability_table(k, smallest, needed):
    assert smallest_correlation_p([k]) == pytest.approx(smallest, abs=5e-4 if k < 5 else 5e-5)
    found = rho_needed(k, 0.05)
    assert np.isnan(found) if needed is None else found == pytest.approx(needed, abs=5e-4)
    assert associate(range(k), range(k)).min_p == pytest.approx(smallest_correlation_p([k]))


def test_attainability_over_data_sets():
    assert smallest_correlation_p([5, 5]) == pytest.approx(1.4e-4, rel=0.01)
    assert smallest_correlation_p([5, 5, 6]) == pytest.approx(2e-7, rel=0.05)
    found = associate([*range(5), *range(5)], [*range(5), *range(5)], strata=list("aaaaabbbbb"))
    assert found.p_spearman == pytest.approx(2 / 120**2)
    three = associate(
        [*range(5), *range(5), *range(6)], [*range(5), *range(5), *range(6)], strata=list("a" * 5 + "b" * 5 + "c" * 6)
    )
    assert three.p_spearman == pytest.approx(2 / (120 * 120 * 720))


def test_strata_are_permuted_within():
    x, y = [1, 2, 3, 1, 2, 3], [1, 3, 2, 2, 1, 3]
    found = associate(x, y, strata=[0, 0, 0, 1, 1, 1])
    every = [
        (stats.spearmanr([1, 2, 3], a).statistic + stats.spearmanr([1, 2, 3], b).statistic) / 2
        for a in pairings([1, 3, 2])
        for b in pairings([2, 1, 3])
    ]
    assert found.spearman == pytest.approx(0.5)
    assert found.p_spearman == pytest.approx(np.mean(np.abs(every) >= 0.5 - 1e-9))


def test_many_classes_use_monte_carlo_with_the_plus_one_rule():
    x = np.arange(14.0)
    found = associate(x, x, permutations=999)
    assert found.p_spearman == 1 / 1000 == found.min_p
    y = np.random.default_rng(3).normal(size=14)
    found = associate(x, y, permutations=20_000)
    assert found.p_spearman == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.02)
    assert found.p_kendall == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue, abs=0.02)
    assert associate(x, y) == associate(x, y)


def test_missing_classes_are_left_out():
    found = associate([1, 2, np.nan, 3, 4], [1, 2, 9, 3, np.nan])
    assert (found.n, found.spearman) == (3, 1.0)
    assert associate([1], [2]).min_p == 1.0
    assert np.isnan(associate([np.nan, np.nan], [1, 2]).spearman)


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_relabelling_classes_and_order_of_ranks_change_nothing(order, y):
    x = np.arange(6.0)
    first, second = associate(x, y), associate(x[list(order)], np.array(y)[list(order)])
    assert first.p_spearman == pytest.approx(second.p_spearman)
    assert first.p_kendall == pytest.approx(associate(np.exp(x), y).p_kendall)
    assert associate(-x, y).p_spearman == pytest.approx(first.p_spearman)


def test_null_distribution_is_a_distribution():
    for kind in ("spearman", "kendall"):
        null = exact_null(kind, np.arange(10), np.array([1, 1, 2, 3, 3, 3, 4, 5, 6, 7]))
        assert null.probabilities.sum() == pytest.approx(1)
        assert null.values @ null.probabilities == pytest.approx(0, abs=1e-12)
        assert np.abs(null.values).max() <= 1 + 1e-12


def test_power_and_classes_needed():
    assert correlation_power(4, 0.99, 0.05, 0) == 0
    power = [correlation_power(k, 0.8, 0.05, 0) for k in (5, 6, 7, 9)]
    assert power == sorted(power)
    assert 0.02 < correlation_power(7, 0.0, 0.05, 0) < 0.05  # its size under independence: exact, so at most 5 %
    assert [classes_needed(0.05, tests) for tests in (1, 2, 3, 4)] == [5, 5, 6, 6]


def test_a_data_set_in_which_nothing_varies_is_left_out():
    x, y = [3, 1, 2, 4, 5, 5, 5], [1, 2, 3, 4, 1, 3, 2]
    alone, both = associate(x[:4], y[:4]), associate(x, y, strata=list("aaaabbb"))
    assert asdict(both) == pytest.approx(asdict(alone), nan_ok=True)
    assert both.n == 4
