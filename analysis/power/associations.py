"""Power of associations between a learned bias and measures of the classes: how many classes are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special, stats

from analysis.statistics.attainability import classes_needed, rho_needed, smallest_correlation_p
from analysis.statistics.rank_association import EXACT_CLASSES
from imbalance_bench.preregistration import PRIMARY_MEASURES

SIMULATIONS = 4000  # standard error of a probability: at most .008
TARGET = 0.8
MOST_DATASETS = 40


@dataclass(frozen=True)
class AssociationDesign:
    """A study that asks what biases follow.

    Args:
        classes: Number of classes of each data set.
        shared_names: Number of class names that occur in every data set; such a class counts once.
        correlation: True correlation of what is learned with the true difficulty, over classes.
        reliability: Reliability of the measure of difficulty, 0 to 1.
        tests: Associations corrected together; by default the primary measures of one method and quantity, which are
            the family of a plan without hypotheses.
        alpha: Level of the family.
    """

    classes: tuple[int, ...]
    shared_names: int = 0
    correlation: float = 0.8
    reliability: float = 1.0
    tests: int = len(PRIMARY_MEASURES)
    alpha: float = 0.05

    @property
    def names(self) -> int:
        """The number of distinct class names."""
        return sum(self.classes) - self.shared_names * (len(self.classes) - 1)

    @property
    def seen_correlation(self) -> float:
        """Correlation with the measure, which its error attenuates (Spearman 1904)."""
        return self.correlation * sqrt(self.reliability)


@dataclass(frozen=True)
class AssociationPower:
    """The power of a design.

    Args:
        names: Number of distinct class names.
        smallest_p: Smallest p value of a rank correlation over them.
        needed: Correlation that the first step of Holm's correction needs; NaN: none suffices.
        power: Probability of detecting the true correlation after correction.
        uncorrected: Probability of detecting it in one association that was named beforehand.
        classes_needed: Fewest classes with which a perfect order is significant after correction.
        classes_for_one: Fewest classes for one association that was named beforehand.
        classes_for_target: Fewest classes with a power of .8 after correction; None: more than the largest size tried.
    """

    names: int
    smallest_p: float
    needed: float
    power: float
    uncorrected: float
    classes_needed: int
    classes_for_one: int
    classes_for_target: int | None


def association_power(design: AssociationDesign, seed: int) -> AssociationPower:
    """Return the power of a design; classes are exchangeable, as under the null hypothesis of the test.

    Args:
        design: The design.
        seed: Seed of the simulation.
    """
    level, rho, k = design.alpha / design.tests, design.seen_correlation, design.names
    sizes = range(3, k + MOST_DATASETS * max(design.classes) + 1)
    enough_classes = next((size for size in sizes if power_over(size, rho, level, seed) >= TARGET), None)
    return AssociationPower(
        names=k,
        smallest_p=smallest_correlation_p([k]),
        needed=critical_correlation(k, level),
        power=power_over(k, rho, level, seed),
        uncorrected=power_over(k, rho, design.alpha, seed),
        classes_needed=classes_needed(design.alpha, design.tests),
        classes_for_one=classes_needed(design.alpha),
        classes_for_target=enough_classes,
    )


def critical_correlation(classes: int, level: float) -> float:
    """Return the smallest |rho| over K classes with p below a level; NaN if none has.

    Exact up to 10 classes; beyond, Student's t with K - 2 degrees of freedom.
    """
    if classes <= EXACT_CLASSES:
        return rho_needed(classes, level)
    t = special.stdtrit(classes - 2, 1 - level / 2)
    return float(t / np.sqrt(classes - 2 + t**2))


def power_over(classes: int, rho: float, level: float, seed: int) -> float:
    """Return the probability that Spearman's rho of a bivariate normal passes the critical one."""
    needed = critical_correlation(classes, level)
    if not np.isfinite(needed):
        return 0.0
    first, second = np.random.default_rng(seed).normal(size=(2, SIMULATIONS, classes))
    correlations = _spearman(first, rho * first + np.sqrt(1 - rho**2) * second)
    return float(np.mean(np.abs(correlations) >= needed - 1e-9))


def _spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    ranks: Sequence[np.ndarray] = [stats.rankdata(values, axis=1) for values in (first, second)]
    k = first.shape[1]
    a, b = (rank - (k + 1) / 2 for rank in ranks)
    return (a * b).sum(axis=1) * 12 / (k * (k**2 - 1))
