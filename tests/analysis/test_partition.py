"""Commonality and dominance. Oracle: R (golden/explanation.R): lm on every subset, every order, published formulas."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.statistics.intervals import percentile_interval
from analysis.statistics.partition import partition, partition_each, resampled_partition

GOLDEN = json.loads((Path(__file__).parent / "golden" / "explanation_r.json").read_text())
VALUES = np.array(GOLDEN["mtcars"]).reshape(5, 32)
MPG, CARS = VALUES[0], VALUES[1:].T


def uncorrelated(rows: int, n: int) -> np.ndarray:
    """Return (rows, n) values of mean 0 and variance 1 that are exactly uncorrelated."""
    values = np.random.default_rng(0).normal(size=(n, rows))
    return np.linalg.qr(values - values.mean(axis=0))[0].T * np.sqrt(n)


def test_all_subsets_equal_r():
    found = partition(MPG, CARS)
    np.testing.assert_allclose(found.r2, GOLDEN["subset_r2"], atol=1e-12)
    np.testing.assert_allclose(found.adjusted().r2[1:], GOLDEN["subset_adjusted"], atol=1e-12)
    np.testing.assert_allclose(found.dominance(), GOLDEN["dominance"], atol=1e-12)
    assert found.residual_df == 27


def test_dominance_equals_the_published_example():
    """Azen and Budescu 2003, four predictors; values as the tests of R's dominanceanalysis (Bustos) quote them."""
    correlations = np.array(
        [
            [1, 0.6, 0.3, 0.4, 0.5],
            [0.6, 1, 0.8, 0.1, 0.3],
            [0.3, 0.8, 1, 0.1, 0.1],
            [0.4, 0.1, 0.1, 1, 0.5],
            [0.5, 0.3, 0.1, 0.5, 1],
        ]
    )
    by_size = [[0.360, 0.090, 0.160, 0.250], [0.300, 0.074, 0.095, 0.152]]  # mean gain over subsets of 0, 1, 2, 3
    by_size += [[0.263, 0.069, 0.063, 0.073], [0.246, 0.071, 0.061, 0.010]]
    values = np.linalg.cholesky(correlations) @ uncorrelated(5, 100)  # have exactly these correlations
    found = partition(values[0], values[1:].T)
    np.testing.assert_allclose(found.dominance(), np.mean(by_size, axis=0), atol=5e-4)  # of three digits each


def test_commonality_equals_the_published_formulas():
    found = partition(MPG, CARS[:, :3])
    np.testing.assert_allclose(found.commonality()[1:], GOLDEN["commonality_of_three"], atol=1e-12)


def test_parts_sum_to_the_whole():
    found = partition(MPG, CARS)
    assert found.commonality().sum() == pytest.approx(found.r2[-1])
    assert found.dominance().sum() == pytest.approx(found.r2[-1])
    assert sum(found.of_two([0], [1, 2, 3])) == pytest.approx(found.r2[-1])
    first, second, shared = found.of_two([0], [1, 2, 3])
    common = found.commonality()
    has_first = np.arange(16) & 1 == 1
    assert first == pytest.approx(common[1])
    assert second == pytest.approx(common[~has_first].sum())
    assert shared == pytest.approx(common[has_first].sum() - common[1])


def test_strata_have_their_own_intercepts():
    strata = list(np.arange(32) % 3)
    dummies = np.equal.outer(strata, np.unique(strata)).astype(float)

    def left(columns):
        return np.sum((MPG - columns @ np.linalg.lstsq(columns, MPG, rcond=None)[0]) ** 2)

    found = partition(MPG + 50 * np.array(strata), CARS, strata)
    assert found.r2[-1] == pytest.approx(1 - left(np.column_stack([dummies, CARS])) / left(dummies))
    assert found.residual_df == 32 - 3 - 4


def test_several_responses_are_fitted_as_each_alone():
    strata = list("a" * 12 + "b" * 20)
    responses = np.stack([MPG, MPG[::-1], np.zeros(32)])
    found = partition_each(responses, CARS, strata)
    for row, response in enumerate(responses):
        alone = partition(response, CARS, strata)
        np.testing.assert_allclose(found.r2[row], alone.r2, atol=1e-12)
        assert (found.n, found.n_strata) == (alone.n, alone.n_strata)
        np.testing.assert_allclose(found.adjusted().r2[row], alone.adjusted().r2, atol=1e-12)
        np.testing.assert_allclose(found.commonality()[row], alone.commonality(), atol=1e-12)
        np.testing.assert_allclose(found.dominance()[row], alone.dominance(), atol=1e-12)
        parts = found.of_two([0, 2], [1, 3]), alone.of_two([0, 2], [1, 3])
        np.testing.assert_allclose([part[row] for part in parts[0]], parts[1], atol=1e-12)


def test_degenerate_input_is_defined():
    assert np.isnan(partition(np.ones(8), CARS[:8]).r2).all()
    constant = partition(MPG, np.column_stack([CARS[:, 0], np.ones(32)]))
    assert constant.r2[2] == 0
    assert constant.r2[3] == pytest.approx(constant.r2[1])
    twice = partition(MPG, np.column_stack([CARS[:, 2], CARS[:, 2]]))
    assert twice.of_two([0], [1]) == pytest.approx((0, 0, twice.r2[1]), abs=1e-9)
    saturated = partition(MPG[:4], CARS[:4, :3])
    assert np.isnan(saturated.adjusted().r2[-1])
    with pytest.raises(ValueError, match="1 to 8 predictors"):
        partition(MPG, np.zeros((32, 9)))


def test_resampling_stays_within_data_sets_and_repeats():
    strata = list("a" * 16 + "b" * 16)
    first, again = (
        resampled_partition(MPG, CARS, strata, resamples=40, rng=np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.r2, again.r2)
    # one resample by hand: the first draw of classes
    rng = np.random.default_rng(4)
    weights = [rng.multinomial(16, np.full(16, 1 / 16), size=40)[0] for _ in range(2)]
    chosen = np.repeat(np.arange(32), np.concatenate(weights))
    expected = partition(MPG[chosen], CARS[chosen], [strata[each] for each in chosen])
    np.testing.assert_allclose(first.r2[0], expected.r2, atol=1e-9)
    few = resampled_partition(MPG[:6], CARS[:6, 1:3], None, resamples=200, rng=np.random.default_rng(0))
    assert 0 < len(few.r2) < 200  # those without a residual degree of freedom are dropped


def test_interval_of_a_unique_share_covers_what_was_planted():
    rng, n, hits = np.random.default_rng(6), 120, 0
    truth = 0.5  # y = x + e: half of the variation, none of it shared
    for _ in range(n):
        x = rng.normal(size=(20, 2))
        drawn = resampled_partition(x[:, 0] + rng.normal(size=20), x, None, resamples=200, rng=rng)
        shares = drawn.adjusted().of_two([0], [1])[0]
        low, high = percentile_interval(shares, 19, 0.95)
        hits += low <= truth <= high
    assert hits / n >= 0.89
