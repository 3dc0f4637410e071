"""The two answers that a reader looks for first, derived from other verdicts by fixed rules; nothing is computed.

Everything that shows the answers (terminal, report, Python) reads these verdicts; if no answer can be given, a verdict
says why.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from analysis.schema.names import MACRO
from analysis.topics.context import Context
from analysis.topics.origin import UNPAIRED
from analysis.topics.path_ceiling import NOT_EXAMINED
from analysis.verdicts import Topic, Verdict, Word, points

METHOD, REASON = "method", "reason"  # aspects of the topic `answer`
ZEROED = "zeroed"  # the intervention that removes the bias
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
# what a learned bias follows, in a few words; the sentence gives the reasons for doubt
_REASON_SHORT = {
    Word.INERTIA: "{what} is mostly its start",
    Word.DECAY: "neither is shown: {what} decays from its start",
    Word.NOT_SEPARABLE: "rare and hard cannot be told apart here",
    Word.NOT_SUPPORTED: "neither is shown",
    Word.UNDECIDED: "undecided",
    Word.UNRELIABLE: "not interpreted: the runs do not agree",
    Word.INERT: "neither matters: {what} is not read",
    Word.NOT_TESTABLE: "these data cannot tell",
}
_UNITS = {"group": ("slide or patient", "slides or patients"), "image": ("image", "images")}
_FOLLOWED = {"frequency": "rare", "difficulty": "hard", "frequency+difficulty": "rare and hard"}
NO_BIAS = "No finished run of this study learned a class bias, so nothing can be said about what it follows."


def answers(context: Context) -> list[Verdict]:
    """Answer the two questions of a study from the verdicts of its topics: one on the methods, one per learned bias."""
    macro = [verdict for verdict in context.verdicts_on(Topic.COMPARISON) if verdict.class_name == MACRO]
    compared = context.tables["comparisons"][["method", "control"]].astype(str)
    explanations = [verdict for verdict in context.verdicts_on(Topic.EXPLANATION) if verdict.estimand == "change"]
    learned = "change" in set(context.tables["learned_bias"]["estimand"])
    unmeasured = [verdict.sentence for verdict in context.verdicts_on(Topic.DATA) if verdict.aspect == "measures"]
    examined = {verdict.method for verdict in context.verdicts_on(Topic.PATH)}
    reasons = reason_answers(explanations, context.verdicts_on(Topic.INTERVENTION), examined)
    if not reasons or context.tables["measures"].empty:
        sentence = (unmeasured if learned and unmeasured else [NO_BIAS])[0]
        short = (
            "These data cannot tell: the classes were not measured." if learned else "No method learned a class bias."
        )
        reasons = [_answer(REASON, Word.NOT_TESTABLE, sentence, short=short)]
    units = [*context.tables["comparisons"]["unit"], ""]
    method = method_answer(macro, dict(compared.to_numpy().tolist()), str(units[0]))
    if context.study.is_foreign and macro and UNPAIRED not in method.sentence:
        method = replace(method, sentence=f"{method.sentence} {UNPAIRED}")
    return [method, *reasons]


def method_answer(macro: Sequence[Verdict], control_of: Mapping[str, str], unit: str = "") -> Verdict:
    """Answer "which method should I use?".

    Args:
        macro: Verdicts on macro Dice, one per method.
        control_of: Method -> the control that it was compared with; each model has its own.
        unit: `group` or `image`, the unit of the comparisons.
    """
    if not macro:
        return _answer(METHOD, Word.NOT_TESTABLE, NO_COMPARISON, short="No method was compared with a control.")
    better = [verdict for verdict in macro if verdict.word == Word.BETTER]
    sample = _sample_text(macro, unit)
    numbers = dict(Counter(str(verdict.word) for verdict in macro))
    if better and len(set(control_of.values())) > 1:
        sentence, short = _of_models(better, control_of)
        return _answer(METHOD, Word.BETTER, sentence, short=f"{short}{sample}", numbers=numbers)
    if better:
        best = max(better, key=lambda verdict: verdict.numbers["difference"])
        others = [verdict.method for verdict in better if verdict is not best]
        sentence = f"Use {best.method}: {best.sentence}"
        if others:
            sentence += f" So {'is' if len(others) == 1 else 'are'} {_list_text(others)}."
        gain = f"{points(best.numbers['difference'])} points of macro Dice over {control_of[best.method]}"
        return _answer(METHOD, Word.BETTER, sentence, short=f"Use {best.method}: {gain}.{sample}", numbers=numbers)
    control = _list_text(list(dict.fromkeys(control_of.values())))
    shares = _list_text([f"{n} {word.replace('_', ' ')}" for word, n in numbers.items()])
    sentence = (
        f"No method is shown to be better than {control} on macro Dice ({shares}): "
        f"keep {control}, unless a single class or the cost decides."
    )
    word = _shared_word(macro, Word.UNDECIDED)
    short = f"Keep {control}: {_NOTHING_BETTER.get(word, 'no method is shown to be better')}.{sample}"
    return _answer(METHOD, word, sentence, short=short, numbers=numbers)


def _of_models(better: Sequence[Verdict], control_of: Mapping[str, str]) -> tuple[str, str]:
    """Answer for each model apart, whose gains are over controls of their own; in full and in short."""
    uses, kept, sentences = [], [], []
    for control in dict.fromkeys(control_of.values()):
        found = [verdict for verdict in better if control_of[verdict.method] == control]
        if not found:
            kept.append(control)
            continue
        best = max(found, key=lambda verdict: verdict.numbers["difference"])
        uses.append(f"{best.method} rather than {control} ({points(best.numbers['difference'])} points of macro Dice)")
        sentences.append(best.sentence)
    keep = f"; keep {_list_text(kept)}" if kept else ""
    between = "Gains of different models are over different controls, and do not say which model is better."
    return " ".join([f"Use {_list_text(uses)}{keep}.", *sentences, between]), f"Use {_list_text(uses)}{keep}."


def reason_answers(
    explanations: Sequence[Verdict], interventions: Sequence[Verdict], examined: Collection[str]
) -> list[Verdict]:
    """Answer "were the classes rare, or hard?" for each method that learned a bias.

    Args:
        explanations: Verdicts on what the change of each learned bias follows.
        interventions: Verdicts on the effects of biases; if a bias has no effect, the answer says so.
        examined: Methods with a verdict on whether the prediction depends on the class attention.

    Returns:
        One verdict per method, with the word of its explanation.
    """
    without_effect = {
        intervention.method: intervention.sentence
        for intervention in interventions
        if (intervention.aspect, intervention.class_name, intervention.word) == (ZEROED, MACRO, Word.EQUIVALENT)
    }
    answers = []
    for explanation in explanations:
        sentences = [explanation.sentence]
        if explanation.method in without_effect:
            sentences.append(without_effect[explanation.method])
        if explanation.method not in examined and not sentences[-1].endswith(NOT_EXAMINED):
            sentences.append(NOT_EXAMINED)
        answers.append(
            _answer(
                REASON,
                explanation.word,
                " ".join(sentences),
                short=_reason_in_short(explanation),
                method=explanation.method,
                numbers=dict(explanation.numbers),
            )
        )
    return answers


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


def _sample_text(verdicts: Sequence[Verdict], unit: str) -> str:
    """Write the least numbers of units and seeds, as " 9 slides or patients, 3 seeds."; empty if unknown."""
    numbers_of_verdicts = [verdict.numbers for verdict in verdicts if {"n_units", "n_seeds"} <= set(verdict.numbers)]
    if not numbers_of_verdicts or unit not in _UNITS:
        return ""
    units, seeds = (int(min(numbers[key] for numbers in numbers_of_verdicts)) for key in ("n_units", "n_seeds"))
    return f" {units} {_UNITS[unit][units != 1]}, {seeds} seed{'s' if seeds != 1 else ''}."


def _reason_in_short(explanation: Verdict) -> str:
    """Say in a few words whether a bias follows rare or hard, as "dfa: hard, beyond what is rare."."""
    followed = _FOLLOWED.get(str(explanation.numbers.get("follows", "")))
    if explanation.word == Word.SUPPORTED:
        text = followed or "a measure of the plan"
    elif explanation.word == Word.UNRELIABLE and explanation.numbers.get("evidence") != "reliability":
        text = "not interpreted: a measure of the classes is not reliable"
    else:
        text = _REASON_SHORT.get(explanation.word, explanation.word.replace("_", " "))
    return f"{explanation.method}: {text.format(what='the bias')}."


def _shared_word(verdicts: Sequence[Verdict], otherwise: Word) -> Word:
    """Return the word that all verdicts share, else `otherwise`."""
    words = {verdict.word for verdict in verdicts}
    return words.pop() if len(words) == 1 else otherwise


def _list_text(names: Sequence[str]) -> str:
    """Write names as "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
