"""Pairs of a study's methods on the folds and seeds that both have finished, seeds averaged within the unit first."""

from collections.abc import Mapping

import numpy as np

from analysis.scoring.comparisons import Rules
from analysis.scoring.metrics import Metric, score
from analysis.scoring.scored_images import Pairing, ScoredImages
from analysis.scoring.units import UnitCounts, unit_counts
from analysis.study.runs import AnalysisPlan, StudyTables


def unit_dice(counts: UnitCounts) -> np.ndarray:
    """Return Dice of each unit's summed counts, (S, U, K) float64; NaN where the class does not occur."""
    return score("dice", *counts.of_units)


def study_pairing(tables: StudyTables, units: Mapping[str, UnitCounts], unit: str, metric: Metric = "dice") -> Pairing:
    """Pair the methods of a study by one metric.

    Args:
        tables: The study.
        units: Counts of every method by unit, as `unit_counts` arranges all of its runs.
        unit: `group` or `image`.
        metric: The metric.
    """
    finished = {method: frozenset((run.fold, run.seed) for run in tables.runs_of(method)) for method in tables.methods}

    def arrange(method: str, pairs: frozenset[tuple[int, int]]) -> ScoredImages:
        counts = units[method]
        if pairs != finished[method]:
            runs = [run for run in tables.runs_of(method) if (run.fold, run.seed) in pairs]
            counts = unit_counts(runs, split=tables.split, unit=unit, n_classes=len(tables.class_names))
        return ScoredImages.of_counts(counts, metric)

    return Pairing(finished, arrange)


def rules_of(plan: AnalysisPlan) -> Rules:
    """Return the rules for comparisons in the plan of a study."""
    return Rules(plan.alpha, plan.rope_dice, plan.permutations, plan.seed)


def control_of(method: str, tables: StudyTables, plan: AnalysisPlan) -> str | None:
    """Return the control of a method with the same model; None if there is none or it is the method itself."""
    model = tables.runs_of(method)[0].model
    controls = [run.method for run in tables.data if run.label == plan.control and run.model == model]
    return controls[0] if controls and controls[0] != method else None


def compared_methods(tables: StudyTables, plan: AnalysisPlan) -> dict[str, str]:
    """Return the control of every method that has one, in the order of the plan: the family of macro comparisons.

    Before a study is trained, `StudyConfig.comparisons` counts them.
    """
    controls = {method: control_of(method, tables, plan) for method in tables.methods}
    return {method: control for method, control in controls.items() if control is not None}
