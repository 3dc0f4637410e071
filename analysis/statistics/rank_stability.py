"""Stability of the ranking of methods: observed ranks against resampled ones."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

LEVEL = 0.95  # level of rank intervals


@dataclass(frozen=True)
class RankStability:
    """Ranks of M methods and their variation over resamples.

    Args:
        score: (M,) float64, observed scores.
        rank: (M,) float64, 1 = best, mean ranks for ties; NaN without a score.
        low: (M,) float64, lower end of the 95 % percentile interval of the rank.
        high: (M,) float64, its upper end.
        p_best: (M,) float64, share of resamples in which the method is best; split among ties.
        kendall: Mean of Kendall's tau-b between the observed and the resampled ranking; 1 if it never changes.
        resamples: Number of resamples in which every method has a score.
    """

    score: np.ndarray
    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    kendall: float
    resamples: int


def rank_stability(observed: np.ndarray, resampled: np.ndarray) -> RankStability:
    """Compare an observed ranking with resampled ones.

    Args:
        observed: (M,) float, higher is better.
        resampled: (B, M) float, the same scores in each resample; rows with NaN are left out.

    Returns:
        All NaN if a score is missing or there is no complete resample. Methods that tie everywhere share ranks and
        p_best, and tau is then NaN, because there is no order.

    Source:
        Wiesenfarth et al. 2021 (ranking stability by bootstrap, Kendall's tau); here units and seeds are resampled
        instead of cases.
    """
    observed = np.asarray(observed, dtype=np.float64)
    complete = resampled[np.isfinite(resampled).all(axis=1)]
    if not np.isfinite(observed).all() or not len(complete) or not len(observed):
        nan = np.full(len(observed), np.nan)
        return RankStability(observed, nan, nan, nan, nan, float("nan"), 0)
    ranks = _ranks(complete)
    top = ranks == ranks.min(axis=1, keepdims=True)
    low, high = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0, method="inverted_cdf")
    observed_ranks = _ranks(observed[None])[0]
    p_best = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    return RankStability(observed, observed_ranks, low, high, p_best, _mean_tau(observed_ranks, ranks), len(complete))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Return (B, M) ranks, 1 = highest; scores that differ by rounding tie."""
    return rankdata(-np.round(scores, 12), axis=1)


def _mean_tau(order: np.ndarray, ranks: np.ndarray) -> float:
    """Return the mean of tau-b between one ranking (M,) and many (B, M); NaN if the one consists of ties only."""
    first, second = np.triu_indices(len(order), 1)
    observed_signs = np.sign(order[first] - order[second])
    if not observed_signs.any():
        return float("nan")
    signs = np.sign(ranks[:, first] - ranks[:, second])
    size = np.sqrt((observed_signs**2).sum() * (signs**2).sum(axis=1))
    agreement = signs @ observed_signs
    tau = np.divide(agreement, size, out=np.zeros(len(signs)), where=size > 0)  # 0 for a resample of ties only
    return float(tau.mean())
