"""Checks of everything that explains a learned bias: classes are simulated, runs are repeated measures of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.statistics.attainability import correlation_power, rho_needed
from analysis.statistics.intervals import percentile_interval
from analysis.statistics.intraclass_correlation import icc_average_consistency
from analysis.statistics.mixed_model import fit_mixed_model
from analysis.statistics.partial_association import partial_association
from analysis.statistics.partition import resampled_partition
from analysis.statistics.rank_association import rank_association
from analysis.statistics.starting_point import movement
from analysis.statistics.strata import within_ranks
from benchmarks.calibration.check import LEVEL, Check

SEVERAL = (5, 5, 6)  # classes of three data sets
RUNS = 3


def checks() -> Iterator[Check]:
    """Yield every check of associations."""
    yield from _rank_tests()
    yield from _adjusted_tests()
    yield from _intervals()
    yield from _power()


def bias_of_runs(classes: int, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Return (R, K) biases: an effect of the class that all runs share, and as much noise of the run."""
    return rng.normal(size=classes) + rng.normal(size=(runs, classes))


def labels(sizes: Sequence[int]) -> np.ndarray:
    """Return the data set of each class."""
    return np.repeat(np.arange(len(sizes)), sizes)


def _rank_tests() -> Iterator[Check]:
    def rejects(sizes: Sequence[int], kind: str, ties: bool, rng: np.random.Generator) -> bool:
        x, y = bias_of_runs(sum(sizes), RUNS, rng).mean(axis=0), rng.normal(size=sum(sizes))
        y = np.round(y) if ties else y
        found = rank_association(x, y, alpha=LEVEL, permutations=499, rng=rng, strata=list(labels(sizes)))
        return getattr(found, f"p_{kind}") < LEVEL

    for sizes in ((5,), (8,), (5, 5), SEVERAL):
        for kind in ("spearman", "kendall"):
            yield Check(
                f"exact {kind.capitalize()} association",
                f"K = {_listed(sizes)}, {RUNS} seeds averaged",
                "level",
                lambda rng, s=sizes, k=kind: rejects(s, k, False, rng),
            )
    yield Check(
        "exact Spearman association",
        f"K = 8 with ties, {RUNS} seeds averaged",
        "level",
        lambda rng: rejects((8,), "spearman", True, rng),
    )

    def as_independent(rng: np.random.Generator) -> bool:
        x, y = bias_of_runs(5, RUNS, rng), rng.normal(size=5)
        found = rank_association(x.ravel(), np.tile(y, RUNS), alpha=LEVEL, permutations=499, rng=rng)
        return found.p_spearman < LEVEL

    yield Check("Spearman, classes x seeds as if independent", "K = 5, 3 seeds", "shown", as_independent)


def _adjusted_tests() -> Iterator[Check]:
    def partial(sizes: Sequence[int], rng: np.random.Generator) -> bool:
        label = list(labels(sizes))
        frequency = rng.normal(size=sum(sizes))
        difficulty = 0.7 * frequency + rng.normal(size=sum(sizes))
        bias = frequency + bias_of_runs(sum(sizes), RUNS, rng).mean(axis=0)
        ranks = [within_ranks(each, label) for each in (bias, difficulty, frequency)]
        return partial_association(*ranks, permutations=499, rng=rng, strata=label).p < LEVEL

    for sizes in ((5,), (8,), (5, 5)):
        yield Check(
            "partial association given frequency (Freedman-Lane)",
            f"K = {_listed(sizes)}, frequency matters, predictors correlate",
            "level",
            lambda rng, s=sizes: partial(s, rng),
        )

    def mixed(sizes: Sequence[int], runs: int, rng: np.random.Generator) -> bool:
        k = sum(sizes)
        predictors = rng.normal(size=(k, 2))
        outcome = predictors[:, 0] + bias_of_runs(k, runs, rng)
        return fit_mixed_model(outcome.T, predictors, list(range(k)), list(labels(sizes))).p[1] < LEVEL

    for sizes, runs in (((8,), 3), (SEVERAL, 3), (SEVERAL, 6)):
        yield Check(
            "mixed model, slope of a measure",
            f"K = {_listed(sizes)}, {runs} seeds",
            "level",
            lambda rng, s=sizes, r=runs: mixed(s, r, rng),
        )


def _intervals() -> Iterator[Check]:
    def icc(classes: int, runs: int, rng: np.random.Generator) -> bool:
        _, low, high = icc_average_consistency(bias_of_runs(classes, runs, rng).T)
        return low <= 1 / (1 + 1 / runs) <= high

    for classes in (5, 8):
        for runs in (3, 6):
            yield Check(
                "interval of ICC(3,k)",
                f"K = {classes}, {runs} seeds",
                "coverage",
                lambda rng, c=classes, r=runs: icc(c, r, rng),
            )

    def kept(runs: int, rng: np.random.Generator) -> bool:
        start = np.tile(np.linspace(-1, 1, 5), (runs, 1))
        found = movement(start, 0.4 * start + 0.3 * rng.normal(size=(runs, 5)))
        return found is not None and found.slope.low <= 0.4 <= found.slope.high

    for runs in (3, 6):
        yield Check("interval of inertia's slope", f"K = 5, {runs} seeds", "coverage", lambda rng, r=runs: kept(r, rng))

    def unique(correlation: float, weight: float, rng: np.random.Generator) -> bool:
        """Of two standard normal measures, the second alone explains w^2 (1 - r^2) of a variance."""
        k, label = sum(SEVERAL), list(labels(SEVERAL))
        first, own, noise = rng.normal(size=(3, k))
        second = correlation * first + np.sqrt(1 - correlation**2) * own
        response = first + weight * second + noise
        alone = weight**2 * (1 - correlation**2)
        truth = alone / (1 + 2 * weight * correlation + weight**2 + 1)
        predictors = np.column_stack([first, second])
        drawn = resampled_partition(response, predictors, label, resamples=200, rng=rng)
        alone_drawn = drawn.adjusted().of_two([0], [1])[1]
        low, high = percentile_interval(alone_drawn, k - len(SEVERAL), 0.95)
        return low <= truth <= high

    for correlation, weight in ((0.0, 1.0), (0.5, 1.0), (0.5, 0.0)):
        yield Check(
            "interval of what a measure alone explains (partition)",
            f"K = {_listed(SEVERAL)}, measures correlate {correlation:g}, slope {weight:g}",
            "coverage",
            lambda rng, c=correlation, w=weight: unique(c, w, rng),
        )


def _power() -> Iterator[Check]:
    def found(classes: int, rho: float, rng: np.random.Generator) -> bool:
        x, other = rng.normal(size=(2, classes))
        y = rho * x + np.sqrt(1 - rho**2) * other
        return rank_association(x, y, alpha=LEVEL, permutations=1, rng=rng).p_spearman < LEVEL

    for classes, rho in ((4, 0.9), (5, 0.9), (6, 0.9), (8, 0.7)):
        needed = rho_needed(classes, LEVEL)
        told = "no rho suffices" if np.isnan(needed) else f"needs |rho| >= {needed:.3f}"
        yield Check(
            "exact Spearman association, power that `analyze` announces",
            f"K = {classes}, true correlation {rho:g}; {told}",
            "power",
            lambda rng, c=classes, r=rho: found(c, r, rng),
            expected=correlation_power(classes, rho, LEVEL, 0),
        )


def _listed(sizes: Sequence[int]) -> str:
    return " + ".join(map(str, sizes))
