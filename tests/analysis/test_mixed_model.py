"""Mixed models of the learned bias. Oracles: lme4 (golden/explanation.R); least squares on class means."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from analysis.statistics import mixed_model
from analysis.statistics.mixed_model import SMALLEST_CLASS_DF, fit_mixed_model

GOLDEN = json.loads((Path(__file__).parent / "golden" / "explanation_r.json").read_text())
A = np.repeat([1.2, 0.4, -0.7, 0.1, 1.9, -1.1, 0.3, -0.5, 0.8, 1.4, -0.2, -1.6], 3)
B = np.repeat([0.2, 1.1, -0.3, 0.9, -1.2, 0.6, -0.8, 0.5, 1.3, -0.4, 0.7, -0.1], 3)
U = np.repeat([0.9, -0.4, 0.2, -0.8, 0.5, 0.1, -0.6, 0.7, -0.3, 0.4, -0.9, 0.3], 3)
E = np.tile([0.30, -0.10, -0.20, 0.15, -0.25, 0.10, 0.05, 0.20, -0.25], 4)
CLASSES, SETS = np.repeat(np.arange(12), 3), np.repeat(["p", "q"], 18)
EVERY = slice(None)
WITHOUT_SOME = np.delete(np.arange(36), [1, 7, 8, 24])


def fit(outcome, rows: slice | np.ndarray = EVERY, predictors=(A, B)):
    return fit_mixed_model(outcome[rows], np.column_stack(predictors)[rows], CLASSES[rows], SETS[rows])


@pytest.mark.parametrize(
    ("name", "class_part", "rows"),
    [("mixed_interior", U, slice(None)), ("mixed_unbalanced", U, WITHOUT_SOME), ("mixed_singular", 0 * U, slice(None))],
)
def test_equals_lme4(name, class_part, rows):
    found, expected = fit(0.8 * A + class_part + E, rows), np.array(GOLDEN[name])
    np.testing.assert_allclose(np.r_[found.estimates, found.errors], expected[:4], rtol=2e-4, atol=1e-9)
    np.testing.assert_allclose([found.class_sd, found.residual_sd], expected[4:6], rtol=2e-4, atol=1e-9)
    assert found.singular == bool(expected[6])
    assert found.converged
    assert found.class_df == 12 - 2 - 2


def test_a_balanced_fit_is_least_squares_on_class_means():
    outcome = 0.8 * A + U + E
    found = fit(outcome)
    means, design = (
        outcome.reshape(12, 3).mean(1),
        np.column_stack([SETS[::3] == "p", SETS[::3] == "q", A[::3], B[::3]]),
    )
    oracle = sm.OLS(means, design.astype(float)).fit()
    np.testing.assert_allclose(found.estimates, oracle.params[2:], rtol=1e-6)
    np.testing.assert_allclose(found.errors, oracle.bse[2:], rtol=1e-4)
    np.testing.assert_allclose(found.p, oracle.pvalues[2:], rtol=1e-3)
    np.testing.assert_allclose(np.column_stack(found.interval()), oracle.conf_int()[2:], rtol=1e-3)


def test_seeds_add_no_degrees_of_freedom():
    rows = np.repeat(np.arange(36), 5)
    many = fit_mixed_model((U + E)[rows], np.column_stack([A, B])[rows], CLASSES[rows], SETS[rows])
    assert many.class_df == fit(U + E).class_df == 8
    assert many.n_rows == 180
    np.testing.assert_allclose(many.errors, fit(U + E).errors, rtol=0.05)


def test_equal_labels_in_two_data_sets_are_two_classes():
    labels = np.concatenate([CLASSES[:18], CLASSES[:18]])
    found = fit_mixed_model(U + E, np.column_stack([A, B]), labels, SETS)
    assert found.n_classes == 12


def test_refusals_name_their_reason():
    few = np.flatnonzero(CLASSES < SMALLEST_CLASS_DF + 2)
    assert "7 classes are too few for 2 measures: 9 would leave the 5 degrees" in fit(U + E, few).refusal
    enough = np.flatnonzero(CLASSES < 6)
    assert fit(U + E, np.r_[enough, 30:36]).refusal  # 8 classes, but two data sets
    assert "fewer than two runs" in fit(U + E, slice(None, None, 3)).refusal
    assert "determine it" in fit(U + E, predictors=(A, 2 * A)).refusal
    assert "do not differ" in fit(U).refusal
    for found in (fit(U), fit(U + E, few)):
        assert np.isnan(found.estimates).all()
        assert np.isnan(found.p).all()
    with_gap = np.where(CLASSES == 3, np.nan, U + E)
    assert fit(with_gap).n_classes == 11


def test_warnings_of_the_fit_are_kept_and_others_pass(monkeypatch):
    fitted = mixed_model.MixedLM.fit

    def noisy(self, *args, **options):
        warnings.warn("gradient is large", ConvergenceWarning, stacklevel=1)
        warnings.warn("something else", RuntimeWarning, stacklevel=1)
        return fitted(self, *args, **options)

    monkeypatch.setattr(mixed_model.MixedLM, "fit", noisy)
    with pytest.warns(RuntimeWarning, match="something else"):
        found = fit(U + E)
    assert found.messages == ("gradient is large",)


def test_planted_slopes_are_recovered_and_the_level_is_kept():
    rng, n = np.random.default_rng(2), 40
    covered, rejected = np.zeros(2), 0
    for number in range(n):
        a, b = (np.repeat(rng.normal(size=12), 3) for _ in range(2))
        sd = (0.8, 0.0)[number % 2]
        outcome = 1.5 * a + np.repeat(sd * rng.normal(size=12), 3) + 0.5 * rng.normal(size=36)
        found = fit_mixed_model(outcome, np.column_stack([a, b]), CLASSES, SETS)
        low, high = found.interval()
        covered += (low <= (1.5, 0)) & (high >= (1.5, 0))
        rejected += found.p[1] < 0.05
    assert (covered / n >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)).all()
    assert rejected / n <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
