"""The two answers of the first screen say what the verdicts below them say."""

import pytest

from analysis.answers import method_answer, reason_answers
from analysis.verdicts import Topic, Verdict, Word


def macro(method: str, word: Word, difference: float) -> Verdict:
    sentence = f"{method} is {word}."
    about = {"topic": Topic.COMPARISON, "method": method, "class_name": "macro", "subject": method}
    return Verdict(**about, word=word, sentence=sentence, numbers={"difference": difference})


def change(measure: str, word: Word, method: str = "dfa") -> Verdict:
    about = {"topic": Topic.ASSOCIATION, "method": method, "estimand": "change", "measure": measure}
    return Verdict(**about, subject=measure, word=word, sentence="sentence", numbers={"spearman": 0.5})


def test_the_best_of_the_better_methods_is_named_first() -> None:
    found = [macro("a", Word.BETTER, 0.02), macro("b", Word.BETTER, 0.05), macro("c", Word.UNDECIDED, 0.09)]
    answer = method_answer(found, "base")
    assert answer.word == Word.BETTER
    assert answer.sentence == "Use b: b is better. So is a."


def test_without_a_better_method_the_control_stays() -> None:
    found = [macro("a", Word.WORSE, -0.02), macro("b", Word.UNDECIDED, 0.05)]
    answer = method_answer(found, "base")
    assert answer.word == Word.UNDECIDED
    assert answer.sentence.startswith(
        "No method is shown to be better than base on macro Dice (1 worse and 1 undecided)"
    )
    answer = method_answer([macro("a", Word.EQUIVALENT, 0.0)], "base")
    assert answer.word == Word.EQUIVALENT
    assert method_answer([], "base").word == Word.NOT_TESTABLE


@pytest.mark.parametrize(
    ("words", "verdict", "fragment"),
    [
        ((Word.SUPPORTED, Word.NOT_SUPPORTED), Word.SUPPORTED, "learned follows pixel share."),
        ((Word.SUPPORTED, Word.SUPPORTED), Word.SUPPORTED, "learned follows pixel share and shape dispersion."),
        ((Word.UNRELIABLE, Word.UNRELIABLE), Word.UNRELIABLE, "does not agree between runs"),
        ((Word.NOT_TESTABLE, Word.NOT_TESTABLE), Word.NOT_TESTABLE, "Neither can be said with 5 classes"),
        ((Word.NOT_SUPPORTED, Word.NOT_TESTABLE), Word.NOT_SUPPORTED, "not shown to follow pixel share or shape"),
    ],
)
def test_what_the_bias_follows(words: tuple[Word, Word], verdict: Word, fragment: str) -> None:
    found = [change(name, word) for name, word in zip(("pixel_share", "shape_dispersion"), words, strict=True)]
    (answer,) = reason_answers(found, 5)
    assert answer.word == verdict
    assert fragment in answer.sentence
    assert answer.id == "answer/reason/dfa"


def test_each_method_that_learned_a_bias_gets_its_answer() -> None:
    found = [change("pixel_share", Word.SUPPORTED), change("pixel_share", Word.UNRELIABLE, "dfa_cold")]
    assert [each.word for each in reason_answers(found, 5)] == [Word.SUPPORTED, Word.UNRELIABLE]
    assert reason_answers([], 5) == []
