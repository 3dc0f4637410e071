"""Values of classes in one or several data sets: ranks, scores and centring within strata, and collinearity."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

_TOLERANCE = 1e-9
_RELATIVE_RANK = 1e-9  # singular values below this share of the largest count as zero


def labels(strata: Sequence[object] | np.ndarray | None, n: int) -> np.ndarray:
    """Return the stratum of each of n classes as an index, (n,) int; None means one stratum."""
    if strata is None:
        return np.zeros(n, dtype=int)
    return np.unique(np.array([str(stratum) for stratum in strata]), return_inverse=True)[1]


def complete_rows(
    response: np.ndarray, tested: np.ndarray, covariates: np.ndarray, strata: Sequence[object] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) response, (n, P) and (n, G) predictors and (n,) stratum of complete rows, two or more per stratum."""
    y = np.asarray(response, dtype=np.float64)
    x, z = (np.asarray(predictors, dtype=np.float64).reshape(len(y), -1) for predictors in (tested, covariates))
    label = labels(strata, len(y))
    complete = np.isfinite(np.column_stack([y, x, z])).all(axis=1)
    single = np.bincount(label[complete], minlength=int(label.max(initial=0)) + 1) < 2
    complete &= ~single[label]
    return y[complete], x[complete], z[complete], label[complete]


def within_ranks(values: np.ndarray, strata: Sequence[object] | None = None) -> np.ndarray:
    """Return mid-ranks scaled to mean 0 and variance 1 within each stratum; constant strata become 0, NaN stays."""
    return _within(values, strata, mid_ranks)


def within_ranks_of_rows(values: np.ndarray, strata: Sequence[object] | None = None) -> np.ndarray:
    """Return `within_ranks` of each row of (B, N) values without NaN, (B, N)."""
    label = labels(strata, values.shape[1])
    scaled = np.zeros(values.shape)
    for stratum in np.unique(label):
        rows = np.flatnonzero(label == stratum)
        ranks = rankdata(values[:, rows], axis=1)
        spread = ranks.std(axis=1, keepdims=True)
        varies = spread > _TOLERANCE * len(rows)
        scaled[:, rows] = np.where(
            varies, (ranks - ranks.mean(axis=1, keepdims=True)) / np.where(varies, spread, 1), 0.0
        )
    return scaled


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, ties averaged, (n,) float64, like `scipy.stats.rankdata` but with less overhead."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    first = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    after = np.append(first[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + after + 1) / 2, after - first)
    return ranks


def within_scores(values: np.ndarray, strata: Sequence[object] | None = None) -> np.ndarray:
    """Return values scaled to mean 0 and variance 1 within each stratum; constant strata become 0, NaN stays."""
    return _within(values, strata, lambda scores: scores)


def variance_inflation(predictors: np.ndarray, strata: Sequence[object] | np.ndarray | None = None) -> np.ndarray:
    """Return the variance inflation factor 1 / (1 - R^2_j) of each predictor given the others and its data set, (P,).

    Args:
        predictors: (N, P) float without NaN.
        strata: (N,) labels; each has its own intercept.

    Returns:
        (P,) float64 >= 1; inf if the others determine the predictor; NaN for a constant one.
    """
    label = labels(strata, len(predictors))
    within = centred(np.asarray(predictors, dtype=np.float64), label)
    factors = np.full(within.shape[1], np.nan)
    for j in range(within.shape[1]):
        column = within[:, j]
        total = float(column @ column)
        if total <= 0:
            continue
        residual = residuals(column, basis_of(np.delete(within, j, axis=1)))
        share = float(residual @ residual) / total
        factors[j] = 1 / share if share > _RELATIVE_RANK else np.inf
    return factors


def centred(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Subtract the mean of each stratum."""
    shifted = values.copy()
    for stratum in np.unique(label):
        shifted[label == stratum] -= shifted[label == stratum].mean(axis=0)
    return shifted


def basis_of(columns: np.ndarray, size: float | None = None) -> np.ndarray:
    """Return an orthonormal basis of the span of (N, M) columns, (N, rank).

    Args:
        columns: (N, M) float.
        size: Reference length; directions that are tiny relative to it count as rounding errors. By default the
            longest direction; needed for columns that are residuals and may consist of rounding errors only.
    """
    if not columns.size:
        return np.zeros((len(columns), 0))
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    largest = float(singular.max()) if size is None else size
    return left[:, singular > _RELATIVE_RANK * max(largest, 1e-300)]


def residuals(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the residuals of values after projection on an orthonormal basis."""
    return values - basis @ (basis.T @ values)


def _within(
    values: np.ndarray, strata: Sequence[object] | None, scale: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    label = labels(strata, len(values))
    scaled = np.full(values.shape, np.nan)
    for stratum in np.unique(label):
        rows = np.flatnonzero((label == stratum) & np.isfinite(values))
        if len(rows):
            scores = scale(values[rows])
            spread = scores.std()
            scaled[rows] = (
                (scores - scores.mean()) / spread if spread > _TOLERANCE * np.abs(scores).max(initial=0) else 0.0
            )
    return scaled
