"""Every test that R has, against R: golden/comparisons.R prints the values; none of it needs R to run."""

import numpy as np
import pytest

from analysis.statistics.corrections import benjamini_hochberg, holm
from analysis.statistics.effect_size import cliffs_delta, wilcoxon_p
from analysis.statistics.equivalence import tost
from analysis.statistics.intraclass_correlation import icc_average_consistency
from analysis.statistics.rank_association import rank_association
from analysis.statistics.sign_flip import sign_flip_p
from tests.analysis.statistics_golden import DARWIN, r_value


@pytest.mark.parametrize("k", range(3, 9))
def test_exact_spearman_and_kendall(k):
    rng = np.random.default_rng(0)
    i = np.arange(1, k + 1)
    found = rank_association((7 * i) % 11 * 1.0, (5 * i**2 + 3) % 13 + i / 100, alpha=0.05, permutations=1, rng=rng)
    assert found.spearman == pytest.approx(r_value(f"spearman_rho_{k}"))
    assert found.kendall == pytest.approx(r_value(f"kendall_tau_{k}"), abs=1e-12)
    assert found.p_spearman == pytest.approx(r_value(f"spearman_p_{k}"), abs=1e-10)
    assert found.p_kendall == pytest.approx(r_value(f"kendall_p_{k}"), abs=1e-10)


def test_stratified_association():
    rng = np.random.default_rng(0)
    x, y = [1, 2, 3, 4, 2, 1, 3, 5, 3, 4, 1, 2], [1, 2, 4, 3, 3, 1, 2, 5, 4, 3, 2, 1]
    found = rank_association(
        np.array(x, float), np.array(y, float), alpha=0.05, permutations=1, rng=rng, strata=list("aaaabbbccccc")
    )
    assert found.spearman == pytest.approx(r_value("stratified_spearman"))
    assert found.p_spearman == pytest.approx(r_value("stratified_spearman_p"), abs=1e-10)
    assert found.kendall == pytest.approx(r_value("stratified_kendall"))
    assert found.p_kendall == pytest.approx(r_value("stratified_kendall_p"), abs=1e-10)


def test_paired_tests():
    rng = np.random.default_rng(0)
    assert sign_flip_p(DARWIN, permutations=1, rng=rng) == pytest.approx(r_value("sign_flip_darwin"), abs=1e-10)
    few = np.array([1.1, -0.4, 2.3, 0.9, -1.7, 3.1, 2.6, 0.2])
    assert wilcoxon_p(few) == pytest.approx(r_value("wilcoxon_exact"), abs=1e-10)
    tied = np.array([1, 1, -1, 2, 0, 3, 2, -2, 4.0])
    assert wilcoxon_p(tied) == pytest.approx(r_value("wilcoxon_tied"), abs=1e-10)


@pytest.mark.parametrize("margin", [10, 40])
def test_two_one_sided_tests(margin):
    found = tost(DARWIN, margin)
    assert found.p_lower == pytest.approx(r_value(f"tost_lower_{margin}"))
    assert found.p_upper == pytest.approx(r_value(f"tost_upper_{margin}"))
    assert found.p == max(found.p_lower, found.p_upper)


def test_effect_size_and_corrections():
    x, y = np.array([3, 1, 4, 1, 5, 9, 2, 6.0]), np.array([5, 3, 5, 8, 9, 7, 9.0])
    assert cliffs_delta(x, y) == pytest.approx(r_value("cliffs_delta"))
    p = np.array([0.001, 0.2, 0.013, 0.04, 0.013, 0.6])
    np.testing.assert_allclose(holm(p), [r_value(f"holm_{i}") for i in range(1, 7)])
    np.testing.assert_allclose(benjamini_hochberg(p), [r_value(f"bh_{i}") for i in range(1, 7)])


def test_icc_of_shrout_and_fleiss():
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    found = icc_average_consistency(ratings)
    assert found[0] == pytest.approx(0.91, abs=5e-3)  # as published
    np.testing.assert_allclose(found, [r_value(f"icc_3k{end}") for end in ("", "_low", "_high")])
