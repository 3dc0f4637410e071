"""Corrections of p values for many tests."""

import numpy as np

_ROUNDING = 1e-9  # a p of exactly alpha does not count, however it was rounded


def holm(p: np.ndarray) -> np.ndarray:
    """Return p after Holm's step-down correction, (m,); NaN stays NaN and is not counted.

    Source:
        Holm 1979; strong control of the family-wise error under any dependence.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return p after Benjamini and Hochberg's step-up correction, (m,); NaN stays NaN and is not counted.

    Source:
        Benjamini and Hochberg 1995; controls the false discovery rate for independent or positively dependent tests.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(-p[known], kind="stable")]
    steps = p[order] * len(order) / (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.minimum.accumulate(steps), 1) if len(order) else steps
    return adjusted


def attainable(min_p: float, family: int, alpha: float) -> bool:
    """Return whether a test whose smallest possible p is `min_p` can be significant among `family` corrected ones."""
    return min_p * max(family, 1) < alpha * (1 - _ROUNDING)
