"""What may be concluded about a bias, given the effect that the path through which it acts can have.

A class bias changes a prediction only through the weights of the class attention. If equal weights for every class give
the same prediction, what was learned there is not read, and neither an effect of the bias nor its absence says
anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from analysis.schema import rows_of
from analysis.schema.names import MACRO
from analysis.verdicts import Topic, Verdict, Word, points
from imbalance_bench.table_schemas import PathControl

NOT_EXAMINED = (
    "Whether the prediction depends on what the class attention learned was not examined (no path controls were "
    "recorded), so this need not say anything about the bias."
)
# words on what was learned that do not hold where the attention is not read
CONCLUSIONS = (Word.SUPPORTED, Word.NOT_SUPPORTED, Word.NOT_SEPARABLE, Word.UNDECIDED)


@dataclass(frozen=True)
class Ceiling:
    """The effect of uniform attention weights on one class of a method, or on macro Dice.

    Args:
        word: inert, live, undecided or not_testable; None: not examined.
        difference: Dice under uniform weights minus Dice as trained.
        at_most: The end of the interval of the equivalence test that is farther from 0, in Dice.
    """

    word: Word | None = None
    difference: float = float("nan")
    at_most: float = float("nan")

    @property
    def inert(self) -> bool:
        """Whether the prediction is shown not to depend on what the attention learned."""
        return self.word == Word.INERT

    def word_of_bias(self, word: Word) -> Word:
        """Return the word on an effect of the bias; the absence of an effect says nothing if the path is inert."""
        return Word.INERT if self.inert and word not in (Word.BETTER, Word.WORSE) else word

    def share(self, difference: float) -> float:
        """Return a difference as a share of this one's size, with its own sign.

        NaN unless the path is live, and where uniform weights change nothing: on the few images of the doses they may
        not, though they do over all images.
        """
        is_known = self.word == Word.LIVE and self.difference != 0
        return difference / abs(self.difference) if is_known else float("nan")

    def remark(self, difference: float, word: Word) -> str:
        """Return what must be added to a sentence on an effect of the bias; empty if the path does not qualify it."""
        if self.word is None:
            return f" {NOT_EXAMINED}"
        if self.word == Word.LIVE and self.difference == 0:
            return ""
        if self.word == Word.LIVE:
            against = ", in the other direction" if difference * self.difference < 0 else ""
            return (
                f" Its size is {100 * abs(self.share(difference)):.1f} % of what uniform attention weights do{against}."
            )
        if self.inert and word in (Word.BETTER, Word.WORSE):
            return f" Uniform attention weights change it by {points(self.at_most).lstrip('+-')} points at most."
        if self.inert:
            return ""
        return " Whether the prediction depends on what the class attention learned is not decided."


class Ceilings:
    """The ceilings of a study.

    Args:
        path_controls: Table `path_controls`.
    """

    def __init__(self, path_controls: pd.DataFrame) -> None:
        rows = rows_of(path_controls[path_controls["control"] == str(PathControl.UNIFORM)])
        self._ceilings = {(row["method"], row["class"]): _ceiling(row) for row in rows}

    def of(self, method: str, name: str = MACRO) -> Ceiling:
        """Return the ceiling of a method on a class, or on macro Dice."""
        return self._ceilings.get((method, name), Ceiling())


def _ceiling(row: Mapping[str, object]) -> Ceiling:
    difference, low, high = (float(str(row[key])) for key in ("difference", "low_tost", "high_tost"))
    return Ceiling(Word(str(row["verdict"])), difference, max(abs(low), abs(high)))


def without_inert(verdict: Verdict, reason: str) -> Verdict:
    """Return a verdict on what was learned in an attention that is not read, without its conclusion.

    Args:
        verdict: Verdict on an estimand of a method whose path is inert.
        reason: The sentence on the path.
    """
    is_headline = verdict.topic == Topic.EXPLANATION
    if verdict.word not in CONCLUSIONS and not is_headline:
        return verdict
    sentence = f"{reason} So it does not matter what the {verdict.subject} follows."
    return replace(
        verdict,
        word=Word.INERT,
        sentence=sentence if is_headline else f"{verdict.sentence} But the class attention is not read.",
        numbers={**verdict.numbers, "word_without_path": str(verdict.word)},
        rule=f"inert: the path controls say so of the method; else {verdict.rule}",
    )
