"""Bootstrap intervals over independent units crossed with seeds, corrected for few units."""

import numpy as np
from scipy import stats

from imbalance_bench.seeding import generator


def multinomial_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each of n items is taken in each resample, (resamples, n) float64; rows sum to n."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def crossed_weights(units: int, seeds: int, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights of units and, independently, of seeds: (resamples, units) and (resamples, seeds).

    Resampling both factors (Owen 2007, "The pigeonhole bootstrap", eq. 3) covers the variance of both; it overstates
    that of their interaction, so intervals are, if anything, too wide.
    """
    rows = multinomial_weights(units, resamples, generator(seed, "bootstrap", "units"))
    return rows, multinomial_weights(seeds, resamples, generator(seed, "bootstrap", "seeds"))


def bca(estimate: float, resampled: np.ndarray, jackknife: np.ndarray, *, level: float, n: int) -> tuple[float, float]:
    """Return the bias-corrected accelerated interval, expanded for small n.

    Args:
        estimate: The statistic.
        resampled: (B,) float, the statistic of each resample; NaN ones are left out.
        jackknife: (n,) float, the statistic without each unit; NaN ones are left out.
        level: Such as 0.95.
        n: Independent units behind the estimate; below 2 there is no interval.

    Returns:
        Lower and upper end; NaN where there is no interval.

    Source:
        Efron 1987 (BCa); Hesterberg 2015, "What teachers should know about the bootstrap", section 4.3 (expansion: the
        normal quantile is replaced by sqrt(n / (n - 1)) times Student's with n - 1 degrees of freedom, because the
        bootstrap's variance is (n - 1) / n of the sample's and it knows no uncertainty of the variance).

    Deviation:
        The expansion, made for percentile intervals, is applied to BCa's quantiles. Where the bootstrap distribution is
        one value, the interval is that value.
    """
    resampled = resampled[np.isfinite(resampled)]
    if n < 2 or not np.isfinite(estimate) or not len(resampled):
        return float("nan"), float("nan")
    below = (np.mean(resampled < estimate) + np.mean(resampled <= estimate)) / 2
    margin = 0.5 / len(resampled)
    bias = stats.norm.ppf(np.clip(below, margin, 1 - margin))
    centred = jackknife[np.isfinite(jackknife)]
    centred = centred.mean() - centred if len(centred) else centred
    spread = np.sum(centred**2)
    acceleration = np.sum(centred**3) / (6 * spread**1.5) if spread > 0 else 0.0
    tail = np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 + level / 2, n - 1)
    ends = bias + np.array([-tail, tail])
    # the map is monotone only while its denominator is positive; beyond that the end is the extreme resample
    denominator = np.maximum(1 - acceleration * ends, 1e-3)
    low, high = np.quantile(resampled, stats.norm.cdf(bias + ends / denominator))
    return float(low), float(high)
