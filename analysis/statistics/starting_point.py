"""The change of a quantity of classes from start to end: how much of the start remains, and what the change is like."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class MeanOverRuns:
    """Mean over independent runs with its t interval, whose ends are NaN for a single run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, level: float = 0.95) -> "MeanOverRuns":
        """Average the values of R runs, (R,)."""
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, float("nan"), float("nan"))
        half_width = float(stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
        return cls(mean, mean - half_width, mean + half_width)


@dataclass(frozen=True)
class Movement:
    """The change of a quantity from one start.

    Args:
        slope: Least-squares slope of the end on the start over classes.
        correlation: Pearson correlation of the end with the start over classes, mean over runs.
        moved: Spread of the change over classes relative to the spread of the start.
        decay: Pearson correlation of the change with the start, mean over runs; -1 if the change reverses the start.
        taken_back: Share of the variation of the change over classes that reverses the start: the squared correlation
            if it is negative, otherwise 0.
    """

    slope: MeanOverRuns
    correlation: float
    moved: MeanOverRuns
    decay: float
    taken_back: MeanOverRuns


def movement(initial: np.ndarray, final: np.ndarray) -> Movement | None:
    """Describe the change from start to end; None if all classes start equally (a cold start).

    Args:
        initial: (R, K) float, one row per run; classes with a NaN are left out.
        final: (R, K) float.
    """
    valid = np.isfinite(initial).all(axis=0) & np.isfinite(final).all(axis=0)
    start, end = (values[:, valid] - values[:, valid].mean(axis=1, keepdims=True) for values in (initial, final))
    size = (start**2).sum(axis=1)
    if valid.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    change = end - start
    slope = (start * end).sum(axis=1) / size
    moved = np.sqrt((change**2).sum(axis=1) / size)
    decays = _correlations(start, change)
    taken_back = np.where(np.isfinite(decays), np.minimum(decays, 0) ** 2, 0.0)
    return Movement(
        MeanOverRuns.of(slope),
        _mean(_correlations(start, end)),
        MeanOverRuns.of(moved),
        _mean(decays),
        MeanOverRuns.of(taken_back),
    )


def retained_share(initial: np.ndarray, final: np.ndarray) -> MeanOverRuns | None:
    """Return the share of a difference between starts that remains at the end: 0 for none, 1 for all of it.

    For each seed, this is the least-squares slope of final on initial values over starts x classes. An intercept for
    each class removes what the class learns from every start. The result is the mean over seeds.

    Args:
        initial: (A, R, K) float: starts, seeds, classes; classes with a NaN are left out.
        final: (A, R, K) float.

    Returns:
        Mean and interval over seeds; None if the starts do not differ.
    """
    valid = np.isfinite(initial).all(axis=(0, 1)) & np.isfinite(final).all(axis=(0, 1))
    start, end = (values[..., valid] - values[..., valid].mean(axis=2, keepdims=True) for values in (initial, final))
    start, end = (values - values.mean(axis=0) for values in (start, end))
    size = (start**2).sum(axis=(0, 2))
    if len(initial) < 2 or valid.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    return MeanOverRuns.of((start * end).sum(axis=(0, 2)) / size)


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of corresponding rows of two arrays, (R,); NaN where one is constant."""
    a, b = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.where(size > _TOLERANCE**2, (a * b).sum(axis=1) / np.where(size > 0, size, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))
