"""One difference over several data sets: a Bayesian hierarchical model with a region of practical equivalence.

Every data set has its own difference, measured with an error whose degrees of freedom depend on its units, seeds and
folds; the true differences vary normally about a mean. Two to five data sets contain little information on this
variation, so its prior matters: it is a half Cauchy (Gelman 2006), and the effect of halving or doubling its scale is
reported with every answer. Everything is integrated on a grid: the same input gives the same bits.

Sources:
    Benavoli, Corani, Demsar and Zaffalon 2017, "Time for a change", section 5 (region, triangle); Corani, Benavoli,
    Demsar, Mangili and Zaffalon 2017, "Statistical comparison of classifiers through Bayesian hierarchical modelling";
    Gelman 2006, "Prior distributions for variance parameters in hierarchical models".

Deviation:
    Differences of data sets are normal about their mean, not Student's t with unknown degrees of freedom, which cannot
    be estimated from fewer than about ten data sets; the prior of the spread is a half Cauchy instead of a uniform one,
    whose upper end would determine the posterior with two or three data sets; errors within a data set are those of
    its interval, without a fixed correlation of folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from analysis.statistics.posterior_regions import NEARLY_NORMAL, Regions, StudentForm

SPREAD_SCALE = 0.02  # scale of the half Cauchy: half of its mass lies below two points of Dice
_MEANS, _SPREADS, _SCALES = 401, 160, 64  # cells of the grids
_REACH = 1.0  # a difference of Dice is at most 1


@dataclass(frozen=True)
class Posterior:
    """Joint posterior of the mean over data sets and the spread between them, on a grid.

    Args:
        means: (M,) float64, means.
        spreads: (S,) float64, standard deviations between data sets.
        mass: (M, S) float64, posterior probability of each pair; sums to 1.
        margin: Half width of the region of practical equivalence.
    """

    means: np.ndarray
    spreads: np.ndarray
    mass: np.ndarray
    margin: float

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of data sets below, inside and above the region for each mean and spread, (M, S, 3) float64."""
        below = special.ndtr((-self.margin - self.means[:, None]) / self.spreads)
        above = special.ndtr((self.means[:, None] - self.margin) / self.spreads)
        return np.stack([below, np.maximum(1 - below - above, 0), above], axis=-1)

    def of_next(self) -> Regions:
        """Return the probabilities of the regions for the true difference of a new data set."""
        return Regions(*(float(value) for value in np.einsum("ms,msr->r", self.mass, self.shares)))

    def of_mean(self) -> Regions:
        """Return the probabilities of the regions for the mean over data sets."""
        mass = self.mass.sum(axis=1)
        below, up_to = np.interp([-self.margin, self.margin], self.means, np.cumsum(mass) - mass / 2)
        return Regions(float(below), float(up_to - below), float(1 - up_to))

    def most_probable(self) -> Regions:
        """Return the probability of each region to contain the most data sets, which is what baycomp reports."""
        first = self.shares.argmax(axis=-1)
        return Regions(*(float(self.mass[first == region].sum()) for region in range(3)))

    def mean_interval(self, level: float = 0.95) -> tuple[float, float, float]:
        """Return the posterior median of the mean and the ends of its central interval."""
        return _quantiles(self.means, self.mass.sum(axis=1), level)

    def spread_interval(self, level: float = 0.95) -> tuple[float, float, float]:
        """Return the posterior median of the spread between data sets and the ends of its central interval."""
        return _quantiles(self.spreads, self.mass.sum(axis=0), level)

    def draws(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw shares of data sets below, inside and above the region from the posterior, (n, 3) float64."""
        cells = rng.choice(self.mass.size, size=n, p=self.mass.ravel())
        return self.shares.reshape(-1, 3)[cells]


def posterior_over_data_sets(
    differences: Sequence[StudentForm], margin: float, *, spread_scale: float = SPREAD_SCALE
) -> Posterior:
    """Return the posterior of the mean over data sets and of the spread between them.

    Args:
        differences: One per data set, at least one, with finite errors.
        margin: Half width of the region of practical equivalence, >= 0.
        spread_scale: Scale of the half Cauchy prior of the spread; the prior of the mean is flat from -1 to 1.
    """
    u = (np.arange(_SPREADS) + 0.5) / _SPREADS
    spreads = spread_scale * np.tan(np.pi / 2 * u)  # points of equal prior mass
    means, width = _grid_of_means(differences, spread_scale)
    log_mass = np.repeat(np.log(width)[:, None], _SPREADS, axis=1)
    for difference in differences:
        log_mass += _log_likelihood(difference, means, spreads)
    mass = np.exp(log_mass - log_mass.max())
    return Posterior(means, spreads, mass / mass.sum(), margin)


def prior_shift(differences: Sequence[StudentForm], margin: float) -> float:
    """Return the largest change of a probability of `of_next` when the scale of the prior is halved or doubled."""
    predictions = [
        posterior_over_data_sets(differences, margin, spread_scale=SPREAD_SCALE * times).of_next()
        for times in (1, 0.5, 2)
    ]
    values = np.array([[regions.worse, regions.equivalent, regions.better] for regions in predictions])
    return float(np.abs(values[1:] - values[0]).max())


def _grid_of_means(differences: Sequence[StudentForm], spread_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points from -1 to 1, dense around the data, and the widths of their cells."""
    errors = np.array([difference.error for difference in differences])
    centres = np.array([difference.centre for difference in differences])
    weight = 1 / (errors**2 + (0.1 * spread_scale) ** 2)
    middle = float((weight * centres).sum() / weight.sum())
    fine = float(1 / np.sqrt(weight.sum()))
    first, last = (float(np.arcsinh((end - middle) / fine)) for end in (-_REACH, _REACH))
    edges = middle + fine * np.sinh(np.linspace(first, last, _MEANS + 1))
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def _log_likelihood(difference: StudentForm, means: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Return the log likelihood of each mean and spread, (M, S): Student's t is a mixture of normals over its scale."""
    df = difference.degrees
    quantiles = (np.arange(_SCALES) + 0.5) / _SCALES
    scale = np.ones(1) if df >= NEARLY_NORMAL else special.gammaincinv(df / 2, quantiles) * 2 / df
    variance = difference.error**2 / scale + spreads[:, None] ** 2  # (S, Q)
    distance = (difference.centre - means) ** 2
    density = np.zeros((len(means), len(spreads)))
    for q in range(len(scale)):
        density += np.exp(-distance[:, None] / (2 * variance[:, q])) / np.sqrt(variance[:, q])
    return np.log(np.maximum(density, 1e-300))


def _quantiles(values: np.ndarray, mass: np.ndarray, level: float) -> tuple[float, float, float]:
    cumulative = np.cumsum(mass) - mass / 2
    median, low, high = np.interp([0.5, (1 - level) / 2, (1 + level) / 2], cumulative, values)
    return float(median), float(low), float(high)
