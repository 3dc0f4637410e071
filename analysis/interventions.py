"""What the learned bias does: Dice after the bias alone was changed in a trained model, minus Dice as trained.

Everything else stays as it is, on the same images, so a difference is an effect of the bias in these models. It says
nothing about models that were trained without one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.comparison import MACRO, PairedScores, compare_pair, unit_dice
from analysis.permutation import holm
from analysis.tables import AnalysisPlan, RunData, StudyTables
from analysis.units import unit_counts
from imbalance_bench.records import StudyRecords

LEARNED, ZEROED, PERMUTED, SHIFTED = "learned", "zeroed", "permuted", "shifted"


def intervention_runs(records: StudyRecords, study: StudyTables) -> dict[str, list[tuple[RunData, pd.DataFrame]]]:
    """Return the runs of each method that have re-predictions with a changed bias, and these."""
    found: dict[str, list[tuple[RunData, pd.DataFrame]]] = {}
    for run in study.data:
        rows = records.run(run.run_id).interventions()
        if rows is not None and len(rows):
            found.setdefault(run.method, []).append((run, rows))
    return found


def intervention_effects(
    runs: dict[str, list[tuple[RunData, pd.DataFrame]]], study: StudyTables, plan: AnalysisPlan, unit: str
) -> pd.DataFrame:
    """Compare Dice after each intervention with Dice as trained, paired by unit.

    Args:
        runs: Method -> runs and their re-predictions, columns of `records.INTERVENTIONS`.
        study: The study.
        plan: The plan.
        unit: "group" or "image".

    Returns:
        Table `interventions` without `verdict`, and in addition min_p, family and p_tost_holm. Zeroed and
        permuted (the mean over permutations): macro and every class; shifted: the class itself.
    """
    rows = []
    for method, pairs in runs.items():
        names = set.intersection(*(set(each["intervention"]) for _, each in pairs))
        if LEARNED not in names:
            continue
        trained, units = _dice(pairs, LEARNED, study, unit)
        for intervention in (ZEROED, PERMUTED):
            members = sorted(name for name in names if name.split("_")[0] == intervention)
            if members:
                changed = np.mean([_dice(pairs, each, study, unit)[0] for each in members], axis=0)
                compared = compare_pair(PairedScores(changed, trained, units), study.class_names, plan)
                rows += [{"method": method, "intervention": intervention} | row for row in compared]
        for class_id, name in enumerate(study.class_names):
            if (member := f"{SHIFTED}_{class_id}") in names:
                changed = _dice(pairs, member, study, unit)[0]
                own = PairedScores(changed, trained, units).of_class(class_id)
                compared = compare_pair(own, (name,), plan, only=name)
                rows += [{"method": method, "intervention": SHIFTED} | row for row in compared]
    return _corrected(pd.DataFrame(rows), unit)


_COLUMNS = [
    *("method", "intervention", "class", "unit", "n_units", "n_seeds", "difference", "low", "high", "p", "p_seeds"),
    *("p_holm", "p_tost_holm", "min_p", "family"),
]


def _dice(
    pairs: Sequence[tuple[RunData, pd.DataFrame]], intervention: str, study: StudyTables, unit: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return Dice per unit after an intervention, (S, U, K), and the units."""
    runs = [replace(run, counts=rows[rows["intervention"] == intervention]) for run, rows in pairs]
    counts = unit_counts(runs, split=study.split, unit=unit, n_classes=len(study.class_names))
    return unit_dice(counts), counts.units


def _corrected(frame: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Add Holm: macro rows over methods and interventions; class rows over the classes of one intervention."""
    if frame.empty:
        return pd.DataFrame(columns=_COLUMNS)
    joint = frame[["p", "p_seeds"]].max(axis=1).where(frame["p"].notna())
    frame = frame.assign(unit=unit, p_holm=np.nan, p_tost_holm=np.nan, family=0)
    macro = frame["class"] == MACRO
    families = [part.index for _, part in frame[~macro].groupby(["method", "intervention"], sort=False)]
    for family in (frame.index[macro], *families):
        frame.loc[family, "p_holm"] = holm(joint[family].to_numpy(dtype=np.float64))
        frame.loc[family, "p_tost_holm"] = holm(frame.loc[family, "p_tost"].to_numpy(dtype=np.float64))
        frame.loc[family, "family"] = int(joint[family].notna().sum())
    return frame[_COLUMNS]
