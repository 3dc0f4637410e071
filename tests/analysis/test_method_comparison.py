"""Paired comparisons: definitions, golden values (SciPy, Cliff 1993), planted effects, word and interval."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.schema.names import MACRO
from analysis.scoring.comparisons import (
    PairedScores,
    Rules,
    descriptive_statistics,
    judged_families,
    judged_rows,
    macro_or_class,
    pair_tests,
    unit_contributions,
)
from analysis.statistics.effect_size import cliffs_delta, wilcoxon_p
from analysis.statistics.sign_flip import sign_flip_p
from analysis.topics.method_comparison import comparison_verdict
from analysis.verdicts import Word

stats: Any = scipy.stats  # its return types are not declared

RULES = Rules(permutations=5000)
NAMES = ("a", "b", "c")
KEYS = {"method": "dfa", "control": "cross_entropy", "metric": "dice", "unit": "group"}


def scores(effect=0.0, units=14, seeds=3, noise=0.02, seed_noise=0.0, rng_seed=0, absent=()):
    rng = np.random.default_rng(rng_seed)
    base = 0.7 + 0.1 * rng.normal(size=(1, units, 3))
    control = base + noise * rng.normal(size=(seeds, units, 3))
    method = base + effect + noise * rng.normal(size=(seeds, units, 3)) + seed_noise * rng.normal(size=(seeds, 1, 1))
    for unit, c in absent:
        control[:, unit, c] = method[:, unit, c] = np.nan
    return PairedScores(method, control, tuple(f"s{u}" for u in range(units)))


def rows_of_pair(pairs, rules=RULES):
    return {row["class"]: row for row in judged_families(pair_tests(pairs, NAMES, rules, KEYS), macro_or_class, rules)}


def judged(pairs, others=(), rules=RULES):
    """The verdict on macro of one pair, corrected together with others."""
    family = [pair_tests(each, NAMES, rules, KEYS, only=MACRO)[0] for each in (pairs, *others)]
    return comparison_verdict(judged_rows(family, rules)[0] | descriptive_statistics(family[0], rules), rules)


def test_difference_is_the_mean_over_classes_of_means_over_units():
    pairs = scores(0.05, absent=[(0, 2), (1, 2), (2, 1)])
    d = (pairs.method - pairs.control).mean(axis=0)
    of_classes = np.nanmean(d, axis=0)
    rows = rows_of_pair(pairs)
    assert rows[MACRO]["difference"] == pytest.approx(of_classes.mean())
    assert [rows[name]["difference"] for name in NAMES] == pytest.approx(list(of_classes))
    assert [rows[name]["n_units"] for name in NAMES] == [14, 13, 12]
    assert all(row["low"] < row["difference"] < row["high"] for row in rows.values())
    assert rows["a"]["p_sign_flip"] == sign_flip_p(d[:, 0], permutations=1, rng=np.random.default_rng(0))


@given(arrays(float, (6, 3), elements=st.floats(-1, 1)))
def test_contributions_add_up_to_the_macro_difference(d):
    found = unit_contributions(d)
    assert found[:, -1].mean() == pytest.approx(d.mean(), abs=1e-12)
    np.testing.assert_array_equal(found[:, :-1], d)


def test_contributions_weigh_classes_equally_although_one_is_rare():
    d = np.array([[0.1, np.nan], [0.1, np.nan], [0.1, 0.5]])
    assert unit_contributions(d)[:, -1].mean() == pytest.approx((0.1 + 0.5) / 2)


def test_units_without_a_labelled_pixel_change_no_test_of_macro():
    pairs = scores(0.008)
    bare = scores(0.008, units=20, absent=[(unit, c) for unit in range(14, 20) for c in range(3)])
    for of_bare, known in ((bare.method, pairs.method), (bare.control, pairs.control)):
        of_bare[:, :14] = known
    found, expected = rows_of_pair(bare)[MACRO], rows_of_pair(pairs)[MACRO]
    assert found["n_units"] == 14
    for name in ("difference", "low", "p_tost_units", "p_equivalent", "p_better", "p_sign_flip", "skewness"):
        assert found[name] == pytest.approx(expected[name]), name


def test_an_absent_class_is_not_testable_and_does_not_disturb_macro():
    pairs = scores(0.05, absent=[(u, 2) for u in range(14)])
    rows = rows_of_pair(pairs)
    d = (pairs.method - pairs.control).mean(axis=0)
    assert (rows["c"]["n_units"], rows["c"]["word"]) == (0, Word.NOT_TESTABLE)
    keys = ("difference", "low", "p", "p_sign_flip", "wilcoxon_p", "cliffs_delta", "superiority", "skewness")
    assert np.isnan([rows["c"][key] for key in keys]).all()
    assert rows[MACRO]["difference"] == pytest.approx(d[:, :2].mean())
    assert rows["a"]["family"] == 2  # a class that does not occur is not corrected for
    assert comparison_verdict(rows["c"], RULES).sentence == "c does not occur in the scored images."


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
        ({"effect": 0.0, "noise": 0.002, "units": 4}, Word.EQUIVALENT),  # no sign flip is needed for that
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
    assert "nan" not in found.sentence


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0, 0.04), st.integers(1, 6))
def test_word_and_interval_cannot_disagree(seed, effect, family):
    """The interval of the sentence excludes 0 exactly where the word is better or worse, p_holm is below alpha too."""
    pairs = [scores(effect * (place == 0), units=8, rng_seed=seed + place) for place in range(family)]
    tests = [pair_tests(each, NAMES, RULES, KEYS, only=MACRO)[0] for each in pairs]
    for row in judged_rows(tests, RULES, influence=False):
        inside = -RULES.margin < row["low_tost"] and row["high_tost"] < RULES.margin
        apart = row["low_holm"] > 0 or row["high_holm"] < 0
        assert (row["word"] == Word.EQUIVALENT) == inside == (row["p_tost_holm"] < RULES.alpha)
        assert apart == (row["p_holm"] < RULES.alpha)
        if not inside:
            assert (row["word"] in (Word.BETTER, Word.WORSE)) == apart


def test_holm_is_stepped_down_not_multiplied_by_the_number_of_tests():
    """Among four tests the third of three clear ones may be found although its p times four is not below alpha."""
    clear = [scores(0.08, rng_seed=seed) for seed in (1, 2, 3)]
    null = scores(0.0, noise=0.05, rng_seed=4)
    tests = [pair_tests(each, NAMES, RULES, KEYS, only=MACRO)[0] for each in (*clear, null)]
    tests[2] = replace(tests[2], p=0.02)
    rows = judged_rows(tests, RULES, influence=False)
    assert rows[2]["p_holm"] == pytest.approx(2 * 0.02)
    assert rows[2]["level"] == pytest.approx(1 - 0.05 / 2)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_sentence_names_the_level_of_the_interval_that_it_quotes(alpha):
    rules = replace(RULES, alpha=alpha)
    pairs = scores(0.02)
    test = pair_tests(pairs, NAMES, rules, KEYS, only=MACRO)[0]
    low, high = test.uncertainty.interval(1 - alpha)
    quoted = f"({100 * (1 - alpha):g} % interval {100 * low:+.1f} to {100 * high:+.1f})"
    assert quoted in judged(pairs, rules=rules).sentence


def test_units_that_agree_do_not_outweigh_seeds_that_do_not():
    row = rows_of_pair(scores(0.0, seed_noise=0.05, noise=0.002))[MACRO]
    assert row["p_sign_flip"] < 0.01  # sign flips over units see one lucky set of trainings
    assert row["p"] > 0.05
    assert row["low"] < 0 < row["high"]


def test_the_unit_that_carries_a_verdict_is_named():
    pairs = scores(0.0, noise=0.004)
    pairs.method[:, 3] += 0.4  # one slide
    row = rows_of_pair(pairs)[MACRO]
    assert row["influential"][:1] == ("s3",)
    sentence = comparison_verdict(row, RULES).sentence
    assert "Without s3 the verdict would be another." in sentence
    assert "skewed (skewness +3" in sentence
    assert rows_of_pair(scores(0.1))[MACRO]["influential"] == ()


def test_an_unpaired_view_of_the_other_sign_is_said():
    pairs = scores(0.0, noise=0.0)
    base = np.linspace(0.2, 0.9, 14)
    pairs.control[:] = base[None, :, None]
    gain = np.where(np.arange(14) == 0, -0.19, 0.01)  # the poorest slide loses a lot, all others gain a little
    pairs.method[:] = (base + gain)[None, :, None]
    row = rows_of_pair(pairs)[MACRO]
    assert row["difference"] < 0 < row["cliffs_delta"]
    assert "Unpaired, dfa is ahead (Cliff's delta +" in comparison_verdict(row, RULES).sentence


def test_one_seed_is_said():
    assert "one seed" in judged(scores(0.06, seeds=1)).sentence
    assert "one seed" not in judged(scores(0.06, seeds=3)).sentence


def test_swapping_the_methods_mirrors_the_comparison():
    pairs = scores(0.02)
    there = rows_of_pair(pairs)[MACRO]
    back = rows_of_pair(PairedScores(pairs.control, pairs.method, pairs.units))[MACRO]
    for key in ("difference", "cliffs_delta", "skewness"):
        assert there[key] == pytest.approx(-back[key])
    for key in ("p", "p_sign_flip"):
        assert there[key] == pytest.approx(back[key])
    assert there["low"] == pytest.approx(-back["high"])
    assert there["superiority"] == pytest.approx(1 - back["superiority"])
