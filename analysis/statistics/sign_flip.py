"""Paired permutation test by sign flips."""

import numpy as np

EXACT_SIGN_FLIPS = 20  # up to here all 2^n sign patterns count; with more differences they are sampled
_TOLERANCE = 1e-10  # relative; sums that differ by rounding are ties


def sign_flip_p(differences: np.ndarray, *, permutations: int, rng: np.random.Generator) -> float:
    """Return the two-sided p of the hypothesis that the differences are symmetric about zero.

    Args:
        differences: (n,) float, one per independent unit; NaN ones are left out.
        permutations: Number of Monte Carlo draws for n > 20; p is then (hits + 1) / (draws + 1).
        rng: Generator of these draws.

    Returns:
        p, at least 2 / 2^n for n <= 20; NaN for n = 0.

    Source:
        Fisher 1935, section 21; the +1 rule: Phipson and Smyth 2010, eq. 3.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.isfinite(d)]
    if not len(d):
        return float("nan")
    threshold = abs(d.sum()) - _TOLERANCE * np.abs(d).sum()
    if threshold <= 0:
        return 1.0
    if len(d) <= EXACT_SIGN_FLIPS:
        return _exact_share(d, threshold)
    octets = [_signed_sums(d[first : first + 8]) for first in range(0, len(d), 8)]
    sums = np.zeros(permutations)
    for octet_sums in octets:  # a random byte gives eight units their signs
        sums += octet_sums[rng.integers(0, len(octet_sums), size=permutations, dtype=np.uint8)]
    hits = int(np.count_nonzero(np.abs(sums) >= threshold))
    return (hits + 1) / (permutations + 1)


def _exact_share(d: np.ndarray, threshold: float) -> float:
    """Return the share of all 2^n sign patterns whose sum is at least `threshold` > 0 from zero.

    The sorted sums of one half of the units are searched for the remainder of each sum of the other half.
    """
    first, second = _signed_sums(d[: len(d) // 2]), np.sort(_signed_sums(d[len(d) // 2 :]))
    above = len(second) - np.searchsorted(second, threshold - first, side="left")
    below = np.searchsorted(second, -threshold - first, side="right")
    return float((above + below).sum() / (len(first) * len(second)))


def _signed_sums(d: np.ndarray) -> np.ndarray:
    """Return the sums of all 2^n sign patterns."""
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def smallest_sign_flip_p(n: int, permutations: int) -> float:
    """Return the smallest p that `sign_flip_p` can give for n units."""
    if n < 1:
        return 1.0
    return 2.0 / 2**n if n <= EXACT_SIGN_FLIPS else max(2.0 / 2**n, 1 / (permutations + 1))
