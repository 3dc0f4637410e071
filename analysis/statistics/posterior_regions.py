"""How probable it is that a difference lies below, inside or above the region of practical equivalence.

The posterior is read off the interval that decides the verdict: its central 95 % are the 95 % interval, and so at every
level, so that it knows of units, seeds and folds what the interval knows. No prior is added: where one part alone makes
the error it is the posterior of Student's t with a flat prior on the difference and a prior on the logarithm of the
scale, and over folds alone the Bayesian correlated t test.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.intervals import Uncertainty

NEARLY_NORMAL = 1e6  # degrees of freedom beyond which Student's t is taken as normal
_LEVELS = (0.5, 0.95)  # at which Student's t has the half widths of the interval


@dataclass(frozen=True)
class Regions:
    """Posterior probabilities; they sum to 1.

    Args:
        worse: Of a difference below the region.
        equivalent: Inside.
        better: Above.
    """

    worse: float
    equivalent: float
    better: float


def posterior_regions(known: Uncertainty, margin: float) -> Regions:
    """Return the posterior probabilities of the three regions; NaN where there is no interval.

    Args:
        known: The difference and its errors.
        margin: Half width of the region, >= 0.

    Source:
        Corani and Benavoli 2015, "A Bayesian approach for comparing cross-validated algorithms on multiple data sets",
        eq. 7 (one data set); region: Kruschke 2013.

    Deviation:
        Every source of error that the interval has, instead of folds alone.
    """
    centre = known.estimate - known.bias
    below, above = _tail(known, centre + margin), _tail(known, margin - centre)
    return Regions(below, max(1 - below - above, 0.0) if known.known else float("nan"), above)


def _tail(known: Uncertainty, distance: float) -> float:
    """Return the probability beyond a distance on one side of the centre; of a negative one, on both sides of it."""
    half = known.beyond(abs(distance)) / 2
    return half if distance >= 0 else 1 - half


@dataclass(frozen=True)
class StudentForm:
    """The posterior as Student's t.

    Args:
        centre: Its centre.
        error: Its scale.
        degrees: Its degrees of freedom; NEARLY_NORMAL at most.
    """

    centre: float
    error: float
    degrees: float


def student_form(known: Uncertainty) -> StudentForm:
    """Return Student's t that has the half width of the interval at 50 % and at 95 %; NaN where there is none."""
    centre = known.estimate - known.bias
    if not known.known:
        return StudentForm(float("nan"), float("nan"), float("nan"))
    narrow, wide = (known.half_width(level) for level in _LEVELS)
    if not narrow > 0:
        return StudentForm(centre, 0.0, NEARLY_NORMAL)
    low, high = 0.5, NEARLY_NORMAL
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if _ratio(middle) > wide / narrow else (low, middle)
    return StudentForm(centre, float(narrow / special.stdtrit(high, 0.5 + _LEVELS[0] / 2)), float(high))


def _ratio(degrees: float) -> float:
    """Return the half width at 95 % / that at 50 % of Student's t, which falls with its degrees of freedom."""
    narrow, wide = (special.stdtrit(degrees, 0.5 + level / 2) for level in _LEVELS)
    return float(wide / narrow)
