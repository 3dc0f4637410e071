"""Rare or hard: what the learned bias follows beyond the other, in one study or over several data sets at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.association import rank_association
from analysis.bias import PRIMARY_ESTIMANDS, icc_average_consistency
from analysis.class_points import FREQUENCY, ClassPoints, StudyFrames, class_points
from analysis.intervals import percentile_interval
from analysis.measures import PRIMARY
from analysis.mixed_model import fit_mixed_model
from analysis.partial_association import PartialAssociation, partial_association
from analysis.partition import SMALLEST_RESIDUAL_DF, Partition, partition, resampled_partitions
from analysis.permutation import holm
from analysis.strata import variance_inflation, within_ranks, within_scores
from analysis.tables import AnalysisPlan
from imbalance_bench.seeding import generator

DIFFICULTY = "difficulty"  # all constructs but frequency, together
HEADLINE = (FREQUENCY, DIFFICULTY)  # the two tests that answer "rare or hard", corrected together


@dataclass(frozen=True)
class Explanation:
    """What the learned bias of some methods follows.

    Args:
        associations: One row per method, estimand and construct: rank association within data sets.
        partial_associations: Frequency given difficulty, difficulty given frequency, each construct given frequency.
        mixed_models: One row per slope.
        partition: Shares of the explained variation.
        reliability: ICC(3,k) of each method and estimand over all data sets; NaN with one run.
    """

    associations: pd.DataFrame
    partial_associations: pd.DataFrame
    mixed_models: pd.DataFrame
    partition: pd.DataFrame
    reliability: pd.DataFrame


def associate_studies(studies: Sequence[StudyFrames], plan: AnalysisPlan) -> Explanation:
    """Explain the learned bias over the classes of one or several studies; classes are compared within data sets only.

    Args:
        studies: Their frames; methods are matched by label. A study without a method is left out for that method.
        plan: Level, permutations, resamples and seed.

    Returns:
        Frames without verdicts; `analysis.chapters.explanation.judge` adds them.
    """
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in Explanation.__dataclass_fields__}
    methods = dict.fromkeys(str(method) for study in studies for method in study.bias["method"].unique())
    for method in methods:
        for estimand in PRIMARY_ESTIMANDS:
            points = class_points(studies, method, estimand)
            if not len(points.values) or FREQUENCY not in points.constructs or len(points.constructs) < 2:
                continue
            keys: dict[str, object] = {"method": method, "estimand": estimand, "n_data_sets": points.n_strata}
            for name, rows in _explained(points, plan, f"{method}/{estimand}").items():
                tables[name] += [keys | row for row in rows]
    keyed = {name: ["method", "estimand", "n_data_sets", *columns.split()] for name, columns in _COLUMNS.items()}
    return Explanation(**{name: pd.DataFrame(rows, columns=keyed[name]) for name, rows in tables.items()})


_COLUMNS = {
    "associations": "construct measure n_classes spearman kendall p_spearman p_kendall min_p rho_needed p_holm family",
    "partial_associations": "construct measure given n_classes residual_df partial_rho r2 p min_p draws vif p_holm "
    "family",
    "mixed_models": "construct measure estimate error low high t df p p_holm family class_sd residual_sd n_classes "
    "n_rows converged singular messages refusal",
    "partition": "kind component value adjusted low high resampled n_classes residual_df vif",
    "reliability": "icc low high n_seeds n_classes",
}


def _explained(points: ClassPoints, plan: AnalysisPlan, name: str) -> dict[str, list[dict[str, object]]]:
    icc, low, high = icc_average_consistency(points.complete_runs())
    n_runs = points.complete_runs().shape[1]
    row = {"icc": icc, "low": low, "high": high, "n_seeds": n_runs, "n_classes": len(points.values)}
    return {
        "associations": _associations(points, plan, name),
        "partial_associations": _partial_associations(points, plan, name),
        "mixed_models": _mixed_model(points),
        "partition": _partition(points, plan, name),
        "reliability": [row],
    }


def _associations(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    rows = []
    for j, construct in enumerate(points.constructs):
        rng = generator(plan.seed, "stratified association", name, construct)
        found = rank_association(
            *(points.means, points.measures[:, j]),
            alpha=plan.alpha,
            permutations=plan.permutations,
            rng=rng,
            strata=list(points.strata),
        )
        row = {"construct": construct, "measure": PRIMARY[construct], "n_classes": found.n}
        row |= {key: getattr(found, key) for key in ("spearman", "kendall", "p_spearman", "p_kendall", "min_p")}
        rows.append(row | {"rho_needed": found.rho_needed})
    return _with_holm(rows, "p_spearman")


def _partial_associations(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    """Test rare given hard and hard given rare, then each construct of difficulty given frequency."""
    headline = [(FREQUENCY, (FREQUENCY,), points.difficulty), (DIFFICULTY, points.difficulty, (FREQUENCY,))]
    single = [(each, (each,), (FREQUENCY,)) for each in points.difficulty]
    families = []
    for tests in (headline, single):
        rows = []
        for construct, tested, given in tests:
            found = _partial(points, tested, given, plan, generator(plan.seed, "partial", name, construct))
            row = {
                "construct": construct,
                "measure": _joined([PRIMARY[each] for each in tested]),
                "given": _joined(given),
                "n_classes": found.n,
            }
            row |= {"residual_df": found.residual_df, "partial_rho": found.partial, "r2": found.r2, "p": found.p}
            rows.append(row | {"min_p": found.min_p, "draws": found.draws, "vif": found.vif})
        families += _with_holm(rows, "p")
    return families


def _partial(
    points: ClassPoints, tested: Sequence[str], given: Sequence[str], plan: AnalysisPlan, rng: np.random.Generator
) -> PartialAssociation:
    ranks = _ranks(points)
    return partial_association(
        *(ranks.means, ranks.of(tested), ranks.of(given)),
        permutations=plan.permutations,
        rng=rng,
        strata=list(points.strata),
    )


def _mixed_model(points: ClassPoints) -> list[dict[str, object]]:
    """Fit standardised bias on standardised measures; the spread of class means is 1 within each data set."""
    scale = np.array([np.std(points.means[points.strata == each]) for each in points.strata])
    runs = points.values.shape[1]
    outcome = points.values / np.where(scale > 0, scale, np.nan)[:, None]
    measures = np.column_stack([within_scores(each, list(points.strata)) for each in points.measures.T])
    classes, strata = (np.repeat(each, runs) for each in (np.arange(len(outcome)), points.strata))
    found = fit_mixed_model(outcome.ravel(), np.repeat(measures, runs, axis=0), classes, strata)
    low, high = found.interval()
    shared: dict[str, object] = {"df": found.class_df, "messages": "; ".join(found.messages)}
    shared |= {key: getattr(found, key) for key in _FIT_COLUMNS}
    rows = []
    for j, construct in enumerate(points.constructs):
        row = {"construct": construct, "measure": PRIMARY[construct], "estimate": found.estimates[j]}
        row |= {"error": found.errors[j], "low": low[j], "high": high[j], "t": found.t[j], "p": found.p[j]}
        rows.append(row | shared)
    return _with_holm(rows, "p")


_FIT_COLUMNS = ("class_sd", "residual_sd", "n_classes", "n_rows", "converged", "singular", "refusal")


def _partition(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    """Share out the variation of the ranks: rare alone, hard alone, shared; dominance; every common part."""
    ranks = _ranks(points)
    whole = partition(ranks.means, ranks.measures, list(points.strata))
    resampled, what, degrees = _resampled(points, whole, plan, generator(plan.seed, "partition", name))
    inflation = variance_inflation(ranks.measures, list(points.strata))
    raw, adjusted = (_components(each, points.constructs) for each in (whole, whole.adjusted()))
    drawn = [_components(each.adjusted(), points.constructs) for each in resampled]
    rows = []
    for kind, component in raw:
        values = np.array([each[kind, component] for each in drawn])
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
            name = _joined([constructs[j] for j in chosen])
            parts["commonality", name] = float(common[sum(1 << j for j in chosen)])
    return parts


def _resampled(
    points: ClassPoints, whole: Partition, plan: AnalysisPlan, rng: np.random.Generator
) -> tuple[list[Partition], str, int]:
    """Resample classes where enough are there; else runs, which says nothing about other classes; else nothing.

    Returns:
        Partitions, what was resampled, and the degrees of freedom of its spread.
    """
    strata = list(points.strata)
    if whole.residual_df >= SMALLEST_RESIDUAL_DF:
        ranks = _ranks(points)
        drawn = resampled_partitions(ranks.means, ranks.measures, strata, resamples=plan.resamples, rng=rng)
        return drawn, "classes", whole.n - whole.n_strata
    runs = points.complete_runs()
    if runs.shape[1] < 2 or whole.residual_df < 1:
        return [], "", 0
    measures = _ranks(points).measures
    chosen = rng.integers(0, runs.shape[1], size=(plan.resamples, runs.shape[1]))
    responses = (within_ranks(runs[:, each].mean(axis=1), strata) for each in chosen)
    return [partition(each, measures, strata) for each in responses], "runs", runs.shape[1] - 1


def _ranks(points: ClassPoints) -> ClassPoints:
    """Return the same points with ranks within each data set instead of values; one run, the mean of all."""
    strata = list(points.strata)
    measures = np.column_stack([within_ranks(each, strata) for each in points.measures.T])
    return ClassPoints(points.strata, within_ranks(points.means, strata)[:, None], measures, points.constructs)


def _with_holm(rows: list[dict[str, object]], p: str) -> list[dict[str, object]]:
    """Add p after Holm over these rows, and how many tests that corrects."""
    values = np.array([row[p] for row in rows], dtype=np.float64)
    family = int(np.isfinite(values).sum())
    return [row | {"p_holm": value, "family": family} for row, value in zip(rows, holm(values), strict=True)]


def _joined(names: Sequence[str]) -> str:
    return " + ".join(names)
