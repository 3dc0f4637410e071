"""Robust statistics under many sets of weights at once."""

from collections.abc import Sequence

import numpy as np


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return quantiles under each row of weights: the smallest value with at least that share of the weight below it.

    At a share of exactly one value the mean of it and the next is taken.

    Args:
        values: (N,) float64, ascending.
        weights: (B, N) float64, >= 0.
        shares: S shares between 0 and 1.

    Returns:
        (S, B) float64; NaN where all weights are 0.

    Source:
        Hyndman and Fan 1996, definition 2, of the sample in which each value occurs as often as it weighs.
    """
    below = np.cumsum(weights, axis=1)
    total, last = below[:, -1], len(values) - 1
    found = []
    for share in shares:
        wanted = (share * total)[:, None]
        tiny = 1e-12 * wanted  # rounding of share * total must not skip a value
        low = np.minimum((below < wanted - tiny).sum(axis=1), last)
        high = np.minimum((below <= wanted + tiny).sum(axis=1), last)
        found.append(np.where(total > 0, (values[low] + values[high]) / 2, np.nan))
    return np.stack(found)
