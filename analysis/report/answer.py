"""The first screen: the two answers, and Dice of every method for every class. The words are those of the verdicts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.answers import METHOD, REASON
from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import DASH, number
from analysis.schema.names import MACRO
from analysis.verdicts import Topic, Verdict, Word

QUESTIONS = {METHOD: "Which method?", REASON: "Rare or hard?"}
# how a place in leaders.csv is written: the sign in the cell, and what it says
PLACES = {"best": ("★", "best"), "shared_best": ("=", "not told from the best")}
WORSE_THAN_CONTROL = ("▼", "worse than the control")  # said even where the test of all pairs cannot say it


@dataclass(frozen=True)
class Answer:
    """One of the two questions, with its verdicts: one on the methods, one for each method that learned a bias."""

    question: str
    verdicts: list[Verdict]


@dataclass(frozen=True)
class ScoreCell:
    """Dice of one method for one class.

    Args:
        text: The number, two digits.
        sort: What it sorts by.
        interval: The interval in words; empty where there is none.
        low: Where the interval begins between the least and the greatest of the class, in per cent.
        middle: Where the number stands.
        high: Where the interval ends.
        sign: `PLACES`, the sign; empty where the method is behind or nothing was tested.
        place: The same in words.
        tone: Mark of the verdict against the control where that is worse.
    """

    text: str
    sort: str = ""
    interval: str = ""
    low: float = 0.0
    middle: float = 0.0
    high: float = 0.0
    sign: str = ""
    place: str = ""
    tone: str = ""

    @property
    def leads(self) -> bool:
        """Whether no method is shown to be ahead of this one."""
        return bool(self.sign) and not self.tone


@dataclass(frozen=True)
class FirstTable:
    """Methods in rows, macro and classes in columns, and whether the places of the methods were tested."""

    classes: list[str]
    rows: list[tuple[str, list[ScoreCell]]]
    is_ranked: bool


def answers(study: AnalysedStudy) -> list[Answer]:
    """Return both questions with their verdicts."""
    of_answer = [verdict for verdict in study.verdicts if verdict.topic == Topic.ANSWER]
    return [
        Answer(question, [each for each in of_answer if each.aspect == aspect])
        for aspect, question in QUESTIONS.items()
    ]


def first_table(study: AnalysedStudy) -> FirstTable:
    """Return Dice of every method for every class, marked where a method leads or cannot be told from the leader."""
    scores = study.table("method_scores")
    scores = scores[(scores["metric"] == "dice") & (scores["aggregation"] == study.aggregation)]
    known = {(str(row["method"]), str(row["class"])): row for row in scores.to_dict("records")}
    leaders = study.table("leaders").to_dict("records")
    places = {(str(row["method"]), str(row["class"])): str(row["mark"]) for row in leaders}
    compared = study.table("comparisons")
    compared = compared[compared["verdict"] == Word.WORSE]
    worse = set(zip(compared["method"].astype(str), compared["class"].astype(str), strict=True))
    classes = [MACRO, *study.class_names]
    ends = {name: _ends([row for (_, of), row in known.items() if of == name]) for name in classes}
    rows = [
        (
            method,
            [
                _cell(known.get(key), Word.WORSE if key in worse else places.get(key, ""), ends[key[1]])
                for key in ((method, name) for name in classes)
            ],
        )
        for method in study.methods
    ]
    return FirstTable(study.class_names, rows, any(place in PLACES for place in places.values()))


def _ends(rows: list[dict[Any, Any]]) -> tuple[float, float]:
    values = [float(row[end]) for row in rows for end in ("low", "mean", "high") if math.isfinite(row[end])]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _cell(row: Mapping[Any, Any] | None, place: str, ends: tuple[float, float]) -> ScoreCell:
    if row is None:
        return ScoreCell(DASH)
    if not math.isfinite(row["mean"]):
        return ScoreCell("absent")
    span = (ends[1] - ends[0]) or 1.0
    low, middle, high = (
        round(100 * (float(value if math.isfinite(value) else row["mean"]) - ends[0]) / span, 1)
        for value in (row["low"], row["mean"], row["high"])
    )
    has_interval = math.isfinite(row["low"]) and math.isfinite(row["high"])
    interval = f"95 % interval {number(row['low'], 2)} to {number(row['high'], 2)}" if has_interval else ""
    sign, said = WORSE_THAN_CONTROL if place == Word.WORSE else PLACES.get(place, ("", ""))
    mark = str(Word.WORSE.tone) if place == Word.WORSE else ""
    return ScoreCell(number(row["mean"], 2), repr(float(row["mean"])), interval, low, middle, high, sign, said, mark)
