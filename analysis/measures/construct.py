"""The measures of one construct, and the ratios that they are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_RESAMPLES = 2000  # an interval's ends then move by about 2 % of its width
RAREFIED_RESAMPLES = 400  # each draws its sample anew; an interval's ends move by about 5 % of its width


@dataclass(frozen=True)
class Construct:
    """The measures of one construct, computed together.

    Args:
        name: Name of the construct.
        units: Measure -> unit of its value, M of them.
        evaluate: Function of (B, U) weights of the resampled units that returns (M, B, K) values.
        n: (K,) sample size of each value.
        single_unit: (K,) bool, classes that occur in one unit only, whose values have no interval; by default none.
        most_resamples: Number of resamples that suffices.
    """

    name: str
    units: dict[str, str]
    evaluate: Callable[[np.ndarray], np.ndarray]
    n: np.ndarray
    single_unit: np.ndarray | None = None
    most_resamples: int = MOST_RESAMPLES


def pooled_ratio(part: np.ndarray, whole: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ratio of sums over units and its percentile interval, (K,) each; a single unit has no interval.

    Args:
        part: (U, K) numerators.
        whole: (U, K) denominators.
        weights: (B, U) how often each resample takes each unit.
    """
    resampled = ratio(weights @ part, weights @ whole)
    low, high = np.full((2, part.shape[1]), np.nan)
    for c in np.flatnonzero((whole > 0).sum(axis=0) > 1):
        low[c], high[c] = np.nanquantile(resampled[:, c], [0.025, 0.975])
    return ratio(part.sum(axis=0), whole.sum(axis=0)), low, high


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


class ByRow:
    """A function of rows of weights, (B, ...) from (B, U), that keeps what it has computed.

    Rows are computed in blocks that fit the processor's cache. Tables that rest on the same resamples share them.
    """

    def __init__(self, evaluate: Callable[[np.ndarray], np.ndarray], rows: int) -> None:
        """Compute `evaluate` for so many rows at a time."""
        self._evaluate, self._rows = evaluate, rows
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values under (B, U) weights."""
        return np.concatenate([self._block(w[start : start + self._rows]) for start in range(0, len(w), self._rows)])

    def _block(self, w: np.ndarray) -> np.ndarray:
        key = w.tobytes()
        if key not in self._known:
            self._known[key] = self._evaluate(w)
        return self._known[key]


def distinct(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the effective sample size of weighted items, (B, K): squared sum of weights over sum of squared weights.

    Args:
        weights: (B, U) weight of each unit.
        counts: (U, K) number of items in each unit.

    Source:
        Kish 1965.
    """
    return ratio((weights @ counts) ** 2, weights**2 @ counts)
