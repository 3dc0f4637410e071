"""Reliability and regression calibration. Oracles: a published example, closed forms, simulation."""

import numpy as np
import pytest

from analysis.statistics.measurement_error import calibrated, reliability_of_errors
from analysis.statistics.partial_association import partial_association
from benchmarks.measurement_error import calibrated_slope, quadratic, rational, simex

# Fuller 1987, Measurement Error Models, table 1.2.1: yield of corn, and soil nitrogen, whose error has variance 57
YIELD = np.array([86, 115, 90, 86, 110, 91, 99, 96, 99, 104, 96.0])
NITROGEN = np.array([70, 97, 53, 64, 95, 64, 50, 70, 94, 69, 51.0])


def slope(y: np.ndarray, x: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def test_the_slope_of_fuller_is_reproduced():
    reliability = 1 - 57 / NITROGEN.var(ddof=1)
    trusted = calibrated(NITROGEN[:, None], np.zeros((11, 0)), np.array([reliability]), np.zeros(0))
    assert trusted is not None
    assert slope(YIELD, NITROGEN) == pytest.approx(0.344, abs=5e-4)
    assert slope(YIELD, trusted[:, 0]) == pytest.approx(0.4232, abs=5e-5)  # as published, eq. 1.2.9
    errors = np.full(11, np.sqrt(57.0))
    assert reliability_of_errors(NITROGEN, errors) == pytest.approx(reliability)


def test_it_is_what_simex_extrapolates_to():
    """Of a linear model SIMEX with the exact extrapolant ends where moments less those of the errors do; a parabola,
    the default of the R package, stops half-way. Carroll et al. 2006, section 5.3.
    """
    rng, error_sd = np.random.default_rng(5), 0.8
    f, other, error, noise = rng.normal(size=(4, 400))
    true = 0.7 * f + np.sqrt(0.51) * other
    d, y = true + error_sd * error, true + 0.3 * noise
    moments = np.cov(np.stack([f, d, y]))
    exact = np.linalg.solve(moments[:2, :2] - np.diag([0, error_sd**2]), moments[:2, 2])[0]
    assert calibrated_slope(y, f, d, error_sd) == pytest.approx(exact, rel=1e-9)
    by_rational, by_parabola = (simex(y, f, d, error_sd, each, rng) for each in (rational, quadratic))
    plain = float(simex(y, f, d, error_sd, lambda _added, slopes: slopes[0], rng))
    assert by_rational == pytest.approx(exact, abs=0.03)
    assert abs(exact) < 0.1 < by_parabola - exact < plain - exact


def test_with_another_variable_it_is_the_linear_prediction_in_closed_form():
    rng = np.random.default_rng(0)
    f, d = rng.normal(size=(2, 400))
    d = 0.6 * f + d
    trust = 0.7
    found = calibrated(d[:, None], f[:, None], np.array([trust]), np.ones(1))
    assert found is not None
    f, d = f - f.mean(), d - d.mean()
    sf, sd = f.std(), d.std()
    rho = np.corrcoef(f, d)[0, 1]
    expected = sd * ((trust - rho**2) * d / sd + rho * (1 - trust) * f / sf) / (1 - rho**2)
    np.testing.assert_allclose(found[:, 0], expected)


def test_too_little_truth_leaves_nothing_to_hold_apart():
    rng = np.random.default_rng(1)
    f, noise = rng.normal(size=(2, 50))
    d = f + 0.2 * noise
    assert calibrated(d[:, None], f[:, None], np.array([0.5]), np.ones(1)) is None
    assert calibrated(d[:, None], f[:, None], np.array([0.0]), np.ones(1)) is None
    exact = calibrated(d[:, None], f[:, None], np.array([np.nan]), np.ones(1))
    assert exact is not None
    np.testing.assert_allclose(exact[:, 0], d - d.mean())  # of unknown reliability: taken as it is


def test_reliability_is_between_0_and_1_and_knows_what_it_does_not_know():
    values, strata = np.array([1.0, 2, 4, 11, 12, 14]), np.array(["p"] * 3 + ["q"] * 3)
    assert reliability_of_errors(values, np.zeros(6), strata) == 1
    assert reliability_of_errors(values, np.full(6, 9.0), strata) == 0
    assert np.isnan(reliability_of_errors(values, np.r_[np.zeros(5), np.nan], strata))
    assert np.isnan(reliability_of_errors(np.ones(6), np.ones(6), strata))
    variance = 2 * ((np.array([1, 2, 4]) - 7 / 3) ** 2).sum() / 4  # within data sets
    assert reliability_of_errors(values, np.ones(6), strata) == pytest.approx(1 - 1 / variance)


def test_an_effect_that_error_makes_is_taken_back():
    """Only a difficulty acts; frequency goes with it and is measured without error."""
    rng, plain, trusted, n = np.random.default_rng(3), 0, 0, 150
    for _ in range(n):
        f, other, error, noise = rng.normal(size=(4, 20))
        true = 0.7 * f + np.sqrt(0.51) * other
        d = np.sqrt(0.6) * true + np.sqrt(0.4) * error
        y = true + 0.3 * noise
        given = calibrated(d[:, None], f[:, None], np.array([0.6]), np.ones(1))
        options = {"permutations": 199, "rng": rng}
        p = [1.0 if each is None else partial_association(y, f, each, **options).p for each in (d, given)]
        plain += p[0] < 0.05
        trusted += max(p) < 0.05
    assert plain / n > 0.3
    assert trusted / n < 0.12
