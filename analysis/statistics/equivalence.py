"""Whether two methods are practically equivalent: within a region that was fixed before training.

"Not shown to differ" is not "equivalent". Two methods for paired differences: two one-sided tests, and the posterior
probability of the region. The verdict follows the tests on the combined interval of `statistics.intervals`, which
includes the variation over seeds as well as over units; the two functions here consider units alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.posterior_regions import Regions

PRIOR_STRENGTH = 0.5  # of the Dirichlet process: half an observation, at zero difference
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True)
class TwoOneSidedTests:
    """Student's t against both ends of the region.

    Args:
        n: Number of differences.
        estimate: Their mean.
        p_lower: p of the hypothesis that the true mean is at or below -margin.
        p_upper: p of the hypothesis that it is at or above margin.
        p: The larger of the two: below alpha means equivalent.
    """

    n: int
    estimate: float
    p_lower: float
    p_upper: float
    p: float


def tost(differences: np.ndarray, margin: float) -> TwoOneSidedTests:
    """Test whether the mean paired difference lies inside +-margin.

    Args:
        differences: (n,) float, one per independent unit (seeds averaged); NaN ones are left out.
        margin: Half width of the region, >= 0, in the unit of the differences.

    Returns:
        The tests; NaN with fewer than 2 units. Without any variance p is 0 inside the region and 1 elsewhere.

    Raises:
        ValueError: The margin is negative.

    Source:
        Schuirmann 1987; Lakens 2017, eq. for paired samples.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be >= 0. Got {margin}.")
    d = _valid(differences)
    n, nan = len(d), float("nan")
    if n < 2:
        return TwoOneSidedTests(n, float(d.mean()) if n else nan, nan, nan, nan)
    estimate, error = float(d.mean()), float(d.std(ddof=1) / np.sqrt(n))
    if error <= 1e-12 * max(float(np.abs(d).max()), margin):
        lower, upper = float(estimate <= -margin), float(estimate >= margin)
    else:
        lower = float(special.stdtr(n - 1, -(estimate + margin) / error))
        upper = float(special.stdtr(n - 1, (estimate - margin) / error))
    return TwoOneSidedTests(n, estimate, lower, upper, max(lower, upper))


def bayesian_signed_rank(differences: np.ndarray, margin: float, *, draws: int, rng: np.random.Generator) -> Regions:
    """Return the posterior probabilities of a Bayesian Wilcoxon signed-rank test with a region of equivalence.

    Args:
        differences: (n,) float, one per independent unit (seeds averaged); NaN ones are left out.
        margin: Half width of the region, >= 0.
        draws: Draws from the posterior; the standard error of a probability is at most .5 / sqrt(draws).
        rng: Generator of the draws.

    Returns:
        The shares of draws in which below, inside or above the region has the most weight; NaN without units.

    Source:
        Benavoli, Corani, Demsar and Zaffalon 2017, section 4.2.1 (Dirichlet process with prior strength .5 at 0):
        the mean of two differences drawn from the posterior lies below, inside or above the region.
    """
    d = _valid(differences)
    if not len(d):
        return Regions(float("nan"), float("nan"), float("nan"))
    values = np.concatenate([[0.0], d])
    order = np.argsort(values, kind="stable")
    shape = np.concatenate([[PRIOR_STRENGTH], np.ones(len(d))])[order]
    values, counts, remaining = values[order], np.zeros(3), draws
    # walsh sums a + b above 2 margin (or below -2 margin); sums on the border, up to rounding, count half on each side
    above, below = _borders(values, 2 * margin), _borders(values, -2 * margin)
    while remaining:
        rows = min(remaining, max(1, _CHUNK_CELLS // len(values)))
        weights = rng.standard_gamma(shape, size=(rows, len(values)))
        weights /= weights.sum(axis=1, keepdims=True)
        before = np.column_stack([np.zeros(rows), np.cumsum(weights, axis=1)])  # weight of the first j values
        low, up_to_high = (
            sum(np.einsum("ij,ij->i", weights, before.take(index, axis=1)) for index in indices) / len(indices)
            for indices in (below, above)
        )
        high = 1 - up_to_high
        shares = np.column_stack([low, 1 - low - high, high])
        counts += np.bincount(shares.argmax(axis=1), minlength=3)
        remaining -= rows
    return Regions(*(float(count) for count in counts / draws))


def _borders(values: np.ndarray, total: float) -> np.ndarray:
    """Return, for each a of n ascending values, the number of values b with a + b < total, and with a + b <= total.

    Returns:
        (2, n) int; (1, n) if the two are the same because no sum equals the total.
    """
    rounding = 1e-12 * max(float(np.abs(values).max()), abs(total))
    complement = total - values
    below, up_to = (
        np.searchsorted(values, complement - rounding, side="left"),
        np.searchsorted(values, complement + rounding, side="right"),
    )
    return np.unique([below, up_to], axis=0)


def _valid(differences: np.ndarray) -> np.ndarray:
    d = np.asarray(differences, dtype=np.float64)
    return d[np.isfinite(d)]
