"""Practical equivalence. Oracles: baycomp (posthoc_python.csv), statsmodels, the interval that decides the verdict."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

from analysis.scoring.comparisons import difference_influence
from analysis.statistics.equivalence import bayesian_signed_rank, tost
from tests.analysis.statistics_golden import POSTHOC_DIFFERENCES, posthoc_value


def posterior(d, margin, draws=40_000, seed=0):
    return bayesian_signed_rank(np.asarray(d, float), margin, draws=draws, rng=np.random.default_rng(seed))


def known(d, shifts=(0.0,)):
    """The uncertainty of a mean over units whose seeds differ by a constant."""
    values = np.asarray(d, float)[None] + np.array(shifts)[:, None]
    return difference_influence(values[..., None]).uncertainty(0)


@pytest.mark.parametrize("rope", [0.0, 0.0043, 0.00937])
def test_signed_rank_equals_baycomp(rope):
    found = posterior(POSTHOC_DIFFERENCES, rope)
    assert found.better == pytest.approx(posthoc_value(f"signed_rank_{rope:g}_better"), abs=0.008)
    assert found.worse == pytest.approx(posthoc_value(f"signed_rank_{rope:g}_worse"), abs=0.008)
    if rope:
        assert found.equivalent == pytest.approx(posthoc_value(f"signed_rank_{rope:g}_equivalent"), abs=0.008)


def test_posterior_is_a_distribution_mirrors_and_follows_its_seed():
    d = POSTHOC_DIFFERENCES
    found, mirrored = posterior(d, 0.005), posterior(-d, 0.005)
    assert found.worse + found.equivalent + found.better == pytest.approx(1)
    assert found.better == pytest.approx(mirrored.worse, abs=0.01)
    assert posterior(d, 0.005) == posterior(d, 0.005)
    assert posterior(d, 0.005, seed=1) != posterior(d, 0.005)
    assert posterior(np.append(d, np.nan), 0.005) == posterior(d, 0.005)


def test_sums_on_the_border_count_half_whatever_their_rounding():
    d = np.array([0.007, 0.013, 0.018, 0.002])  # 0.007 + 0.013 and 0.018 + 0.002 are 2 x 0.01, one of them inexactly
    exact, scaled = posterior(d, 0.01), posterior(np.array([7, 13, 18, 2]), 10)
    assert exact == scaled


def test_degenerate_differences_have_a_posterior():
    assert posterior(np.zeros(6), 0.01).equivalent == 1
    assert posterior(np.full(20, 0.5), 0.01).better > 0.99
    assert np.isnan(posterior([], 0.01).equivalent)
    assert np.isnan(posterior([np.nan], 0.01).better)


def test_tost_equals_statsmodels():
    d = POSTHOC_DIFFERENCES
    oracle = ttost_paired(d, np.zeros(len(d)), -0.015, 0.015)
    assert tost(d, 0.015).p == pytest.approx(float(oracle[0]))


@pytest.mark.parametrize(
    ("d", "margin", "p"),
    [([0.0] * 5, 0.01, 0.0), ([0.02] * 5, 0.01, 1.0), ([0.01] * 5, 0.01, 1.0), ([0.0] * 5, 0.0, 1.0)],
)
def test_tost_without_variance(d, margin, p):
    assert tost(np.array(d), margin).p == p


def test_tost_needs_two_units_and_a_margin():
    assert np.isnan(tost(np.array([0.1]), 0.2).p)
    assert np.isnan(tost(np.array([np.nan, 0.1]), 0.2).p)
    with pytest.raises(ValueError, match="margin"):
        tost(np.zeros(3), -0.1)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_p_of_relevance_is_below_alpha_where_the_interval_lies_inside(alpha):
    rng = np.random.default_rng(5)
    agreed = set()
    for margin in (0.5, 0.9, 1.1, 1.3, 1.5, 3.0, 5.0):
        found = known(rng.normal(0.1, 1, 15), (-0.4, 0.1, 0.6))
        low, high = found.interval(1 - 2 * alpha)
        inside = -margin < low and high < margin
        assert (found.p_of_relevance(margin) < alpha) == inside
        agreed.add(inside)
    assert agreed == {True, False}


def test_p_of_relevance_equals_student_for_seeds_alone():
    seeds = np.array([0.001, 0.003, 0.005])
    found = known(np.zeros(12), seeds)  # units do not vary
    assert found.p_of_relevance(0.01) == pytest.approx(tost(seeds, 0.01).p, rel=1e-3)


def test_p_of_relevance_at_the_edges():
    assert known(np.full(8, 0.5)).p_of_relevance(0.1) == 1.0
    assert known(np.zeros(8)).p_of_relevance(0.1) < 1e-6
    assert known(np.zeros(8)).p_of_relevance(0.0) == 1.0
    assert np.isnan(known([0.5]).p_of_relevance(1.0))
