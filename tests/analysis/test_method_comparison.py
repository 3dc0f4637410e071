"""Paired comparisons: definitions, golden values (SciPy, Cliff 1993), planted effects."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.schema.names import MACRO
from analysis.scoring.pairs import PairedScores, compare_pair, posterior_of_pair, unit_contributions
from analysis.statistics.effect_size import cliffs_delta, wilcoxon_p
from analysis.statistics.sign_flip import sign_flip_p
from analysis.study.runs import AnalysisPlan
from analysis.topics.method_comparison import comparison_verdict
from analysis.verdicts import Word

stats: Any = scipy.stats  # its return types are not declared

PLAN = AnalysisPlan("cross_entropy", 0.05, 0.01, 1000, 5000, 0, 0.5, 2.0, "auto")
NAMES = ("a", "b", "c")


def scores(effect=0.0, units=14, seeds=3, noise=0.02, seed_noise=0.0, rng_seed=0, absent=()):
    rng = np.random.default_rng(rng_seed)
    base = 0.7 + 0.1 * rng.normal(size=(1, units, 3))
    control = base + noise * rng.normal(size=(seeds, units, 3))
    method = base + effect + noise * rng.normal(size=(seeds, units, 3)) + seed_noise * rng.normal(size=(seeds, 1, 1))
    for unit, c in absent:
        control[:, unit, c] = method[:, unit, c] = np.nan
    return PairedScores(method, control, tuple(map(str, range(units))))


def judged(pairs, family=1, plan=PLAN):
    row = compare_pair(pairs, NAMES, plan)[0] | posterior_of_pair(pairs, NAMES, plan)[0]
    keys = {"method": "dfa", "control": "cross_entropy", "metric": "dice", "unit": "group", "family": family}
    corrected = {
        "p_holm": min(1, family * max(row["p"], row["p_seeds"])),
        "p_tost_holm": min(1, family * row["p_tost"]),
    }
    return comparison_verdict(keys | row | corrected, plan)


def test_difference_is_the_mean_over_classes_of_means_over_units():
    pairs = scores(0.05, absent=[(0, 2), (1, 2), (2, 1)])
    d = (pairs.method - pairs.control).mean(axis=0)
    of_classes = np.nanmean(d, axis=0)
    rows = {row["class"]: row for row in compare_pair(pairs, NAMES, PLAN)}
    assert rows[MACRO]["difference"] == pytest.approx(of_classes.mean())
    assert [rows[name]["difference"] for name in NAMES] == pytest.approx(list(of_classes))
    assert [rows[name]["n_units"] for name in NAMES] == [14, 13, 12]
    assert all(row["low"] < row["difference"] < row["high"] for row in rows.values())
    assert rows["a"]["p"] == sign_flip_p(d[:, 0], permutations=1, rng=np.random.default_rng(0))


@given(arrays(float, (6, 3), elements=st.floats(-1, 1)))
def test_contributions_add_up_to_the_macro_difference(d):
    found = unit_contributions(d)
    assert found[:, -1].mean() == pytest.approx(d.mean(), abs=1e-12)
    np.testing.assert_array_equal(found[:, :-1], d)


def test_contributions_weigh_classes_equally_although_one_is_rare():
    d = np.array([[0.1, np.nan], [0.1, np.nan], [0.1, 0.5]])
    assert unit_contributions(d)[:, -1].mean() == pytest.approx((0.1 + 0.5) / 2)


def test_an_absent_class_is_not_testable_and_does_not_disturb_macro():
    pairs = scores(0.05, absent=[(u, 2) for u in range(14)])
    rows = {row["class"]: row for row in compare_pair(pairs, NAMES, PLAN)}
    d = (pairs.method - pairs.control).mean(axis=0)
    assert rows["c"]["n_units"] == 0
    assert np.isnan([rows["c"][key] for key in ("difference", "low", "p", "wilcoxon_p", "cliffs_delta")]).all()
    assert rows[MACRO]["difference"] == pytest.approx(d[:, :2].mean())


def test_wilcoxon_equals_scipy_and_survives_zeros_and_ties():
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    assert wilcoxon_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
    # Wilcoxon 1945 on Darwin's maize: T- = 24, exact two-sided p = 0.0413
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48.5])
    assert wilcoxon_p(darwin) == pytest.approx(0.0413, abs=5e-4)
    assert wilcoxon_p(np.zeros(5)) == 1
    assert 0 < wilcoxon_p(np.array([0, 1, 1, -1, 2.0])) <= 1
    assert np.isnan(wilcoxon_p(np.array([np.nan])))


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
)
def test_cliffs_delta_equals_all_pairs(x, y):
    expected = np.mean([np.sign(a - b) for a in x for b in y])
    assert cliffs_delta(np.array(x, float), np.array(y, float)) == pytest.approx(expected)


def test_cliffs_delta_equals_mann_whitney():
    x, y = np.random.default_rng(2).normal(size=(2, 20))
    assert cliffs_delta(x, y) == pytest.approx(2 * stats.mannwhitneyu(x, y).statistic / 400 - 1)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"effect": 0.06}, Word.BETTER),
        ({"effect": -0.06}, Word.WORSE),
        ({"effect": 0.0, "noise": 0.004}, Word.EQUIVALENT),
        ({"effect": 0.003, "noise": 0.001}, Word.EQUIVALENT),  # a difference, but smaller than one that matters
        ({"effect": 0.015, "noise": 0.05, "seeds": 1}, Word.UNDECIDED),
        ({"effect": 0.3, "units": 5}, Word.NOT_TESTABLE),
        ({"effect": 0.3, "units": 1}, Word.NOT_TESTABLE),
        ({"effect": 0.0, "seed_noise": 0.05, "noise": 0.002}, Word.UNDECIDED),  # seeds differ, units all agree
    ],
)
def test_verdicts_on_planted_effects(options, word):
    found = judged(scores(**options))
    assert found.word == word
    assert found.rule
    assert "points" in found.sentence


def test_an_undecided_pair_whose_interval_excludes_zero_is_explained():
    clear, marginal = scores(0.06), scores(0.013, noise=0.03, rng_seed=2)
    assert judged(marginal, family=1).word == Word.BETTER
    found = judged(marginal, family=3)
    assert found.word == Word.UNDECIDED
    assert found.numbers["low"] > 0
    assert "excludes 0" in found.sentence
    assert "correction for 3 tests" in found.sentence
    alone = judged(scores(0.012, noise=0.02, rng_seed=1))  # p .06 with the variation over seeds in full
    assert (alone.word, alone.numbers["low"] > 0) == (Word.UNDECIDED, True)
    assert "correction" not in alone.sentence
    assert "excludes 0" not in judged(clear).sentence + judged(scores(0.0, noise=0.05, seeds=1)).sentence


def test_units_that_agree_do_not_outweigh_seeds_that_do_not():
    row = compare_pair(scores(0.0, seed_noise=0.05, noise=0.002), NAMES, PLAN)[0]
    assert row["p"] < 0.01  # sign flips over units see one lucky set of trainings
    assert row["p_seeds"] > 0.05
    assert row["low"] < 0 < row["high"]


def test_correction_makes_too_few_units_untestable():
    pairs = scores(0.3, units=7)
    assert judged(pairs, family=1).word == Word.BETTER
    assert judged(pairs, family=4).word == Word.NOT_TESTABLE  # 4 x 2 / 2^7 > .05


def test_one_seed_is_said():
    assert "one seed" in judged(scores(0.06, seeds=1)).sentence
    assert "one seed" not in judged(scores(0.06, seeds=3)).sentence


def test_swapping_the_methods_mirrors_the_comparison():
    pairs = scores(0.02)
    there = compare_pair(pairs, NAMES, PLAN)[0]
    back = compare_pair(PairedScores(pairs.control, pairs.method, pairs.units), NAMES, PLAN)[0]
    for key in ("difference", "cliffs_delta"):
        assert there[key] == pytest.approx(-back[key])
    assert there["p"] == back["p"]
    assert there["low"] == pytest.approx(-back["high"], abs=2e-4)
