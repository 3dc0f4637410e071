"""Weighted quantiles for many sets of weights at once."""

from collections.abc import Sequence

import numpy as np


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return quantiles under each row of weights: the smallest value up to which the weights reach each share.

    If they reach the share exactly, the quantile is the mean of this value and the next.

    Args:
        values: (N,) float64, ascending.
        weights: (B, N) float64, >= 0.
        shares: S shares between 0 and 1.

    Returns:
        (S, B) float64; NaN where all weights are 0.

    Source:
        Hyndman and Fan 1996, definition 2, for a sample in which each value occurs as often as its weight.
    """
    below = np.cumsum(weights, axis=1)
    total, last = below[:, -1], len(values) - 1
    quantiles = []
    for share in shares:
        target = (share * total)[:, None]
        tiny = 1e-12 * target  # rounding of share * total must not skip a value
        low = np.minimum((below < target - tiny).sum(axis=1), last)
        high = np.minimum((below <= target + tiny).sum(axis=1), last)
        quantiles.append(np.where(total > 0, (values[low] + values[high]) / 2, np.nan))
    return np.stack(quantiles)
