"""Variation explained by each measure alone and jointly, from the R squared of all subsets of the measures.

R squared of a subset comes from the correlations within data sets. With few classes R squared grows with every measure,
related or not, so shares are given both raw (as in the sources) and adjusted for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from analysis.statistics.strata import labels

MOST_PREDICTORS = 8  # 2^8 subsets
SMALLEST_RESIDUAL_DF = 5  # with fewer, classes are not resampled: too many resamples would fit perfectly
_RELATIVE_RANK = 1e-9
_CHUNK = 256


@dataclass(frozen=True)
class Partition:
    """Shares of the variation of a response, or of each of several, within data sets.

    Args:
        r2: (..., 2^P) R squared of each subset; bit j of the index is set if it contains predictor j.
        n: Number of classes.
        n_strata: Number of data sets, each with its own intercept.
    """

    r2: np.ndarray
    n: int
    n_strata: int

    @property
    def predictors(self) -> int:
        """P."""
        return int(np.log2(self.r2.shape[-1]))

    @property
    def residual_df(self) -> int:
        """Residual degrees of freedom with all predictors."""
        return self.n - self.n_strata - self.predictors

    def adjusted(self) -> "Partition":
        """Return a partition with every R squared adjusted for its number of predictors; NaN without residual df.

        Source:
            Ezekiel 1930: 1 - (1 - R^2) (n - S) / (n - S - p) with S intercepts.
        """
        df = self.n - self.n_strata
        residual_df = df - _sizes(self.predictors)
        shrunk = 1 - (1 - self.r2) * df / np.where(residual_df > 0, residual_df, np.nan)
        return Partition(shrunk, self.n, self.n_strata)

    def commonality(self) -> np.ndarray:
        """Return the commonality coefficient of each set of predictors, (..., 2^P).

        Entry A is the part shared by exactly the predictors of A (for a single one, its unique part); entry 0 is 0.
        Entries may be negative (suppression) and sum to the R squared of all predictors.

        Source:
            Nimon et al. 2008; Seibold and McPhee 1979, here as the Moebius inverse of the loss without each set.
        """
        subsets = np.arange(self.r2.shape[-1])
        shares = self.r2[..., [-1]] - self.r2[..., subsets[-1] ^ subsets]
        for j in range(self.predictors):
            with_j = np.flatnonzero(subsets >> j & 1)
            shares[..., with_j] -= shares[..., with_j ^ (1 << j)]
        return shares

    def dominance(self) -> np.ndarray:
        """Return the general dominance weight of each predictor, (..., P); they sum to the R squared of all.

        Source:
            Budescu 1993; Azen and Budescu 2003: the gain in R squared, averaged over subsets of each size, then sizes.
        """
        p = self.predictors
        subsets, sizes = np.arange(self.r2.shape[-1]), _sizes(p)
        weights = np.zeros((*self.r2.shape[:-1], p))
        for j in range(p):
            without = subsets[(subsets >> j & 1) == 0]
            gain = self.r2[..., without | 1 << j] - self.r2[..., without]
            weights[..., j] = np.sum(gain / np.array([comb(p - 1, size) for size in sizes[without]]), axis=-1) / p
        return weights

    def of_two(self, first: Sequence[int], second: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the parts that two disjoint groups of predictors explain, (...): first alone, second alone, shared.

        Args:
            first: Indices of the predictors of one group.
            second: Indices of all other predictors.
        """
        a, b = (self.r2[..., sum(1 << j for j in group)] for group in (first, second))
        total = self.r2[..., -1]
        return total - b, total - a, a + b - total


def partition(response: np.ndarray, predictors: np.ndarray, strata: Sequence[object] | None = None) -> Partition:
    """Fit all subsets of the predictors.

    Args:
        response: (N,) float without NaN.
        predictors: (N, P) float without NaN, P <= 8.
        strata: (N,) labels of the data set; each has its own intercept, slopes are shared.

    Raises:
        ValueError: More than 8 predictors, or none.
    """
    x = np.asarray(predictors, dtype=np.float64)
    label = labels(strata, len(x))
    r2 = _weighted_r2(np.column_stack([response, x]), label, np.ones((1, len(x))))[0]
    return Partition(r2, len(x), len(np.unique(label)))


