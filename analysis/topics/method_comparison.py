"""Which method is better: paired by independent unit, seeds averaged within the unit first."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.schema import judged_table, table
from analysis.schema.names import MACRO
from analysis.scoring.comparisons import PairTest, Rules, judged_families, macro_or_class, pair_tests
from analysis.scoring.estimates import with_interval
from analysis.scoring.metrics import Metric
from analysis.scoring.pairs import compared_methods, rules_of, study_pairing
from analysis.scoring.units import UnitCounts
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from analysis.topics.origin import UNPAIRED
from analysis.topics.paired_decision import (
    NO_INTERVAL,
    caution_text,
    difference_text,
    evidence_text,
    rule_text,
    too_few_text,
)
from analysis.verdicts import Topic, Verdict, Word, margin_text, points


def comparison_tests(
    tables: StudyTables, units: Mapping[str, UnitCounts], plan: AnalysisPlan, unit: str, metric: Metric = "dice"
) -> list[PairTest]:
    """Test every method against its control, macro and per class.

    Args:
        tables: The study.
        units: Counts of every method by unit.
        plan: The plan.
        unit: `group` or `image`.
        metric: Metric that is compared.
    """
    tests, pairing = [], study_pairing(tables, units, unit, metric)
    for method, control in compared_methods(tables, plan).items():
        pairs = pairing.pair(method, control)
        if pairs is not None:
            keys = {"method": method, "control": control, "metric": metric, "unit": unit}
            tests += pair_tests(pairs, tables.class_names, rules_of(plan), keys)
    return tests


def analyze(context: Context) -> TopicResult:
    """Compare every method with its control, overall and class by class."""
    rules = rules_of(context.plan)
    tests = comparison_tests(context.study, context.units, context.plan, context.unit)
    rows = judged_families(tests, macro_or_class, rules)
    verdicts = [comparison_verdict(row, rules) for row in rows]
    if context.study.is_foreign:
        verdicts = [replace(verdict, sentence=f"{verdict.sentence} {UNPAIRED}") for verdict in verdicts]
    n_units = max(len(unit.units) for unit in context.units.values())
    macro = [test.uncertainty for test in tests if test.keys["class"] == MACRO]
    attainability = study_limits.comparison_attainability(n_units, context.unit, macro, rules)
    names = ("comparisons", "equivalence")
    tradeoff_rows = table("tradeoffs", tradeoffs(context.study, context.units, context.plan, context.unit))
    tables = {name: paired_table(name, rows) for name in names} | {"tradeoffs": tradeoff_rows}
    return TopicResult(tables, (attainability, *verdicts))


def tradeoffs(
    tables: StudyTables, units: Mapping[str, UnitCounts], plan: AnalysisPlan, unit: str
) -> list[dict[str, object]]:
    """Compare the recall that methods gained with the precision that they lost; table `tradeoffs`.

    Args:
        tables: The study.
        units: Counts of every method by unit.
        plan: The plan.
        unit: `group` or `image`.
    """
    metrics: tuple[Metric, ...] = ("recall", "precision", "dice")
    tests = {metric: comparison_tests(tables, units, plan, unit, metric) for metric in metrics}
    rows = []
    for recall, precision, dice in zip(*tests.values(), strict=True):
        keys = {key: recall.keys[key] for key in ("method", "control", "class")} | {"n_units": recall.n_units}
        intervals = {}
        for name, test in (("recall", recall), ("precision", precision)):
            intervals |= with_interval(name, test.uncertainty)
        hurt = bool(intervals["precision_high"] < 0 and not dice.uncertainty.estimate > 0)
        rows.append(keys | intervals | {"dice": dice.uncertainty.estimate, "hurt": hurt})
    return rows


def comparison_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return judged rows as a frame, with the names of influential units in one cell."""
    return pd.DataFrame([row | {"influential": "; ".join(row["influential"])} for row in rows])


def paired_table(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return judged rows as the table called `name`."""
    return judged_table(name, comparison_frame(rows), [row["word"] for row in rows]) if rows else table(name, [])


def comparison_verdict(
    row: Mapping[str, Any], rules: Rules, *, score: str = "Dice", number_text: Callable[[float], str] = points
) -> Verdict:
    """Put one row of `judged_families` into words.

    Args:
        row: The row.
        rules: The rules.
        score: Name of the score.
        number_text: Writes one difference.
    """
    method, control, name, word = row["method"], row["control"], row["class"], row["word"]
    n = int(row["n_units"])
    score_name = f"macro {score}" if name == MACRO else f"{score} of {name}"
    suffix = " points" if number_text is points else ""
    difference = difference_text(row, rules, number_text, suffix)
    if n == 0 and name == MACRO:
        sentence = f"{method} and {control} cannot be compared on {score_name}: no class occurs in the scored images."
    elif n == 0:
        sentence = f"{name} does not occur in the scored images."
    elif n == 1:
        sentence = (
            f"{method} and {control} cannot be told apart on {score_name}: {NO_INTERVAL.format(unit=row['unit'])}. "
            f"Observed: {difference}."
        )
    elif word == Word.NOT_TESTABLE:
        sentence = (
            f"{method} and {control} cannot be told apart on {score_name}: {too_few_text(row, rules)}. "
            f"Observed: {difference}."
        )
    elif word == Word.EQUIVALENT:
        margin = margin_text(rules.margin) if suffix else f"{rules.margin:g}"
        sentence = (
            f"{method} matches {control} on {score_name} within {margin}: {difference}, {evidence_text(row)}, "
            f"posterior probability of the region {row['p_equivalent']:.2f}."
        )
    elif word in (Word.BETTER, Word.WORSE):
        sentence = f"{method} is {word} than {control} on {score_name}: {difference}, {evidence_text(row)}."
    else:
        sentence = f"{method} against {control} on {score_name} is undecided: {difference}, {evidence_text(row)}."
    if word != Word.NOT_TESTABLE:
        sentence += caution_text(row, method, control)
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED):
        sentence += " With one seed this speaks of these two trained models, not of the methods."
    return Verdict(
        topic=Topic.COMPARISON,
        method=method,
        class_name=name,
        subject=method,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in NUMBERS} | {"influential": list(row["influential"])},
        rule=rule_text(row, rules, f"macro {score} of all methods; the classes of all methods"),
    )


NUMBERS = (
    *("n_units", "n_seeds", "difference", "low", "high", "p", "p_holm", "level", "low_holm", "high_holm", "family"),
    *("low_tost", "high_tost", "p_tost", "p_tost_holm", "p_worse", "p_equivalent", "p_better", "p_sign_flip"),
    *("wilcoxon_p", "cliffs_delta", "superiority", "skewness"),
)
