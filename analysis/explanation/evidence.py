"""What every kind of evidence takes into account before it may say that a quantity follows a measure."""

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
START_TEXT = "the start may explain it; a cold, shuffled or inverted start of the same method would tell"


@dataclass(frozen=True)
class Subject:
    """One quantity of one method, and what is known of it before anything is correlated.

    Args:
        method: Label.
        quantity: Estimand.
        primary: Whether it was fixed in advance as one to explain.
        points: All its classes, without measures.
        reliability: Word on its reliability; None: one run, so it is unknown.
        reliability_over: seeds or training_sets.
        inertia: Word on what is left of its start; None: no start is known.
    """

    method: str
    quantity: str
    primary: bool
    points: ClassPoints
    reliability: Word | None
    reliability_over: str
    inertia: Word | None

    @property
    def what(self) -> str:
        """In words, such as "change of the bias of dfa"."""
        return f"{estimand_words(self.quantity)} of {self.method}"

    @property
    def start_unchecked(self) -> bool:
        """True where all runs began at one start that tells classes apart, so that it may explain what was learned."""
        return self.points.starts.kind == "one"

    @property
    def starts_disagree(self) -> bool:
        """True where several starts did not lead to the same: most of a difference is left, or ends disagree."""
        starts = self.points.starts
        return starts.kind == "several" and (self.inertia == Word.INERTIA or not starts.agreement > 0)

    def capped(self, word: Word) -> Word:
        """Return the word that may be said of what was learned, given what is known of the start."""
        if word == Word.SUPPORTED and (self.start_unchecked or self.starts_disagree):
            return Word.NOT_SEPARABLE
        return word

    @property
    def unreliable_word(self) -> Word | None:
        """The word where runs do not show that there is something to explain; None where they do."""
        if self.reliability == Word.RELIABLE:
            return None
        return Word.UNRELIABLE if self.reliability == Word.UNRELIABLE else Word.NOT_TESTABLE

    @property
    def unreliable_text(self) -> str:
        """Why, in words."""
        if self.reliability == Word.UNRELIABLE:
            return f"is not interpreted: {OVER_WORDS[self.reliability_over]} are not shown to agree"
        if self.reliability is None:
            return "is not interpreted: with one run its reliability is unknown"
        return "is not interpreted: its reliability cannot be tested"


OVER_WORDS = {"seeds": "seeds", "folds": "folds", "training_sets": "training sets"}


def corrected(p: Sequence[float], steps: Sequence[int | None]) -> np.ndarray:
    """Return p after the correction that the plan asks for; NaN stays NaN and is not counted.

    Args:
        p: Of the tests of one family.
        steps: Place of each in the fixed sequence of the plan; all None: Holm over all. Tests that share a place are
            corrected by Holm among themselves; those without one, in a plan that has a sequence, are not corrected.
    """
    values = np.asarray(p, dtype=np.float64)
    if all(step is None for step in steps):
        return holm(values)
    found = values.copy()
    ordered = sorted({step for step in steps if step is not None})
    within = []
    for step in ordered:
        rows = [row for row, each in enumerate(steps) if each == step]
        own = holm(values[rows])
        within.append((rows, own))
    worst = 0.0
    for rows, own in within:
        found[rows] = np.maximum(own, worst)
        worst = max(worst, float(np.nanmax(found[rows], initial=0.0)))
    return found


def hypothesis_step(construct: str, plan: AnalysisPlan) -> int | None:
    """Return the place of a construct in the plan's fixed sequence; None if it has none, or there is no sequence."""
    return plan.hypotheses.index(construct) if construct in plan.hypotheses else None


def headline_step(name: str, plan: AnalysisPlan) -> int | None:
    """Return the place of frequency or of difficulty, which stands where its first construct does."""
    if name == FREQUENCY:
        return hypothesis_step(FREQUENCY, plan)
    return next((place for place, each in enumerate(plan.hypotheses) if each != FREQUENCY), None)


def attainable_together(rows: Sequence[Mapping[str, Any]], steps: Sequence[int | None], alpha: float) -> list[bool]:
    """Say of each test of a family whether the correction could let it pass if every test gave its smallest p."""
    best = corrected([row["min_p"] for row in rows], steps)
    return [bool(value < alpha * (1 - 1e-9)) for value in best]
