"""Where a quantity of classes started and where it ended: how much of the start is left, and what the way explains."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class MeanOverRuns:
    """Mean of a number over independent runs, with its t interval; NaN ends with one run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, level: float = 0.95) -> "MeanOverRuns":
        """Average (R,) values."""
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, float("nan"), float("nan"))
        reach = float(stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
        return cls(mean, mean - reach, mean + reach)


@dataclass(frozen=True)
class Movement:
    """How a quantity moved from one start.

    Args:
        slope: Least-squares slope of the end on the start over classes.
        correlation: Pearson correlation of the end with the start over classes, mean over runs.
        moved: Spread of the change over classes / spread of the start.
        decay: Pearson correlation of the change with the start, mean over runs; -1: the change takes the start back.
        taken_back: Share of the variation of the change over classes that takes the start back: the squared correlation
            where it is negative, else 0.
    """

    slope: MeanOverRuns
    correlation: float
    moved: MeanOverRuns
    decay: float
    taken_back: MeanOverRuns


def movement(initial: np.ndarray, final: np.ndarray) -> Movement | None:
    """Describe the way from start to end; None if the start says nothing about classes (a cold start).

    Args:
        initial: (R, K) float, one row per run; classes with a NaN are left out.
        final: (R, K) float.
    """
    known = np.isfinite(initial).all(axis=0) & np.isfinite(final).all(axis=0)
    start, end = (each[:, known] - each[:, known].mean(axis=1, keepdims=True) for each in (initial, final))
    size = (start**2).sum(axis=1)
    if known.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    change = end - start
    slope = (start * end).sum(axis=1) / size
    moved = np.sqrt((change**2).sum(axis=1) / size)
    back = _correlations(start, change)
    taken = np.where(np.isfinite(back), np.minimum(back, 0) ** 2, 0.0)
    return Movement(
        MeanOverRuns.of(slope),
        _mean(_correlations(start, end)),
        MeanOverRuns.of(moved),
        _mean(back),
        MeanOverRuns.of(taken),
    )


def kept_share(initial: np.ndarray, final: np.ndarray) -> MeanOverRuns | None:
    """Return the share of a difference between starts that is left at the end: 0 forgotten, 1 kept.

    Per seed the least-squares slope of final on initial bias over starts x classes, with an intercept for each class,
    so that what a class learns from every start does not count; then the mean over seeds.

    Args:
        initial: (A, R, K) float: starts, seeds, classes; classes with a NaN are left out.
        final: (A, R, K) float.

    Returns:
        Mean and interval over seeds; None if the starts do not differ.
    """
    known = np.isfinite(initial).all(axis=(0, 1)) & np.isfinite(final).all(axis=(0, 1))
    start, end = (each[..., known] - each[..., known].mean(axis=2, keepdims=True) for each in (initial, final))
    start, end = (each - each.mean(axis=0) for each in (start, end))
    size = (start**2).sum(axis=(0, 2))
    if len(initial) < 2 or known.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    return MeanOverRuns.of((start * end).sum(axis=(0, 2)) / size)


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of the rows of two arrays, (R,); NaN where one does not vary."""
    a, b = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.where(size > _TOLERANCE**2, (a * b).sum(axis=1) / np.where(size > 0, size, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))
