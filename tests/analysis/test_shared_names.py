"""Names that recur are one class. Oracles: means of rows where every data set has every name; copies of a data set."""

import numpy as np
import pytest

from analysis.statistics.rank_association import rank_association
from analysis.statistics.shared_names import SharedNames
from analysis.statistics.strata import within_ranks


def test_the_effect_of_a_name_in_every_data_set_is_the_mean_of_its_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 5))
    found = SharedNames.of(list("abcde") * 3, ["p"] * 5 + ["q"] * 5 + ["r"] * 5)
    assert (found.n_names, found.any_shared) == (5, True)
    means = (values - values.mean(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(found.effects(values.ravel()), means)


def test_an_offset_of_a_data_set_changes_no_effect():
    rng = np.random.default_rng(0)
    names, blocks = list("abcdabefcg"), list("ppppqqqqrr")
    found, values = SharedNames.of(names, blocks), rng.normal(size=10)
    moved = values + np.array([{"p": 5, "q": -2, "r": 1}[each] for each in blocks])
    np.testing.assert_allclose(found.effects(moved), found.effects(values), atol=1e-12)
    assert set(found.stratum) == {0}  # a, b tie p to q, and c ties r to p


def test_distinct_names_are_compared_within_their_data_set_as_they_are():
    rng = np.random.default_rng(0)
    values = rng.normal(size=7)
    found = SharedNames.of(list("abcdefg"), list("pppqqqq"))
    np.testing.assert_allclose(found.effects(values)[:3], values[:3] - values[:3].mean())
    assert len(set(found.stratum[:3])) == len(set(found.stratum[3:])) == 1
    assert found.stratum[0] != found.stratum[3]


@pytest.mark.parametrize("copies", [2, 5])
def test_copies_of_a_data_set_say_nothing_new(copies):
    rng = np.random.default_rng(0)
    x = np.array([0.3, -1.2, 0.8, 1.9, -0.4, 0.6])
    y = np.array([0.1, -0.9, 1.4, 0.7, 0.2, -0.3])
    blocks = [f"set {copy}" for copy in range(copies) for _ in range(6)]
    found = SharedNames.of(list("abcdef") * copies, blocks)
    ranked = [found.effects(within_ranks(np.tile(each, copies), blocks)) for each in (x, y)]
    options = {"alpha": 0.05, "permutations": 2000, "rng": rng}
    once, many = rank_association(x, y, **options), rank_association(*ranked, strata=list(found.stratum), **options)
    assert (many.n, many.p_spearman) == (6, pytest.approx(once.p_spearman))
    rows = rank_association(np.tile(x, copies), np.tile(y, copies), strata=blocks, **options)
    assert rows.p_spearman < once.p_spearman  # as if they were other classes
