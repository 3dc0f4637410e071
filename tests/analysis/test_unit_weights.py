"""Units that carry pooled scores. Oracles: Kish's formula, worlds in which an interval is known to fall short."""

import numpy as np
import pytest

from analysis.scoring.units import Ratios
from analysis.topics.unit_weights import weights_verdict
from benchmarks.held_back.scores import sized_counts


def of(size, dice) -> Ratios:
    size, dice = (np.asarray(each, dtype=float)[None, :, None] for each in (size, dice))
    return Ratios(size * dice, size, np.ones((size.shape[1], 1), dtype=np.int64))


def said(pooled: Ratios, names=("a",)):
    return weights_verdict(pooled, [f"s{u}" for u in range(pooled.numerator.shape[1])], names, "group")


def test_few_that_carry_a_score_are_named():
    found = said(of([100, 90, *[1] * 12], np.full(14, 0.7)))
    assert found is not None
    assert "a on 2.3 of 14 (s0 50%, s1 45%, s2 0%)" in found.sentence
    assert found.numbers["a"]["effective_units"] == pytest.approx(202**2 / (100**2 + 90**2 + 12))
    assert said(of(np.ones(14), np.linspace(0.2, 0.9, 14))) is None


def test_unequal_units_are_named_where_large_ones_score_otherwise():
    size = np.exp(np.linspace(0, 5, 40))
    rng = np.random.default_rng(0)
    assert said(of(size, 0.7 + 0.1 * rng.normal(size=40))) is None  # enough of them, if size tells nothing
    for sign, told in ((1, "better"), (-1, "worse")):
        found = said(of(size, 0.7 + sign * 0.02 * np.log(size) + 0.01 * rng.normal(size=40)))
        assert found is not None
        assert f"large ones score {told} than small ones" in found.sentence
    mild = np.linspace(1, 3, 40)
    assert said(of(mild, 0.5 + 0.1 * mild)) is None  # nearly all of them


def test_where_intervals_of_pooled_scores_fall_short_a_verdict_says_so():
    rng, n = np.random.default_rng(2), 60
    for slides in (14, 40):
        counts = (sized_counts(slides, rng) for _ in range(n))
        found = [
            said(Ratios(above[None], below[None], (below > 0).astype(np.int64)), ("common", "rare"))
            for above, below in counts
        ]
        assert sum(each is not None for each in found) >= 0.95 * n
