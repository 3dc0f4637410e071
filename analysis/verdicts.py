"""The vocabulary of verdicts. The rules that give each word are in `analysis/topics/`, beside their tables."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Tone(StrEnum):
    """How a verdict is marked in tables, figures and the report."""

    BETTER = "better"
    EQUAL = "equal"
    FOUND = "found"
    OPEN = "open"
    WORSE = "worse"


class Word(StrEnum):
    """The word of a verdict."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not_supported"
    NOT_TESTABLE = "not_testable"
    NOT_SEPARABLE = "not_separable"
    INERTIA = "inertia"
    DECAY = "decay"
    TESTABLE = "testable"
    RELIABLE = "reliable"
    UNRELIABLE = "unreliable"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    INERT = "inert"
    LIVE = "live"
    SOUND = "sound"
    LIMITED = "limited"

    @property
    def tone(self) -> Tone:
        """How the word is marked."""
        return _TONES.get(self, Tone.OPEN)

    @property
    def meaning(self) -> str:
        """What the word means, in one sentence for readers of a report."""
        return _MEANINGS[self]


_TONES = {
    Word.BETTER: Tone.BETTER,
    Word.WORSE: Tone.WORSE,
    Word.EQUIVALENT: Tone.EQUAL,
    Word.SUPPORTED: Tone.FOUND,
    Word.LIVE: Tone.FOUND,
}

_MEANINGS = {
    Word.SUPPORTED: "The association or effect is shown, at the level that its rule states.",
    Word.NOT_SUPPORTED: "It could have been shown and was not. This is absence of evidence, not evidence of absence.",
    Word.NOT_TESTABLE: "Whatever the data are, no test could decide: too few classes, slides or runs, or a number that "
    "could not be measured.",
    Word.NOT_SEPARABLE: "Something goes with it, but the possible reasons go together too closely to be told apart.",
    Word.INERTIA: "What is there at the end is mostly the value that training started from.",
    Word.DECAY: "The change mostly takes the starting value back, and what it goes with may be no more than that.",
    Word.TESTABLE: "The design can give a p value below alpha; the data may still not.",
    Word.RELIABLE: "The runs agree well enough for correlations with the quantity to be interpreted.",
    Word.UNRELIABLE: "The runs are not shown to agree, so no correlation with the quantity is interpreted.",
    Word.BETTER: "The interval of the difference lies above zero, after correction for the other comparisons.",
    Word.WORSE: "The interval of the difference lies below zero, after correction for the other comparisons.",
    Word.EQUIVALENT: "The difference is shown to be smaller than the margin that the plan fixed beforehand.",
    Word.UNDECIDED: "Neither a difference nor equivalence is shown, or measurement error could explain what is seen.",
    Word.INERT: "The prediction does not depend on the class attention, so nothing can be said about a bias in it.",
    Word.LIVE: "The prediction depends on the class attention, so an effect of a bias could be seen.",
    Word.SOUND: "What was checked holds, and limits nothing.",
    Word.LIMITED: "Something about the data or the records limits what can be said; the sentence says what.",
}


class Topic(StrEnum):
    """What a verdict is about."""

    ANSWER = "answer"
    COMPARISON = "comparison"
    MODEL = "model"
    TUNING = "tuning"
    LEADERS = "leaders"
    CALIBRATION = "calibration"
    RANKING = "ranking"
    ASSOCIATION = "association"
    RELIABILITY = "reliability"
    INERTIA = "inertia"
    EXPLANATION = "explanation"
    PARTIAL_ASSOCIATION = "partial"
    MIXED_MODEL = "mixed"
    PATH = "path"
    INTERVENTION = "intervention"
    ATTAINABILITY = "attainability"
    DATA = "data"

    @property
    def question(self) -> str:
        """The question that the topic answers."""
        return _QUESTIONS[self]


_QUESTIONS = {
    Topic.ANSWER: "Which method should I use, and were the classes rare or hard?",
    Topic.COMPARISON: "Does a method score differently from its control?",
    Topic.MODEL: "Does a model score differently from another, and does the effect of a method depend on the model?",
    Topic.TUNING: "Did tuning change a method, and how optimistic is the score that it was chosen by?",
    Topic.LEADERS: "Which methods cannot be told from the best one?",
    Topic.CALIBRATION: "Is a model more confident than it is right?",
    Topic.RANKING: "How stable is the order of the methods?",
    Topic.ASSOCIATION: "Does what was learned go with one measure of class difficulty?",
    Topic.RELIABILITY: "Do the runs agree on what was learned?",
    Topic.INERTIA: "Is what was learned still its starting value?",
    Topic.EXPLANATION: "What does the learned quantity follow: frequency, difficulty, both, or nothing that is shown?",
    Topic.PARTIAL_ASSOCIATION: "Does it follow frequency beyond difficulty, and difficulty beyond frequency?",
    Topic.MIXED_MODEL: "What is the slope of each measure with the others given?",
    Topic.PATH: "Does the prediction depend on the class attention at all?",
    Topic.INTERVENTION: "What happens to Dice when the learned bias alone is zeroed, permuted or shifted?",
    Topic.ATTAINABILITY: "Can a test over so few classes or units be significant at all?",
    Topic.DATA: "What about the data or the records limits what can be said?",
}


