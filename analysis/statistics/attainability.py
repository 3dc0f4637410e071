"""What a test can show before any data: its smallest attainable p, the effect needed for it, and its power."""

from collections.abc import Sequence
from math import factorial, prod

import numpy as np
from scipy.stats import rankdata

from analysis.statistics.corrections import attainable
from analysis.statistics.rank_association import EXACT_CLASSES, exact_null

POWER_SIMULATIONS = 4000
POWER_AT = (0.7, 0.9)


def smallest_correlation_p(classes: Sequence[int]) -> float:
    """Return the smallest two-sided p of a rank correlation over the classes of one or several data sets.

    Args:
        classes: K of each data set; pairings are permuted within each.
    """
    return min(1.0, 2 / prod(factorial(k) for k in classes))


def rho_needed(classes: int, alpha: float) -> float:
    """Return the smallest |rho| with p < alpha over K classes without ties; NaN if there is none, or K > 10."""
    if not 2 <= classes <= EXACT_CLASSES:
        return float("nan")
    ranks = np.arange(classes)
    return exact_null("spearman", ranks, ranks).needed(alpha)


def classes_needed(alpha: float, tests: int = 1) -> int:
    """Return the smallest K at which a perfect rank correlation is significant after correction for `tests` tests."""
    return next(k for k in range(2, 100) if attainable(smallest_correlation_p([k]), tests, alpha))


def correlation_power(classes: int, rho: float, alpha: float, seed: int) -> float:
    """Return the probability that the exact Spearman test over K classes rejects.

    Args:
        classes: K.
        rho: Pearson correlation of the bivariate normal distribution from which bias and measure are drawn.
        alpha: Level of the test.
        seed: Seed of the 4000 simulated studies (standard error at most 0.8 %).

    Returns:
        Power; NaN for K > 10.
    """
    if classes > EXACT_CLASSES:
        return float("nan")
    needed = rho_needed(classes, alpha)
    if not np.isfinite(needed):
        return 0.0
    first, second = np.random.default_rng(seed).normal(size=(2, POWER_SIMULATIONS, classes))
    ranks = [rankdata(values, axis=1) for values in (first, rho * first + np.sqrt(1 - rho**2) * second)]
    a, b = (rank - (classes + 1) / 2 for rank in ranks)
    observed = (a * b).sum(axis=1) * 12 / (classes * (classes**2 - 1))
    return float(np.mean(np.abs(observed) >= needed - 1e-9))
