"""Many methods on many data sets: Friedman's test on average ranks, and pairwise comparisons after it.

A row is a data set (an independent block), never a fold, an image or a seed. Higher scores are better; rank 1 is best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.statistics.corrections import holm


@dataclass(frozen=True)
class FriedmanTest:
    """Friedman's test of whether methods differ in rank.

    Args:
        n_blocks: Number of data sets, N.
        n_methods: Number of methods, k.
        average_ranks: (k,) float64, 1 = best.
        chi2: Friedman's statistic, corrected for ties.
        p_chi2: p from chi-squared with k - 1 degrees of freedom.
        f: Iman and Davenport's statistic; infinite if all data sets agree.
        p: The p to report: from F with k - 1 and (k - 1)(N - 1) degrees of freedom, and at least `min_p`.
        min_p: Smallest p that any ranking could justify, k!^-(N - 1).
    """

    n_blocks: int
    n_methods: int
    average_ranks: np.ndarray
    chi2: float
    p_chi2: float
    f: float
    p: float
    min_p: float


def friedman(scores: np.ndarray) -> FriedmanTest:
    """Test whether k methods have equal ranks over N data sets.

    Args:
        scores: (N, k) float, higher is better; ties get their mean rank.

    Returns:
        The test. Methods that tie on every data set give chi2 0 and p 1; fewer than 2 data sets or methods give NaN.

    Raises:
        ValueError: A score is missing; the caller decides which data sets to leave out.

    Source:
        Friedman 1937; ties: Conover 1999, section 5.8, eq. 3-6; F: Iman and Davenport 1980; Demsar 2006, section 3.2.2.

    Deviation:
        p is never below k!^-(N - 1), the share of rankings that agree completely; F alone gives 0 there.
    """
    ranks = block_ranks(scores)
    n, k = ranks.shape
    average = ranks.mean(axis=0) if n else np.full(k, np.nan)
    smallest = min(1.0, float(factorial(k)) ** -(n - 1)) if n else 1.0
    if n < 2 or k < 2:
        nan = float("nan")
        return FriedmanTest(n, k, average, nan, nan, nan, nan, smallest)
    between = n**2 * np.sum((average - (k + 1) / 2) ** 2)
    within = np.sum((ranks - (k + 1) / 2) ** 2)  # N k (k^2 - 1) / 12 without ties
    if within == 0:
        return FriedmanTest(n, k, average, 0.0, 1.0, 0.0, 1.0, smallest)
    chi2 = float((k - 1) * between / within)
    remainder = n * (k - 1) - chi2
    f = float((n - 1) * chi2 / remainder) if remainder > 1e-9 * n * k else float("inf")
    p = max(float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))), smallest)
    return FriedmanTest(n, k, average, chi2, float(special.chdtrc(k - 1, chi2)), f, p, smallest)


def block_ranks(scores: np.ndarray) -> np.ndarray:
    """Return (N, k) ranks within each data set, 1 = highest score, mean ranks for ties.

    Raises:
        ValueError: Not two-dimensional, or a score is missing.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ValueError(f"scores must be (data sets, methods) without missing values. Got shape {scores.shape}.")
    return stats.rankdata(-scores, axis=1) if scores.size else scores


def nemenyi_distance(n_blocks: int, n_methods: int, alpha: float) -> float:
    """Return the critical difference of two average ranks when all pairs are compared.

    Source:
        Nemenyi 1963; Demsar 2006, eq. in section 3.2.2: q_alpha sqrt(k (k + 1) / (6 N)), q the studentised range
        with infinite degrees of freedom, divided by sqrt 2.
    """
    quantile = stats.studentized_range.ppf(1 - alpha, n_methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def pairwise_ranks(scores: np.ndarray, methods: Sequence[str]) -> pd.DataFrame:
    """Compare all pairs of methods after Friedman's test.

    Args:
        scores: (N, k) float, higher is better, no missing values; N and k at least 2.
        methods: k names.

    Returns:
        One row per pair: method_a, method_b, rank_difference (a minus b; negative: a is better), p_nemenyi (corrected
        for all pairs by the studentised range), p_conover (not corrected), p_conover_holm (Holm over the pairs).

    Source:
        Nemenyi 1963; Conover and Iman 1979, Conover 1999 eq. 7: t = |R_a - R_b| / sqrt(2 (A - sum R^2 / N) N / df),
        df = (N - 1)(k - 1), A the sum of squared ranks, R rank sums.
    """
    ranks = block_ranks(scores)
    n, k = ranks.shape
    if n < 2 or k < 2:
        raise ValueError(f"Pairs need 2 data sets and 2 methods. Got {n} and {k}.")
    average = ranks.mean(axis=0)
    first, second = np.triu_indices(k, 1)
    difference = average[first] - average[second]
    range_statistic = np.abs(difference) / np.sqrt(k * (k + 1) / (12 * n))
    nemenyi = np.where(difference == 0, 1.0, stats.studentized_range.sf(range_statistic, k, np.inf))
    conover, names = conover_p(scores), np.array(list(methods), dtype=object)
    return pd.DataFrame(
        {
            "method_a": names[first],
            "method_b": names[second],
            "rank_difference": difference,
            "p_nemenyi": np.clip(nemenyi, 0, 1),
            "p_conover": conover,
            "p_conover_holm": holm(conover),
        }
    )


def conover_p(scores: np.ndarray) -> np.ndarray:
    """Return the uncorrected p of Conover's t for every pair of methods, in the order of `pairwise_ranks`.

    If the data sets agree completely, pairs that differ get k!^-(N - 1), the share of rankings with full agreement.
    """
    ranks = block_ranks(scores)
    n, k = ranks.shape
    average = ranks.mean(axis=0)
    first, second = np.triu_indices(k, 1)
    difference = np.abs(average[first] - average[second])
    df = (n - 1) * (k - 1)
    residual = (ranks**2).sum() - n * (average**2).sum()
    if residual <= 1e-9 * n * k:
        return np.where(difference > 1e-12, float(factorial(k)) ** -(n - 1), 1.0)
    return 2 * stats.t.sf(difference / np.sqrt(2 * residual / (n * df)), df)


def cliques(average_ranks: np.ndarray, distance: float) -> tuple[tuple[int, ...], ...]:
    """Return the largest sets of methods whose average ranks lie within `distance` of each other.

    Args:
        average_ranks: (k,) float.
        distance: Critical difference; two ranks that differ by exactly this much are not separated.

    Returns:
        Indices of methods, best first, two or more per set: the bars of a critical-difference diagram.
    """
    order = np.argsort(average_ranks, kind="stable")
    ascending = np.asarray(average_ranks)[order]
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = int(np.searchsorted(ascending, ascending[start] + distance + 1e-12, side="right"))
        if end - start > 1 and end > reached:
            groups.append(tuple(int(index) for index in order[start:end]))
            reached = end
    return tuple(groups)
