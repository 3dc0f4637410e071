"""Intervals over independent units, seeds and folds, and the tests that invert them.

Variation over units is estimated by the jackknife and Student's t. For a mean over units this is the ordinary t
interval; for a ratio of sums (a pooled Dice) the jackknife also removes the bias that large units cause, and the
degrees of freedom are those of an equivalent number of equal units. A mean over classes uses the quantile of each
class, weighted by variance, so that a class in three slides does not count as if it were in forty. Seeds are too few to
resample: if three seeds vary as much as units do, the crossed bootstrap of Owen 2007 covers 81 to 86 % instead of 95 %.
Their part is a t interval over the estimates of the seeds. Parts are added like standard errors, each with its own
quantile, because corrections for many tests need levels of 99 % and more, where the tails of few seeds matter most.

The interaction of seed and unit makes both the means of units and the estimates of seeds vary. It is counted once, in
the part of seeds: `variance_over_units` takes it off the other. If it were taken off the part of seeds instead, equal
methods would be called different far too often where units hardly differ. With one seed it cannot be told from the
variation of units, and stays there.

Folds have a part of their own, of Nadeau and Bengio, because models of different training sets differ. Where folds test
different units, their estimates vary as units do too, so that the wider of the two parts counts; of what folds have in
common, the variation over units is added (`Uncertainty.half_width`).

Every p value here is 1 minus the level at which this interval touches the hypothesis, so an interval at the level that
a verdict uses excludes 0 exactly if the verdict is better or worse. `python -m benchmarks.calibration` prints the
coverage.

Sources:
    Student 1908; Quenouille 1956 and Tukey 1958 (jackknife: bias and variance); Kish 1965, section 11.7 (units of
    unequal weight); Zou and Donner 2008, eq. 6 (parts added with their own quantiles); Nadeau and Bengio 2003, eq. 7
    (folds that share training units); Bouckaert and Frank 2004, section 3.2 (the same for repeated cross-validation).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from imbalance_bench.seeding import generator

_SMALLEST_P = 1e-6  # lower end of the search for the level at which an interval touches 0
_SEARCH_STEPS = 24  # halvings of the logarithm of p


def multinomial_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each resample contains each of n items, (resamples, n) float64; rows sum to n."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def seed_weights(seeds: int, resamples: int, seed: int) -> np.ndarray:
    """Draw the bootstrap weights of seeds, (resamples, seeds), the same for every method and score of a study."""
    return multinomial_weights(seeds, resamples, generator(seed, "bootstrap", "seeds"))


def unit_weights(units: int, resamples: int, seed: int) -> np.ndarray:
    """Draw the bootstrap weights of units, (resamples, units), the same for every method and score of a study."""
    return _shared_weights(units, resamples, seed)


@lru_cache(maxsize=2)
def _shared_weights(units: int, resamples: int, seed: int) -> np.ndarray:
    weights = multinomial_weights(units, resamples, generator(seed, "bootstrap", "units"))
    weights.flags.writeable = False
    return weights


def percentile_interval(resampled: np.ndarray, degrees: int, level: float) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap, with Student's quantile in place of the normal one.

    Args:
        resampled: (B,) float, the statistic of each resample, finite.
        degrees: Degrees of freedom: observations minus the strata within which they are resampled.
        level: Level of the interval, such as 0.95.

    Source:
        Hesterberg 2015, "What teachers should know about the bootstrap", section 4.3 (expanded percentile interval).

    Deviation:
        Omits the factor for the bootstrap's smaller variance, which applies to means: resampled shares of variation
        already vary more than those of new samples, because repeated classes fit too well (with it they cover 97.2 %).
    """
    tails = special.ndtr(np.array([-1, 1]) * special.stdtrit(degrees, 0.5 + level / 2))
    low, high = np.quantile(resampled, tails)
    return float(low), float(high)


