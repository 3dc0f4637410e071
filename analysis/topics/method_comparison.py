"""Which method is better: paired by independent unit, seeds averaged within the unit first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import judged_table, rows_of
from analysis.schema.names import MACRO
from analysis.scoring.pairs import Pairing, compare_pair, control_of, posterior_of_pair
from analysis.scoring.units import (
    UnitCounts,
)
from analysis.statistics.corrections import holm
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from analysis.topics.paired_decision import NO_INTERVAL, decide, rule_text
from analysis.verdicts import Topic, Verdict, Word, margin_text, p_text, points


def compare_methods(
    tables: StudyTables, units: Mapping[str, UnitCounts], plan: AnalysisPlan, unit: str
) -> pd.DataFrame:
    """Compare every method with its control, macro and per class.

    Args:
        tables: The study.
        units: Counts of every method by unit.
        plan: The plan.
        unit: `group` or `image`.

    Returns:
        Tables `comparisons` and `equivalence` side by side, without `verdict`, and in addition n_seeds, min_p and
        family (tests corrected together).
    """
    rows, pairing = [], Pairing(tables, units, unit)
    for method in tables.methods:
        control = control_of(method, tables, plan)
        if control is None:
            continue
        pairs = pairing.pair(method, control)
        if pairs is not None:
            keys = {"method": method, "control": control, "metric": "dice", "unit": unit}
            compared = compare_pair(pairs, tables.class_names, plan)
            posteriors = posterior_of_pair(pairs, tables.class_names, plan)
            rows += [keys | row | more for row, more in zip(compared, posteriors, strict=True)]
    if not rows:
        return pd.DataFrame(columns=_COLUMNS)
    frame = pd.DataFrame(rows)
    frame["p_holm"], frame["p_tost_holm"], frame["family"] = np.nan, np.nan, 0
    joint = frame[["p", "p_seeds"]].max(axis=1).where(frame["p"].notna())
    for family in (frame["class"] == MACRO, frame["class"] != MACRO):
        frame.loc[family, "p_holm"] = holm(joint[family].to_numpy())
        frame.loc[family, "p_tost_holm"] = holm(frame.loc[family, "p_tost"].to_numpy(dtype=np.float64))
        frame.loc[family, "family"] = int(joint[family].notna().sum())
    return frame[_COLUMNS]


_COLUMNS = [
    *("method", "control", "class", "metric", "unit", "n_units", "difference", "low", "high", "p", "p_seeds", "p_holm"),
    *("wilcoxon_p", "cliffs_delta", "n_seeds", "min_p", "family", "margin", "low_tost", "high_tost", "p_tost"),
    *("p_tost_holm", "p_tost_units", "p_worse", "p_equivalent", "p_better"),
]


def analyze(context: Context) -> TopicResult:
    """Compare every method with its control, overall and class by class."""
    compared = compare_methods(context.study, context.units, context.plan, context.unit)
    judged = [comparison_verdict(row, context.plan) for row in rows_of(compared)]
    n_units = max(len(each.units) for each in context.units.values())
    n_methods = int((compared["class"] == MACRO).sum())
    possible = study_limits.comparison_attainability(n_units, context.unit, n_methods, context.plan)
    names = ("comparisons", "equivalence")
    return TopicResult(
        {name: judged_table(name, compared, [each.word for each in judged]) for name in names}, (possible, *judged)
    )


def comparison_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `compare_methods`."""
    method, control, name = row["method"], row["control"], row["class"]
    unit, n = row["unit"], int(row["n_units"])
    where = "macro Dice" if name == MACRO else f"Dice of {name}"
    word = decide(row, plan)
    interval = f"{points(row['difference'])} points (95 % interval {points(row['low'])} to {points(row['high'])})"
    tail = f"{interval}, {p_text(row['p_holm'])} after Holm over {n} {unit}s"
    if n == 0:
        sentence = f"{name} does not occur in the scored images."
    elif n == 1:
        sentence = (
            f"{method} and {control} cannot be told apart on {where}: {NO_INTERVAL.format(unit=unit)}. Observed: "
            f"{points(row['difference'])} points."
        )
    elif word == Word.NOT_TESTABLE:
        sentence = (
            f"{method} and {control} cannot be told apart on {where} with {n} {unit}s: the smallest possible p is "
            f"{row['min_p']:.2g}, and {row['family']} tests are corrected together. Observed: {interval}."
        )
    elif word == Word.EQUIVALENT:
        sentence = (
            f"{method} matches {control} on {where} within {margin_text(plan.rope_dice)}: {interval}, two one-sided "
            f"tests {p_text(row['p_tost_holm'])} after Holm over {n} {unit}s, posterior probability of the region "
            f"{row['p_equivalent']:.2f}."
        )
    elif word in (Word.BETTER, Word.WORSE):
        sentence = f"{method} is {word} than {control} on {where}: {tail}."
    else:
        sentence = f"{method} against {control} on {where} is undecided: {tail}."
        if row["low"] > 0 or row["high"] < 0:
            corrected = f" and the correction for {row['family']} tests" if row["family"] > 1 else ""
            sentence += (
                " The interval excludes 0, but better or worse must also stand sign flips over units, the variation "
                f"over seeds in full{corrected}."
            )
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED):
        sentence += " With one seed this speaks of these two trained models, not of the methods."
    keys = (
        "n_units",
        "n_seeds",
        "difference",
        "low",
        "high",
        "low_tost",
        "high_tost",
        "p_tost",
        "p_tost_holm",
        "p_worse",
        "p_equivalent",
        "p_better",
        "p",
        "p_seeds",
        "p_holm",
        "min_p",
    )
    numbers = {key: row[key] for key in (*keys, "family", "wilcoxon_p", "cliffs_delta")}
    return Verdict(
        topic=Topic.COMPARISON,
        method=method,
        class_name=name,
        subject=method,
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule_text(row, plan),
    )
