"""Rank correlation over classes with p values from all pairings.

With K classes there are few pairings: the smallest two-sided p is 2 / K!. The distribution over all K! pairings is
computed without listing them: with classes in order of x, the number of ways to reach a sum depends only on the set of
y values used so far, so a table over the 2^K subsets suffices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from analysis.statistics.strata import labels

EXACT_CLASSES = 10  # with more, Monte Carlo
_TOLERANCE = 1e-9
_MOST_VALUES = 4_000_000  # in the joint distribution over strata
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True)
class NullDistribution:
    """Distribution of a statistic over the pairings.

    Args:
        values: (V,) float64, ascending.
        probabilities: (V,) float64, sum 1.
        draws: Number of Monte Carlo draws; 0 for all pairings.
    """

    values: np.ndarray
    probabilities: np.ndarray
    draws: int = 0

    def p(self, observed: float) -> float:
        """Return the two-sided p: the share of pairings at least as far from 0; +1 rule for Monte Carlo."""
        share = self.probabilities[np.abs(self.values) >= abs(observed) - _TOLERANCE].sum()
        return float(share if not self.draws else (round(share * self.draws) + 1) / (self.draws + 1))

    def smallest_p(self) -> float:
        """Return the smallest p that any pairing could give."""
        return 1 / (self.draws + 1) if self.draws else self.p(float(np.abs(self.values).max()))

    def needed(self, alpha: float) -> float:
        """Return the smallest attainable |statistic| with p < alpha; NaN if there is none."""
        size = np.unique(np.round(np.abs(self.values), 12))
        reached = [value for value in size if self.p(float(value)) < alpha * (1 - _TOLERANCE)]
        return float(reached[0]) if reached else float("nan")


@dataclass(frozen=True)
class RankAssociation:
    """Spearman's and Kendall's rank correlation with permutation p values.

    Args:
        n: Number of classes with both values, in strata in which both vary.
        spearman: Rho, mean over these strata; NaN if there are none.
        kendall: Tau-b, mean over strata.
        p_spearman: Two-sided p of rho.
        p_kendall: Two-sided p of tau-b.
        min_p: Smallest p_spearman that these values could have given.
        rho_needed: Smallest |rho| with p < alpha; NaN if there is none.
    """

    n: int
    spearman: float
    kendall: float
    p_spearman: float
    p_kendall: float
    min_p: float
    rho_needed: float


def rank_association(
    x: np.ndarray,
    y: np.ndarray,
    *,
    alpha: float,
    permutations: int,
    rng: np.random.Generator,
    strata: Sequence[object] | None = None,
) -> RankAssociation:
    """Correlate two vectors over classes; with strata, the correlation is the mean over strata.

    Args:
        x: (N,) float; pairs with NaN are left out.
        y: (N,) float.
        alpha: Level for `rho_needed`.
        permutations: Number of Monte Carlo draws, used if a stratum has more than 10 classes.
        rng: Generator of these draws.
        strata: (N,) labels, such as data sets; classes are permuted within strata. A stratum in which x or y is
            constant is left out.

    Source:
        Kendall 1938 (tau); Spearman 1904 (rho, mid-ranks for ties); exact p by enumeration of all pairings.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    label = labels(strata, len(x))
    valid = np.isfinite(x) & np.isfinite(y)
    blocks = [(rankdata(x[rows]), rankdata(y[rows])) for rows in _rows_of(label, valid)]
    blocks = [(a, b) for a, b in blocks if np.ptp(a) > 0 and np.ptp(b) > 0]  # permuting a constant changes nothing
    n = sum(len(a) for a, _ in blocks)
    if not blocks:
        nan = float("nan")
        return RankAssociation(n, nan, nan, nan, nan, 1.0, nan)
    rho = float(np.mean([spearman(a, b) for a, b in blocks]))
    tau = float(np.mean([kendall(a, b) for a, b in blocks]))
    null = {kind: _null(kind, blocks, permutations, rng) for kind in ("spearman", "kendall")}
    rho_null = null["spearman"]
    return RankAssociation(
        n, rho, tau, rho_null.p(rho), null["kendall"].p(tau), rho_null.smallest_p(), rho_null.needed(alpha)
    )


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rho of two rank vectors."""
    a, b = x - x.mean(), y - y.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Return Kendall's tau-b."""
    a, b = _signs(x), _signs(y)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def exact_null(kind: str, x: np.ndarray, y: np.ndarray) -> NullDistribution:
    """Return the distribution of "spearman" or "kendall" over all pairings of two vectors, ties included."""
    ranks = (tuple(np.sort(2 * rankdata(values)).astype(int).tolist()) for values in (x, y))
    return _exact_null(kind, *ranks)


