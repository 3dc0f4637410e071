"""Values of classes of one or several data sets: labels, ranks and centring within each, and collinearity."""

from collections.abc import Callable, Sequence

import numpy as np

_TOLERANCE = 1e-9
_RELATIVE_RANK = 1e-9  # singular values below this share of the largest are zero


def labels(strata: Sequence[object] | np.ndarray | None, n: int) -> np.ndarray:
    """Return the stratum of each of n classes as an index, (n,) int; None: one stratum."""
    if strata is None:
        return np.zeros(n, dtype=int)
    return np.unique(np.array([str(stratum) for stratum in strata]), return_inverse=True)[1]


def complete_rows(
    response: np.ndarray, tested: np.ndarray, given: np.ndarray, strata: Sequence[object] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) response, (n, P) and (n, G) predictors and (n,) stratum, without gaps and strata of one class."""
    y = np.asarray(response, dtype=np.float64)
    x, z = (np.asarray(each, dtype=np.float64).reshape(len(y), -1) for each in (tested, given))
    label = labels(strata, len(y))
    kept = np.isfinite(np.column_stack([y, x, z])).all(axis=1)
    alone = np.bincount(label[kept], minlength=int(label.max(initial=0)) + 1) < 2
    kept &= ~alone[label]
    return y[kept], x[kept], z[kept], label[kept]


def within_ranks(values: np.ndarray, strata: Sequence[object] | None = None) -> np.ndarray:
    """Return mid-ranks within each stratum, of mean 0 and variance 1 there; constant ones become 0, NaN stays."""
    return _within(values, strata, mid_ranks)


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, ties averaged, (n,) float64; `scipy.stats.rankdata` without its preparations."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    first = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    after = np.append(first[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + after + 1) / 2, after - first)
    return ranks


def within_scores(values: np.ndarray, strata: Sequence[object] | None = None) -> np.ndarray:
    """Return values scaled to mean 0 and variance 1 within each stratum; constant ones become 0, NaN stays."""
    return _within(values, strata, lambda each: each)


def variance_inflation(predictors: np.ndarray, strata: Sequence[object] | np.ndarray | None = None) -> np.ndarray:
    """Return the variance inflation factor 1 / (1 - R^2_j) of each predictor given the others and its data set, (P,).

    Args:
        predictors: (N, P) float without NaN.
        strata: (N,) labels; each has its own intercept.

    Returns:
        (P,) float64 >= 1; inf where the others determine a predictor; NaN for a constant one.
    """
    label = labels(strata, len(predictors))
    within = centred(np.asarray(predictors, dtype=np.float64), label)
    found = np.full(within.shape[1], np.nan)
    for j in range(within.shape[1]):
        own = within[:, j]
        total = float(own @ own)
        if total <= 0:
            continue
        left = off(own, basis_of(np.delete(within, j, axis=1)))
        share = float(left @ left) / total
        found[j] = 1 / share if share > _RELATIVE_RANK else np.inf
    return found


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
        size: Length beside which a direction counts as rounding; None: the longest direction. Needed where the columns
            are what is left of others, and may be rounding altogether.
    """
    if not columns.size:
        return np.zeros((len(columns), 0))
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    largest = float(singular.max()) if size is None else size
    return left[:, singular > _RELATIVE_RANK * max(largest, 1e-300)]


def off(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Project values off an orthonormal basis."""
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
            own = scale(values[rows])
            spread = own.std()
            scaled[rows] = (own - own.mean()) / spread if spread > _TOLERANCE * np.abs(own).max(initial=0) else 0.0
    return scaled
