"""Median and median absolute deviation under many sets of weights at once."""

from collections.abc import Sequence

import numpy as np

MAD_TO_SD = 1.4826  # for a normal distribution
_BISECTIONS = 60


def weighted_median_and_mad(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and 1.4826 times the median absolute deviation from it, under each row of weights.

    With weights that count copies, both equal those of the copied sample: where exactly half of the weight lies at or
    below a value, the median is the mean of that value and the next.

    Args:
        values: (N,) float64, ascending.
        weights: (B, N) float64, >= 0, whole numbers or at least exactly summable.

    Returns:
        Two arrays (B,) float64; NaN where all weights are 0.
    """
    below = np.zeros((len(weights), len(values) + 1))
    np.cumsum(weights, axis=1, out=below[:, 1:])
    known = below[:, -1] > 0
    half = below[:, -1] / 2
    last = len(values) - 1
    low = np.minimum((below[:, 1:] < half[:, None]).sum(axis=1), last)
    high = np.minimum((below[:, 1:] <= half[:, None]).sum(axis=1), last)
    median = (values[low] + values[high]) / 2
    mad = (_radius(values, below, median, half, False) + _radius(values, below, median, half, True)) / 2
    return np.where(known, median, np.nan), np.where(known, MAD_TO_SD * mad, np.nan)


def _radius(values: np.ndarray, below: np.ndarray, centre: np.ndarray, half: np.ndarray, more: bool) -> np.ndarray:
    """Return the smallest r such that [centre - r, centre + r] holds at least (or more than) half of the weight."""
    rows = np.arange(len(centre))
    small, large = np.zeros(len(centre)), np.full(len(centre), 1 + 2 * (values[-1] - values[0]))
    tiny = 1e-12 * max(abs(values[0]), abs(values[-1]), 1e-300)  # rounding of centre +- r must not lose an end

    def enough(radius: np.ndarray) -> np.ndarray:
        inside = below[rows, np.searchsorted(values, centre + radius + tiny, side="right")]
        inside = inside - below[rows, np.searchsorted(values, centre - radius - tiny, side="left")]
        return inside > half if more else inside >= half

    at_zero = enough(small)
    for _ in range(_BISECTIONS):
        middle = (small + large) / 2
        reached = enough(middle)
        large, small = np.where(reached, middle, large), np.where(reached, small, middle)
    return np.where(at_zero, 0.0, large)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return quantiles under each row of weights: the smallest value with at least that share of the weight below it.

    At a share of exactly one value the mean of it and the next is taken, as in `weighted_median_and_mad`.

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
