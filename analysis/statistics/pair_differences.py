"""Mean differences over pairs of values from different groups, unbiased for any number of values and groups."""

from dataclasses import dataclass

import numpy as np

NORMAL_SD = np.sqrt(np.pi) / 2  # Gini's mean difference of a normal distribution is 2 / sqrt(pi) standard deviations


@dataclass(frozen=True)
class PairDifferences:
    """The values of F features, prepared for many weightings of their groups at once.

    Args:
        values: (F, N) float64, ascending.
        mass: (F, N) float64, weight of each value.
        group: (F, N) group of each value.
        within: (F, U, 3), for each group its mass, and the weight and the weighted difference of the pairs within it.
    """

    values: np.ndarray
    mass: np.ndarray
    group: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, mass: np.ndarray, group: np.ndarray, n_groups: int) -> "PairDifferences":
        """Prepare (F, N) values of N items in any order, with (N,) mass and group."""
        features = np.arange(len(values))[:, None]
        order = np.lexsort((values, np.broadcast_to(group, values.shape)))  # group by group
        x, m, sorted_group = values[features, order], mass[order], group[order]
        cell = (features * n_groups + sorted_group).ravel()

        def by_group(terms: np.ndarray) -> np.ndarray:
            sums = np.bincount(cell, terms.ravel(), minlength=len(values) * n_groups)
            return sums.reshape(len(values), n_groups)

        total, squares = by_group(m), by_group(m**2)
        below = np.cumsum(m, axis=1) - (np.cumsum(total, axis=1) - total)[features, sorted_group]
        gap = np.where(np.diff(sorted_group, append=-1) == 0, np.diff(x, append=0), 0)
        difference = by_group(gap * below * (total[features, sorted_group] - below))
        within = np.stack([total, (total**2 - squares) / 2, difference], axis=-1)
        order = np.argsort(values, axis=1, kind="stable")
        return cls(values[features, order], mass[order], group[order], within)

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """Return the mean absolute difference of two values from different groups under each row of weights, (F, B).

        With a single group, pairs are from that group; NaN without two values. As a mean over pairs (a U-statistic) it
        is unbiased for any number of groups and values, and a group that is drawn twice makes no pairs with itself.

        Args:
            weights: (B, U) weight of each group.

        Source:
            Gini's mean difference; Hoeffding 1948 (U-statistics).
        """
        total, pairs, differences = np.moveaxis(self.within, -1, 0)  # (F, U) each
        mass = np.stack([weights[:, group] for group in self.group]) * self.mass[:, None]  # (F, B, N)
        between = _difference(self.values, mass) - _over_groups(weights**2, differences)
        weight = (_over_groups(weights, total) ** 2 - _over_groups(weights**2, total**2)) / 2
        several = ((weights > 0) & (total > 0)[:, None]).sum(axis=-1) > 1
        part = np.where(several, between, _over_groups(weights, differences))
        whole = np.where(several, weight, _over_groups(weights, pairs))
        return np.where(whole > 1e-9, part / np.where(whole > 1e-9, whole, 1), np.nan)


def _over_groups(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the weighted sum over groups, (F, B) from (B, U) weights and (F, U) sums."""
    return (weights @ sums[..., None])[..., 0]


def _difference(values: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the sum over pairs of the product of their masses and their difference; (F, N) ascending, (F, B, N)."""
    below = np.cumsum(mass, axis=-1)
    return ((below[..., :-1] * (below[..., -1:] - below[..., :-1])) @ np.diff(values)[..., None])[..., 0]