# the numbers that decide each topic: if one is missing, only the words in REFUSALS are allowed
DECISIVE: Mapping[Topic, tuple[str, ...]] = {
    Topic.COMPARISON: ("difference", "low", "high"),
    Topic.MODEL: ("difference", "low", "high"),
    Topic.LEADERS: ("mean",),
    Topic.CALIBRATION: ("value", "low", "high"),
    Topic.RANKING: ("p_best", "rank_low", "rank_high"),
    Topic.ASSOCIATION: ("spearman", "p_spearman"),
    Topic.RELIABILITY: ("icc",),
    Topic.PARTIAL_ASSOCIATION: ("r2", "p"),  # several measures of difficulty have no one rho
    Topic.MIXED_MODEL: ("estimate", "p"),
    Topic.INTERVENTION: ("difference", "low", "high"),
}
REFUSALS = (Word.NOT_TESTABLE, Word.LIMITED, Word.UNRELIABLE, Word.NOT_SEPARABLE)
UNMEASURED_RULE = "not_testable: a number that the verdict would rest on could not be measured"
_NO_NUMBER = re.compile(r"(?<![\w.])[+-]?(nan|inf)(?![\w.])")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One answer. Topic, aspect, method, estimand, measure and class identify it uniquely in an analysis.

    If a verdict would rest on a number that is not finite (its sentence quotes NaN or infinity, or a number that
    decides its topic is missing), it becomes `not_testable` and says that nothing could be measured.

    Args:
        topic: What it is about.
        aspect: The part of the topic, such as the kind of intervention; empty if the topic has only one.
        method: Label of the method; empty if the verdict is about no method.
        estimand: What was learned; empty if the verdict is about no estimand.
        measure: Measure or construct of class difficulty; empty if the verdict is about no measure.
        class_name: Name of a class, or `macro`; empty if the verdict is about no class.
        subject: What is judged, in words.
        word: The word of the verdict.
        sentence: Plain English, complete without the other fields.
        short: The sentence in a few words, for a heading; may be empty.
        numbers: The numbers that it rests on.
        rule: How the numbers determine the word.
    """

    topic: Topic
    aspect: str = ""
    method: str = ""
    estimand: str = ""
    measure: str = ""
    class_name: str = ""
    subject: str
    word: Word
    sentence: str
    short: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""

    def __post_init__(self) -> None:
        """Replace a verdict that rests on numbers that are not finite."""
        if _quotes_no_number(self) or (self.word not in REFUSALS and _lacks_a_number(self)):
            sentence = f"Nothing can be said about {self.subject}: what this rests on could not be measured."
            replacements = {"word": Word.NOT_TESTABLE, "sentence": sentence, "short": "", "rule": UNMEASURED_RULE}
            for name, value in replacements.items():
                object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """Its parts in one line, such as "comparison/dfa/macro"; for people and links, never parsed."""
        parts = (self.topic, self.aspect, self.method, self.estimand, self.measure, self.class_name)
        return "/".join(str(part) for part in parts if part)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON; numbers that are missing become null."""
        content = {"id": self.id, **asdict(self), "topic": str(self.topic)}
        content["verdict"] = str(content.pop("word"))
        return content | {"numbers": {key: plain_number(value) for key, value in self.numbers.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Verdict":
        """Return a verdict that `as_json` wrote.

        Raises:
            ValueError: An unknown topic or word.
            KeyError: A part is missing.
        """
        names = ("aspect", "method", "estimand", "measure", "class_name", "subject", "sentence", "numbers", "rule")
        topic, word = Topic(content["topic"]), Word(content["verdict"])
        return cls(topic=topic, word=word, short=content.get("short", ""), **{name: content[name] for name in names})


def _quotes_no_number(verdict: Verdict) -> bool:
    """Return whether the sentence quotes NaN or infinity, unless a class or method has such a name."""
    if not _NO_NUMBER.search(verdict.sentence):
        return False
    names = (verdict.method, verdict.class_name, verdict.measure, verdict.subject)
    return not any(_NO_NUMBER.search(name) for name in names)


def _lacks_a_number(verdict: Verdict) -> bool:
    """Return whether a number that decides the topic is NaN or infinite; numbers that are not given are ignored."""
    values = [verdict.numbers[key] for key in DECISIVE.get(verdict.topic, ()) if key in verdict.numbers]
    return any(plain_number(value) is None for value in values)


def data_limit(
    aspect: str, subject: str, sentence: str, rule: str, numbers: Mapping[str, Any] | None = None
) -> Verdict:
    """Return a verdict that the data limit what can be concluded.

    Args:
        aspect: The aspect of the data.
        subject: The aspect in words.
        sentence: Plain English, complete without the other fields.
        rule: When the verdict is given.
        numbers: The numbers that it rests on.
    """
    return Verdict(
        topic=Topic.DATA,
        aspect=aspect,
        subject=subject,
        word=Word.LIMITED,
        sentence=sentence,
        numbers=numbers or {},
        rule=rule,
    )


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
