"""Which method is better than its control."""

from collections.abc import Mapping
from typing import Any

from analysis import standing
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import judged_table, rows_of
from analysis.comparison import MACRO, compare_methods
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, margin_text, p_text, points


def chapter(found: Findings) -> Chapter:
    """Compare every method with its control, overall and class by class."""
    compared = compare_methods(found.study, found.units, found.plan, found.unit)
    judged = [comparison_verdict(row, found.plan) for row in rows_of(compared)]
    n_units = max(len(each.units) for each in found.units.values())
    n_methods = int((compared["class"] == MACRO).sum())
    possible = standing.comparison_attainability(n_units, found.unit, n_methods, found.plan)
    names = ("comparisons", "equivalence")
    return Chapter({name: judged_table(name, compared, judged) for name in names}, (possible, *judged))


def comparison_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `compare_methods`."""
    method, control, name = row["method"], row["control"], row["class"]
    unit, n = row["unit"], int(row["n_units"])
    where = "macro Dice" if name == MACRO else f"Dice of {name}"
    rule = (
        f"not_testable: the smallest possible p times the {row['family']} tests corrected together is not below "
        f"{plan.alpha:g}; equivalent: two one-sided tests against +-{plan.rope_dice:g}, by an interval that knows "
        f"units and seeds, give p < {plan.alpha:g} after Holm; better or worse: the larger of the sign-flip p over "
        "units and the p that knows the variation over seeds is below "
        f"{plan.alpha:g} after Holm; else undecided"
    )
    interval = f"{points(row['difference'])} points (95 % interval {points(row['low'])} to {points(row['high'])})"
    tail = f"{interval}, {p_text(row['p_holm'])} after Holm over {n} {unit}s"
    if n == 0:
        word, sentence = Word.NOT_TESTABLE, f"{name} does not occur in the scored images."
    elif row["min_p"] * row["family"] >= plan.alpha * (1 - 1e-9):
        word = Word.NOT_TESTABLE
        sentence = (
            f"{method} and {control} cannot be told apart on {where} with {n} {unit}s: the smallest possible p is "
            f"{row['min_p']:.2g}, and {row['family']} tests are corrected together. Observed: {interval}."
        )
    elif row["p_tost_holm"] < plan.alpha:
        word = Word.EQUIVALENT
        sentence = (
            f"{method} matches {control} on {where} within {margin_text(plan.rope_dice)}: {interval}, two one-sided "
            f"tests {p_text(row['p_tost_holm'])} after Holm over {n} {unit}s, posterior probability of the region "
            f"{row['p_equivalent']:.2f}."
        )
    elif row["p_holm"] < plan.alpha:
        word = Word.BETTER if row["difference"] > 0 else Word.WORSE
        sentence = f"{method} is {word} than {control} on {where}: {tail}."
    else:
        word = Word.UNDECIDED
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
    return Verdict(f"comparison/{method}/{name}", Topic.COMPARISON, method, word, sentence, numbers, rule)
