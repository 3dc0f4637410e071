"""Corrections of p values for many tests."""

import numpy as np

_ROUNDING = 1e-9  # a p of exactly alpha is not significant, whatever the rounding error


def holm(p: np.ndarray) -> np.ndarray:
    """Return p after Holm's step-down correction, (m,); NaN stays NaN and is not counted.

    Source:
        Holm 1979; strong control of the family-wise error under any dependence.
    """
    p = np.asarray(p, dtype=np.float64)
    return np.minimum(p * holm_multipliers(p), 1)


def holm_multipliers(p: np.ndarray) -> np.ndarray:
    """Return the factor by which Holm's correction multiplies each p, (m,); the products may exceed 1.

    The factor of a p of 0 is that of its rank. NaN stays NaN and is not counted.
    """
    p = np.asarray(p, dtype=np.float64)
    multipliers = np.full(p.shape, np.nan)
    valid = np.flatnonzero(np.isfinite(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    factors = (len(order) - np.arange(len(order))).astype(np.float64)
    corrected = np.maximum.accumulate(p[order] * factors) if len(order) else factors
    multipliers[order] = np.divide(corrected, p[order], out=factors, where=p[order] > 0)
    return multipliers


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return p after Benjamini and Hochberg's step-up correction, (m,); NaN stays NaN and is not counted.

    Source:
        Benjamini and Hochberg 1995; controls the false discovery rate for independent or positively dependent tests.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    valid = np.flatnonzero(np.isfinite(p))
    order = valid[np.argsort(-p[valid], kind="stable")]
    steps = p[order] * len(order) / (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.minimum.accumulate(steps), 1) if len(order) else steps
    return adjusted


def attainable(min_p: float, family: int, alpha: float) -> bool:
    """Return whether a test with the smallest possible p `min_p` can be significant in a corrected family."""
    return min_p * max(family, 1) < alpha * (1 - _ROUNDING)
