"""Agreement of repeated measurements, and what it is agreement over: seeds, folds, or training sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from analysis.statistics.strata import centred, labels

SEEDS, FOLDS, TRAINING_SETS = "seeds", "folds", "training_sets"
_ROUNDING = 1e-20  # of the largest square


@dataclass(frozen=True)
class Reliability:
    """How far the average over runs would come out again over other seeds, folds, or training sets.

    Args:
        over: seeds (training sets as they are), folds, or training_sets.
        icc: Share of the variance of class averages that is reproducible; NaN if it cannot be told. May be negative.
        low: Lower end of the interval.
        high: Upper end.
        p: One-sided p of the hypothesis that nothing is reproducible.
        n_classes: Classes, those of each data set counted.
        n_raters: Runs that were averaged; over folds and training sets, folds.
        without_best: `icc` without the data set that agrees most; NaN with one data set.
    """

    over: str
    icc: float
    low: float
    high: float
    p: float
    n_classes: int
    n_raters: int
    without_best: float = float("nan")


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
    found = _judged(SEEDS, values[:, None, :], np.zeros(len(values), dtype=int), level)
    return found.icc, found.low, found.high


def reliabilities(
    values: np.ndarray, folds: Sequence[object], strata: Sequence[object] | None = None, level: float = 0.95
) -> tuple[Reliability, ...]:
    """Return the reliability of the average over runs: over seeds, and over several folds and training sets.

    Every data set is scaled to the same variation over classes and runs, so that none outweighs another.

    Args:
        values: (N, R) float, classes x runs, without NaN.
        folds: (R,) fold of each run. Runs of one fold are seeds on one training set; where folds have different numbers
            of them, the first ones are used.
        strata: (N,) data set of each class.
        level: Of the intervals.

    Source:
        Shrout and Fleiss 1979, ICC(3,k). Over training sets: the training sets of F folds have (F - 2) / (F - 1) of
        their images in common, and averages over n units of which q n are common correlate by q, so that folds vary
        by 1 - q of what new training sets would (compare Nadeau and Bengio 2003, section 3, and the jackknife).
    """
    label = labels(strata, len(values))
    grid = _of_one_spread(_by_fold(np.asarray(values, dtype=np.float64), folds), label)
    views = (SEEDS,) if grid.shape[1] < 2 else (SEEDS, FOLDS, TRAINING_SETS)
    return tuple(
        replace(_judged(over, grid, label, level), without_best=_without_best(over, grid, label)) for over in views
    )


def _judged(over: str, grid: np.ndarray, label: np.ndarray, level: float) -> Reliability:
    """Compare the mean square of class averages with that of what is repeated, in (N, F, S) values."""
    n, f, s = grid.shape
    nan = float("nan")
    unknown = Reliability(over, nan, nan, nan, nan, n, s * f if over == SEEDS else f)
    free = n - len(np.unique(label))
    if free < 1 or s * f < 2:
        return unknown
    error, error_df = _error(over, centred(grid, label), free)
    between = f * s * float(np.sum(centred(grid, label).mean(axis=(1, 2)) ** 2)) / free
    rounding = float(np.abs(grid).max()) ** 2 * _ROUNDING
    if not np.isfinite(error) or between <= rounding:
        return unknown
    if error <= rounding:
        return replace(unknown, icc=1.0, low=1.0, high=1.0, p=0.0)
    ratio, tail = between / error, 0.5 + level / 2
    low = 1 - stats.f.ppf(tail, free, error_df) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(tail, error_df, free))
    p = float(stats.f.sf(ratio, free, error_df))
    return replace(unknown, icc=1 - 1 / ratio, low=float(low), high=float(high), p=p)


def _error(over: str, within: np.ndarray, free: int) -> tuple[float, int]:
    """Return the mean square that class averages have where nothing is reproducible, and its degrees of freedom."""
    _, f, s = within.shape
    of_fold = within.mean(axis=2)
    seeds = float(np.sum((within - of_fold[:, :, None]) ** 2)) / (free * f * (s - 1)) if s > 1 else float("nan")
    if over == SEEDS:
        return seeds, free * f * (s - 1)
    folds = s * float(np.sum((of_fold - of_fold.mean(axis=1, keepdims=True)) ** 2)) / (free * (f - 1))
    if over == FOLDS:
        return folds, free * (f - 1)
    shared = (f - 2) / (f - 1)
    of_seeds = min(seeds, folds) if s > 1 else 0.0
    return of_seeds + (folds - of_seeds) * (1 + (f - 1) * shared) / (1 - shared), free * (f - 1)


def _without_best(over: str, grid: np.ndarray, label: np.ndarray) -> float:
    """Return the least ICC over all but one data set; NaN with one."""
    if len(np.unique(label)) < 2:
        return float("nan")
    rest = [_judged(over, grid[label != stratum], label[label != stratum], 0.95).icc for stratum in np.unique(label)]
    return float(np.min(rest))


def _of_one_spread(grid: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return values of one spread over classes and runs in each data set, centred in each run."""
    within = centred(grid, label)
    for stratum in np.unique(label):
        own = within[label == stratum]
        spread = float(np.sqrt(np.mean(own**2))) if own.size else 0.0  # no run has every class
        within[label == stratum] /= spread if spread > 0 else 1.0
    return within


def _by_fold(values: np.ndarray, folds: Sequence[object]) -> np.ndarray:
    """Arrange (N, R) as (N, F, S), the first S runs of each fold."""
    fold = labels(folds, values.shape[1])
    places = [np.flatnonzero(fold == each) for each in np.unique(fold)]
    s = min((len(place) for place in places), default=0)
    return np.stack([values[:, place[:s]] for place in places], axis=1) if places else values[:, None, :]
