"""Sentences about paired differences, of methods and controls as well as of interventions.

The word itself comes from `scoring.comparisons`, with the interval that the sentence quotes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from analysis.scoring.comparisons import Rules
from analysis.statistics.sign_flip import smallest_sign_flip_p
from analysis.verdicts import Word, p_text, points

NO_INTERVAL = "there is no interval with one {unit}"
# numbers that every verdict on a paired difference has
DECIDED = ("difference", "low", "high", "p", "p_holm", "low_holm", "high_holm", "p_tost_holm", "family")
MOST_NAMED = 3  # units that a sentence names
SKEWED = 0.3  # |skewness| / sqrt(n) from which one tail of a t interval errs about twice as often as nominal


def difference_text(
    row: Mapping[str, Any], rules: Rules, number_text: Callable[[float], str] = points, suffix: str = " points"
) -> str:
    """Write a difference with the interval that decided, such as "+1.9 points (95 % interval ...)".

    Args:
        row: A row of `judged_rows`.
        rules: The rules, whose alpha is that of the family.
        number_text: Writes one number.
        suffix: Unit after the first number.
    """
    low, high = (
        (row["low_tost"], row["high_tost"]) if row["word"] == Word.EQUIVALENT else (row["low_holm"], row["high_holm"])
    )
    if not math.isfinite(low):
        return f"{number_text(row['difference'])}{suffix}"
    if row["word"] == Word.EQUIVALENT:
        interval = f"interval of two one-sided tests {number_text(low)} to {number_text(high)}"
    else:
        interval = f"{100 * (1 - rules.alpha):g} % interval {number_text(low)} to {number_text(high)}"
    return f"{number_text(row['difference'])}{suffix} ({interval}{_after(row)})"


def _after(row: Mapping[str, Any]) -> str:
    return f", after Holm for {row['family']} tests" if row["family"] > 1 else ""


def evidence_text(row: Mapping[str, Any]) -> str:
    """Write the p value of a difference, and the numbers of units and seeds."""
    p = row["p_tost_holm"] if row["word"] == Word.EQUIVALENT else row["p_holm"]
    n, unit, seeds = row["n_units"], row["unit"], row["n_seeds"]
    return f"{p_text(p)} over {n} {unit}s and {seeds} seed{'' if seeds == 1 else 's'}"


def too_few_text(row: Mapping[str, Any], rules: Rules) -> str:
    """Say why there are too few units for better or worse."""
    n = int(row["n_units"])
    smallest = smallest_sign_flip_p(n, rules.permutations)
    return (
        f"over {n} {row['unit']}s no test that does without the normal distribution can give less than p = "
        f"{smallest:.2g}, whatever the differences are"
    )


def caution_text(row: Mapping[str, Any], method: str = "", control: str = "") -> str:
    """Say what qualifies a verdict: units that carry it, skewed differences, an unpaired effect of the other sign.

    Args:
        row: A row of `judged_families`.
        method: Label of the method; empty: the unpaired effect is not mentioned.
        control: Label of its control.
    """
    text = ""
    names = list(row["influential"])
    if names:
        others = f" or one of {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        text += f" Without {' or '.join(names[:MOST_NAMED])}{others} the verdict would be another."
    if abs(row["skewness"]) > SKEWED * math.sqrt(row["n_units"]):
        text += (
            f" The differences of {row['unit']}s are skewed (skewness {row['skewness']:+.1f}): an interval of their "
            "mean holds the truth less often than it says."
        )
    if method and row["cliffs_delta"] * row["difference"] < 0:
        ahead = method if row["cliffs_delta"] > 0 else control
        text += (
            f" Unpaired, {ahead} is ahead (Cliff's delta {row['cliffs_delta']:+.2f}): {row['unit']}s differ more than "
            "the methods do, and the paired difference decides."
        )
    return text


def rule_text(row: Mapping[str, Any], rules: Rules, families: str) -> str:
    """Return the rule by which the numbers gave the word of the verdict.

    Args:
        row: A row of `judged_rows`.
        rules: The rules.
        families: What is corrected together.
    """
    alpha = f"{rules.alpha:g}"
    return (
        "one interval over units, seeds and folds (jackknife and Student's t) decides, at the level that Holm's "
        f"correction gives it among the {row['family']} tests of its family (alpha {alpha}): equivalent: the interval "
        f"of the corrected two one-sided tests lies within +-{rules.margin:g}; better or worse: the interval excludes "
        f"0, which is p < {alpha} after Holm; not_testable: no interval, or fewer units than a sign-flip test needs "
        f"for p < {alpha}; else undecided. Families: {families}"
    )
