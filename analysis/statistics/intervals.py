"""Intervals for means over independent units and over seeds, calibrated for few of either.

Units are resampled (cluster bootstrap, BCa, expanded for few units). Seeds are too few to resample: if 3 seeds vary
as much as units do, the crossed bootstrap of Owen 2007 covers 81 to 86 % instead of 95 %, because no resample of three
numbers strays as far as a t with two degrees of freedom. Their part is therefore a t interval over the seeds' own
estimates. The two parts are joined in two ways, because one cannot serve both purposes with three seeds:

- An interval that is *shown* (`Uncertainty.interval`) is one t around the joint standard error, with degrees of freedom
  between those of the parts. It covers what it says.
- An interval that a *test* inverts (`Uncertainty.test_interval`, `p_of_zero`, `p_of_relevance`) adds whole parts like
  standard errors. It is never narrower, and at 95 % too wide with three seeds. But corrections for many tests ask for
  99 % and more, where the tails of few seeds decide, and there the one t errs too often.

So a shown interval may exclude 0 by a little where p is above .05; wherever p is below .05 it excludes 0. Verdicts
follow p. Both parts hold the seed x unit interaction; taking it out of the seeds' part makes intervals exact where
units differ, but where they do not, equal methods are then called different far too often: it stays in.
`python -m benchmarks.calibration` prints what is covered, and how often each way errs after Holm's correction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from imbalance_bench.seeding import generator

_SMALLEST_P = 1e-6  # of the search for the level at which an interval touches 0
_SEARCH_STEPS = 24  # halvings of the logarithm of p


def multinomial_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each of n items is taken in each resample, (resamples, n) float64; rows sum to n."""
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
        degrees: Observations less the strata that they are resampled in: what their spread is estimated with.
        level: Such as 0.95.

    Source:
        Hesterberg 2015, "What teachers should know about the bootstrap", section 4.3 (expanded percentile interval).

    Deviation:
        Without his factor for the bootstrap's smaller variance, which holds for means: resampled shares of variation
        already vary more than fresh ones would, because repeated classes fit too well (with it they cover 97.2 %).
    """
    tails = special.ndtr(np.array([-1, 1]) * special.stdtrit(degrees, 0.5 + level / 2))
    low, high = np.quantile(resampled, tails)
    return float(low), float(high)


@dataclass(frozen=True)
class Uncertainty:
    """An estimate and what is known of its error.

    Args:
        estimate: The statistic.
        resampled: (B,) float, ascending and finite: the statistic of each resample of units.
        bias: BCa's z0.
        acceleration: BCa's a.
        n_units: Independent units behind the estimate; unequal ones count as `effective_units` says.
        seed_error: Standard error over seeds; 0 with one seed, whose interval then speaks of that one training.
        n_seeds: Seeds.
    """

    estimate: float
    resampled: np.ndarray
    bias: float
    acceleration: float
    n_units: float
    seed_error: float
    n_seeds: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval to show for a level such as 0.95; NaN with fewer than 2 units.

        On each side it is one t: the joint standard error, with degrees of freedom whose reciprocal is the mean of the
        parts' reciprocals, weighted by their shares of the variance.

        Source:
            Cochran and Cox 1950 (their approximate t for two unequal variances weighs quantiles by these shares).

        Deviation:
            The shares weigh reciprocal degrees of freedom, in which Student's quantile is nearly linear; weighing
            quantiles covers up to 97.6 % with three seeds. Satterthwaite 1946 squares the shares, which promises more
            degrees of freedom than shares estimated from three seeds can carry: its tests err about twice as often.
        """
        below, above = self._by_units(level)
        return float(self.estimate - self._one_t(below, level)), float(self.estimate + self._one_t(above, level))

    def test_interval(self, level: float) -> tuple[float, float]:
        """Return the interval that the tests below invert: whole parts, added like standard errors; never narrower.

        Source:
            Zou and Donner 2008, eq. 6 (method of variance estimates recovery).
        """
        below, above = self._by_units(level)
        by_seeds = self.seed_error * special.stdtrit(self.n_seeds - 1, 0.5 + level / 2) if self.n_seeds > 1 else 0.0
        return float(self.estimate - np.hypot(below, by_seeds)), float(self.estimate + np.hypot(above, by_seeds))

    def _by_units(self, level: float) -> tuple[float, float]:
        """Return how far below and above the estimate the interval over units alone reaches.

        Source:
            Efron 1987 (BCa); Hesterberg 2015, "What teachers should know about the bootstrap", section 4.3 (expansion:
            the normal quantile becomes sqrt(n / (n - 1)) times Student's with n - 1 degrees of freedom, because the
            bootstrap's variance is (n - 1) / n of the sample's, and it ignores that the variance is estimated).

        Deviation:
            The expansion, made for percentile intervals, is applied to BCa's quantiles.
        """
        if not self.n_units > 1 or not np.isfinite(self.estimate) or not len(self.resampled):
            return float("nan"), float("nan")
        reach = np.sqrt(self.n_units / (self.n_units - 1)) * special.stdtrit(self.n_units - 1, 0.5 + level / 2)
        ends = self.bias + np.array([-reach, reach])
        # the map is monotone only while its denominator is positive; beyond that the end is the extreme resample
        denominator = np.maximum(1 - self.acceleration * ends, 1e-3)
        low, high = _quantiles(self.resampled, special.ndtr(self.bias + ends / denominator))
        return max(self.estimate - low, 0.0), max(high - self.estimate, 0.0)

    def _one_t(self, by_units: float, level: float) -> float:
        """Return the half width of one t from the half width over units alone."""
        tail, of_units, of_seeds = 0.5 + level / 2, self.n_units - 1, max(self.n_seeds - 1, 1)
        parts = np.array([(by_units / special.stdtrit(of_units, tail)) ** 2, self.seed_error**2])  # variances
        if not parts.sum() > 0:
            return by_units  # NaN, or nothing varies
        degrees = parts.sum() / (parts[0] / of_units + parts[1] / of_seeds)
        return float(special.stdtrit(degrees, tail) * np.sqrt(parts.sum()))

    def p_of_zero(self) -> float:
        """Return the two-sided p of zero: 1 minus the level at which the test's interval just touches it.

        NaN where there is no interval. At least 1e-6; limited by the resamples, of which none may lie beyond 0.
        """
        if not np.isfinite(self.test_interval(0.5)[0]):
            return float("nan")
        return 1.0 if self.estimate == 0 else self._narrowest(lambda low, high: low <= 0 <= high)

    def p_of_relevance(self, margin: float) -> float:
        """Return p of the hypothesis that the truth lies outside +-margin: small means equivalent.

        It is below alpha exactly where the test's interval of level 1 - 2 alpha lies inside +-margin (two one-sided
        tests). NaN where there is no interval; 1 where the estimate lies outside; at least 5e-7, limited by the
        resamples.

        Source:
            Schuirmann 1987; by intervals: Westlake 1976.
        """
        if not np.isfinite(self.test_interval(0.5)[0]):
            return float("nan")
        if abs(self.estimate) >= margin:
            return 1.0
        return self._narrowest(lambda low, high: low <= -margin or high >= margin) / 2

    def _narrowest(self, reaches: Callable[[float, float], bool]) -> float:
        """Return 1 minus the level of the widest interval that does not reach something; wider ones all do."""
        reached, free = _SMALLEST_P, 1.0  # 1 - level of an interval that reaches it, and of one that does not
        for _ in range(_SEARCH_STEPS):
            middle = np.sqrt(reached * free)
            if reaches(*self.test_interval(1 - middle)):
                reached = middle
            else:
                free = middle
        return float(free)


