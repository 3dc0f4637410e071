"""Class names that occur in several data sets: the same name is the same class and counts once.

The properties of a class belong to its name. Two data sets with the same five names contain five classes, not ten: a
test that permutes their rows as if there were ten finds an association whenever one data set shows one by chance.
Therefore the rows of a name are averaged, the effects of data sets and families are removed, and names are permuted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.statistics.strata import centred, labels


@dataclass(frozen=True)
class SharedNames:
    """The rows that belong to the same class.

    Args:
        name: (N,) index of the name of each row.
        block: (N,) index of its data set, or of its data set and family; each has its own intercept.
        stratum: (M,) stratum of each name: names are comparable if they share a block, directly or through others.
    """

    name: np.ndarray
    block: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, names: Sequence[object], blocks: Sequence[object]) -> "SharedNames":
        """Number names and blocks, and find the strata that they form.

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
        """Whether a name occurs more than once."""
        return self.n_names < len(self.name)

    @property
    def rows_of_name(self) -> np.ndarray:
        """Number of rows of each name, (M,) int."""
        return np.bincount(self.name, minlength=self.n_names)

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return the effect of each name: the mean of its rows if all blocks contain the same names.

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
        coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
        return centred(coefficients[: self.n_names], self.stratum)


def _indicators(label: np.ndarray) -> np.ndarray:
    return (label[:, None] == np.unique(label)).astype(np.float64)
