"""Association of a response with predictors, given others, by Freedman-Lane permutation within data sets.

If the tested predictors add nothing, the residuals of the response given the nuisance predictors are exchangeable. Each
permutation of them is added to the nuisance fit and the full model is fitted again. Only a few inner products of
permuted residuals enter the statistic, and they add up over data sets, so all permutations of (5, 5, 6) classes - ten
million refits - take a fraction of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial, prod

import numpy as np

from analysis.statistics.rank_association import EXACT_CLASSES
from analysis.statistics.strata import basis_of, centred, complete_rows, residuals

ORDERS_PER_DRAW = 200  # up to this many orders per requested draw are listed in full; more are sampled
SMALLEST_RESIDUAL_DF = 1  # without a residual degree of freedom the full model fits perfectly
_TOLERANCE = 1e-9
_BLOCK_ROWS = 500_000


@dataclass(frozen=True)
class PartialAssociation:
    """The contribution of the tested predictors beyond the others.

    Args:
        n: Number of complete classes, in data sets with at least two of them.
        residual_df: n minus data sets, nuisance and tested predictors.
        partial: Partial correlation, signed; NaN if several predictors are tested at once.
        r2: Partial R squared: share of the residual variation, given the others, that the tested predictors explain.
        p: Freedman-Lane p; 1 if the nuisance predictors explain everything; NaN if nothing varies or no df is left.
        min_p: Smallest p that any order of these residuals could have given.
        draws: Number of Monte Carlo draws; 0 for all permutations.
        vif: Variance inflation of the tested predictor by the nuisance ones, 1 / (1 - R^2); of several, that of the
            combination that the nuisance predictors predict best; inf if they determine it.
    """

    n: int
    residual_df: int
    partial: float
    r2: float
    p: float
    min_p: float
    draws: int
    vif: float


def partial_association(
    response: np.ndarray,
    tested: np.ndarray,
    covariates: np.ndarray,
    *,
    permutations: int,
    rng: np.random.Generator,
    strata: Sequence[object] | None = None,
) -> PartialAssociation:
    """Test the contribution of predictors beyond others.

    The values are used as they are: pass `within_ranks` or `within_scores` of them, so that no data set outweighs
    another. Every data set has its own intercept; slopes are shared.

    Args:
        response: (N,) float, one per class; NaN rows are left out.
        tested: (N,) or (N, P) float.
        covariates: (N,), (N, G) or (N, 0) float, nuisance predictors.
        permutations: Number of Monte Carlo draws, used if there are more than 200 times as many orders, or more than
            10 classes: with 100,000 draws up to 20 million orders are listed in full.
        rng: Generator of these draws.
        strata: (N,) labels of the data set; residuals are permuted within data sets.

    Source:
        Freedman and Lane 1983; Winkler et al. 2014, table 2 and section "Permutations and exchangeability blocks". The
        statistic is the partial R squared, a monotone function of F (of |t| for one tested predictor).
    """
    y, x, z, label = complete_rows(response, tested, covariates, strata)
    y, x, z = (centred(values, label) for values in (y, x, z))
    nuisance = basis_of(z)
    vif = _inflation(basis_of(x), nuisance)
    directions = basis_of(residuals(x, nuisance), float(np.linalg.norm(x)))
    n, n_strata = len(y), len(np.unique(label))
    df = n - n_strata - nuisance.shape[1] - directions.shape[1]
    residual = residuals(y, nuisance)
    size, total = float(residual @ residual), float(y @ y)
    if df < SMALLEST_RESIDUAL_DF or not directions.shape[1] or total <= 0:
        nan = float("nan")
        return PartialAssociation(n, df, nan, nan, nan, 1.0, 0, vif)
    blocks = [np.flatnonzero(label == stratum) for stratum in np.unique(label)]
    if size <= _TOLERANCE * total:  # residuals of 0 are the same in every order
        return PartialAssociation(n, df, 0.0, 0.0, 1.0, 1 / prod(factorial(len(rows)) for rows in blocks), 0, vif)
    products = np.column_stack([directions, nuisance])
    null = _Null(size, directions.shape[1])
    observed = float(null.statistic((residual @ products)[:, None])[0])
    partial = float("nan")
    if x.shape[1] == 1:
        partial = float(np.sign(x[:, 0] @ residual) * np.sqrt(observed))
    p, smallest, draws = null.test(observed, residual, products, blocks, permutations, rng)
    return PartialAssociation(n, df, partial, observed, p, smallest, draws, vif)


@dataclass(frozen=True)
class _Null:
    """The statistic as a function of the inner products of permuted residuals with an orthonormal basis.

    Args:
        size: Squared length of the residuals.
        tested: Number of products, the first ones, of tested predictors; the others are of nuisance predictors.
    """

    size: float
    tested: int

    def statistic(self, products: np.ndarray) -> np.ndarray:
        """Return partial R squared, (B,), from (M, B) products; 1 where the nuisance predictors fit perfectly."""
        squared = products**2
        remaining = self.size - squared[self.tested :].sum(axis=0)
        saturated = remaining <= _TOLERANCE * self.size  # undefined: counts as extreme, which can only raise p
        explained = squared[: self.tested].sum(axis=0)
        explained[saturated] = remaining[saturated] = 1.0
        return explained / remaining

    def test(
        self,
        observed: float,
        residual: np.ndarray,
        products: np.ndarray,
        blocks: list[np.ndarray],
        permutations: int,
        rng: np.random.Generator,
    ) -> tuple[float, float, int]:
        """Return p, the smallest possible p, and the number of Monte Carlo draws (0: exact)."""
        sizes = [len(rows) for rows in blocks]
        if max(sizes) > EXACT_CLASSES or prod(map(factorial, sizes)) > ORDERS_PER_DRAW * permutations:
            drawn = sum(_random_products(residual[rows], products[rows], permutations, rng) for rows in blocks)
            hits = int(np.count_nonzero(self.statistic(np.asarray(drawn)) >= observed - _TOLERANCE))
            return (hits + 1) / (permutations + 1), 1 / (permutations + 1), permutations
        inner, outer = _cross_sums([_exact_products(residual[rows], products[rows]) for rows in blocks])
        hits, largest, n_largest = 0, -np.inf, 0
        for start in outer.T:
            values = self.statistic(inner + start[:, None])
            hits += int(np.count_nonzero(values >= observed - _TOLERANCE))
            top = float(values.max())
            if top > largest + _TOLERANCE:
                largest, n_largest = top, 0
            n_largest += int(np.count_nonzero(values >= largest - _TOLERANCE))
        total = inner.shape[1] * outer.shape[1]
        return hits / total, n_largest / total, 0


def _exact_products(residual: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return (M, K!) inner products of every order of (K,) residuals with (K, M) directions."""
    orders = _orders(len(residual))
    parts = (
        (residual[orders[start : start + _BLOCK_ROWS]] @ products).T for start in range(0, len(orders), _BLOCK_ROWS)
    )
    return np.concatenate(list(parts), axis=1)


