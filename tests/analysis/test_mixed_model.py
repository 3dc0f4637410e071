"""Mixed models of the learned bias. Oracles: lme4 (golden/explanation.R, crossed.R), least squares on class means."""

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from analysis.statistics.mixed_model import SMALLEST_CLASS_DF, fit_mixed_model

GOLDEN = json.loads((Path(__file__).parent / "golden" / "explanation_r.json").read_text())
CROSSED = json.loads((Path(__file__).parent / "golden" / "crossed_r.json").read_text())
A = np.array([1.2, 0.4, -0.7, 0.1, 1.9, -1.1, 0.3, -0.5, 0.8, 1.4, -0.2, -1.6])
B = np.array([0.2, 1.1, -0.3, 0.9, -1.2, 0.6, -0.8, 0.5, 1.3, -0.4, 0.7, -0.1])
U = np.array([0.9, -0.4, 0.2, -0.8, 0.5, 0.1, -0.6, 0.7, -0.3, 0.4, -0.9, 0.3])[:, None]
E = np.tile([0.30, -0.10, -0.20, 0.15, -0.25, 0.10, 0.05, 0.20, -0.25], 4).reshape(12, 3)
NAMES, SETS = [f"class {c}" for c in range(12)], ["p"] * 6 + ["q"] * 6
EVERY = slice(None)


def without(values: np.ndarray, places: list[int]) -> np.ndarray:
    """Values with gaps at some places, counted run by run of each class."""
    flat = values.ravel().copy()
    flat[places] = np.nan
    return flat.reshape(values.shape)


def fit(outcome, rows: slice | np.ndarray = EVERY, predictors=(A, B), names=NAMES):
    chosen = np.arange(12)[rows]
    design = np.column_stack(predictors)[chosen]
    return fit_mixed_model(outcome[chosen], design, [names[i] for i in chosen], [SETS[i] for i in chosen])


@pytest.mark.parametrize(
    ("name", "class_part", "gaps"),
    [("mixed_interior", U, []), ("mixed_unbalanced", U, [1, 7, 8, 24]), ("mixed_singular", 0 * U, [])],
)
def test_equals_lme4(name, class_part, gaps):
    found, expected = fit(without(0.8 * A[:, None] + class_part + E, gaps)), np.array(GOLDEN[name])
    np.testing.assert_allclose(np.r_[found.estimates, found.errors], expected[:4], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose([found.class_sd, found.residual_sd], expected[4:6], rtol=1e-5, atol=1e-9)
    assert found.singular == bool(expected[6])
    assert found.converged
    assert found.class_df == 12 - 2 - 2
    assert np.isnan(found.name_sd)


@pytest.mark.parametrize(("name", "gaps"), [("crossed", []), ("crossed_unbalanced", [1, 7, 8, 24, 39, 40])])
def test_names_crossed_with_data_sets_equal_lme4(name, gaps):
    values = without(np.array(CROSSED["value"]).reshape(22, 3), gaps)
    predictors = np.column_stack([CROSSED["x"], CROSSED["z"]])
    found = fit_mixed_model(values, predictors, CROSSED["name"], CROSSED["set"])
    got = np.r_[found.estimates, found.errors, found.name_sd, found.class_sd, found.residual_sd]
    np.testing.assert_allclose(got, CROSSED[name], rtol=1e-6)
    assert (found.n_names, found.n_classes, found.class_df) == (12, 22, 12 - 1 - 2)


def test_names_without_an_effect_of_their_own_are_singular_in_part():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(24, 1)) + 0.3 * rng.normal(size=(24, 4))
    names = [f"class {c}" for c in range(12)] * 2
    found = fit_mixed_model(values, np.zeros((24, 0)), names, ["p"] * 12 + ["q"] * 12)
    assert found.class_sd > 0
    assert found.name_sd >= 0
    assert not found.singular


def test_a_balanced_fit_is_least_squares_on_class_means():
    outcome = 0.8 * A[:, None] + U + E
    found = fit(outcome)
    design = np.column_stack([np.array(SETS) == "p", np.array(SETS) == "q", A, B])
    oracle = sm.OLS(outcome.mean(1), design.astype(float)).fit()
    np.testing.assert_allclose(found.estimates, oracle.params[2:], rtol=1e-6)
    np.testing.assert_allclose(found.errors, oracle.bse[2:], rtol=1e-4)
    np.testing.assert_allclose(found.p, oracle.pvalues[2:], rtol=1e-3)
    np.testing.assert_allclose(np.column_stack(found.interval()), oracle.conf_int()[2:], rtol=1e-3)


def test_seeds_and_data_sets_of_a_name_add_no_degrees_of_freedom():
    many = fit(np.tile(U + E, 5))
    assert many.class_df == fit(U + E).class_df == 8
    assert many.n_rows == 180
    np.testing.assert_allclose(many.errors, fit(U + E).errors, rtol=0.05)
    twice = fit_mixed_model(
        np.tile(U + E, (2, 1)) + np.random.default_rng(0).normal(size=(24, 3)) / 9,
        np.tile(np.column_stack([A, B]), (2, 1)),
        NAMES * 2,
        [f"{each}{copy}" for copy in (1, 2) for each in SETS],
    )
    assert twice.class_df == 8
    np.testing.assert_allclose(twice.errors, fit(U + E).errors, rtol=0.2)  # names vary; their copies say nothing new


def test_refusals_name_their_reason():
    few = fit(U + E, np.arange(SMALLEST_CLASS_DF + 1))
    assert "6 classes are too few for 2 measures: 8 would leave the 5 degrees" in few.refusal
    assert fit(U + E, np.r_[0:6, 10:12]).refusal  # 8 classes, but two data sets
    shared = fit(U + E, names=NAMES[:6] * 2)
    assert "6 distinct class names are too few" in shared.refusal
    assert "fewer than two runs" in fit((U + E)[:, :1]).refusal
    assert "determine it" in fit(U + E, predictors=(A, 2 * A)).refusal
    assert "do not differ" in fit(np.tile(U, 3)).refusal
    for found in (few, fit(np.tile(U, 3))):
        assert np.isnan(found.estimates).all()
        assert np.isnan(found.p).all()
    assert fit(without(U + E, [9, 10, 11])).n_classes == 11


def test_planted_slopes_are_recovered_and_the_level_is_kept():
    rng, n = np.random.default_rng(2), 60
    covered, rejected = np.zeros(2), 0
    for number in range(n):
        a, b = rng.normal(size=(2, 12))
        sd = (0.8, 0.0)[number % 2]
        outcome = (1.5 * a + sd * rng.normal(size=12))[:, None] + 0.5 * rng.normal(size=(12, 3))
        found = fit(outcome, predictors=(a, b))
        low, high = found.interval()
        covered += (low <= (1.5, 0)) & (high >= (1.5, 0))
        rejected += found.p[1] < 0.05
    assert (covered / n >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)).all()
    assert rejected / n <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
