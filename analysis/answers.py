"""The two answers a reader looks for first, chosen from the verdicts below them by a fixed order; nothing is computed.

Everything that shows them (terminal, report, Python) reads these verdicts; where there is none to give, one says why.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from analysis.schema.names import MACRO
from analysis.topics.context import Context
from analysis.topics.origin import UNPAIRED
from analysis.topics.path_ceiling import NOT_EXAMINED
from analysis.verdicts import Topic, Verdict, Word, points

METHOD, REASON = "method", "reason"  # aspects of the topic `answer`
ZEROED = "zeroed"  # the intervention that takes a bias away
_MACRO_RULE = (
    "better: any macro comparison is better; a word that all of them share; not_testable: nothing was compared; else "
    "undecided"
)
_REASON_RULE = (
    "the word and sentence of the explanation of the change of the bias (inert: the class attention that it acts on is "
    "not read); not_testable: no bias was learned, or classes were not measured"
)
NO_COMPARISON = "This study compares no method with a control."
_NOTHING_BETTER = {
    Word.WORSE: "every other method is worse",
    Word.EQUIVALENT: "every other method does the same",
    Word.NOT_TESTABLE: "nothing could be tested",
}
# what a learned bias follows, in a few words; a reason to doubt it stands in the sentence
_REASON_SHORT = {
    Word.INERTIA: "{what} is mostly its start",
    Word.DECAY: "neither is shown: {what} decays from its start",
    Word.NOT_SEPARABLE: "rare and hard cannot be told apart here",
    Word.NOT_SUPPORTED: "neither is shown",
    Word.UNDECIDED: "undecided",
    Word.UNRELIABLE: "not interpreted: the seeds do not agree",
    Word.INERT: "neither matters: {what} is not read",
    Word.NOT_TESTABLE: "these data cannot tell",
}
_UNITS = {"group": ("slide or patient", "slides or patients"), "image": ("image", "images")}
_FOLLOWED = {"frequency": "rare", "difficulty": "hard", "frequency+difficulty": "rare and hard"}
NO_BIAS = "No finished run of this study learned a class bias, so nothing can be said about what it follows."


def answers(context: Context) -> list[Verdict]:
    """Answer the two questions of a study from the verdicts of its topics: one on the methods, one per learned bias."""
    macro = [verdict for verdict in context.verdicts_on(Topic.COMPARISON) if verdict.class_name == MACRO]
    controls = " and ".join(dict.fromkeys(context.tables["comparisons"]["control"].astype(str)))
    change = [verdict for verdict in context.verdicts_on(Topic.EXPLANATION) if verdict.estimand == "change"]
    learned = "change" in set(context.tables["learned_bias"]["estimand"])
    unmeasured = [verdict.sentence for verdict in context.verdicts_on(Topic.DATA) if verdict.aspect == "measures"]
    examined = {verdict.method for verdict in context.verdicts_on(Topic.PATH)}
    reasons = reason_answers(change, context.verdicts_on(Topic.INTERVENTION), examined)
    if not reasons or context.tables["measures"].empty:
        sentence = (unmeasured if learned and unmeasured else [NO_BIAS])[0]
        short = (
            "These data cannot tell: the classes were not measured." if learned else "No method learned a class bias."
        )
        reasons = [_answer(REASON, Word.NOT_TESTABLE, sentence, short=short)]
    units = [*context.tables["comparisons"]["unit"], ""]
    method = method_answer(macro, controls, str(units[0]))
    if context.study.is_foreign and macro and UNPAIRED not in method.sentence:
        method = replace(method, sentence=f"{method.sentence} {UNPAIRED}")
    return [method, *reasons]


def method_answer(macro: Sequence[Verdict], control: str, unit: str = "") -> Verdict:
    """Answer "which method should I use?".

    Args:
        macro: Verdicts on macro Dice, one per method.
        control: Label of the control.
        unit: `group` or `image`, over which the verdicts were found.
    """
    if not macro:
        return _answer(METHOD, Word.NOT_TESTABLE, NO_COMPARISON, short="No method was compared with a control.")
    better = [verdict for verdict in macro if verdict.word == Word.BETTER]
    rests_on = _rests_on(macro, unit)
    numbers = dict(Counter(str(verdict.word) for verdict in macro))
    if better:
        best = max(better, key=lambda each: each.numbers["difference"])
        others = [verdict.method for verdict in better if verdict is not best]
        sentence = f"Use {best.method}: {best.sentence}"
        if others:
            sentence += f" So {'is' if len(others) == 1 else 'are'} {_listed(others)}."
        gain = f"{points(best.numbers['difference'])} points of macro Dice over {control}"
        return _answer(METHOD, Word.BETTER, sentence, short=f"Use {best.method}: {gain}.{rests_on}", numbers=numbers)
    shares = _listed([f"{n} {word.replace('_', ' ')}" for word, n in numbers.items()])
    sentence = (
        f"No method is shown to be better than {control} on macro Dice ({shares}): "
        f"keep {control}, unless a single class or the cost decides."
    )
    word = _common(macro, Word.UNDECIDED)
    short = f"Keep {control}: {_NOTHING_BETTER.get(word, 'no method is shown to be better')}.{rests_on}"
    return _answer(METHOD, word, sentence, short=short, numbers=numbers)


def reason_answers(
    explanations: Sequence[Verdict], interventions: Sequence[Verdict], examined: Collection[str]
) -> list[Verdict]:
    """Answer "were the classes rare, or hard?" for each method that learned a bias.

    Args:
        explanations: Verdicts on what the change of each learned bias follows.
        interventions: Verdicts on what the biases do; where one does nothing, the answer says so.
        examined: Methods of which it was examined whether the prediction depends on the class attention.

    Returns:
        One verdict per method, with the word of its explanation.
    """
    idle = {
        intervention.method: intervention.sentence
        for intervention in interventions
        if (intervention.aspect, intervention.class_name, intervention.word) == (ZEROED, MACRO, Word.EQUIVALENT)
    }
    found = []
    for explanation in explanations:
        sentences = [explanation.sentence, *([idle[explanation.method]] if explanation.method in idle else [])]
        if explanation.method not in examined and not sentences[-1].endswith(NOT_EXAMINED):
            sentences.append(NOT_EXAMINED)
        found.append(
            _answer(
                REASON,
                explanation.word,
                " ".join(sentences),
                short=_reason_in_short(explanation),
                method=explanation.method,
                numbers=dict(explanation.numbers),
            )
        )
    return found


def _answer(
    aspect: str,
    word: Word,
    sentence: str,
    *,
    short: str,
    method: str = "",
    numbers: dict[str, Any] | None = None,
) -> Verdict:
    subject = method or ("all methods" if aspect == METHOD else "learned bias")
    rule = _MACRO_RULE if aspect == METHOD else _REASON_RULE
    return Verdict(
        topic=Topic.ANSWER,
        aspect=aspect,
        method=method,
        subject=subject,
        word=word,
        sentence=sentence,
        short=short,
        numbers=numbers or {},
        rule=rule,
    )


def _rests_on(compared: Sequence[Verdict], unit: str) -> str:
    """Say how many units and seeds all comparisons rest on, as " 9 slides or patients, 3 seeds."; empty if unknown."""
    found = [each.numbers for each in compared if {"n_units", "n_seeds"} <= set(each.numbers)]
    if not found or unit not in _UNITS:
        return ""
    units, seeds = (int(min(numbers[key] for numbers in found)) for key in ("n_units", "n_seeds"))
    return f" {units} {_UNITS[unit][units != 1]}, {seeds} seed{'s' if seeds != 1 else ''}."


def _reason_in_short(explanation: Verdict) -> str:
    """Say in a few words whether a bias follows rare or hard, as "dfa: hard, beyond what is rare."."""
    followed = _FOLLOWED.get(str(explanation.numbers.get("follows", "")))
    if explanation.word == Word.SUPPORTED:
        said = followed or "a measure of the plan"
    else:
        said = _REASON_SHORT.get(explanation.word, explanation.word.replace("_", " "))
    return f"{explanation.method}: {said.format(what='the bias')}."


def _common(judged: Sequence[Verdict], otherwise: Word) -> Word:
    """The word that all share."""
    words = {verdict.word for verdict in judged}
    return words.pop() if len(words) == 1 else otherwise


def _listed(names: Sequence[str], word: str = "and") -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
