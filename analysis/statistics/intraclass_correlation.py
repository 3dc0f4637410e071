"""Agreement of repeated measurements: the intraclass correlation."""

import numpy as np
from scipy import stats

from imbalance_bench.preregistration import PRIMARY_ESTIMANDS as PRIMARY_ESTIMANDS


def icc_average_consistency(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return ICC(3,k), the reliability of the mean over k raters, with its interval.

    Args:
        values: (n targets, k raters) float64; here classes x runs.
        level: Of the interval.

    Returns:
        Estimate, low, high; NaN with fewer than 2 targets or raters, or if nothing varies. May be negative.

    Source:
        Shrout and Fleiss 1979, eq. for ICC(3,k) and its interval.
    """
    nan = float("nan")
    n, k = values.shape
    if n < 2 or k < 2:
        return nan, nan, nan
    grand, of_targets, of_raters = values.mean(), values.mean(axis=1), values.mean(axis=0)
    between = k * np.sum((of_targets - grand) ** 2) / (n - 1)
    residual = values - of_targets[:, None] - of_raters + grand
    error = np.sum(residual**2) / ((n - 1) * (k - 1))
    scale = np.abs(values).max() ** 2 * 1e-20
    if between <= scale:
        return nan, nan, nan
    if error <= scale:
        return 1.0, 1.0, 1.0
    ratio, free = between / error, (n - 1, (n - 1) * (k - 1))
    tail = 0.5 + level / 2
    low = 1 - stats.f.ppf(tail, free[0], free[1]) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(tail, free[1], free[0]))
    return float(1 - 1 / ratio), float(low), float(high)
