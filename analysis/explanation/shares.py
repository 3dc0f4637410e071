"""How much of the variation over classes is explained by frequency alone, by difficulty alone, and only by both."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from analysis.statistics.intervals import percentile_interval
from analysis.statistics.partition import (
    SMALLEST_RESIDUAL_DF,
    Partition,
    partition,
    partition_each,
    resampled_partition,
)
from analysis.statistics.strata import variance_inflation, within_ranks_of_rows
from analysis.study.class_frames import FREQUENCY
from analysis.study.class_points import ClassPoints, NamedPoints
from analysis.study.runs import AnalysisPlan
from imbalance_bench.seeding import generator


def share_rows(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, Any]]:
    """Partition the variation of the ranks of distinct classes: rare alone, hard alone, shared, and common parts.

    Args:
        points: Classes with frequency and at least one other construct.
        plan: The plan, for the number of resamples and the seed.
        name: Name of method and quantity, which seeds the random numbers.

    Returns:
        Rows of table `partition`.
    """
    named = points.by_name()
    strata = list(named.strata)
    whole = partition(named.response, named.measures, strata)
    resampled, resampled_units, degrees = _resampled(
        points, named, whole, plan, generator(plan.seed, "partition", name)
    )
    inflation = variance_inflation(named.measures, strata)
    raw, adjusted = _components(whole, points.constructs), _components(whole.adjusted(), points.constructs)
    component_draws = resampled.adjusted().r2 @ _linear(points.constructs).T
    rows = []
    for index, (kind, component) in enumerate(raw):
        values = component_draws[:, index]
        bounded = len(values) > 0 and component != "total"  # intervals of the total cover 77 to 93 % only
        low, high = percentile_interval(values, degrees, 0.95) if bounded else (np.nan, np.nan)
        row = {"kind": kind, "component": component, "value": raw[kind, component], "low": low, "high": high}
        row |= {"adjusted": adjusted[kind, component], "resampled": resampled_units if bounded else ""}
        vif = inflation[points.constructs.index(component)] if component in points.constructs else np.nan
        rows.append(row | {"n_classes": whole.n, "residual_df": whole.residual_df, "vif": vif})
    return rows


def _components(whole: Partition, constructs: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return every component of the variation by kind and name."""
    rare = [constructs.index(FREQUENCY)]
    hard = [j for j in range(len(constructs)) if j not in rare]
    names = ("unique_frequency", "unique_difficulty", "shared")
    parts = {("share", name): float(value) for name, value in zip(names, whole.of_two(rare, hard), strict=True)}
    parts["share", "total"] = float(whole.r2[-1])
    weights = whole.dominance()
    parts |= {("dominance", name): float(weights[j]) for j, name in enumerate(constructs)}
    common = whole.commonality()
    for size in range(1, len(constructs) + 1):
        for subset in combinations(range(len(constructs)), size):
            name = " + ".join(constructs[j] for j in subset)
            parts["commonality", name] = float(common[sum(1 << j for j in subset)])
    return parts


@lru_cache
def _linear(constructs: tuple[str, ...]) -> np.ndarray:
    """Return the matrix that maps the R squared of all subsets to the parts of `_components`, in their order."""
    subsets = np.eye(2 ** len(constructs))
    return np.array([list(_components(Partition(subset, 0, 0), constructs).values()) for subset in subsets]).T


def _resampled(
    points: ClassPoints, named: NamedPoints, whole: Partition, plan: AnalysisPlan, rng: np.random.Generator
) -> tuple[Partition, str, int]:
    """Resample distinct classes if there are enough of them, else runs, which say nothing about other classes.

    Returns:
        The partition of each resample (of none with too few classes and runs), what was resampled, and the degrees of
        freedom of its spread.
    """
    strata = list(named.strata)
    if whole.residual_df >= SMALLEST_RESIDUAL_DF:
        of_classes = resampled_partition(named.response, named.measures, strata, resamples=plan.resamples, rng=rng)
        return of_classes, "classes", whole.n - whole.n_strata
    runs, _ = points.complete_seeds()
    if runs.shape[1] < 2 or whole.residual_df < 1:
        return replace(whole, r2=np.zeros((0, len(whole.r2)))), "", 0
    run_draws = rng.integers(0, runs.shape[1], size=(plan.resamples, runs.shape[1]))
    distinct, index_of_draw = np.unique(np.sort(run_draws, axis=1), axis=0, return_inverse=True)  # few with few runs
    learned = np.array([runs[:, columns].mean(axis=1) for columns in distinct])  # (draws, N)
    effects = np.array([points.shared.effects(ranks) for ranks in within_ranks_of_rows(learned, points.blocks)])
    of_runs = partition_each(within_ranks_of_rows(effects, strata), named.measures, strata)
    return replace(of_runs, r2=of_runs.r2[index_of_draw.ravel()]), "runs", runs.shape[1] - 1
