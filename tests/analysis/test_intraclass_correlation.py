"""Reliability over seeds, folds and training sets. Oracles: ICC(3,k); simulated folds that share training images."""

import numpy as np
import pytest

from analysis.statistics.intraclass_correlation import icc_average_consistency, reliabilities


def test_over_seeds_of_one_training_set_it_is_icc_3_k():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 1)) + rng.normal(size=(8, 4))
    (found,) = reliabilities(values, [0] * 4)
    assert found.over == "seeds"
    assert (found.icc, found.low, found.high) == pytest.approx(icc_average_consistency(values))
    assert np.isnan(found.without_best)


def test_over_folds_it_is_icc_3_k_of_their_means():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(8, 5)), 3, axis=1) + rng.normal(size=(8, 15))
    _, folds, training_sets = reliabilities(values, np.repeat(range(5), 3).tolist())
    means = values.reshape(8, 5, 3).mean(axis=2)
    assert (folds.icc, folds.low, folds.high) == pytest.approx(icc_average_consistency(means))
    assert training_sets.icc < folds.icc


def test_what_each_training_set_makes_of_a_class_agrees_over_seeds_only():
    rng = np.random.default_rng(0)
    found = {"seeds": 0, "folds": 0, "training_sets": 0}
    for _ in range(200):
        values = np.repeat(rng.normal(size=(6, 5)), 3, axis=1) + 0.5 * rng.normal(size=(6, 15))
        for each in reliabilities(values, np.repeat(range(5), 3).tolist()):
            found[each.over] += each.icc >= 0.5 and each.p < 0.05
    assert found["seeds"] > 180
    assert found["training_sets"] <= 4


def test_the_share_of_common_images_is_taken_off():
    """Five folds: what training images make of a class correlates by 3/4; the truth is the share of the class."""
    rng = np.random.default_rng(0)
    q, estimates = 0.75, []
    for _ in range(300):
        own, common, apart = rng.normal(size=(40, 1)), rng.normal(size=(40, 1)), rng.normal(size=(40, 5))
        folds = own + 0.5 * (np.sqrt(q) * common + np.sqrt(1 - q) * apart)
        values = np.repeat(folds, 3, axis=1) + 0.3 * rng.normal(size=(40, 15))
        estimates.append(reliabilities(values, np.repeat(range(5), 3).tolist())[-1].icc)
    truth = 1 / (1 + 0.25 * (q + (1 - q) / 5) + 0.09 / 15)
    assert np.median(estimates) == pytest.approx(truth, abs=0.02)


def test_a_scale_does_not_outweigh_and_one_data_set_does_not_carry_all():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b", "c"], 8)
    noise = rng.normal(size=(24, 4))
    loud = np.where((strata == "a")[:, None], 10 * (rng.normal(size=(24, 1)) + 0.3 * noise), noise)
    louder = loud * np.where(strata == "b", 7.0, 1.0)[:, None]
    first, second = (reliabilities(each, [0] * 4, list(strata))[0] for each in (loud, louder))
    assert first.icc == pytest.approx(second.icc)
    assert first.without_best < 0.5
    assert icc_average_consistency(loud)[0] > 0.9  # what the scale alone would say


def test_one_run_and_nothing_that_varies_cannot_be_told():
    rng = np.random.default_rng(0)
    assert np.isnan(reliabilities(rng.normal(size=(5, 1)), [0])[0].icc)
    assert np.isnan(reliabilities(np.ones((5, 3)), [0] * 3)[0].icc)
    alone = reliabilities(rng.normal(size=(5, 3)), [0, 1, 2])
    assert np.isnan(alone[0].icc)  # one seed per fold says nothing of seeds
    assert np.isfinite(alone[2].icc)
