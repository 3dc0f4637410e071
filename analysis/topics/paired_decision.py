"""The word on a paired difference in Dice: decided here for methods against controls and for interventions alike."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.statistics.corrections import attainable
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Word

NO_INTERVAL = "there is no interval with one {unit}"


def decide(row: Mapping[str, Any], plan: AnalysisPlan) -> Word:
    """Return the word on one row of `compare_pair` after correction.

    Args:
        row: n_units, low, min_p, family, p_holm, p_tost_holm and difference.
        plan: The plan; its alpha decides.
    """
    if row["n_units"] < 2 or math.isnan(row["low"]) or not attainable(row["min_p"], row["family"], plan.alpha):
        return Word.NOT_TESTABLE
    if row["p_tost_holm"] < plan.alpha:
        return Word.EQUIVALENT
    if row["p_holm"] < plan.alpha:
        return Word.BETTER if row["difference"] > 0 else Word.WORSE
    return Word.UNDECIDED


def rule_text(row: Mapping[str, Any], plan: AnalysisPlan) -> str:
    """Return how `decide` turns numbers into the word."""
    return (
        "not_testable: fewer than two units, or the smallest possible p times the "
        f"{row['family']} tests corrected together is not below {plan.alpha:g}; equivalent: two one-sided tests "
        f"against +-{plan.rope_dice:g}, by an interval that includes the variation over units and seeds, give "
        f"p < {plan.alpha:g} after Holm; better or worse: the larger of the sign-flip p over units and the p that "
        f"includes the variation over seeds is below {plan.alpha:g} after Holm; else undecided"
    )
