"""What the learned bias does: Dice after the bias alone was changed in a trained model, minus Dice as trained.

Everything else stays as it is, on the same images, so a difference is an effect of the bias in these models. It says
nothing about models that were trained without one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import judged_table, rows_of
from analysis.schema.names import MACRO
from analysis.scoring.pairs import PairedScores, compare_pair, unit_dice
from analysis.scoring.units import unit_counts
from analysis.statistics.corrections import holm
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.topics.paired_decision import decide, rule_text
from analysis.verdicts import Topic, Verdict, Word, margin_text, p_text, points
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


_WORDS = {
    ZEROED: "Setting the bias of {method} to zero",
    PERMUTED: "Permuting the bias of {method} among the classes",
    SHIFTED: "Raising the bias of {method} by 1 for {name} alone",
}


def analyze(context: Context) -> TopicResult:
    """Compare Dice after a change of the bias with Dice as trained; empty where no run was re-predicted."""
    runs = intervention_runs(context.records, context.study)
    effects = intervention_effects(runs, context.study, context.plan, context.unit)
    judged = [intervention_verdict(row, context.plan) for row in rows_of(effects)]
    return TopicResult(
        {"interventions": judged_table("interventions", effects, [each.word for each in judged])}, tuple(judged)
    )


def intervention_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `intervention_effects`."""
    name, n, margin = row["class"], int(row["n_units"]), plan.rope_dice
    where = "macro Dice" if name == MACRO else f"Dice of {name}"
    done = _WORDS[row["intervention"]].format(method=row["method"], name=name)
    word = decide(row, plan)
    effect = f"{points(row['difference'])} points (95 % interval {points(row['low'])} to {points(row['high'])}"
    effect += f", {p_text(row['p_holm'])} after Holm over {n} {row['unit']}s)"
    if n < 2 or math.isnan(row["low"]):
        tail = f"cannot be judged on {where}: it occurs in {n} {row['unit']}{'' if n == 1 else 's'}"
    elif word == Word.NOT_TESTABLE:
        tail = (
            f"cannot be judged on {where} with {n} {row['unit']}s: the smallest possible p is {row['min_p']:.2g}, and "
            f"{row['family']} tests are corrected together (observed {effect})"
        )
    elif word == Word.EQUIVALENT:
        tail = f"leaves {where} within {margin_text(margin)}: {effect}"
    elif word in (Word.BETTER, Word.WORSE):
        tail = f"makes {where} {word}: {effect}"
    else:
        tail = f"has no shown effect on {where}: {effect}"
    sentence = f"{done} {tail}."
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED):
        sentence += " With one seed this speaks of this trained model alone."
    keys = ("difference", "low", "high", "p", "p_seeds", "p_holm", "p_tost_holm", "min_p", "family", "n_units")
    numbers = {key: row[key] for key in (*keys, "n_seeds")}
    return Verdict(
        topic=Topic.INTERVENTION,
        aspect=row["intervention"],
        method=row["method"],
        class_name=name,
        subject=row["method"],
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule_text(row, plan),
    )