@lru_cache(maxsize=256)
def _exact_null(kind: str, x: tuple[int, ...], y: tuple[int, ...]) -> NullDistribution:
    """Count the pairings of doubled, sorted ranks that give each value of the statistic."""
    ways: dict[int, dict[int, int]] = {0: {0: 1}}  # set of used y (bits) -> {sum: ways}
    for value in sorted(set(x)):
        size, extended = x.count(value), {}
        for used, sums in ways.items():
            free = [j for j in range(len(y)) if not used >> j & 1]
            for chosen in combinations(free, size):  # tied x values are one group
                gain = _gain(kind, value, chosen, used, y)
                target = extended.setdefault(used | sum(1 << j for j in chosen), {})
                for total, count in sums.items():
                    target[total + gain] = target.get(total + gain, 0) + count
        ways = extended
    sums = ways[(1 << len(y)) - 1]
    totals = np.array(sorted(sums), dtype=np.float64)
    counts = np.array([float(sums[int(total)]) for total in totals])
    return NullDistribution(_standardise(kind, totals, np.array(x), np.array(y)), counts / counts.sum())


def _gain(kind: str, x_value: int, chosen: Sequence[int], used: int, y: Sequence[int]) -> int:
    """Return what a group of tied x adds to the sum when it takes the y values `chosen` after those in `used`."""
    if kind == "spearman":
        return x_value * sum(y[j] for j in chosen)
    before = [y[k] for k in range(len(y)) if used >> k & 1]
    return sum((y[j] > value) - (y[j] < value) for j in chosen for value in before)


def _standardise(kind: str, totals: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Convert sums to correlation coefficients."""
    if kind == "kendall":
        return totals * 2 / np.sqrt((_signs(x) ** 2).sum() * (_signs(y) ** 2).sum())
    centre = len(x) * x.mean() * y.mean()
    return (totals - centre) / (len(x) * np.sqrt(x.var() * y.var()))


def _null(
    kind: str, blocks: Sequence[tuple[np.ndarray, np.ndarray]], permutations: int, rng: np.random.Generator
) -> NullDistribution:
    """Return the distribution of the mean over strata: exact if every stratum is small, otherwise Monte Carlo."""
    if all(len(x) <= EXACT_CLASSES for x, _ in blocks):
        parts = [exact_null(kind, x, y) for x, y in blocks]
        if np.prod([float(len(part.values)) for part in parts]) <= _MOST_VALUES:
            return _mean_of(parts)
    draws = np.mean([_draw(kind, x, y, permutations, rng) for x, y in blocks], axis=0)
    return NullDistribution(np.sort(draws), np.full(permutations, 1 / permutations), permutations)


def _mean_of(parts: Sequence[NullDistribution]) -> NullDistribution:
    """Return the distribution of the mean of independent statistics."""
    values, probabilities = np.zeros(1), np.ones(1)
    for part in parts:
        sums = np.round((values[:, None] + part.values / len(parts)).ravel(), 12)
        weight = (probabilities[:, None] * part.probabilities).ravel()
        values, inverse = np.unique(sums, return_inverse=True)
        probabilities = np.bincount(inverse, weights=weight)
    return NullDistribution(values, probabilities)


def _draw(kind: str, x: np.ndarray, y: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return (draws,) values of the statistic for random pairings."""
    n = len(x)
    step = max(1, _CHUNK_CELLS // (n * n if kind == "kendall" else n))
    values = []
    for start in range(0, draws, step):
        shuffled = rng.permuted(np.tile(y, (min(step, draws - start), 1)), axis=1)
        if kind == "spearman":
            centred = x - x.mean()
            values.append(shuffled @ centred / (n * np.sqrt(x.var() * y.var())))
        else:
            signs = np.sign(shuffled[:, :, None] - shuffled[:, None, :])
            scale = np.sqrt((_signs(x) ** 2).sum() * (_signs(y) ** 2).sum())
            values.append(np.einsum("bij,ij->b", signs, _signs(x)) / scale)
    return np.concatenate(values)


def _signs(values: np.ndarray) -> np.ndarray:
    """Return (N, N) signs of all differences."""
    return np.sign(values[:, None] - values[None, :]).astype(np.float64)


def _rows_of(label: np.ndarray, valid: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero((label == stratum) & valid) for stratum in np.unique(label[valid])]
