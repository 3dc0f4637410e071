"""What the learned bias does in the trained models."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.chapters.findings import Chapter, Findings
from analysis.columns import judged_table, rows_of
from analysis.comparison import MACRO
from analysis.interventions import PERMUTED, SHIFTED, ZEROED, intervention_effects, intervention_runs
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, margin_text, p_text, points

_WORDS = {
    ZEROED: "Setting the bias of {method} to zero",
    PERMUTED: "Permuting the bias of {method} among the classes",
    SHIFTED: "Raising the bias of {method} by 1 for {name} alone",
}


def chapter(found: Findings) -> Chapter:
    """Compare Dice after a change of the bias with Dice as trained; empty where no run was re-predicted."""
    runs = intervention_runs(found.records, found.study)
    effects = intervention_effects(runs, found.study, found.plan, found.unit)
    judged = [intervention_verdict(row, found.plan) for row in rows_of(effects)]
    return Chapter({"interventions": judged_table("interventions", effects, judged)}, tuple(judged))


def intervention_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `intervention_effects`."""
    name, n, margin = row["class"], int(row["n_units"]), plan.rope_dice
    where = "macro Dice" if name == MACRO else f"Dice of {name}"
    done = _WORDS[row["intervention"]].format(method=row["method"], name=name)
    rule = (
        f"not_testable: the smallest possible p times the {row['family']} tests corrected together is not below "
        f"{plan.alpha:g}; equivalent: two one-sided tests against +-{margin:g} give p < {plan.alpha:g} after Holm; "
        "better or worse: the larger of the sign-flip p over units and the p that knows the variation over seeds is "
        f"below {plan.alpha:g} after Holm; else undecided"
    )
    effect = f"{points(row['difference'])} points (95 % interval {points(row['low'])} to {points(row['high'])}"
    effect += f", {p_text(row['p_holm'])} after Holm over {n} {row['unit']}s)"
    if n < 2 or math.isnan(row["low"]):
        word, tail = Word.NOT_TESTABLE, f"cannot be judged on {where}: it occurs in {n} {row['unit']}s"
    elif row["min_p"] * row["family"] >= plan.alpha * (1 - 1e-9):
        word = Word.NOT_TESTABLE
        tail = (
            f"cannot be judged on {where} with {n} {row['unit']}s: the smallest possible p is {row['min_p']:.2g}, and "
            f"{row['family']} tests are corrected together (observed {effect})"
        )
    elif row["p_tost_holm"] < plan.alpha:
        word, tail = Word.EQUIVALENT, f"leaves {where} within {margin_text(margin)}: {effect}"
    elif row["p_holm"] < plan.alpha:
        word = Word.BETTER if row["difference"] > 0 else Word.WORSE
        tail = f"makes {where} {word}: {effect}"
    else:
        word, tail = Word.UNDECIDED, f"has no shown effect on {where}: {effect}"
    sentence = f"{done} {tail}."
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED):
        sentence += " With one seed this speaks of this trained model alone."
    keys = ("difference", "low", "high", "p", "p_seeds", "p_holm", "p_tost_holm", "min_p", "family", "n_units")
    numbers = {key: row[key] for key in (*keys, "n_seeds")}
    identity = f"intervention/{row['method']}/{row['intervention']}/{name}"
    return Verdict(identity, Topic.INTERVENTION, row["method"], word, sentence, numbers, rule)
