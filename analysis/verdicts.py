"""The vocabulary of verdicts. The rules that give each word stand in `analysis/topics/`, beside their tables."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Word(StrEnum):
    """Every verdict there is."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not_supported"
    NOT_TESTABLE = "not_testable"
    NOT_SEPARABLE = "not_separable"
    INERTIA = "inertia"
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
    CALIBRATION = "calibration"
    RANKING = "ranking"
    ASSOCIATION = "association"
    RELIABILITY = "reliability"
    INERTIA = "inertia"
    EXPLANATION = "explanation"
    INTERVENTION = "intervention"
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


def points(dice: float) -> str:
    """Write a difference of Dice as points, such as "+1.9"."""
    return f"{100 * dice:+.1f}"


def margin_text(margin: float) -> str:
    """Write a margin of Dice in points, such as "1 point"."""
    return "1 point" if margin == 0.01 else f"{100 * margin:g} points"


def p_text(p: float) -> str:
    """Write a p value, such as "p = 0.013"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