def _quantiles(ascending: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return what `np.quantile` does for sorted values, without sorting them again."""
    place = shares * (len(ascending) - 1)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(ascending) - 1)
    return ascending[before] + (place - before) * (ascending[after] - ascending[before])


def uncertainty(
    estimate: float, resampled: np.ndarray, jackknife: np.ndarray, by_seed: np.ndarray, n_units: float
) -> Uncertainty:
    """Gather what an interval needs.

    Args:
        estimate: The statistic, seeds averaged.
        resampled: (B,) float, the statistic of each resample of units; NaN ones are left out.
        jackknife: (U,) float, the statistic without each unit; NaN ones are left out.
        by_seed: (S,) float, the statistic of each seed.
        n_units: Units behind the estimate, as equally heavy ones.
    """
    kept = np.sort(resampled[np.isfinite(resampled)])
    if len(kept):
        rounding = 1e-12 * max(float(np.abs(kept).max()), abs(estimate))  # resamples of few units often tie with it
        ends = np.searchsorted(kept, estimate - rounding, "left"), np.searchsorted(kept, estimate + rounding, "right")
        below = sum(ends) / (2 * len(kept))
        margin = 0.5 / len(kept)
        bias = float(special.ndtri(np.clip(below, margin, 1 - margin)))
    else:
        bias = 0.0
    left_out = jackknife[np.isfinite(jackknife)]
    pull = left_out.mean() - left_out if len(left_out) else left_out
    spread = np.sum(pull**2)
    acceleration = float(np.sum(pull**3) / (6 * spread**1.5)) if spread > 0 else 0.0
    n_seeds = len(by_seed)
    seed_error = float(by_seed.std(ddof=1) / np.sqrt(n_seeds)) if n_seeds > 1 else 0.0
    return Uncertainty(estimate, kept, bias, acceleration, n_units, seed_error, n_seeds)
