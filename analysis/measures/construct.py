"""What the measures of one construct have in common."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_RESAMPLES = 2000  # an interval's ends then move by about 2 % of its width
RAREFIED_RESAMPLES = 400  # each draws anew what it measures; an interval's ends move by about 5 % of its width


@dataclass(frozen=True)
class Construct:
    """The measures of one construct, computed together.

    Args:
        name: Of the construct.
        units: Measure -> unit of its value, M of them.
        evaluate: (B, U) weights of the resampled units -> (M, B, K) values.
        n: (K,) what each value rests on.
        alone: (K,) bool, classes of one unit, whose values have no interval; by default none.
        most_resamples: That are worth their time.
    """

    name: str
    units: dict[str, str]
    evaluate: Callable[[np.ndarray], np.ndarray]
    n: np.ndarray
    alone: np.ndarray | None = None
    most_resamples: int = MOST_RESAMPLES


def pooled_ratio(part: np.ndarray, whole: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sum / sum over units of each class and its percentile interval, (K,) each; no interval of a single unit.

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
    """Divide; NaN where there is nothing to divide by."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def distinct(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return how many things weighted ones count for, (B, K): their summed weight squared over the sum of its squares.

    Args:
        weights: (B, U) how often each unit counts.
        counts: (U, K) things in each unit.

    Source:
        Kish 1965 (effective sample size).
    """
    return ratio((weights @ counts) ** 2, weights**2 @ counts)
