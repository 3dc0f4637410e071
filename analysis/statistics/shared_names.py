"""Classes that recur: one name in several data sets is one class, and counts once.

What a class is like belongs to its name. Two data sets with the same five names hold five classes, not ten: a test that
pairs their rows anew as if they were ten finds an association wherever one data set shows one by chance. So the rows of
a name are averaged, what data sets and families have in common is taken off, and names are what is permuted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.statistics.strata import centred, labels


@dataclass(frozen=True)
class SharedNames:
    """Which rows are the same class.

    Args:
        name: (N,) index of the name of each row.
        block: (N,) index of its data set, or of its data set and family: each has its own intercept.
        stratum: (M,) for each name, which names it can be compared with: those it shares a block with, directly or by
            way of others.
    """

    name: np.ndarray
    block: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, names: Sequence[object], blocks: Sequence[object]) -> "SharedNames":
        """Number names and blocks, and find which of them hang together.

        Args:
            names: (N,) class names; at most one row of a name per block.
            blocks: (N,) labels.
        """
        name, block = labels(names, len(names)), labels(blocks, len(blocks))
        m = int(name.max(initial=-1)) + 1
        links = coo_array((np.ones(len(name)), (name, m + block)), shape=[m + int(block.max(initial=-1)) + 1] * 2)
        return cls(name, block, labels(connected_components(links, directed=False)[1][:m], m))

    @property
    def n_names(self) -> int:
        """M."""
        return len(self.stratum)

    @property
    def any_shared(self) -> bool:
        """True if a name occurs twice."""
        return self.n_names < len(self.name)

    @property
    def rows_of_name(self) -> np.ndarray:
        """Rows of each name, (M,) int."""
        return np.bincount(self.name, minlength=self.n_names)

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return what each name adds to its blocks: the mean of its rows where all blocks hold the same names.

        Args:
            values: (N,) or (N, P) float without NaN.

        Returns:
            (M,) or (M, P) float64, least squares of values on names and blocks, centred within each stratum.
        """
        values = np.asarray(values, dtype=np.float64)
        if not self.any_shared:
            ordered = values[np.argsort(self.name)]
            return centred(ordered, self.stratum)
        design = np.concatenate([_indicators(self.name), _indicators(self.block)], axis=1)
        found = np.linalg.lstsq(design, values, rcond=None)[0]
        return centred(found[: self.n_names], self.stratum)


def _indicators(label: np.ndarray) -> np.ndarray:
    return (label[:, None] == np.unique(label)).astype(np.float64)
