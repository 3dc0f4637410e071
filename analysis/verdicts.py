"""From numbers to one word and one sentence. Each rule stands beside the word that it gives."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from analysis.tables import AnalysisPlan


class Word(StrEnum):
    """Every verdict there is."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not_supported"
    NOT_TESTABLE = "not_testable"
    TESTABLE = "testable"
    RELIABLE = "reliable"
    UNRELIABLE = "unreliable"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    SOUND = "sound"
    LIMITED = "limited"


class Topic(StrEnum):
    """What a verdict is about."""

    COMPARISON = "comparison"
    ASSOCIATION = "association"
    RELIABILITY = "reliability"
    ATTAINABILITY = "attainability"
    DATA = "data"


@dataclass(frozen=True)
class Verdict:
    """One answer.

    Args:
        id: Unique and stable, such as "comparison/dfa/macro".
        topic: What it is about.
        subject: Who or what is judged.
        verdict: The word.
        sentence: Plain English, complete without the rest.
        numbers: What it rests on.
        rule: How the numbers gave the word.
    """

    id: str
    topic: Topic
    subject: str
    verdict: Word
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON; numbers that are missing become null."""
        content = asdict(self)
        numbers = {key: plain_number(value) for key, value in self.numbers.items()}
        return content | {"topic": str(self.topic), "verdict": str(self.verdict), "numbers": numbers}


def plain_number(value: Any) -> Any:
    """Return a JSON value: NumPy scalars become Python's, missing and infinite numbers None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


ESTIMAND_WORDS = {
    "learned": "learned bias",
    "change": "change of the bias",
    "effective_offset": "effective offset",
    "attention_mass": "attention mass",
}


def points(dice: float) -> str:
    """Write a difference of Dice as points, such as "+1.9"."""
    return f"{100 * dice:+.1f}"


def p_text(p: float) -> str:
    """Write a p value, such as "p = 0.013"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def comparison_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `compare_methods`."""
    method, control, name = row["method"], row["control"], row["class"]
    unit, n = row["unit"], int(row["n_units"])
    where = "macro Dice" if name == "macro" else f"Dice of {name}"
    rule = (
        f"not_testable: the smallest possible p times the {row['family']} tests corrected together is not below "
        f"{plan.alpha:g}; equivalent: the {1 - 2 * plan.alpha:.0%} interval lies within +-{plan.rope_dice:g}; better "
        f"or worse: the larger of the sign-flip p over units and the p that knows the variation over seeds is below "
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
    elif -plan.rope_dice < row["low_tost"] and row["high_tost"] < plan.rope_dice:
        word = Word.EQUIVALENT
        sentence = f"{method} matches {control} on {where} within {100 * plan.rope_dice:g} points: {tail}."
    elif row["p_holm"] < plan.alpha:
        word = Word.BETTER if row["difference"] > 0 else Word.WORSE
        sentence = f"{method} is {word} than {control} on {where}: {tail}."
    else:
        word = Word.UNDECIDED
        sentence = f"{method} against {control} on {where} is undecided: {tail}."
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
        "p",
        "p_seeds",
        "p_holm",
        "min_p",
    )
    numbers = {key: row[key] for key in (*keys, "family", "wilcoxon_p", "cliffs_delta")}
    return Verdict(f"comparison/{method}/{name}", Topic.COMPARISON, method, word, sentence, numbers, rule)


def reliability_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of table `reliability`."""
    method, estimand = row["method"], row["estimand"]
    what = f"{ESTIMAND_WORDS[estimand]} of {method}"
    rule = f"reliable: ICC(3,k) >= {plan.reliability_floor:g}; not_testable: fewer than two runs, or nothing varies"
    numbers = {key: row[key] for key in ("icc", "low", "high", "n_seeds", "n_classes")}
    if not math.isfinite(row["icc"]):
        word = Word.NOT_TESTABLE
        reason = "there is one run" if row["n_seeds"] < 2 else "it is the same for every class"
        sentence = f"Whether the {what} is reliable cannot be tested: {reason}."
    else:
        word = Word.RELIABLE if row["icc"] >= plan.reliability_floor else Word.UNRELIABLE
        interval = f"ICC {row['icc']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
        agree = "agree" if word == Word.RELIABLE else "do not agree"
        sentence = f"{row['n_seeds']} runs {agree} on the {what} ({interval})."
        if word == Word.RELIABLE and row["low"] < plan.reliability_floor:
            sentence += f" The interval reaches below the floor of {plan.reliability_floor:g}: more seeds would help."
    return Verdict(f"reliability/{method}/{estimand}", Topic.RELIABILITY, what, word, sentence, numbers, rule)


def association_verdict(row: Mapping[str, Any], plan: AnalysisPlan, reliability: Word | None) -> Verdict:
    """Judge one row of `associate`.

    Args:
        row: The row, with `family`, the tests corrected together, and `p_adjusted`.
        plan: The plan.
        reliability: Verdict on the reliability of this estimand of this method.
    """
    method, estimand, measure = row["method"], row["estimand"], row["measure"]
    what = f"{ESTIMAND_WORDS[estimand]} of {method} and {measure.replace('_', ' ')}"
    rule = (
        "not_testable: fewer than two runs, nothing varies, or the smallest possible p times the "
        f"{row['family']} tests corrected together is not below {plan.alpha:g}; unreliable: ICC(3,k) below "
        f"{plan.reliability_floor:g}; supported: corrected p < {plan.alpha:g}; else not_supported"
    )
    n = int(row["n_classes"])
    rho = f"Spearman's rho is {row['spearman']:+.2f} over {n} classes"
    if not math.isfinite(row["spearman"]):
        word, sentence = Word.NOT_TESTABLE, f"Association of the {what} cannot be tested: one of them does not vary."
    elif reliability not in (Word.RELIABLE, Word.UNRELIABLE):
        word = Word.NOT_TESTABLE
        sentence = f"Association of the {what} is not interpreted: with one run its reliability is unknown ({rho})."
    elif reliability == Word.UNRELIABLE:
        word, sentence = Word.UNRELIABLE, f"Association of the {what} is not interpreted: runs do not agree ({rho})."
    elif row["min_p"] * row["family"] >= plan.alpha * (1 - 1e-9):
        word = Word.NOT_TESTABLE
        sentence = (
            f"Association of the {what} is not testable with {n} classes: the smallest possible p is "
            f"{row['min_p']:.2g}, and {row['family']} tests are corrected together ({rho}, "
            f"{p_text(row['p_spearman'])} uncorrected)."
        )
    else:
        word = Word.SUPPORTED if row["p_adjusted"] < plan.alpha else Word.NOT_SUPPORTED
        verb = "go together" if word == Word.SUPPORTED else "are not shown to go together"
        sentence = f"The {what} {verb}: {rho}, {p_text(row['p_adjusted'])} corrected."
    kind = "" if row["primary"] else "exploratory/"
    keys = (
        "spearman",
        "kendall",
        "p_spearman",
        "p_kendall",
        "min_p",
        "rho_needed",
        "p_adjusted",
        "family",
        "n_classes",
    )
    return Verdict(
        f"association/{kind}{method}/{estimand}/{measure}",
        Topic.ASSOCIATION,
        what,
        word,
        sentence,
        {key: row[key] for key in keys},
        rule,
    )
