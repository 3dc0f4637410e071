"""Agreement of repeated measurements over seeds, folds, or training sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from analysis.statistics.strata import centred, labels

SEEDS, FOLDS, TRAINING_SETS = "seeds", "folds", "training_sets"
_ROUNDING = 1e-20  # relative to the largest square
_LEVELS = 200  # at which each variance is taken, for the p of their difference
SAME = 1 - 1e-9  # training sets that share more of their images are the same


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
        without_best: `icc` without the data set that agrees most, 0 if nothing varies in the others; NaN with one data
            set.
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
    reliability = _reliability(SEEDS, values[:, None, :], np.zeros(len(values), dtype=int), level, np.ones((1, 1)))
    return reliability.icc, reliability.low, reliability.high


def shared_in_one_division(n_folds: int) -> np.ndarray:
    """Return the share of training images that the F folds of one cross-validation have in common, (F, F).

    Each fold leaves 1 / F of the images out of training, so two of them share (F - 2) / (F - 1) of theirs. Folds of a
    repeated cross-validation share less on average, so read as one division they are judged conservatively.
    """
    return np.where(np.eye(n_folds, dtype=bool), 1.0, (n_folds - 2) / max(n_folds - 1, 1))


def reliabilities(
    values: np.ndarray,
    folds: Sequence[object],
    strata: Sequence[object] | None = None,
    level: float = 0.95,
    shared: np.ndarray | None = None,
) -> tuple[Reliability, ...]:
    """Return the reliability of the average over runs: over seeds, and over several folds and training sets.

    Every data set is scaled to the same variation over classes and runs, so that none outweighs another.

    Args:
        values: (N, R) float, classes x runs, without NaN.
        folds: (R,) fold of each run. Runs of one fold are seeds on one training set; if folds have different numbers
            of runs, only the first ones are used.
        strata: (N,) data set of each class.
        level: Level of the intervals.
        shared: (F, F) share of their training images that two folds have in common, 1 with themselves, in any order of
            the folds; None: they are the folds of one division.

    Source:
        Shrout and Fleiss 1979, ICC(3,k). Over training sets: averages over n units of which q n are shared correlate by
        q, so that the variance over folds is 1 - q of that over new training sets, q a mean over pairs of folds
        (compare Nadeau and Bengio 2003, section 3, and the jackknife). Its degrees of freedom are Satterthwaite's: the
        folds of a repeated division differ in F - 1 directions for each repetition.
    """
    label = labels(strata, len(values))
    grid = _equally_scaled(_by_fold(np.asarray(values, dtype=np.float64), folds), label)
    views = (SEEDS,) if grid.shape[1] < 2 else (SEEDS, FOLDS, TRAINING_SETS)
    shared = shared_in_one_division(grid.shape[1]) if shared is None else shared
    return tuple(
        replace(_reliability(over, grid, label, level, shared), without_best=_without_best(over, grid, label, shared))
        for over in views
    )


def _reliability(over: str, grid: np.ndarray, label: np.ndarray, level: float, shared: np.ndarray) -> Reliability:
    """Compare the mean square of class averages with that of repetitions, in (N, F, S) values."""
    n, f, s = grid.shape
    nan = float("nan")
    missing = Reliability(over, nan, nan, nan, nan, n, s * f if over == SEEDS else f)
    df = n - len(np.unique(label))
    if df < 1 or s * f < 2:
        return missing
    error = _Error.of(over, centred(grid, label), df, shared)
    between = f * s * float(np.sum(centred(grid, label).mean(axis=(1, 2)) ** 2)) / df
    rounding = float(np.abs(grid).max()) ** 2 * _ROUNDING
    if not np.isfinite(error.square) or between <= rounding:
        return missing
    if error.square <= rounding:
        return replace(missing, icc=1.0, low=1.0, high=1.0, p=0.0)
    ratio, tail = between / error.square, 0.5 + level / 2
    low = 1 - stats.f.ppf(tail, df, error.df) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(tail, error.df, df))
    return replace(missing, icc=1 - 1 / ratio, low=float(low), high=float(high), p=error.p(between, df))


@dataclass(frozen=True)
class _Error:
    """The mean square of class averages that is expected if nothing is reproducible.

    Args:
        square: Its estimate.
        df: Degrees of freedom of the estimate.
        seeds: Mean square of seeds within folds and its degrees of freedom, where this part was told apart.
        folds: The same of folds.
        weight: How much more training sets vary than folds, beyond seeds.
    """

    square: float
    df: float
    seeds: tuple[float, float] | None = None
    folds: tuple[float, float] = (0.0, 0.0)
    weight: float = 1.0

    @classmethod
    def of(cls, over: str, within: np.ndarray, df: int, shared: np.ndarray) -> "_Error":
        """Estimate it from (N, F, S) values that are centred in each run, with `df` degrees of freedom of classes."""
        _, f, s = within.shape
        fold_means = within.mean(axis=2)
        within_folds = float(np.sum((within - fold_means[:, :, None]) ** 2))
        seeds = (within_folds / (df * f * (s - 1)) if s > 1 else float("nan"), df * f * (s - 1))
        if over == SEEDS:
            return cls(*seeds)
        of_folds = float(np.sum((fold_means - fold_means.mean(axis=1, keepdims=True)) ** 2))
        folds = (s * of_folds / (df * (f - 1)), df * (f - 1))
        if over == FOLDS:
            return cls(*folds)
        share = mean_share(shared)
        if share >= SAME:
            return cls(float("nan"), 0)
        weight = (1 + (f - 1) * share) / (1 - share)
        one = np.zeros(f, dtype=int)
        between = centred(centred(shared, one).T, one)
        folds = (folds[0], df * float(np.trace(between) ** 2 / np.sum(between**2)))
        seed_part = min(seeds[0], folds[0]) if s > 1 else 0.0
        return cls(seed_part + (folds[0] - seed_part) * weight, folds[1], seeds if s > 1 else None, folds, weight)

    def p(self, between: float, df: int) -> float:
        """Return the one-sided p of a mean square of class averages.

        Where a part of seeds is taken off, it is the generalised p: the mean of the p given both variances, over what
        their mean squares say of them. An F test would take a small difference of two mean squares as known.

        Source:
            Tsui and Weerahandi 1989, generalised p-values of variance components.
        """
        if self.seeds is None:
            return float(stats.f.sf(between / self.square, df, self.df))
        levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
        seeds, folds = (square * own_df / stats.chi2.ppf(levels, own_df) for square, own_df in (self.seeds, self.folds))
        expected = seeds + np.maximum(folds[:, None] - seeds, 0.0) * self.weight
        return float(stats.chi2.sf(between * df / expected, df).mean())


def mean_share(shared: np.ndarray) -> float:
    """Return the mean share of training images over pairs of folds, of an (F, F) matrix; 1 with one fold."""
    pairs = shared[~np.eye(len(shared), dtype=bool)]
    return float(pairs.mean()) if pairs.size else 1.0


def _without_best(over: str, grid: np.ndarray, label: np.ndarray, shared: np.ndarray) -> float:
    """Return the smallest ICC without any one data set, 0 for one that is not defined; NaN with a single data set."""
    if len(np.unique(label)) < 2:
        return float("nan")
    iccs = [
        _reliability(over, grid[label != stratum], label[label != stratum], 0.95, shared).icc
        for stratum in np.unique(label)
    ]
    return float(np.nan_to_num(iccs, nan=0.0).min())


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
