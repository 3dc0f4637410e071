"""Agreement of repeated measurements over seeds, folds, or training sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from analysis.statistics.strata import centred, labels

SEEDS, FOLDS, TRAINING_SETS = "seeds", "folds", "training_sets"
_ROUNDING = 1e-20  # relative to the largest square


@dataclass(frozen=True)
class Reliability:
    """How reproducible the average over runs is with other seeds, folds, or training sets.

    Args:
        over: "seeds" (with the same training sets), "folds", or "training_sets".
        icc: Reproducible share of the variance of class averages; NaN if it cannot be estimated. May be negative.
        low: Lower end of the interval.
        high: Upper end.
        p: One-sided p of the hypothesis that nothing is reproducible.
        n_classes: Number of classes, summed over data sets.
        n_raters: Number of averaged runs; of folds, over folds and training sets.
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
        level: Level of the interval.

    Returns:
        Estimate, low, high; NaN with fewer than 2 targets or raters, or if nothing varies. May be negative.

    Source:
        Shrout and Fleiss 1979, eq. for ICC(3,k) and its interval.
    """
    reliability = _reliability(SEEDS, values[:, None, :], np.zeros(len(values), dtype=int), level)
    return reliability.icc, reliability.low, reliability.high


def reliabilities(
    values: np.ndarray, folds: Sequence[object], strata: Sequence[object] | None = None, level: float = 0.95
) -> tuple[Reliability, ...]:
    """Return the reliability of the average over runs: over seeds, and over several folds and training sets.

    Every data set is scaled to the same variation over classes and runs, so that none outweighs another.

    Args:
        values: (N, R) float, classes x runs, without NaN.
        folds: (R,) fold of each run. Runs of one fold are seeds on one training set; if folds have different numbers
            of runs, only the first ones are used.
        strata: (N,) data set of each class.
        level: Level of the intervals.

    Source:
        Shrout and Fleiss 1979, ICC(3,k). Over training sets: the training sets of F folds share (F - 2) / (F - 1) of
        their images, and averages over n units of which q n are shared correlate by q, so that the variance over
        folds is 1 - q of that over new training sets (compare Nadeau and Bengio 2003, section 3, and the jackknife).
    """
    label = labels(strata, len(values))
    grid = _equally_scaled(_by_fold(np.asarray(values, dtype=np.float64), folds), label)
    views = (SEEDS,) if grid.shape[1] < 2 else (SEEDS, FOLDS, TRAINING_SETS)
    return tuple(
        replace(_reliability(over, grid, label, level), without_best=_without_best(over, grid, label)) for over in views
    )


def _reliability(over: str, grid: np.ndarray, label: np.ndarray, level: float) -> Reliability:
    """Compare the mean square of class averages with that of repetitions, in (N, F, S) values."""
    n, f, s = grid.shape
    nan = float("nan")
    missing = Reliability(over, nan, nan, nan, nan, n, s * f if over == SEEDS else f)
    df = n - len(np.unique(label))
    if df < 1 or s * f < 2:
        return missing
    error, error_df = _error(over, centred(grid, label), df)
    between = f * s * float(np.sum(centred(grid, label).mean(axis=(1, 2)) ** 2)) / df
    rounding = float(np.abs(grid).max()) ** 2 * _ROUNDING
    if not np.isfinite(error) or between <= rounding:
        return missing
    if error <= rounding:
        return replace(missing, icc=1.0, low=1.0, high=1.0, p=0.0)
    ratio, tail = between / error, 0.5 + level / 2
    low = 1 - stats.f.ppf(tail, df, error_df) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(tail, error_df, df))
    p = float(stats.f.sf(ratio, df, error_df))
    return replace(missing, icc=1 - 1 / ratio, low=float(low), high=float(high), p=p)


def _error(over: str, within: np.ndarray, df: int) -> tuple[float, int]:
    """Return the expected mean square of class averages if nothing is reproducible, and its degrees of freedom."""
    _, f, s = within.shape
    fold_means = within.mean(axis=2)
    seeds = float(np.sum((within - fold_means[:, :, None]) ** 2)) / (df * f * (s - 1)) if s > 1 else float("nan")
    if over == SEEDS:
        return seeds, df * f * (s - 1)
    folds = s * float(np.sum((fold_means - fold_means.mean(axis=1, keepdims=True)) ** 2)) / (df * (f - 1))
    if over == FOLDS:
        return folds, df * (f - 1)
    shared = (f - 2) / (f - 1)
    seed_part = min(seeds, folds) if s > 1 else 0.0
    return seed_part + (folds - seed_part) * (1 + (f - 1) * shared) / (1 - shared), df * (f - 1)


def _without_best(over: str, grid: np.ndarray, label: np.ndarray) -> float:
    """Return the smallest ICC without any one data set; NaN with a single data set."""
    if len(np.unique(label)) < 2:
        return float("nan")
    iccs = [
        _reliability(over, grid[label != stratum], label[label != stratum], 0.95).icc for stratum in np.unique(label)
    ]
    return float(np.min(iccs))


def _equally_scaled(grid: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return values centred in each run and scaled to the same spread over classes and runs in each data set."""
    within = centred(grid, label)
    for stratum in np.unique(label):
        block = within[label == stratum]
        spread = float(np.sqrt(np.mean(block**2))) if block.size else 0.0  # no run has every class
        within[label == stratum] /= spread if spread > 0 else 1.0
    return within


def _by_fold(values: np.ndarray, folds: Sequence[object]) -> np.ndarray:
    """Arrange (N, R) as (N, F, S), the first S runs of each fold."""
    fold = labels(folds, values.shape[1])
    columns = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    s = min((len(runs) for runs in columns), default=0)
    return np.stack([values[:, runs[:s]] for runs in columns], axis=1) if columns else values[:, None, :]
