"""How much of the variation over classes frequency explains alone, difficulty alone, and both only together."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from analysis.statistics.intervals import percentile_interval
from analysis.statistics.partition import (
    SMALLEST_RESIDUAL_DF,
    Partition,
    partition,
    partitions_of,
    resampled_partitions,
)
from analysis.statistics.strata import variance_inflation, within_ranks
from analysis.study.class_frames import FREQUENCY
from analysis.study.class_points import ClassPoints, NamedPoints
from analysis.study.runs import AnalysisPlan
from imbalance_bench.seeding import generator


def share_rows(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, Any]]:
    """Share out the variation of the ranks of distinct classes: rare alone, hard alone, shared; common parts.

    Args:
        points: Frequency and at least one other construct.
        plan: Resamples and seed.
        name: Of the method and quantity, for the random numbers.

    Returns:
        Rows of table `partition`.
    """
    named = points.by_name()
    strata = list(named.strata)
    whole = partition(named.response, named.measures, strata)
    resampled, what, degrees = _resampled(points, named, whole, plan, generator(plan.seed, "partition", name))
    inflation = variance_inflation(named.measures, strata)
    raw, adjusted = (_components(each, points.constructs) for each in (whole, whole.adjusted()))
    drawn = np.array([each.adjusted().r2 for each in resampled]).reshape(len(resampled), len(whole.r2))
    spread = drawn @ _linear(points.constructs).T
    rows = []
    for place, (kind, component) in enumerate(raw):
        values = spread[:, place]
        bounded = len(values) > 0 and component != "total"  # intervals of the total cover 77 to 93 % only
        low, high = percentile_interval(values, degrees, 0.95) if bounded else (np.nan, np.nan)
        row = {"kind": kind, "component": component, "value": raw[kind, component], "low": low, "high": high}
        row |= {"adjusted": adjusted[kind, component], "resampled": what if bounded else ""}
        vif = inflation[points.constructs.index(component)] if component in points.constructs else np.nan
        rows.append(row | {"n_classes": whole.n, "residual_df": whole.residual_df, "vif": vif})
    return rows


def _components(found: Partition, constructs: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return every part by kind and name."""
    rare = [constructs.index(FREQUENCY)]
    hard = [j for j in range(len(constructs)) if j not in rare]
    names = ("unique_frequency", "unique_difficulty", "shared")
    parts = {("share", name): value for name, value in zip(names, found.of_two(rare, hard), strict=True)}
    parts["share", "total"] = float(found.r2[-1])
    weights = found.dominance()
    parts |= {("dominance", name): float(weights[j]) for j, name in enumerate(constructs)}
    common = found.commonality()
    for size in range(1, len(constructs) + 1):
        for chosen in combinations(range(len(constructs)), size):
            name = " + ".join(constructs[j] for j in chosen)
            parts["commonality", name] = float(common[sum(1 << j for j in chosen)])
    return parts


@lru_cache
def _linear(constructs: tuple[str, ...]) -> np.ndarray:
    """Return the matrix that turns the R squared of all subsets into the parts of `_components`, in their order."""
    subsets = np.eye(2 ** len(constructs))
    return np.array([list(_components(Partition(subset, 0, 0), constructs).values()) for subset in subsets]).T


def _resampled(
    points: ClassPoints, named: NamedPoints, whole: Partition, plan: AnalysisPlan, rng: np.random.Generator
) -> tuple[list[Partition], str, int]:
    """Resample distinct classes where there are enough; else runs, which say nothing of other classes; else nothing.

    Returns:
        Partitions, what was resampled, and the degrees of freedom of its spread.
    """
    strata = list(named.strata)
    if whole.residual_df >= SMALLEST_RESIDUAL_DF:
        drawn = resampled_partitions(named.response, named.measures, strata, resamples=plan.resamples, rng=rng)
        return drawn, "classes", whole.n - whole.n_strata
    runs, _ = points.complete_runs()
    if runs.shape[1] < 2 or whole.residual_df < 1:
        return [], "", 0
    chosen = rng.integers(0, runs.shape[1], size=(plan.resamples, runs.shape[1]))
    different, place = np.unique(np.sort(chosen, axis=1), axis=0, return_inverse=True)  # few, where there are few runs

    def response(columns: np.ndarray) -> np.ndarray:
        effects = points.shared.effects(within_ranks(runs[:, columns].mean(axis=1), points.blocks))
        return within_ranks(effects, strata)

    partitions = partitions_of(np.array([response(columns) for columns in different]), named.measures, strata)
    return [partitions[row] for row in place.ravel()], "runs", runs.shape[1] - 1
