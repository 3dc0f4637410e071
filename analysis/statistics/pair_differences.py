"""Mean differences over pairs of values from different groups, unbiased for any number of values and groups."""

from dataclasses import dataclass

import numpy as np

NORMAL_SD = np.sqrt(np.pi) / 2  # Gini's mean difference of a normal distribution is 2 / sqrt(pi) standard deviations


@dataclass(frozen=True)
class PairDifferences:
    """The values of one feature, prepared for many weightings of their groups at once.

    Args:
        values: (N,) float64, ascending.
        mass: (N,) float64, weight of each value.
        group: (N,) group of each value.
        within: (U, 3), for each group its mass, and the weight and the weighted difference of the pairs within it.
    """

    values: np.ndarray
    mass: np.ndarray
    group: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, mass: np.ndarray, group: np.ndarray, n_groups: int) -> "PairDifferences":
        """Prepare N values in any order."""
        order = np.lexsort((values, group))  # group by group
        x, m, sorted_group = values[order], mass[order], group[order]
        total, squares = (np.bincount(sorted_group, weights, minlength=n_groups) for weights in (m, m**2))
        below = np.cumsum(m) - (np.cumsum(total) - total)[sorted_group]
        gap = np.where(np.diff(sorted_group, append=-1) == 0, np.diff(x, append=0), 0)
        difference = np.bincount(sorted_group, gap * below * (total[sorted_group] - below), minlength=n_groups)
        within = np.stack([total, (total**2 - squares) / 2, difference], axis=1)
        order = np.argsort(values, kind="stable")
        return cls(values[order], mass[order], group[order], within)

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """Return the mean absolute difference of two values from different groups under each row of weights, (B,).

        With a single group, pairs are from that group; NaN without two values. As a mean over pairs (a U-statistic) it
        is unbiased for any number of groups and values, and a group that is drawn twice makes no pairs with itself.

        Args:
            weights: (B, U) weight of each group.

        Source:
            Gini's mean difference; Hoeffding 1948 (U-statistics).
        """
        total, pairs, differences = self.within.T
        between = _difference(self.values, weights[:, self.group] * self.mass) - weights**2 @ differences
        mass = weights @ total
        weight = (mass**2 - weights**2 @ total**2) / 2
        several = ((weights > 0) & (total > 0)).sum(axis=1) > 1
        part, whole = np.where(several, between, weights @ differences), np.where(several, weight, weights @ pairs)
        return np.where(whole > 1e-9, part / np.where(whole > 1e-9, whole, 1), np.nan)


def _difference(values: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the sum over pairs of the product of their masses and their difference; (N,) ascending, (B, N)."""
    below = np.cumsum(mass, axis=1)
    return (below[:, :-1] * (below[:, -1:] - below[:, :-1])) @ np.diff(values)
