"""Mixed model of the learned bias: fixed effects of class measures, random intercepts of classes, seeds as repeats.

A bias is determined up to a constant per data set, so the intercept of each data set is a fixed effect: a random one,
fitted to values that are centred within the data set, would be zero by construction. A class in a data set has a random
intercept, with its runs as repeated measures; if names occur in several data sets, the name has a random intercept as
well, crossed with data sets. The measures vary between classes only, so their effects are tested with the degrees of
freedom of distinct names, never of classes x seeds: in a balanced design without shared names the restricted-likelihood
estimate and its error are those of least squares on class means, and t with classes - data sets - measures degrees of
freedom is exact.

All measures are constant over the runs of a class, so the restricted likelihood separates into that of class means and
that of the runs around them, and the largest matrix has one row per class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize, stats

from analysis.statistics.shared_names import SharedNames
from analysis.statistics.strata import basis_of

SMALLEST_CLASS_DF = 5  # with fewer, the variance between classes would rest on fewer than five numbers
_TOLERANCE = 1e-10
_SMALLEST_RATIO = 1e-7  # a smaller ratio of a variance to that of runs counts as zero
_STARTS = (0.0, 0.1, 1.0, 10.0, 100.0)  # starting values of the ratios of variances
_FLAT = 1e-3  # a smaller gradient of the criterion counts as zero


@dataclass(frozen=True)
class MixedFit:
    """A fitted model, or the reason why there is none.

    Args:
        refusal: Why nothing was fitted; empty if the model was fitted.
        estimates: (P,) slopes.
        errors: (P,) their standard errors.
        class_df: Degrees of freedom of every t: distinct names - blocks without shared names - measures.
        name_sd: Standard deviation of the random intercept of names; NaN if no name occurs in two data sets.
        class_sd: Standard deviation of the random intercept of a class in a data set.
        residual_sd: Standard deviation between runs of a class.
        n_names: Number of distinct names.
        n_classes: Number of classes, summed over data sets.
        n_rows: Number of runs, summed over classes.
        converged: Whether the optimiser converged.
        singular: Whether the estimated variances of classes and names are zero.
    """

    refusal: str
    estimates: np.ndarray
    errors: np.ndarray
    class_df: int
    name_sd: float = float("nan")
    class_sd: float = float("nan")
    residual_sd: float = float("nan")
    n_names: int = 0
    n_classes: int = 0
    n_rows: int = 0
    converged: bool = False
    singular: bool = False

    @property
    def t(self) -> np.ndarray:
        """Student's t of each slope, (P,)."""
        return self.estimates / self.errors

    @property
    def p(self) -> np.ndarray:
        """Two-sided p of each slope, (P,)."""
        return 2 * stats.t.sf(np.abs(self.t), max(self.class_df, 1))

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of the interval of each slope, (P,) each."""
        half_width = stats.t.ppf(0.5 + level / 2, max(self.class_df, 1)) * self.errors
        return self.estimates - half_width, self.estimates + half_width


@dataclass(frozen=True)
class _Cells:
    """Classes of data sets: the means of their runs, and the variation of runs around these."""

    means: np.ndarray  # (C,)
    runs: np.ndarray  # (C,), number of runs
    within: float  # sum of squares around the means
    fixed: np.ndarray  # (C, B + P), fixed effects: blocks, then measures
    names: SharedNames

    @property
    def n_blocks(self) -> int:
        return int(self.names.block.max(initial=-1)) + 1

    @property
    def n_rows(self) -> int:
        return int(self.runs.sum())


def fit_mixed_model(
    values: np.ndarray, predictors: np.ndarray, names: Sequence[object], blocks: Sequence[object]
) -> MixedFit:
    """Fit value ~ block + predictors + (1 | name) + (1 | name : block) by restricted maximum likelihood.

    Args:
        values: (C, R) float, one row per class of a data set, one column per run; NaN for a missing run.
        predictors: (C, P) float; classes with a NaN are left out.
        names: (C,) class names; a name that occurs in several blocks is one class.
        blocks: (C,) data set, or data set and family: each has its own intercept.

    Returns:
        The fit, or a refusal in words.

    Source:
        Laird and Ware 1982; degrees of freedom: the between-class stratum of the analysis of variance.
    """
    cells = _cells(values, predictors, names, blocks)
    n_measures = cells.fixed.shape[1] - cells.n_blocks
    class_df = cells.names.n_names - len(np.unique(cells.names.stratum)) - n_measures
    n_names, n_classes, n_rows = cells.names.n_names, len(cells.means), cells.n_rows
    reason = _refusal(cells, class_df)
    if reason:
        missing = np.full(n_measures, np.nan)
        return MixedFit(reason, missing, missing, class_df, n_names=n_names, n_classes=n_classes, n_rows=n_rows)
    ratios, converged = _best_ratios(cells)
    estimates, covariance, residual = _profile(cells, ratios)
    name_sd = float(np.sqrt(ratios[1]) * residual) if cells.names.any_shared else float("nan")
    return MixedFit(
        "",
        estimates[cells.n_blocks :],
        residual * np.sqrt(np.diag(covariance))[cells.n_blocks :],
        class_df,
        name_sd,
        float(np.sqrt(ratios[0]) * residual),
        residual,
        n_names,
        n_classes,
        n_rows,
        converged=converged,
        singular=not ratios.any(),
    )


def _cells(values: np.ndarray, predictors: np.ndarray, names: Sequence[object], blocks: Sequence[object]) -> _Cells:
    values = np.asarray(values, dtype=np.float64)
    x = np.asarray(predictors, dtype=np.float64).reshape(len(values), -1)
    valid = np.isfinite(values)
    rows = np.flatnonzero(valid.any(axis=1) & np.isfinite(x).all(axis=1))
    values, x, valid = values[rows], x[rows], valid[rows]
    runs = valid.sum(axis=1)
    means = np.where(valid, values, 0).sum(axis=1) / np.maximum(runs, 1)
    within = float(np.sum(np.where(valid, values - means[:, None], 0) ** 2))
    shared = SharedNames.of(*([labels[int(i)] for i in rows] for labels in (names, blocks)))
    block_indicators = (shared.block[:, None] == np.arange(shared.block.max(initial=-1) + 1)).astype(np.float64)
    return _Cells(means, runs, within, np.column_stack([block_indicators, x]), shared)


def _refusal(cells: _Cells, class_df: int) -> str:
    n_names, n_measures = cells.names.n_names, cells.fixed.shape[1] - cells.n_blocks
    if class_df < SMALLEST_CLASS_DF:
        needed = n_names - class_df + SMALLEST_CLASS_DF
        subject = f"{n_names} distinct class names" if cells.names.any_shared else f"{n_names} classes"
        return (
            f"{subject} are too few for {n_measures} measures: {needed} would leave the "
            f"{SMALLEST_CLASS_DF} degrees of freedom that a variance between classes needs"
        )
    if cells.n_rows < 2 * len(cells.means):
        return "there are fewer than two runs per class, so that variation between runs is unknown"
    if basis_of(cells.fixed).shape[1] < cells.fixed.shape[1]:
        return "a measure does not vary, or the others determine it"
    total = cells.within + float(cells.runs @ cells.means**2)
    if cells.within <= _TOLERANCE * total:
        return "the runs of a class do not differ, so that variation between runs is zero"
    return ""


def _best_ratios(cells: _Cells) -> tuple[np.ndarray, bool]:
    """Return the variances of class and (where names are shared) name, relative to that of runs, and convergence."""
    n_ratios = 2 if cells.names.any_shared else 1
    starts = np.array(np.meshgrid(*[_STARTS] * n_ratios)).reshape(n_ratios, -1).T
    first = starts[np.argmin([_criterion(cells, start) for start in starts])]
    result = optimize.minimize(
        lambda ratios: _criterion(cells, ratios),
        first,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * n_ratios,
        options={"ftol": 1e-15, "gtol": 1e-7, "maxls": 50},
    )
    ratios = np.where(result.x < _SMALLEST_RATIO, 0.0, result.x)
    # a line search that stops at rounding errors has converged as well
    return ratios, bool(result.success or np.abs(np.where(ratios > 0, result.jac, 0)).max(initial=0) < _FLAT)


def _weighted(cells: _Cells, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return fixed effects and means whitened by the covariance of class means, and half its log determinant."""
    covariance = np.diag(1 / cells.runs + ratios[0])
    if len(ratios) > 1:
        covariance += ratios[1] * (cells.names.name[:, None] == cells.names.name)
    root = np.linalg.cholesky(covariance)
    white = linalg.solve_triangular(root, np.column_stack([cells.fixed, cells.means]), lower=True)
    return white[:, :-1], white[:, -1], float(np.log(np.diag(root)).sum())


def _criterion(cells: _Cells, ratios: np.ndarray) -> float:
    """Return -2 times the profiled restricted log-likelihood, up to a constant."""
    fixed, means, half_log_det = _weighted(cells, ratios)
    q, r = np.linalg.qr(fixed)
    residual = means - q @ (q.T @ means)
    df = cells.n_rows - fixed.shape[1]
    sum_of_squares = float(residual @ residual) + cells.within
    return df * np.log(sum_of_squares) + 2 * half_log_det + 2 * float(np.log(np.abs(np.diag(r))).sum())


def _profile(cells: _Cells, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return fixed effects, their covariance over the variance of runs, and the standard deviation of runs."""
    fixed, means, _ = _weighted(cells, ratios)
    covariance = np.linalg.inv(fixed.T @ fixed)
    estimates = covariance @ (fixed.T @ means)
    residual = means - fixed @ estimates
    df = cells.n_rows - fixed.shape[1]
    return estimates, covariance, float(np.sqrt((residual @ residual + cells.within) / df))
