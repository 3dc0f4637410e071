"""Measurement error of control variables, and its correction by regression calibration.

A control variable that is measured with error controls for its true value only in part; the remainder looks like an
effect of the variables that correlate with it. Regression calibration replaces it by the best linear prediction of its
true value from everything that was observed, which needs its reliability: the true share of its variation between
classes.
"""

import numpy as np

from analysis.statistics.strata import centred, labels

_TOLERANCE = 1e-6


def reliability_of_errors(values: np.ndarray, errors: np.ndarray, strata: np.ndarray | None = None) -> float:
    """Return the share of the variation of a measure between classes, within strata, that is not due to its errors.

    Args:
        values: (N,) float, one per class; NaN is left out.
        errors: (N,) float, standard error of each value; all are needed.
        strata: (N,) labels of the data set.

    Returns:
        1 - mean squared error / variance, between 0 and 1; NaN where an error is missing or the values do not vary.

    Source:
        Fuller 1987, section 1.1: the reliability ratio with known error variance.
    """
    valid = np.isfinite(values)
    label = labels(strata, len(values))[valid]
    measured, squared = np.asarray(values, dtype=np.float64)[valid], np.asarray(errors, dtype=np.float64)[valid] ** 2
    df = len(measured) - len(np.unique(label))
    if df < 1 or not np.isfinite(squared).all():
        return float("nan")
    variance = float(np.sum(centred(measured, label) ** 2)) / df
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
        (N, M) float64, centred; None if the reliabilities are so small that the true values would have to correlate
        perfectly, with one another or with the others, and cannot be separated.

    Source:
        Carroll et al. 2006, section 4.2, regression calibration with known error covariance; for one measure
        and no others it gives the slope of Fuller 1987, eq. 1.2.3.
    """
    label = labels(strata, len(measured))
    columns = centred(np.column_stack([measured, others]).astype(np.float64), label)
    reliabilities = np.concatenate([reliability, others_reliability])
    reliabilities = np.where(np.isfinite(reliabilities), reliabilities, 1.0)
    m = measured.shape[1]
    if (reliabilities[:m] >= 1).all():
        return columns[:, :m]
    norms = np.sqrt((columns**2).sum(axis=0))
    if not (norms > 0).all() or (reliabilities <= 0).any():
        return None
    correlations = columns.T @ columns / np.outer(norms, norms)
    true = correlations - np.diag(1 - reliabilities)
    scaled = true / np.sqrt(np.outer(reliabilities, reliabilities))
    if np.linalg.eigvalsh(scaled)[0] <= _TOLERANCE:
        return None
    weights = np.linalg.solve(correlations, true[:, :m])
    return (columns / norms) @ weights * norms[:m]
