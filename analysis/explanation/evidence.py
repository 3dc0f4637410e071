"""What every kind of evidence considers before it may say that a quantity follows a measure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.schema.names import estimand_words
from analysis.statistics.corrections import holm
from analysis.study.class_frames import FREQUENCY
from analysis.study.class_points import ClassPoints
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Word

DIFFICULTY = "difficulty"  # all constructs but frequency, together
START_TEXT = (
    "the start may explain it; other starts of the same method would tell: cold, shuffled or inverted ones of a prior, "
    "three seeds or more where each draws its own"
)
RELIABILITY_RULE = "ICC(3,k) of the quantity below {floor:g} or not beyond chance, or that of what is tested below it"


@dataclass(frozen=True)
class Subject:
    """One quantity of one method, and what is known about it before anything is correlated.

    Args:
        method: Label.
        quantity: Estimand.
        primary: Whether the plan fixed it in advance as a quantity to explain.
        points: All its classes, without measures.
        reliability: Verdict on its reliability; None where it cannot be tested.
        reliability_over: seeds or training_sets.
        inertia: Verdict on what is left of its start; None where no start is known.
    """

    method: str
    quantity: str
    primary: bool
    points: ClassPoints
    reliability: Word | None
    reliability_over: str
    inertia: Word | None

    @property
    def title(self) -> str:
        """Quantity and method in words, such as "change of the bias of dfa"."""
        return f"{estimand_words(self.quantity)} of {self.method}"

    @property
    def start_unchecked(self) -> bool:
        """Whether all runs had one start that differs between classes, so that it may explain what was learned."""
        return self.points.starts.kind == "one"

    @property
    def starts_disagree(self) -> bool:
        """Whether several starts led to different ends: most of their difference is left, or the ends disagree."""
        starts = self.points.starts
        return starts.kind == "several" and (self.inertia == Word.INERTIA or not starts.agreement > 0)

    def cap(self, word: Word) -> Word:
        """Return the strongest verdict on what was learned that the start allows, at most `word`."""
        unchecked = self.start_unchecked or self.points.starts.kind == "incomplete"
        if word == Word.SUPPORTED and (unchecked or self.starts_disagree):
            return Word.NOT_SEPARABLE
        return word

    @property
    def unreliable_word(self) -> Word | None:
        """The verdict where the runs do not show that there is something to explain; None where they do."""
        if self.reliability == Word.RELIABLE:
            return None
        return Word.UNRELIABLE if self.reliability == Word.UNRELIABLE else Word.NOT_TESTABLE

    @property
    def unreliable_text(self) -> str:
        """The reason for `unreliable_word`, as the end of a sentence."""
        if self.reliability == Word.UNRELIABLE:
            return f"is not interpreted: {OVER_WORDS[self.reliability_over]} are not shown to agree"
        return "is not interpreted: its reliability cannot be tested"


OVER_WORDS = {"seeds": "seeds", "folds": "folds", "training_sets": "training sets"}


def corrected(p: Sequence[float], steps: Sequence[int | None]) -> np.ndarray:
    """Return p values after the correction of the plan; NaN stays NaN and is not counted.

    Args:
        p: p values of the tests of one family.
        steps: Position of each test in the fixed sequence of the plan; None: not named there, which comes last. Tests
            that share a position are corrected by Holm among themselves, and none is found unless all of the positions
            before it are.
    """
    values = np.asarray(p, dtype=np.float64)
    positions = np.array([math.inf if step is None else step for step in steps], dtype=np.float64)
    adjusted, largest = values.copy(), 0.0
    for position in np.unique(positions):
        rows = np.flatnonzero(positions == position)
        adjusted[rows] = np.maximum(holm(values[rows]), largest)
        largest = max(largest, float(np.nanmax(adjusted[rows], initial=0.0)))
    return adjusted


def hypothesis_step(construct: str, plan: AnalysisPlan) -> int | None:
    """Return the position of a construct in the fixed sequence of the plan; None if it is not in it."""
    return plan.hypotheses.index(construct) if construct in plan.hypotheses else None


def headline_step(name: str, plan: AnalysisPlan) -> int | None:
    """Return the position of frequency, or of difficulty, which takes the position of its first construct."""
    if name == FREQUENCY:
        return hypothesis_step(FREQUENCY, plan)
    return next((step for step, construct in enumerate(plan.hypotheses) if construct != FREQUENCY), None)


def attainable_together(rows: Sequence[Mapping[str, Any]], steps: Sequence[int | None], alpha: float) -> list[bool]:
    """Return for each test of a family whether it would be significant if every test gave its smallest p."""
    best = corrected([row["min_p"] for row in rows], steps)
    return [bool(value < alpha * (1 - 1e-9)) for value in best]