@dataclass(frozen=True)
class Uncertainty:
    """An estimate and its sources of error.

    Args:
        estimate: The statistic.
        unit_error: Its standard error over units; NaN with fewer than 2 of them.
        parts: (P,) float64, components of the variance over units, such as one for each class of a macro mean. Only
            their proportions count.
        degrees: (P,) float64, degrees of freedom of each part, at least 1.
        bias: Bias of the estimate by the jackknife; 0 for a mean.
        seed_error: Standard error over seeds; 0 with one seed, so that the interval applies to that training only.
        n_seeds: Number of seeds.
        fold_error: Standard error over folds by Nadeau and Bengio; 0 without folds.
        n_folds: Number of folds of one division of the units, repeats not counted; 1 without folds.
        fold_overlap: Share of units that two folds have in common, 0 to 1.
    """

    estimate: float
    unit_error: float
    parts: np.ndarray
    degrees: np.ndarray
    bias: float = 0.0
    seed_error: float = 0.0
    n_seeds: int = 1
    fold_error: float = 0.0
    n_folds: int = 1
    fold_overlap: float = 0.0

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite(self.estimate) and np.isfinite(self.unit_error))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of a level such as 0.95; NaN with fewer than 2 units."""
        if not self.has_interval:
            return float("nan"), float("nan")
        centre, half = self.estimate - self.bias, self.half_width(level)
        return float(centre - half), float(centre + half)

    def half_width(self, level: float) -> float:
        """Return half the width of the interval, from the part of units or folds and that of seeds.

        Folds that test different units vary as units do and as training sets do, so theirs takes the place of the part
        of units where it is wider. Of the variation of units, estimates of folds lack the share that is common to them,
        which is added; where all folds test the same units, the two parts are added in full.
        """
        tail = 0.5 + level / 2
        by_seeds = self.seed_error * special.stdtrit(self.n_seeds - 1, tail) if self.n_seeds > 1 else 0.0
        by_folds = self.fold_error * special.stdtrit(self.n_folds - 1, tail) if self.n_folds > 1 else 0.0
        by_units = self._by_units(tail)
        by_folds = np.hypot(by_folds, np.sqrt(self.fold_overlap) * by_units)
        return float(np.hypot(max(by_units, by_folds), by_seeds))

    def _by_units(self, tail: float) -> float:
        """Return half the width over units alone.

        Deviation:
            The bias counts as an additional error, because it is estimated no better than the variance.
        """
        total = self.parts.sum()
        if not total > 0:
            return 0.0
        quantile = np.sqrt((self.parts * special.stdtrit(self.degrees, tail) ** 2).sum() / total)
        return float(np.hypot(self.unit_error, self.bias) * quantile)

    def p_of_zero(self) -> float:
        """Return the two-sided p of zero: 1 minus the level at which the interval just touches it.

        NaN without an interval; at least 1e-6.
        """
        return self.beyond(abs(self.estimate - self.bias))

    def beyond(self, distance: float) -> float:
        """Return 1 minus the level at which half the width of the interval just reaches a distance.

        Interpreted as a posterior (Student's t under a flat prior, if there is a single source of error), this is the
        probability that the truth lies farther than this distance from the centre. NaN without an interval; at least
        1e-6.

        Args:
            distance: Distance from the centre, >= 0.
        """
        if not self.has_interval:
            return float("nan")
        return 1.0 if distance == 0 else self._narrowest(lambda half: half >= distance)

    def p_of_relevance(self, margin: float) -> float:
        """Return the p of the hypothesis that the truth lies outside +-margin: small means equivalent.

        It is below alpha exactly if the interval of level 1 - 2 alpha lies inside +-margin (two one-sided tests).
        NaN without an interval; 1 if its centre lies outside; at least 5e-7.

        Source:
            Schuirmann 1987; by intervals: Westlake 1976.
        """
        if not self.has_interval:
            return float("nan")
        room = margin - abs(self.estimate - self.bias)
        return 1.0 if room <= 0 else self._narrowest(lambda half: half >= room) / 2

    def _narrowest(self, reaches: Callable[[float], bool]) -> float:
        """Return 1 minus the level of the widest interval for which `reaches` is false; it is true for wider ones."""
        reaching, short = _SMALLEST_P, 1.0  # 1 - level of an interval that reaches it, and of one that does not
        for _ in range(_SEARCH_STEPS):
            middle = np.sqrt(reaching * short)
            if reaches(self.half_width(1 - middle)):
                reaching = middle
            else:
                short = middle
        return float(short)


def spread_over_seeds(by_seed: np.ndarray) -> tuple[float, int]:
    """Return the standard error over seeds, 0 with one seed, and the number of seeds."""
    seeds = len(by_seed)
    return (float(by_seed.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else 0.0), seeds


def variance_over_units(pulls: np.ndarray) -> np.ndarray:
    """Return the variance of a mean over units that is due to units alone, (...,) float64, at least 0.

    The interaction of unit and seed also varies over seeds and is part of the variance over them. Counted once, there,
    intervals cover 95 % whichever of the two varies more; counted twice, up to 99.6 %.

    Args:
        pulls: (S, U, ...) float64, how far each unit moves the mean in each seed.
    """
    seeds = len(pulls)
    total = (pulls.mean(axis=0) ** 2).sum(axis=0)
    if seeds < 2:
        return total
    mean_of_seeds = (pulls**2).sum(axis=1).mean(axis=0)
    return np.maximum(total - (mean_of_seeds - total) / (seeds - 1), 0.0)


def fold_error(by_fold: np.ndarray, test_to_train: float) -> float:
    """Return the standard error of a mean over folds whose training sets overlap; 0 with fewer than 2 folds.

    Args:
        by_fold: (F,) float, the estimate of each fold.
        test_to_train: Ratio of the test units of a fold to its training units, such as 1 / (F - 1); with repeats, F
            folds of one division.

    Source:
        Nadeau and Bengio 2003, eq. 7: variance (1 / F + n_test / n_train) s^2.
    """
    folds = len(by_fold)
    return float(np.sqrt((1 / folds + test_to_train) * by_fold.var(ddof=1))) if folds > 1 else 0.0


def level_after_correction(p: float, corrected: float, alpha: float) -> float:
    """Return the level of the interval that a corrected test inverts.

    The interval of this level excludes the hypothesis exactly if the corrected p is below alpha.

    Args:
        p: p before correction, > 0.
        corrected: p after Holm's step-down correction; may exceed 1.
        alpha: Level of the family.
    """
    return 1 - alpha * p / corrected if corrected > 0 else 1 - alpha
