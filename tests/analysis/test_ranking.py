"""Ranking stability: definitions, planted orders, degenerate methods, the chapter of the analysis."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analysis.scoring.units import Ratios, crossed_scores, scores_by_seed, shared_seeds
from analysis.statistics.intervals import multinomial_weights, seed_weights
from analysis.statistics.rank_stability import rank_stability
from analysis.topics.ranking import rank_methods, ranking_verdict, resampled_scores
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.cli.study_view import print_ranking
from imbalance_bench.terminal import Terminal

stats: Any = scipy.stats  # its return types are not declared


def ratios_of(effects, units=12, seeds=3, noise=0.05, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    base = 0.6 + 0.1 * rng.normal(size=(1, units, 2))
    size = rng.integers(50, 200, size=(seeds, units, 2)).astype(float)
    occurs = np.ones((units, 2), dtype=np.int64)
    return {
        f"m{place}": Ratios(size * (base + effect + noise * rng.normal(size=size.shape)), size, occurs)
        for place, effect in enumerate(effects)
    }


def ranked(effects, **options):
    parts = ratios_of(effects, **options)
    seeds, units, _ = next(iter(parts.values())).numerator.shape
    rng = np.random.default_rng(1)
    weights = multinomial_weights(units, 500, rng), multinomial_weights(seeds, 500, rng)
    return rank_methods(parts, ("x", "y"), *weights)


def test_crossed_scores_equal_a_loop():
    parts = ratios_of([0.0], units=4, seeds=3)["m0"]
    unit, seed = np.array([[1, 2, 0, 1.0], [0, 0, 4, 0]]), np.array([[3, 0, 0.0], [1, 0, 2]])
    found = crossed_scores(parts, unit, seed)
    for b, c in product(range(2), range(2)):
        each = [
            (unit[b] * parts.numerator[s, :, c]).sum() / (unit[b] * parts.denominator[s, :, c]).sum() for s in range(3)
        ]
        assert found[b, c] == pytest.approx(np.average(each, weights=seed[b]))
    np.testing.assert_allclose(found[:, 2], found[:, :2].mean(axis=1))
    everything = crossed_scores(parts, np.ones((1, 4)), np.ones((1, 3)))
    np.testing.assert_allclose(everything[0], scores_by_seed(parts).mean(axis=0))


def test_crossed_scores_leave_out_a_class_that_a_resample_lacks():
    occurs = np.array([[1, 0], [1, 1]])
    parts = Ratios(np.array([[[0.5, 0.0], [0.7, 0.9]]]), occurs[None].astype(float), occurs)
    found = crossed_scores(parts, np.array([[2.0, 0.0]]), np.ones((1, 1)))[0]
    assert np.isnan(found[1])
    assert found[[0, 2]] == pytest.approx([0.5, 0.5])


def test_stability_equals_its_definitions():
    rng = np.random.default_rng(3)
    observed, resampled = rng.normal(size=4), rng.normal(size=(60, 4))
    found = rank_stability(observed, resampled)
    np.testing.assert_array_equal(found.rank, stats.rankdata(-observed))
    tau = [stats.kendalltau(observed, each).statistic for each in resampled]
    assert found.kendall == pytest.approx(np.mean(tau))
    np.testing.assert_allclose(found.p_best, np.bincount(resampled.argmax(axis=1), minlength=4) / 60)
    ranks = np.array([stats.rankdata(-each) for each in resampled])
    np.testing.assert_array_equal(found.low, np.quantile(ranks, 0.025, axis=0, method="inverted_cdf"))
    np.testing.assert_array_equal(found.high, np.quantile(ranks, 0.975, axis=0, method="inverted_cdf"))


def test_a_clear_order_is_stable_and_a_close_one_is_not():
    clear = ranked([0.0, 0.2, 0.4]).query("`class` == 'macro'")
    assert list(clear["method"]) == ["m2", "m1", "m0"]
    assert list(clear["rank"]) == list(clear["rank_low"]) == list(clear["rank_high"]) == [1, 2, 3]
    assert list(clear["p_best"]) == [1, 0, 0]
    assert set(clear["kendall_tau"]) == {1.0}
    close = ranked([0.0, 0.001, 0.002], noise=0.1).query("`class` == 'macro'")
    assert close["p_best"].max() < 0.9
    assert close["p_best"].sum() == pytest.approx(1)
    assert close["kendall_tau"].iloc[0] < 0.8
    assert (close["rank_high"] > close["rank_low"]).any()


def test_identical_methods_share_ranks():
    parts = ratios_of([0.0])
    same = {"a": parts["m0"], "b": parts["m0"]}
    found = rank_methods(same, ("x", "y"), multinomial_weights(12, 50, np.random.default_rng(0)), np.ones((50, 3)))
    assert set(found["rank"]) == {1.5}
    assert set(found["p_best"]) == {0.5}
    assert found["kendall_tau"].isna().all()


def test_an_absent_class_has_no_ranks_and_does_not_disturb_macro():
    parts = {
        name: Ratios(each.numerator * [1, 0], each.denominator * [1, 0], each.occurs * np.array([1, 0]))
        for name, each in ratios_of([0.0, 0.3]).items()
    }
    rng = np.random.default_rng(0)
    found = rank_methods(parts, ("x", "y"), multinomial_weights(12, 50, rng), multinomial_weights(3, 50, rng))
    assert found.query("`class` == 'y'")[["score", "rank", "p_best"]].isna().all(axis=None)
    assert list(found.query("`class` == 'macro'")["method"]) == ["m1", "m0"]


def test_seed_weights_are_shared_and_methods_are_resampled_together():
    np.testing.assert_array_equal(seed_weights(4, 20, 0), seed_weights(4, 20, 0))
    parts = ratios_of([0.0, 0.01], noise=0.0)  # a constant difference survives every resample
    rng = np.random.default_rng(0)
    found = resampled_scores(parts, multinomial_weights(12, 100, rng), multinomial_weights(3, 100, rng))
    np.testing.assert_allclose(found[:, 1] - found[:, 0], 0.01)


@pytest.mark.parametrize(
    ("ahead", "firsts", "changes", "word"),
    [
        (["dfa"], {"pooled": "dfa"}, {}, Word.SOUND),
        (["dfa"], {"pooled": "focal"}, {}, Word.LIMITED),
        ([], {"pooled": "dfa"}, {"p_best": 1.0}, Word.LIMITED),  # resampled ranks alone decide nothing
        (["dfa"], {"pooled": "dfa"}, {"n_units": 1}, Word.NOT_TESTABLE),
    ],
)
def test_verdict_on_the_order(ahead, firsts, changes, word):
    row = {"method": "dfa", "p_best": 0.98, "rank_low": 1.0, "rank_high": 2.0, "kendall_tau": 0.7}
    row |= {"n_units": 14, "n_seeds": 3} | changes
    found = ranking_verdict([row, row | {"method": "focal"}], firsts, "group", ahead)
    assert found.word == word
    assert "nan" not in found.sentence
    if "focal" in firsts.values():
        assert "focal ranks first" in found.sentence


def test_nothing_is_ranked_without_shared_seeds():
    assert shared_seeds({}) == {}


def test_the_order_is_printed_with_its_stability() -> None:
    keys = {"aggregation": "per_group", "metric": "dice", "class": "macro", "kendall_tau": 0.5}
    rows = [
        keys | {"method": "b[old]", "rank": 1.0, "rank_low": 1.0, "rank_high": 1.5, "p_best": 0.875, "score": 0.71},
        keys | {"method": "a", "rank": 2.0, "rank_low": 1.5, "rank_high": 2.0, "p_best": 0.125, "score": 0.7},
    ]
    frame = pd.DataFrame([*rows, rows[0] | {"aggregation": "pooled", "score": 0.9}, rows[0] | {"class": "tumour"}])
    judged = Verdict(
        topic=Topic.RANKING,
        subject="order",
        word=Word.LIMITED,
        sentence="s",
        numbers={"aggregation": "per_group"},
    )
    console = Terminal(record=True, width=120)
    print_ranking(frame, [judged], console)
    header, first, second = (line.split() for line in console.export_text().strip().splitlines())
    assert header[-4:] == ["macro", "Dice", "per", "group"]
    assert first == ["b[old]", "1", "1", "to", "1.5", "88%", "0.710"]
    assert second == ["a", "2", "1.5", "to", "2", "12%", "0.700"]
    print_ranking(frame, [replace(judged, numbers={})], console)
    assert console.export_text() == ""
