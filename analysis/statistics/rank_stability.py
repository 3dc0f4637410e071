"""How stable an order of methods is: observed ranks against resampled ones."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

LEVEL = 0.95  # of rank intervals


@dataclass(frozen=True)
class RankStability:
    """Ranks of M methods and what resampling makes of them.

    Args:
        score: (M,) float64, the observed score.
        rank: (M,) float64, 1 = best, mean ranks for ties; NaN without a score.
        low: (M,) float64, lower end of the 95 % percentile interval of the rank.
        high: (M,) float64, its upper end.
        p_best: (M,) float64, share of resamples in which the method is the best; ties share it.
        kendall: Mean of Kendall's tau-b between the observed and the resampled order; 1: never changes.
        resamples: Resamples in which every method had a score.
    """

    score: np.ndarray
    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    kendall: float
    resamples: int


def rank_stability(observed: np.ndarray, resampled: np.ndarray) -> RankStability:
    """Compare an observed order with resampled ones.

    Args:
        observed: (M,) float, higher is better.
        resampled: (B, M) float, the same scores in each resample; rows with NaN are left out.

    Returns:
        All NaN where a score is missing or no resample is left. Methods that tie everywhere share ranks and p_best,
        and tau is then NaN, because there is no order.

    Source:
        Wiesenfarth et al. 2021 (ranking stability by bootstrap, Kendall's tau); here units and seeds are resampled
        instead of cases.
    """
    observed = np.asarray(observed, dtype=np.float64)
    kept = resampled[np.isfinite(resampled).all(axis=1)]
    if not np.isfinite(observed).all() or not len(kept) or not len(observed):
        nan = np.full(len(observed), np.nan)
        return RankStability(observed, nan, nan, nan, nan, float("nan"), 0)
    ranks = _ranks(kept)
    top = ranks == ranks.min(axis=1, keepdims=True)
    low, high = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0, method="inverted_cdf")
    own = _ranks(observed[None])[0]
    p_best = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    return RankStability(observed, own, low, high, p_best, _mean_tau(own, ranks), len(kept))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Return (B, M) ranks, 1 = highest; scores that differ by rounding tie."""
    return rankdata(-np.round(scores, 12), axis=1)


def _mean_tau(order: np.ndarray, ranks: np.ndarray) -> float:
    """Return the mean of tau-b between one order (M,) and many (B, M); NaN where the one has no order."""
    first, second = np.triu_indices(len(order), 1)
    own = np.sign(order[first] - order[second])
    if not own.any():
        return float("nan")
    signs = np.sign(ranks[:, first] - ranks[:, second])
    size = np.sqrt((own**2).sum() * (signs**2).sum(axis=1))
    tau = np.divide(signs @ own, size, out=np.zeros(len(signs)), where=size > 0)  # no order at all agrees with none
    return float(tau.mean())
