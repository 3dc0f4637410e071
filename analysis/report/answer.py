"""The first screen: which method, and rare or hard. The sentences are verdicts on the topic `answer`."""

from dataclasses import dataclass, field

from analysis.answers import METHOD, REASON
from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import CONSTRUCT, probability, signed, tone, words
from analysis.schema.names import MACRO
from analysis.verdicts import Tone, Topic

_TONE_ORDER = (Tone.BETTER, Tone.EQUAL, Tone.FOUND, Tone.OPEN, Tone.WORSE)


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
        sentences: From verdicts.json.
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
    return Answer("Which method?", _sentences(study, METHOD), lines, heading)


def rare_or_hard(study: AnalysedStudy) -> Answer:
    """Answer "rare or hard": what is followed beyond the other, or what alone where that is all there is."""
    rows = study.table("partial_associations")
    rows, coefficient = rows[rows["construct"] != "difficulty"], "partial_rho"
    if rows.empty:
        rows, coefficient = study.table("associations"), "spearman"
        rows = rows[rows["primary"]]
    rows = rows[rows["estimand"] == "change"]
    learned = [method for method in study.methods if method in set(rows["method"])]
    order = {name: place for place, name in enumerate(CONSTRUCT)}
    shown = rows[rows["method"] == (learned[0] if learned else "")]
    p = "p" if coefficient == "partial_rho" else "p_spearman"
    lines = [
        Line(
            name=f"{'Rare' if row['construct'] == 'frequency' else 'Hard'}: {words(str(row['measure']))}",
            value=signed(row[coefficient], 2),
            detail=f"p {probability(row[p])}, at best {probability(row['min_p']).removeprefix('= ')}",
            verdict=words(str(row["verdict"])),
            tone=tone(str(row["verdict"])),
        )
        for row in sorted(shown.to_dict("records"), key=lambda row: order.get(str(row["construct"]), 9))
    ]
    kind = "Partial rank correlation, rare and hard given the other," if p == "p" else "Spearman correlation"
    heading = f"{kind} of the learned change of {learned[0]} with" if learned else ""
    return Answer("Rare or hard?", _sentences(study, REASON), lines, heading)


def _sentences(study: AnalysedStudy, aspect: str) -> list[str]:
    return [
        verdict.sentence for verdict in study.verdicts if verdict.topic == Topic.ANSWER and verdict.aspect == aspect
    ]
