"""The influence of each unit on a score, found by leaving it out: standard errors, bias, and which units carry it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.scoring.image_rows import Folds
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.units import Ratios, effective_units, scores_by_seed, without_each
from analysis.statistics.intervals import Uncertainty, fold_error, spread_over_seeds, variance_over_units


@dataclass(frozen=True)
class Influence:
    """The jackknife of a score over units, seeds averaged; columns are classes, then their macro mean.

    Args:
        by_seed: (S, C) float64, the score of each seed.
        pulls: (S, U, K) float64, how far each unit moves the score of a class in each seed, summing to 0 over units; 0
            where the unit does not contribute to it.
        bias: (K,) float64, jackknife bias; 0 for a mean; NaN where the class does not occur.
        n: (K,) int, units that contribute to each class.
        effective: (K,) float64, effective number of units: as many of equal weight say as much.
        counted: (U, K) bool, the unit contributes to the class.
        macro: Whether there is a last column, the mean over the classes that occur.
        folds: The folds that tested the units; None with one fold.
        apart: The influence of each test of `folds`, as if it were a unit of its own; None where no folds share units.
    """

    by_seed: np.ndarray
    pulls: np.ndarray
    bias: np.ndarray
    n: np.ndarray
    effective: np.ndarray
    counted: np.ndarray
    macro: bool = True
    folds: Folds | None = None
    apart: "Influence | None" = None

    @classmethod
    def of(cls, parts: Ratios) -> "Influence":
        """Leave out each unit of ratios of sums in turn."""
        by_seed = scores_by_seed(parts)
        estimate = by_seed[:, :-1].mean(axis=0)
        influence = cls.of_scores(by_seed, without_each(parts), parts.counted, estimate, effective_units(parts)[:-1])
        return influence.over(parts.folds, None if parts.apart is None else cls.of(parts.apart))

    @classmethod
    def of_scores(
        cls,
        by_seed: np.ndarray,
        without: np.ndarray,
        counted: np.ndarray,
        estimate: np.ndarray | None,
        effective: np.ndarray,
    ) -> "Influence":
        """Gather the influence of units on any score.

        Args:
            by_seed: (S, K) or, with macro, (S, K + 1) float64.
            without: (S, U, K) float64, the scores without each unit.
            counted: (U, K) bool, the unit contributes to the class.
            estimate: (K,) float64, the scores of all units, seeds averaged; None: no bias is subtracted.
            effective: (K,) float64, effective number of units.
        """
        n = counted.sum(axis=0)
        scores_without = np.where(counted, without, np.nan)
        middle = mean_over_occurring(scores_without, axis=1)  # (S, K)
        two_or_more = n > 1
        pulls = np.where(counted & two_or_more, (n - 1) / np.maximum(n, 1) * (middle[:, None] - scores_without), 0.0)
        shift = 0.0 if estimate is None else (n - 1) * (middle.mean(axis=0) - estimate)
        bias = np.where(two_or_more, shift, np.where(n == 1, 0.0, np.nan))
        bias = np.where(np.abs(bias) < 1e-12, 0.0, bias)  # a mean has no bias, only rounding errors
        return cls(by_seed, np.nan_to_num(pulls), bias, n, effective, counted, by_seed.shape[1] > len(n))

    def over(self, folds: Folds | None, apart: "Influence | None" = None) -> "Influence":
        """Return the same with the folds that tested the units, and the influence of each test where they share units.

        Raises:
            ValueError: Folds share units, and it is not known how far each test moves the score.
        """
        if apart is None and folds is not None and folds.share_units:
            raise ValueError("Influence.over needs `apart` where folds share units.")
        return replace(self, folds=folds, apart=apart)

    @cached_property
    def pull(self) -> np.ndarray:
        """`pulls`, averaged over seeds, (U, K) float64."""
        return self.pulls.mean(axis=0)

    @cached_property
    def unit_variance(self) -> np.ndarray:
        """Variance of each class over units, (K,) float64, as `variance_over_units` defines it.

        A class in a single unit has no variance of its own; it gets the mean variance of a single unit in the other
        classes. NaN where that is not known either, or the class does not occur.
        """
        variance = variance_over_units(self.pulls * np.sqrt(self.n / np.maximum(self.n - 1, 1)))
        variance = np.where(self.n > 1, variance, np.nan)
        of_one_unit = mean_over_occurring(variance * self.effective)
        return np.where(self.n == 1, of_one_unit, variance)

    @cached_property
    def degrees(self) -> np.ndarray:
        """Degrees of freedom of each class, (K,) float64, at least 1; in a single unit, the mean of the others."""
        degrees = np.where(self.n > 1, np.maximum(self.effective - 1, 1.0), np.nan)
        return np.nan_to_num(np.where(self.n == 1, mean_over_occurring(degrees), degrees), nan=1.0)

    def contributions(self, column: int) -> np.ndarray:
        """Return (U,) float64: how far each unit moves one column."""
        if column < len(self.n):
            return self.pull[:, column]
        return self.pull[:, self.n > 0].mean(axis=1) if (self.n > 0).any() else np.zeros(len(self.pull))

    def uncertainty(self, column: int) -> Uncertainty:
        """Return the estimate of one column with its errors over units, seeds and folds.

        Args:
            column: A class, or the last column: macro.
        """
        scores = self.by_seed[:, column]
        spread, seeds = spread_over_seeds(scores)
        estimate = float(scores.mean())
        if column < len(self.n):
            variance, bias = self.unit_variance[column], self.bias[column]
            if self.n[column] < 2:
                variance = np.nan
            parts, degrees = np.ones(1), self.degrees[[column]]
        else:
            variance, bias, parts, degrees = self._macro()
        return Uncertainty(
            estimate, float(np.sqrt(variance)), parts if variance > 0 else np.zeros(len(parts)), degrees, float(bias),
            spread, seeds, *self._over_folds(column),
        )  # fmt: skip

    def _macro(self) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Return variance and bias of the macro mean, and the parts of its variance with their degrees of freedom."""
        occurs = self.n > 0
        classes = max(int(occurs.sum()), 1)
        alone = occurs & (self.n == 1)
        if not occurs.any() or np.isnan(self.unit_variance[occurs]).any():
            return float("nan"), float("nan"), np.ones(1), np.ones(1)
        scaled = self.pulls * np.sqrt(self.n / np.maximum(self.n - 1, 1))
        together = variance_over_units(scaled[..., occurs].sum(axis=2)) + self.unit_variance[alone].sum()
        bias = float(self.bias[occurs].mean())
        return float(together / classes**2), bias, self.unit_variance[occurs], self.degrees[occurs]

    def _over_folds(self, column: int) -> tuple[float, int, float]:
        """Return the standard error over folds, the folds of one division, and the share of units in two folds.

        Deviation:
            Test units are 1 / (F - 1) of the training units with F folds in one division, as if those that validate
            were trained on: they are part of what makes a model. With a validation part of 15 %, the ratio without them
            would make the error of five folds 5 % larger. Where every fold tests the same units, F parts of the other
            images are left out of training in turn, and the ratio is that of such a part to the rest. Degrees of
            freedom are F - 1 also after repeats, fewer than the J - 1 of Bouckaert and Frank 2004 for J folds: other
            divisions of the same units are no new units.
        """
        if self.folds is None:
            return 0.0, 1, 0.0
        tested = self if self.apart is None else self.apart  # tests are units of their own there
        columns = tested.counted[:, [column]] if column < len(self.n) else tested.counted
        counted = np.flatnonzero(columns.any(axis=1))
        tests = self.folds.at(counted)
        folds, size = np.unique(tests.fold, return_counts=True)
        if len(folds) < 2:
            return 0.0, 1, 0.0
        moves = tested.contributions(column)
        sums = np.array([moves[self.folds.fold == fold].sum() for fold in folds])
        by_fold = sums * size.sum() / size  # estimates of the folds, up to a constant
        return fold_error(by_fold, tests.test_to_train), tests.of_one_division, tests.overlap
