"""Paired permutation tests and corrections for many tests."""

import numpy as np

EXACT_SIGN_FLIPS = 20  # all 2^20 sign patterns are listed; beyond, they are drawn
_CHUNK_CELLS = 2_000_000
_TOLERANCE = 1e-10  # relative; sums that differ by rounding are ties


def sign_flip_p(differences: np.ndarray, *, permutations: int, rng: np.random.Generator) -> float:
    """Return the two-sided p of the hypothesis that the differences are symmetric about zero.

    Args:
        differences: (n,) float, one per independent unit; NaN ones are left out.
        permutations: Monte Carlo draws for n > 20; p is then (hits + 1) / (draws + 1).
        rng: Used for n > 20 only.

    Returns:
        p, at least 2 / 2^n for n <= 20; NaN for n = 0.

    Source:
        Fisher 1935, section 21; the +1 rule: Phipson and Smyth 2010, eq. 3.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.isfinite(d)]
    if not len(d):
        return float("nan")
    size = np.abs(d).sum()
    threshold = abs(d.sum()) - _TOLERANCE * size
    if len(d) <= EXACT_SIGN_FLIPS:
        sums = np.array([d[0]])  # the first sign stays: patterns come in mirrored pairs
        for value in d[1:]:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= threshold))
    hits, left = 0, permutations
    while left:
        rows = min(left, max(1, _CHUNK_CELLS // len(d)))
        signs = rng.integers(0, 2, size=(rows, len(d)), dtype=np.int8).astype(np.float64)  # a fast product
        hits += int(np.count_nonzero(np.abs(2 * (signs @ d) - d.sum()) >= threshold))
        left -= rows
    return (hits + 1) / (permutations + 1)


def smallest_sign_flip_p(n: int, permutations: int) -> float:
    """Return the smallest p that `sign_flip_p` can give for n units."""
    if n < 1:
        return 1.0
    return 2.0 / 2**n if n <= EXACT_SIGN_FLIPS else max(2.0 / 2**n, 1 / (permutations + 1))


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