def _random_products(residual: np.ndarray, products: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return (M, draws) inner products of random orders."""
    return (rng.permuted(np.tile(residual, (draws, 1)), axis=1) @ products).T


def _cross_sums(tables: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Add tables over their cross product, as far as it fits in one block; the others form an outer loop."""
    inner = outer = np.zeros((len(tables[0]), 1))
    for table in sorted(tables, key=lambda table: table.shape[1]):
        sums = table.shape[1] * inner.shape[1]
        if sums <= _BLOCK_ROWS or inner.shape[1] == 1:
            inner = (inner[:, :, None] + table[:, None]).reshape(len(table), -1)
        else:
            outer = (outer[:, :, None] + table[:, None]).reshape(len(table), -1)
    return inner, outer


def _inflation(tested: np.ndarray, nuisance: np.ndarray) -> float:
    """Return 1 / (1 - c^2) for the largest canonical correlation c of two orthonormal bases; NaN without `tested`."""
    if not tested.shape[1]:
        return float("nan")
    if not nuisance.shape[1]:
        return 1.0
    unexplained = 1 - float(np.linalg.norm(tested.T @ nuisance, 2)) ** 2
    return 1 / unexplained if unexplained > _TOLERANCE else float("inf")


@lru_cache(maxsize=EXACT_CLASSES)
def _orders(n: int) -> np.ndarray:
    """Return all orders of n items, (n!, n) int8."""
    if n == 1:
        return np.zeros((1, 1), dtype=np.int8)
    shorter = _orders(n - 1)
    parts = [np.insert(shorter, position, n - 1, axis=1) for position in range(n)]
    return np.concatenate(parts)
