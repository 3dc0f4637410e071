"""The two answers of the first screen say what the verdicts below them say."""

from dataclasses import replace

import pytest

from analysis.answers import method_answer, reason_answers
from analysis.topics.path_ceiling import NOT_EXAMINED
from analysis.verdicts import Topic, Verdict, Word

CONTROL_OF = dict.fromkeys("abc", "base")


def macro(method: str, word: Word, difference: float) -> Verdict:
    sentence = f"{method} is {word}."
    about = {"topic": Topic.COMPARISON, "method": method, "class_name": "macro", "subject": method}
    return Verdict(**about, word=word, sentence=sentence, numbers={"difference": difference})


def change(word: Word, method: str = "dfa") -> Verdict:
    about = {"topic": Topic.EXPLANATION, "method": method, "estimand": "change", "subject": f"change of {method}"}
    return Verdict(**about, word=word, sentence=f"{word} of {method}.", numbers={"follows": ""})


def test_the_best_of_the_better_methods_is_named_first() -> None:
    found = [macro("a", Word.BETTER, 0.02), macro("b", Word.BETTER, 0.05), macro("c", Word.UNDECIDED, 0.09)]
    answer = method_answer(found, CONTROL_OF)
    assert answer.word == Word.BETTER
    assert answer.sentence == "Use b: b is better. So is a."


def test_a_gain_is_over_the_control_of_the_same_model() -> None:
    found = [macro("a (small)", Word.BETTER, 0.05), macro("a (large)", Word.UNDECIDED, 0.01)]
    control_of = {"a (small)": "base (small)", "a (large)": "base (large)"}
    use = "Use a (small) rather than base (small) (+5.0 points of macro Dice)"
    assert method_answer(found, control_of).short.startswith(f"{use}; keep base (large).")
    both = method_answer([found[0], macro("a (large)", Word.BETTER, 0.01)], control_of)
    assert both.short.startswith(f"{use} and a (large) rather than base (large) (+1.0 points of macro Dice).")
    assert "do not say which model is better" in both.sentence
    kept = method_answer(found[1:], control_of)
    assert kept.short.startswith("Keep base (small) and base (large): ")


def test_without_a_better_method_the_control_stays() -> None:
    found = [macro("a", Word.WORSE, -0.02), macro("b", Word.UNDECIDED, 0.05)]
    answer = method_answer(found, CONTROL_OF)
    assert answer.word == Word.UNDECIDED
    assert answer.sentence.startswith(
        "No method is shown to be better than base on macro Dice (1 worse and 1 undecided)"
    )
    answer = method_answer([macro("a", Word.EQUIVALENT, 0.0)], CONTROL_OF)
    assert answer.word == Word.EQUIVALENT
    assert method_answer([], {}).word == Word.NOT_TESTABLE


@pytest.mark.parametrize("word", [Word.SUPPORTED, Word.NOT_SEPARABLE, Word.DECAY, Word.NOT_SUPPORTED])
def test_the_front_page_says_what_the_chapter_says(word: Word) -> None:
    (answer,) = reason_answers([change(word)], [], {"dfa"})
    assert (answer.word, answer.sentence, answer.id) == (word, f"{word} of dfa.", "answer/reason/dfa")


def test_what_is_unreliable_is_named() -> None:
    runs, measure = (
        replace(change(Word.UNRELIABLE), numbers={"evidence": kind}) for kind in ("reliability", "partial")
    )
    shorts = [reason_answers([each], [], {"dfa"})[0].short for each in (runs, measure)]
    assert shorts == [
        "dfa: not interpreted: the runs do not agree.",
        "dfa: not interpreted: a measure of the classes is not reliable.",
    ]


def test_a_bias_that_does_nothing_is_said_to() -> None:
    about = {"topic": Topic.INTERVENTION, "aspect": "zeroed", "method": "dfa", "class_name": "macro", "subject": "dfa"}
    idle = Verdict(**about, word=Word.EQUIVALENT, sentence="Setting the bias to zero leaves macro Dice.")
    found = reason_answers([change(Word.SUPPORTED), change(Word.SUPPORTED, "other")], [idle], {"dfa", "other"})
    assert found[0].sentence == "supported of dfa. Setting the bias to zero leaves macro Dice."
    assert found[1].sentence == "supported of other."
    assert reason_answers([], [idle], ()) == []


def test_a_path_that_was_not_examined_is_said_to_be_so_once() -> None:
    about = {"topic": Topic.INTERVENTION, "aspect": "zeroed", "method": "dfa", "class_name": "macro", "subject": "dfa"}
    (answer,) = reason_answers([change(Word.SUPPORTED)], [], ())
    assert answer.sentence == f"supported of dfa. {NOT_EXAMINED}"
    idle = Verdict(**about, word=Word.EQUIVALENT, sentence=f"It does nothing. {NOT_EXAMINED}")
    (answer,) = reason_answers([change(Word.SUPPORTED)], [idle], ())
    assert answer.sentence == f"supported of dfa. It does nothing. {NOT_EXAMINED}"


def test_an_inert_path_is_the_answer() -> None:
    (answer,) = reason_answers([change(Word.INERT)], [], {"dfa"})
    assert (answer.word, answer.sentence) == (Word.INERT, "inert of dfa.")


def test_a_heading_says_the_answer_in_a_few_words() -> None:
    def numbered(method: str, word: Word, difference: float) -> Verdict:
        numbers = {"difference": difference, "n_units": 9, "n_seeds": 3}
        return replace(macro(method, word, difference), numbers=numbers)

    undecided = [numbered("a", Word.WORSE, -0.02), numbered("b", Word.UNDECIDED, 0.05)]
    short = method_answer(undecided, CONTROL_OF, "group").short
    assert short == "Keep base: no method is shown to be better. 9 slides or patients, 3 seeds."
    better = [numbered("a", Word.BETTER, 0.021), numbered("b", Word.UNDECIDED, 0.05)]
    short = method_answer(better, CONTROL_OF, "image").short
    assert short == "Use a: +2.1 points of macro Dice over base. 9 images, 3 seeds."
    assert (
        method_answer([macro("a", Word.EQUIVALENT, 0.0)], CONTROL_OF).short
        == "Keep base: every other method does the same."
    )
    assert method_answer([], {}).short == "No method was compared with a control."


@pytest.mark.parametrize("word", [word for word in Word if word not in (Word.BETTER, Word.WORSE)])
def test_every_reason_has_a_heading(word: Word) -> None:
    (answer,) = reason_answers([change(word)], [], {"dfa"})
    assert answer.short.startswith("dfa: ")
    assert "_" not in answer.short
    hard = replace(change(Word.SUPPORTED), numbers={"follows": "difficulty"})
    assert reason_answers([hard], [], {"dfa"})[0].short == "dfa: hard."
