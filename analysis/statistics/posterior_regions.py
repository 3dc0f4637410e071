"""Posterior probability that a difference lies below, inside or above the region of practical equivalence.

The posterior is derived from the interval that decides the verdict: its central 95 % are the 95 % interval, and so at
every level. Thus it includes the variation over units, seeds and folds. No prior is added. With a single source of
error it is the posterior of Student's t with flat priors on the difference and on the logarithm of the scale, and over
folds alone that of the Bayesian correlated t test.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.intervals import Uncertainty

NEARLY_NORMAL = 1e6  # degrees of freedom at which Student's t counts as normal
_LEVELS = (0.5, 0.95)  # levels at which Student's t matches the half widths of the interval


@dataclass(frozen=True)
class Regions:
    """Posterior probabilities; they sum to 1.

    Args:
        worse: Probability that the difference lies below the region.
        equivalent: That it lies inside.
        better: That it lies above.
    """

    worse: float
    equivalent: float
    better: float


def posterior_regions(uncertainty: Uncertainty, margin: float) -> Regions:
    """Return the posterior probabilities of the three regions; NaN without an interval.

    Args:
        uncertainty: The difference and its errors.
        margin: Half width of the region, >= 0.

    Source:
        Corani and Benavoli 2015, "A Bayesian approach for comparing cross-validated algorithms on multiple data sets",
        eq. 7 (one data set); region: Kruschke 2013.

    Deviation:
        Includes every source of error of the interval, instead of folds alone.
    """
    centre = uncertainty.estimate - uncertainty.bias
    below, above = _tail(uncertainty, centre + margin), _tail(uncertainty, margin - centre)
    return Regions(below, max(1 - below - above, 0.0) if uncertainty.has_interval else float("nan"), above)


def _tail(uncertainty: Uncertainty, distance: float) -> float:
    """Return the probability beyond a signed distance from the centre, on one side."""
    half = uncertainty.beyond(abs(distance)) / 2
    return half if distance >= 0 else 1 - half


@dataclass(frozen=True)
class StudentForm:
    """The posterior as Student's t.

    Args:
        centre: Location.
        error: Scale.
        degrees: Degrees of freedom; at most NEARLY_NORMAL.
    """

    centre: float
    error: float
    degrees: float


def student_form(uncertainty: Uncertainty) -> StudentForm:
    """Return Student's t with the half widths of the interval at 50 % and at 95 %; NaN without an interval."""
    centre = uncertainty.estimate - uncertainty.bias
    if not uncertainty.has_interval:
        return StudentForm(float("nan"), float("nan"), float("nan"))
    narrow, wide = (uncertainty.half_width(level) for level in _LEVELS)
    if not narrow > 0:
        return StudentForm(centre, 0.0, NEARLY_NORMAL)
    low, high = 0.5, NEARLY_NORMAL
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if _ratio(middle) > wide / narrow else (low, middle)
    return StudentForm(centre, float(narrow / special.stdtrit(high, 0.5 + _LEVELS[0] / 2)), float(high))


def _ratio(degrees: float) -> float:
    """Return the half width of Student's t at 95 % over that at 50 %, which decreases with the degrees of freedom."""
    narrow, wide = (special.stdtrit(degrees, 0.5 + level / 2) for level in _LEVELS)
    return float(wide / narrow)
