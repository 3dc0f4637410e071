"""The two answers a reader looks for first, put together from the verdicts below them; nothing is computed here."""

from collections import Counter
from collections.abc import Sequence

from analysis.schema.names import MACRO
from analysis.topics.context import Context
from analysis.verdicts import Topic, Verdict, Word

_MACRO_RULE = "better: any macro comparison is better; a word that all of them share; else undecided"
_REASON_RULE = (
    "supported: any primary association with the change is supported; a word that all share; else not_supported"
)


def answers(context: Context) -> list[Verdict]:
    """Answer the two questions of a study from the verdicts of its topics."""
    macro = [each for each in context.verdicts if each.id.startswith("comparison/") and each.id.endswith(f"/{MACRO}")]
    controls = " and ".join(dict.fromkeys(context.tables["comparisons"]["control"].astype(str)))
    change = [
        each for each in context.verdicts if each.id.startswith("association/") and each.id.split("/")[2] == "change"
    ]
    return [*method_answer(macro, controls), *reason_answers(change, context.n_occurring)]


def method_answer(macro: Sequence[Verdict], control: str) -> list[Verdict]:
    """Answer "which method should I use?".

    Args:
        macro: Verdicts on macro Dice, one per method.
        control: Label of the control.

    Returns:
        One verdict, or none where nothing was compared.
    """
    if not macro:
        return []
    better = [each for each in macro if each.verdict == Word.BETTER]
    numbers = dict(Counter(str(each.verdict) for each in macro))
    if better:
        best = max(better, key=lambda each: each.numbers["difference"])
        others = [each.subject for each in better if each is not best]
        sentence = f"Use {best.subject}: {best.sentence}"
        if others:
            sentence += f" So {'is' if len(others) == 1 else 'are'} {_listed(others)}."
        return [_method_verdict(Word.BETTER, sentence, numbers)]
    shares = _listed([f"{n} {word.replace('_', ' ')}" for word, n in numbers.items()])
    sentence = (
        f"No method is shown to be better than {control} on macro Dice ({shares}): "
        f"keep {control}, unless a single class or the cost decides."
    )
    return [_method_verdict(_common(macro, Word.UNDECIDED), sentence, numbers)]


def reason_answers(associations: Sequence[Verdict], n_classes: int) -> list[Verdict]:
    """Answer "were the classes rare, or hard?" for each method that learned a bias.

    Args:
        associations: Verdicts on the change of a learned bias and each primary measure.
        n_classes: Classes that occur.

    Returns:
        One verdict per method.
    """
    methods = dict.fromkeys(each.id.split("/")[1] for each in associations)
    return [
        _reason([each for each in associations if each.id.split("/")[1] == method], method, n_classes)
        for method in methods
    ]


def _reason(of_method: Sequence[Verdict], method: str, n_classes: int) -> Verdict:
    supported = [_measure(each) for each in of_method if each.verdict == Word.SUPPORTED]
    word = Word.SUPPORTED if supported else _common(of_method, Word.NOT_SUPPORTED)
    measures = _listed([_measure(each) for each in of_method], "or")
    if supported:
        sentence = f"What the bias of {method} learned follows {_listed(supported)}."
    elif word == Word.UNRELIABLE:
        sentence = (
            f"Neither can be said: what the bias of {method} learned does not agree between runs, "
            f"so no correlation with {measures} is interpreted."
        )
    elif word == Word.NOT_TESTABLE:
        sentence = (
            f"Neither can be said with {n_classes} classes: no correlation of what the bias of {method} learned "
            f"with {measures} could reach significance, however strong."
        )
    else:
        sentence = f"What the bias of {method} learned is not shown to follow {measures}."
    numbers = {each.id: each.numbers["spearman"] for each in of_method}
    return Verdict(f"answer/reason/{method}", Topic.ASSOCIATION, method, word, sentence, numbers, _REASON_RULE)


def _method_verdict(word: Word, sentence: str, numbers: dict[str, int]) -> Verdict:
    return Verdict("answer/method", Topic.COMPARISON, "all methods", word, sentence, numbers, _MACRO_RULE)


def _common(found: Sequence[Verdict], otherwise: Word) -> Word:
    """The word that all share."""
    words = {each.verdict for each in found}
    return words.pop() if len(words) == 1 else otherwise


def _measure(verdict: Verdict) -> str:
    return verdict.id.split("/")[-1].replace("_", " ")


def _listed(names: Sequence[str], word: str = "and") -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