def partition_each(responses: np.ndarray, predictors: np.ndarray, strata: Sequence[object] | None) -> Partition:
    """Fit all subsets of the same predictors to several responses.

    Args:
        responses: (B, N) float without NaN.
        predictors: (N, P) float without NaN, P <= 8.
        strata: (N,) labels of the data set, as in `partition`.

    Returns:
        The partition of each response, with R squared of (B, 2^P).

    Raises:
        ValueError: More than 8 predictors, or none.
    """
    x = np.asarray(predictors, dtype=np.float64)
    label = labels(strata, len(x))
    dummies = np.equal.outer(label, np.unique(label)).astype(np.float64)
    averaging = dummies @ np.linalg.pinv(dummies)  # (N, N), means of strata
    y, x = responses - responses @ averaging, x - averaging @ x
    products = np.empty((len(y), 1 + x.shape[1], 1 + x.shape[1]))
    products[:, 0, 0], products[:, 1:, 1:] = np.einsum("bn,bn->b", y, y), x.T @ x
    products[:, 0, 1:] = products[:, 1:, 0] = y @ x
    return Partition(_subset_r2(products), len(x), dummies.shape[1])


def resampled_partition(
    response: np.ndarray,
    predictors: np.ndarray,
    strata: Sequence[object] | None,
    *,
    resamples: int,
    rng: np.random.Generator,
) -> Partition:
    """Resample classes within each data set and fit all subsets again.

    Resamples whose distinct classes leave no residual degree of freedom are dropped, so there may be fewer results.

    Returns:
        The partition of each resample, with R squared of (B, 2^P).

    Source:
        Efron 1979, pairs bootstrap. Its intervals are conservative for parts near 0; see docs/explanation.md.
    """
    x = np.asarray(predictors, dtype=np.float64)
    label = labels(strata, len(x))
    weights = np.zeros((resamples, len(x)))
    for stratum in np.unique(label):
        rows = np.flatnonzero(label == stratum)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples)
    n_strata = len(np.unique(label))
    n_distinct = (weights > 0).sum(axis=1)
    sufficient = n_distinct > n_strata + x.shape[1]
    r2 = _weighted_r2(np.column_stack([response, x]), label, weights[sufficient])
    return Partition(r2, len(x), n_strata)


def _weighted_r2(values: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (B, 2^P) R squared of (N, 1 + P) values for (B, N) weights, centred within each stratum."""
    parts = []
    for start in range(0, len(weights), _CHUNK):
        chunk = weights[start : start + _CHUNK]
        products = np.zeros((len(chunk), values.shape[1], values.shape[1]))
        for stratum in np.unique(label):
            rows = label == stratum
            total = chunk[:, rows].sum(axis=1)[:, None, None]
            mean = chunk[:, rows] @ values[rows]
            squares = np.einsum("bn,ni,nj->bij", chunk[:, rows], values[rows], values[rows])
            products += squares - mean[:, :, None] * mean[:, None, :] / np.where(total > 0, total, 1)
        parts.append(_subset_r2(products))
    return np.concatenate(parts) if parts else np.zeros((0, 2 ** (values.shape[1] - 1)))


def _subset_r2(products: np.ndarray) -> np.ndarray:
    """Return (B, 2^P) R squared from (B, 1 + P, 1 + P) cross products; NaN where the response does not vary."""
    p = products.shape[1] - 1
    if not 1 <= p <= MOST_PREDICTORS:
        raise ValueError(f"a partition takes 1 to {MOST_PREDICTORS} predictors. Got {p}.")
    spread = np.sqrt(np.clip(np.diagonal(products, axis1=1, axis2=2), 0, None))
    varies = spread > 0
    scale = np.where(varies, spread, 1)
    correlations = products / (scale[:, :, None] * scale[:, None, :])
    r2 = np.zeros((len(products), 2**p))
    for subset in range(1, 2**p):
        chosen = 1 + np.flatnonzero(subset >> np.arange(p) & 1)
        with_response = correlations[:, chosen, 0]
        inverse = np.linalg.pinv(correlations[:, chosen[:, None], chosen], rcond=_RELATIVE_RANK, hermitian=True)
        r2[:, subset] = np.einsum("bi,bij,bj->b", with_response, inverse, with_response)
    return np.where(varies[:, :1], np.clip(r2, 0, 1), np.nan)


def _sizes(p: int) -> np.ndarray:
    """Return the number of predictors in each subset, (2^P,)."""
    return np.array([bin(subset).count("1") for subset in range(2**p)])
