"""Many methods on many data sets. Oracles: R (comparisons_r.csv), scikit-posthocs (posthoc_python.csv), Demsar 2006."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.critical_difference import FEWEST_DATASETS, critical_difference
from analysis.statistics.friedman import block_ranks, cliques, conover_p, friedman, nemenyi_distance, pairwise_ranks
from imbalance_bench.errors import UserError
from tests.analysis.statistics_golden import POSTHOC_SCORES, ROUNDING, posthoc_value, r_value


def long(scores, names="abcdefgh"):
    return pd.DataFrame(
        [
            {"dataset": f"set {row}", "method": names[column], "score": value}
            for row, values in enumerate(scores)
            for column, value in enumerate(values)
        ]
    )


def planted(n, effects=(0.0, 0.5, 3.0), seed=0):
    rng = np.random.default_rng(seed)
    return np.array(effects) + rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, len(effects)))


def test_friedman_equals_r():
    found = friedman(-ROUNDING)
    assert found.chi2 == pytest.approx(r_value("friedman_chi2"))
    assert found.p_chi2 == pytest.approx(r_value("friedman_p_chi2"))
    assert found.f == pytest.approx(r_value("iman_davenport_f"))
    assert found.p == pytest.approx(r_value("iman_davenport_p"))


def test_iman_davenport_equals_demsar_2006():
    # his chi2 9.28 and F 3.69 of 4 methods on 14 data sets, from average ranks 3.143, 2.000, 2.893, 1.964
    average = np.array([3.143, 2.000, 2.893, 1.964])
    chi2 = 12 * 14 / (4 * 5) * (np.sum(average**2) - 4 * 25 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.01)
    assert 13 * chi2 / (14 * 3 - chi2) == pytest.approx(3.69, abs=0.01)
    assert cliques(average, 1.25) == ((3, 1, 2, 0),)
    assert cliques(average, nemenyi_distance(14, 4, 0.10)) == ((3, 1, 2), (2, 0))  # as he concludes


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_nemenyi_equals_r(pair):
    found = pairwise_ranks(-ROUNDING, "abc").set_index(["method_a", "method_b"])
    key = f"nemenyi_p_{pair[0] + 1}{pair[1] + 1}"
    assert found.loc[("abc"[pair[0]], "abc"[pair[1]]), "p_nemenyi"] == pytest.approx(r_value(key), abs=1e-6)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_critical_distances_equal_r(k):
    assert nemenyi_distance(14, k, 0.05) == pytest.approx(r_value(f"nemenyi_q_{k}") * np.sqrt(k * (k + 1) / 84))
    assert nemenyi_distance(14, 4, 0.05) == pytest.approx(r_value("nemenyi_cd_4_14"))


def test_post_hoc_tests_equal_scikit_posthocs():
    found = pairwise_ranks(POSTHOC_SCORES, "abcd")
    pairs = [f"{i}{j}" for i in range(4) for j in range(i + 1, 4)]
    for column, key in (("p_nemenyi", "nemenyi"), ("p_conover", "conover"), ("p_conover_holm", "conover_holm")):
        expected = [posthoc_value(f"{key}_{pair}") for pair in pairs]
        np.testing.assert_allclose(found[column], expected, atol=1e-6, err_msg=column)


def test_ranks_put_the_best_first_and_share_ties():
    np.testing.assert_array_equal(block_ranks(np.array([[0.9, 0.5, 0.5], [0.1, 0.2, 0.3]])), [[1, 2.5, 2.5], [3, 2, 1]])


def test_identical_methods_do_not_differ():
    found = friedman(np.full((6, 4), 0.5))
    assert (found.chi2, found.p) == (0.0, 1.0)
    assert set(pairwise_ranks(np.full((6, 4), 0.5), "abcd")["p_conover"]) == {1.0}
    assert set(pairwise_ranks(np.full((6, 4), 0.5), "abcd")["p_nemenyi"]) == {1.0}


def test_complete_agreement_gives_the_smallest_p_not_zero():
    scores = np.tile([0.1, 0.2, 0.3], (5, 1)) + np.arange(5)[:, None]
    found = friedman(scores)
    assert np.isinf(found.f)
    assert found.p == found.min_p == pytest.approx(6.0**-4)
    np.testing.assert_allclose(conover_p(scores), 6.0**-4)


@pytest.mark.parametrize("shape", [(1, 3), (5, 1), (0, 3)])
def test_too_little_is_not_tested(shape):
    assert np.isnan(friedman(np.zeros(shape)).p)
    with pytest.raises(ValueError, match="2 data sets and 2 methods"):
        pairwise_ranks(np.zeros(shape), "abc")


def test_missing_scores_are_refused_by_the_test_and_left_out_of_the_frame():
    scores = planted(7)
    scores[2, 1] = np.nan
    with pytest.raises(ValueError, match="missing"):
        friedman(scores)
    found = critical_difference(long(scores))
    assert found.left_out == ("set 2",)
    assert found.friedman.n_blocks == 6
    assert found.friedman.p == friedman(np.delete(scores, 2, axis=0)).p


@given(st.lists(st.floats(1, 8), min_size=1, max_size=8), st.floats(0.01, 3))
def test_cliques_hold_exactly_the_pairs_within_the_distance(ranks, distance):
    found = cliques(np.array(ranks), distance)
    for i in range(len(ranks)):
        for j in range(i):
            together = any({i, j} <= set(group) for group in found)
            gap = abs(ranks[i] - ranks[j])
            assert together == (gap <= distance) or gap == pytest.approx(distance, abs=1e-9)
    assert not any(set(a) < set(b) for a in found for b in found)


def test_critical_difference_of_a_planted_order():
    found = critical_difference(long(planted(12)))
    assert found.tested
    assert list(found.ranks["method"]) == ["c", "b", "a"]
    assert found.ranks["average_rank"].iloc[0] == 1.0
    assert ("b", "a") in found.cliques or ("a", "b") in found.cliques
    assert not any("c" in group for group in found.cliques)
    assert "c ranks best; it is set apart from all others" in found.sentence
    assert len(found.pairs) == 3


@pytest.mark.parametrize("n", [1, 2, 4])
def test_fewer_than_five_data_sets_are_only_described(n):
    found = critical_difference(long(planted(n)))
    assert not found.tested
    assert n < FEWEST_DATASETS == 5
    assert np.isnan(found.distance)
    assert found.cliques == ()
    assert found.pairs.empty
    assert "too few to test" in found.sentence
    assert found.ranks["average_rank"].iloc[0] == 1.0


def test_all_methods_that_tie_are_named():
    rng = np.random.default_rng(0)
    scores = np.repeat([[0.8, 0.8, 0.5, 0.4]], 12, axis=0) + rng.normal(0, 0.01, (12, 1))
    found = critical_difference(long(scores[:9]))
    assert found.ranks["average_rank"].tolist() == [1.5, 1.5, 3, 4]
    assert "a and b tie as best; c cannot be told apart from them" in found.sentence
    assert "a and b tie as best; they are set apart from all others" in critical_difference(long(scores)).sentence
    assert "a and b share the best one" in critical_difference(long(scores[:2])).sentence


def test_no_difference_is_said():
    found = critical_difference(long(np.random.default_rng(1).normal(size=(6, 3))))
    assert found.friedman.p > 0.05
    assert "not shown to differ" in found.sentence


def test_wrong_frames_are_refused_in_one_line():
    frame = long(planted(5))
    with pytest.raises(UserError, match="twice"):
        critical_difference(pd.concat([frame, frame.head(1)]))
    with pytest.raises(UserError, match="'score'"):
        critical_difference(frame.drop(columns="score"))
    with pytest.raises(UserError, match="every method"):
        critical_difference(frame.iloc[[0, 4]])
