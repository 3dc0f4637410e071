"""Secondary measures of a paired difference: signed ranks and Cliff's delta."""

import numpy as np
from scipy import stats


def wilcoxon_p(differences: np.ndarray) -> float:
    """Return the two-sided Wilcoxon signed-rank p.

    Zeros are dropped, as by Wilcoxon; p is 1 if all differences are zero, NaN if there are none.
    """
    d = differences[np.isfinite(differences)]
    if not len(d):
        return float("nan")
    if not np.any(d):
        return 1.0
    d = d[d != 0]
    ties = len(np.unique(np.abs(d))) < len(d)
    method = "exact" if len(d) <= 50 and not ties else "approx"
    return float(stats.wilcoxon(d, method=method).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def cliffs_delta(x: np.ndarray, y: np.ndarray) -> float:
    """Return P(x > y) - P(x < y) over all pairs; NaN values are left out.

    Source:
        Cliff 1993, eq. 1.
    """
    x, y = x[np.isfinite(x)], np.sort(y[np.isfinite(y)])
    if not len(x) or not len(y):
        return float("nan")
    above = np.searchsorted(y, x, side="left").sum()
    below = (len(y) - np.searchsorted(y, x, side="right")).sum()
    return float((above - below) / (len(x) * len(y)))
