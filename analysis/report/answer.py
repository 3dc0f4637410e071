"""The first screen: which method, and rare or hard. Sentences are chosen by a fixed order, never written here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import CONSTRUCT, is_not_testable, probability, signed, tone, words
from analysis.schema.names import MACRO

Verdict = Mapping[str, Any]

NO_COMPARISON = "This study compares no method with a control."
NO_BIAS = "No finished run of this study learned a class bias, so nothing can be said about what it follows."
_TONE_ORDER = ("better", "equal", "found", "open", "worse")


@dataclass(frozen=True)
class Line:
    """One short line of the first screen: a name, a number, a verdict."""

    name: str
    value: str
    detail: str
    verdict: str
    tone: str


@dataclass(frozen=True)
class Answer:
    """One of the two answers.

    Args:
        question: What is asked.
        sentences: From verdicts.json, or the one sentence that says why there is none.
        lines: From comparisons.csv or associations.csv.
        heading: What the lines list.
    """

    question: str
    sentences: list[str]
    lines: list[Line] = field(default_factory=list)
    heading: str = ""


def which_method(study: AnalysedStudy) -> Answer:
    """Answer "which method should I use": methods by verdict, then by difference to the control, overall rows only."""
    rows = study.table("comparisons")
    rows = rows[rows["class"] == MACRO].to_dict("records")
    rows.sort(key=lambda row: (_TONE_ORDER.index(tone(row["verdict"])), -(row["difference"] or 0)))
    sentences = [str(each["sentence"]) for each in study.verdicts if str(each["id"]).startswith("answer/method")]
    if not sentences:
        by_id = {each["id"]: str(each["sentence"]) for each in _of_topic(study.verdicts, "comparison")}
        found = [by_id[key] for row in rows if (key := f"comparison/{row['method']}/{MACRO}") in by_id]
        sentences = (found or list(by_id.values()))[:1] or [NO_COMPARISON]
    lines = [
        Line(
            name=str(row["method"]),
            value=signed(row["difference"]),
            detail=f"{signed(row['low'])} to {signed(row['high'])}",
            verdict=words(str(row["verdict"])),
            tone=tone(str(row["verdict"])),
        )
        for row in rows
    ]
    heading = f"Macro Dice against {', '.join(study.controls)}, with 95 % interval"
    return Answer("Which method?", sentences, lines, heading)


def rare_or_hard(study: AnalysedStudy) -> Answer:
    """Answer "was it because classes were rare or hard": supported associations, else why none can be told."""
    rows = study.table("associations")
    rows = rows[rows["primary"] & (rows["estimand"] == "change")]
    learned = [method for method in study.methods if method in set(rows["method"])]
    sentences = [str(each["sentence"]) for each in study.verdicts if str(each["id"]).startswith("answer/reason")]
    sentences = sentences or _reason(study.verdicts, learned) or [NO_BIAS]
    order = {name: place for place, name in enumerate(CONSTRUCT)}
    shown = rows[rows["method"] == (learned[0] if learned else "")]
    lines = [
        Line(
            name=f"{'Rare' if row['construct'] == 'frequency' else 'Hard'}: {words(str(row['measure']))}",
            value=signed(row["spearman"], 2),
            detail=f"exact p {probability(row['p_spearman'])}, at best {probability(row['min_p']).removeprefix('= ')}",
            verdict=words(str(row["verdict"])),
            tone=tone(str(row["verdict"])),
        )
        for row in sorted(shown.to_dict("records"), key=lambda row: order.get(str(row["construct"]), 9))
    ]
    heading = f"Spearman correlation of the learned change of {learned[0]} with" if learned else ""
    return Answer("Rare or hard?", sentences, lines, heading)


def _reason(verdicts: Sequence[Verdict], learned: Sequence[str]) -> list[str]:
    """Choose sentences on the learned change: what is supported, else that nothing can be, else what was not found."""
    found = _of_topic(verdicts, "association")
    found = [
        each for method in learned for each in found if str(each["id"]).startswith(f"association/{method}/change/")
    ]
    supported = [each for each in found if str(each["verdict"]) == "supported"]
    refused = [
        each for each in verdicts if each["id"] == "attainability/classes" and is_not_testable(str(each["verdict"]))
    ]
    unmeasured = [each for each in verdicts if each["id"] == "data/measures"]
    chosen = supported[:2] or (refused if learned else []) or found[:1] or unmeasured
    return [str(each["sentence"]) for each in chosen]


def _of_topic(verdicts: Iterable[Verdict], topic: str) -> list[Verdict]:
    return [each for each in verdicts if each["topic"] == topic]
