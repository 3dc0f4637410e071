"""The first screen: the two answers, in the words of the verdicts, and the Dice of every method for every class."""

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
# mark in leaders.csv -> the sign in the cell, and its meaning
PLACES = {"best": ("★", "best"), "shared_best": ("=", "not told from the best")}
WORSE_THAN_CONTROL = ("▼", "worse than the control")  # shown even if the test of all pairs does not show it


@dataclass(frozen=True)
class Answer:
    """One of the two questions, with its verdicts: one on the methods, one for each method that learned a bias."""

    question: str
    verdicts: list[Verdict]


@dataclass(frozen=True)
class ScoreCell:
    """Dice of one method for one class.

    Args:
        text: The number with two digits.
        sort: Sort key.
        interval: The interval in words; empty without one.
        low: Lower end of the interval, in per cent of the range from the smallest to the largest value of the class.
        middle: Position of the number in this range.
        high: Upper end of the interval.
        sign: Sign of `PLACES`; empty if the method is behind or nothing was tested.
        place: Meaning of the sign, in words.
        tone: Tone of the verdict against the control if it is worse.
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
    """Methods in rows, macro and classes in columns, and whether the differences of methods were tested."""

    classes: list[str]
    rows: list[tuple[str, list[ScoreCell]]]
    is_ranked: bool


def answers(study: AnalysedStudy) -> list[Answer]:
    """Return both questions with their verdicts."""
    verdicts = [verdict for verdict in study.verdicts if verdict.topic == Topic.ANSWER]
    return [
        Answer(question, [verdict for verdict in verdicts if verdict.aspect == aspect])
        for aspect, question in QUESTIONS.items()
    ]


def first_table(study: AnalysedStudy) -> FirstTable:
    """Return Dice of every method for every class, marked where a method leads or cannot be told from the leader."""
    scores = study.table("method_scores")
    scores = scores[(scores["metric"] == "dice") & (scores["aggregation"] == study.aggregation)]
    by_key = {(str(row["method"]), str(row["class"])): row for row in scores.to_dict("records")}
    leaders = study.table("leaders").to_dict("records")
    places = {(str(row["method"]), str(row["class"])): str(row["mark"]) for row in leaders}
    comparisons = study.table("comparisons")
    comparisons = comparisons[comparisons["verdict"] == Word.WORSE]
    worse = set(zip(comparisons["method"].astype(str), comparisons["class"].astype(str), strict=True))
    classes = [MACRO, *study.class_names]
    ends = {name: _ends([row for (_, class_name), row in by_key.items() if class_name == name]) for name in classes}
    rows = [
        (
            method,
            [
                _cell(by_key.get(key), Word.WORSE if key in worse else places.get(key, ""), ends[key[1]])
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
    sign, meaning = WORSE_THAN_CONTROL if place == Word.WORSE else PLACES.get(place, ("", ""))
    mark = str(Word.WORSE.tone) if place == Word.WORSE else ""
    return ScoreCell(number(row["mean"], 2), repr(float(row["mean"])), interval, low, middle, high, sign, meaning, mark)
