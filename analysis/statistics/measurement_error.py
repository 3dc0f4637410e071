"""Measures are estimates: what a control variable with error leaves to others, and how to take that back.

A control variable that is measured with error controls for its true value in part only; what is left looks like an
effect of whatever goes with it. Regression calibration replaces it by the best linear prediction of its true value from
everything that was observed, which needs its reliability: the share of its variation between classes that is true.
"""

import numpy as np

from analysis.statistics.strata import centred, labels

_TOLERANCE = 1e-6


def reliability_of_errors(values: np.ndarray, errors: np.ndarray, strata: np.ndarray | None = None) -> float:
    """Return the share of the variation of a measure between classes, within strata, that its errors do not make.

    Args:
        values: (N,) float, one per class; NaN is left out.
        errors: (N,) float, standard error of each value; where one is missing, nothing is known.
        strata: (N,) labels of the data set.

    Returns:
        1 - mean squared error / variance, between 0 and 1; NaN where an error is missing or the values do not vary.

    Source:
        Fuller 1987, section 1.1: the reliability ratio, the variance of errors known.
    """
    known = np.isfinite(values)
    label = labels(strata, len(values))[known]
    own, squared = np.asarray(values, dtype=np.float64)[known], np.asarray(errors, dtype=np.float64)[known] ** 2
    df = len(own) - len(np.unique(label))
    if df < 1 or not np.isfinite(squared).all():
        return float("nan")
    variance = float(np.sum(centred(own, label) ** 2)) / df
    return float(np.clip(1 - squared.mean() / variance, 0, 1)) if variance > 0 else float("nan")


def calibrated(
    measured: np.ndarray,
    others: np.ndarray,
    reliability: np.ndarray,
    others_reliability: np.ndarray,
    strata: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the best linear prediction of the true values of some measures from these measures and others.

    Args:
        measured: (N, M) float without NaN.
        others: (N, Q) float without NaN, measured with errors that are independent of those of `measured`.
        reliability: (M,) share of true variation of each of `measured`; NaN counts as 1.
        others_reliability: (Q,) the same for `others`.
        strata: (N,) labels; everything is centred within each.

    Returns:
        (N, M) float64, centred; None where so little of the measures is true that, for these reliabilities, they would
        correlate with one another or with the others perfectly: nothing can then be held apart.

    Source:
        Carroll et al. 2006, section 4.2, regression calibration with the covariance of errors known; for one measure
        and no others it gives the slope of Fuller 1987, eq. 1.2.3.
    """
    label = labels(strata, len(measured))
    columns = centred(np.column_stack([measured, others]).astype(np.float64), label)
    trust = np.concatenate([reliability, others_reliability])
    trust = np.where(np.isfinite(trust), trust, 1.0)
    m = measured.shape[1]
    if (trust[:m] >= 1).all():
        return columns[:, :m]
    size = np.sqrt((columns**2).sum(axis=0))
    if not (size > 0).all() or (trust <= 0).any():
        return None
    correlations = columns.T @ columns / np.outer(size, size)
    true = correlations - np.diag(1 - trust)
    scaled = true / np.sqrt(np.outer(trust, trust))
    if np.linalg.eigvalsh(scaled)[0] <= _TOLERANCE:
        return None
    weights = np.linalg.solve(correlations, true[:, :m])
    return (columns / size) @ weights * size[:m]
