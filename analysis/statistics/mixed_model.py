"""Mixed model of the learned bias: fixed effects of class measures, a random intercept of the class, seeds as repeats.

A bias is known up to a constant per data set, so the intercept of each data set is a fixed effect: a random one,
fitted to values that are centred within the data set, is zero by construction. The measures vary between classes
only, so their effects are judged with the degrees of freedom that classes leave, never with classes x seeds: in a
balanced design the restricted-likelihood estimate and its error are those of least squares on class means, and t with
classes - data sets - measures degrees of freedom is exact.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ModelWarning

from analysis.statistics.strata import basis_of, labels, off

SMALLEST_CLASS_DF = 5  # below, the variance between classes would rest on fewer than five numbers
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class MixedFit:
    """A fitted model, or the reason why there is none.

    Args:
        refusal: Why nothing was fitted; empty if it was.
        estimates: (P,) slopes.
        errors: (P,) their standard errors.
        class_df: Classes - data sets - measures: degrees of freedom of every t.
        class_sd: Standard deviation of the random intercept of classes.
        residual_sd: Standard deviation between runs of a class.
        n_classes: Classes.
        n_rows: Classes x runs.
        converged: The optimiser said so.
        singular: The likelihood is greatest where classes do not differ beyond their measures and their runs.
        messages: Warnings of the fit, word by word.
    """

    refusal: str
    estimates: np.ndarray
    errors: np.ndarray
    class_df: int
    class_sd: float = float("nan")
    residual_sd: float = float("nan")
    n_classes: int = 0
    n_rows: int = 0
    converged: bool = False
    singular: bool = False
    messages: tuple[str, ...] = ()

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
        reach = stats.t.ppf(0.5 + level / 2, max(self.class_df, 1)) * self.errors
        return self.estimates - reach, self.estimates + reach


@dataclass(frozen=True)
class _Design:
    outcome: np.ndarray  # (R,)
    fixed: np.ndarray  # (R, S + P): data sets, then measures
    member: np.ndarray  # (R, C) 1 where the row is of the class
    n_strata: int


def fit_mixed_model(outcome: np.ndarray, predictors: np.ndarray, classes: np.ndarray, strata: np.ndarray) -> MixedFit:
    """Fit outcome ~ data set + predictors + (1 | class) by restricted maximum likelihood.

    Args:
        outcome: (R,) float, one row per class and run; rows with a NaN are left out.
        predictors: (R, P) float, the same for all runs of a class.
        classes: (R,) label of the class; equal labels in two data sets are two classes.
        strata: (R,) label of the data set.

    Returns:
        The fit, or a refusal in words.

    Source:
        Laird and Ware 1982; degrees of freedom: the between-class stratum of the analysis of variance.
    """
    design = _design(outcome, predictors, classes, strata)
    n_measures = design.fixed.shape[1] - design.n_strata
    n_rows, n_classes = design.member.shape
    class_df = n_classes - design.n_strata - n_measures
    reason = _refusal(design, class_df)
    if reason:
        nan = np.full(n_measures, np.nan)
        return MixedFit(reason, nan, nan, class_df, n_classes=n_classes, n_rows=n_rows)
    if _no_class_variance(design):
        residual = off(design.outcome, basis_of(design.fixed))
        variances, converged, messages = (0.0, float(residual @ residual) / (n_rows - design.fixed.shape[1])), True, ()
    else:
        variances, converged, messages = _fit_variances(design)
    estimates, errors = _generalised_least_squares(design, *variances)
    return MixedFit(
        "",
        estimates[design.n_strata :],
        errors[design.n_strata :],
        class_df,
        float(np.sqrt(variances[0])),
        float(np.sqrt(variances[1])),
        n_classes,
        n_rows,
        converged,
        variances[0] == 0.0,
        messages,
    )


def _design(outcome: np.ndarray, predictors: np.ndarray, classes: np.ndarray, strata: np.ndarray) -> _Design:
    y = np.asarray(outcome, dtype=np.float64)
    x = np.asarray(predictors, dtype=np.float64).reshape(len(y), -1)
    kept = np.isfinite(np.column_stack([y, x])).all(axis=1)
    stratum = labels(np.asarray(strata)[kept], int(kept.sum()))
    pairs = [f"{a}\0{b}" for a, b in zip(stratum, np.asarray(classes)[kept], strict=True)]
    member, of_stratum = (_indicators(each) for each in (labels(pairs, len(pairs)), stratum))
    return _Design(y[kept], np.column_stack([of_stratum, x[kept]]), member, of_stratum.shape[1])


def _indicators(label: np.ndarray) -> np.ndarray:
    return (label[:, None] == np.unique(label)).astype(np.float64)


def _refusal(design: _Design, class_df: int) -> str:
    n_rows, n_classes = design.member.shape
    n_measures = design.fixed.shape[1] - design.n_strata
    if class_df < SMALLEST_CLASS_DF:
        needed = SMALLEST_CLASS_DF + design.n_strata + n_measures
        return (
            f"{n_classes} classes are too few for {n_measures} measures: {needed} would leave the "
            f"{SMALLEST_CLASS_DF} degrees of freedom that a variance between classes needs"
        )
    if n_rows < 2 * n_classes:
        return "there are fewer than two runs per class, so that variation between runs is unknown"
    if basis_of(design.fixed).shape[1] < design.fixed.shape[1]:
        return "a measure does not vary, or the others determine it"
    means = design.member @ (design.member.T @ design.outcome / design.member.sum(axis=0))
    within = float(np.sum((design.outcome - means) ** 2))
    if within <= _TOLERANCE * float(design.outcome @ design.outcome):
        return "the runs of a class do not differ, so that variation between runs is zero"
    return ""


def _no_class_variance(design: _Design) -> bool:
    """Say whether the restricted likelihood falls from a class variance of zero on: its derivative there."""
    basis = basis_of(design.fixed)
    residual = off(design.outcome, basis)
    scale = residual @ residual / (len(residual) - basis.shape[1])
    totals = design.member.T @ residual
    expected = design.member.sum() - np.sum((design.member.T @ basis) ** 2)
    return bool(totals @ totals <= scale * expected * (1 + 1e-9))


def _fit_variances(design: _Design) -> tuple[tuple[float, float], bool, tuple[str, ...]]:
    """Return the variances of class and residual, whether the fit converged, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLM(design.outcome, design.fixed, groups=design.member.argmax(axis=1))
        result = model.fit(reml=True, method="powell")
    of_model = [each for each in caught if issubclass(each.category, ModelWarning)]
    for each in caught:
        if each not in of_model:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    messages = tuple(dict.fromkeys(str(each.message) for each in of_model))
    return (float(np.ravel(result.cov_re)[0]), float(result.scale)), bool(result.converged), messages


def _generalised_least_squares(
    design: _Design, class_variance: float, residual_variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed effects and their standard errors for given variances."""
    size = design.member.sum(axis=0)
    shrink = class_variance / (residual_variance + size * class_variance)  # Woodbury, per class

    def weighted(values: np.ndarray) -> np.ndarray:
        return (values - design.member @ (shrink * (design.member.T @ values).T).T) / residual_variance

    covariance = np.linalg.inv(design.fixed.T @ weighted(design.fixed))
    return covariance @ design.fixed.T @ weighted(design.outcome), np.sqrt(np.diag(covariance))
