"""Freedman-Lane within data sets. Oracle: R (golden/explanation.R), every order refitted by lm; pingouin's formula."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.statistics.partial_association import partial_association
from analysis.statistics.strata import variance_inflation, within_ranks, within_ranks_of_rows, within_scores

stats: Any = scipy.stats  # its return types are not declared
GOLDEN = json.loads((Path(__file__).parent / "golden" / "explanation_r.json").read_text())
Y = np.array([2.1, 0.3, 1.7, 3.9, 2.8, 1.2, 0.4, 3.3, 2.5])
X = np.array([0.9, 0.1, 1.5, 2.2, 3.1, 1.1, 0.2, 1.9, 3.0])
W = np.array([1.4, 2.0, 0.3, 1.1, 2.7, 2.2, 0.9, 1.6, 0.5])
Z = np.array([5.0, 1.0, 3.0, 4.0, 2.0, 2.0, 1.0, 3.0, 4.0])
SETS = list("aaaaabbbb")
NOTHING = np.zeros((9, 0))


def partial(y=Y, tested=(X,), given=(Z,), strata=SETS, rows=slice(None), **options):
    """Rank within data sets, then test."""
    chosen = None if strata is None else strata[rows]

    def ranked(columns):
        return np.column_stack([within_ranks(each[rows], chosen) for each in columns])

    defaults = {"permutations": 2000, "rng": np.random.default_rng(0)} | options
    none = np.zeros((len(y[rows]), 0))
    return partial_association(
        within_ranks(y[rows], chosen), ranked(tested), ranked(given) if given else none, strata=chosen, **defaults
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one_stratum", {"rows": slice(0, 5)}),
        ("two_strata", {}),
        ("block", {"tested": (X, W)}),
    ],
)
def test_equals_every_order_refitted_in_r(name, options):
    found = partial(**options)
    assert (found.r2, found.p, found.min_p) == pytest.approx(GOLDEN[name], abs=1e-12)
    assert found.draws == 0


def test_partial_correlation_and_inflation_equal_r():
    assert partial().partial == pytest.approx(GOLDEN["partial_rho"][0])
    together = variance_inflation(np.column_stack([X, W, Z]), SETS)
    np.testing.assert_allclose(together, GOLDEN["vif"])
    assert partial(tested=(Z,), given=(X, W)).vif == pytest.approx(
        variance_inflation(np.column_stack([within_ranks(each, SETS) for each in (Z, X, W)]), SETS)[0]
    )


def test_one_nuisance_in_one_data_set_is_the_textbook_partial_rank_correlation():
    y, x, z = (stats.rankdata(each[:5]) for each in (Y, X, Z))
    xy, yz, xz = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (y, z), (x, z)))
    expected = (xy - yz * xz) / np.sqrt((1 - yz**2) * (1 - xz**2))
    assert partial(rows=slice(0, 5)).partial == pytest.approx(expected)
    assert partial(y=-Y, rows=slice(0, 5)).partial == pytest.approx(-expected)


def test_without_nuisance_it_is_the_exact_spearman_test():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 6))
    oracle = stats.permutation_test(
        (x,), lambda a: abs(stats.spearmanr(a, y)[0]), permutation_type="pairings", n_resamples=np.inf,
        alternative="greater",
    )  # fmt: skip
    found = partial(y=y, tested=(x,), given=(), strata=None)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.min_p == pytest.approx(2 / 720)


def test_many_classes_are_drawn_with_the_plus_one_rule_and_a_seed():
    rng = np.random.default_rng(5)
    z, noise = rng.normal(size=(2, 30))
    x = z + noise
    found = [partial(y=x, tested=(x,), given=(z,), strata=None, permutations=499) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].p == found[0].min_p == 1 / 500
    assert found[0].draws == 499


def test_drawn_and_exact_agree():
    exact = partial()
    drawn = partial_association(
        *(np.tile(within_ranks(each, SETS), 1) for each in (Y, X, Z)), strata=SETS, permutations=100,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert drawn.p == exact.p  # listed in full where that costs little: the draws are not used
    big = np.random.default_rng(1).normal(size=(3, 11))
    found = partial(y=big[0], tested=(big[1],), given=(big[2],), strata=None, permutations=40_000)
    t = found.partial * np.sqrt(found.residual_df / (1 - found.partial**2))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), found.residual_df), abs=0.02)


def test_too_few_classes_leave_no_degree_of_freedom():
    for k in (2, 3):
        found = partial(rows=slice(0, k))
        assert np.isnan(found.p)
        assert found.residual_df < 1
        assert found.min_p == 1.0
    assert partial(rows=slice(0, 4)).residual_df == 1


def test_gaps_ties_constants_and_perfect_nuisance_are_defined():
    gap = Y.copy()
    gap[8] = np.nan
    assert partial(y=gap).n == 8
    alone = partial(y=np.where(np.arange(9) < 8, Y, np.nan), strata=list("aaaaaaaab"))
    assert alone.n == 8  # the only class of its data set is left out
    assert np.isnan(partial(y=np.ones(9)).p)  # the response does not vary
    assert np.isnan(partial(tested=(np.ones(9),)).p)
    told = partial(tested=(Z,))  # the nuisance predictor itself
    assert np.isinf(told.vif)
    assert np.isnan(told.p)
    nothing_left = partial(y=Z)
    assert (nothing_left.p, nothing_left.r2) == (1.0, 0.0)
    assert nothing_left.min_p == pytest.approx(1 / (120 * 24))
    assert 0 < partial(y=np.round(Y)).p <= 1


def test_data_sets_are_scaled_alike():
    """A shift or a stretch of one data set changes nothing."""
    moved = np.where(np.arange(9) < 5, 100 + 9 * Y, Y)
    assert partial(y=moved) == partial()
    np.testing.assert_allclose(within_scores(moved, SETS), within_scores(Y, SETS))


@pytest.mark.parametrize("sizes", [(6,), (7,), (4, 5)])
def test_type_one_error_with_correlated_nuisance(sizes):
    rng, n = np.random.default_rng(8), 300
    strata = list(np.repeat(np.arange(len(sizes)), sizes))
    rejected = 0
    for _ in range(n):
        z, x, y = rng.normal(size=(3, len(strata)))
        rejected += partial(y=z + y, tested=(0.7 * z + x,), given=(z,), strata=strata, rng=rng).p < 0.05
    assert rejected / n <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
    assert rejected / n >= 0.015


@pytest.mark.parametrize("n", [2, 8, 9, 17])
@pytest.mark.parametrize("largest", [1, 3, 1000])
def test_rows_are_ranked_as_each_alone(n, largest):
    rows = 0.1 * np.random.default_rng(n).integers(0, largest, (50, n))
    for strata in (None, [str(item % 2) for item in range(n)]):
        np.testing.assert_array_equal(within_ranks_of_rows(rows, strata), [within_ranks(row, strata) for row in rows])
