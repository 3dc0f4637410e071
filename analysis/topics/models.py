"""Several models in one study: the effect of the model, and whether the effect of a method depends on the model.

A difference of differences is paired like every other comparison: within a unit and seed, the effect of the method
with one model minus its effect with the other.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from analysis.schema.names import MACRO
from analysis.scoring.comparisons import (
    PairTest,
    Rules,
    compared_scores,
    judged_families,
    macro_or_class,
    pair_tests,
)
from analysis.scoring.pairs import control_of, rules_of, study_pairing
from analysis.topics.context import Context, TopicResult
from analysis.topics.method_comparison import paired_table
from analysis.topics.paired_decision import (
    DECIDED,
    NO_INTERVAL,
    caution_text,
    difference_text,
    evidence_text,
    rule_text,
    too_few_text,
)
from analysis.verdicts import Topic, Verdict, Word, margin_text, points

DIFFERENCE, INTERACTION = "difference", "interaction"  # aspects of the topic
TABLES = {DIFFERENCE: "model_differences", INTERACTION: "model_interactions"}
_FAMILIES = "macro Dice of all methods and pairs of models; their classes"


def analyze(context: Context) -> TopicResult:
    """Compare the models of a study, and the effects of its methods with each model; empty for one model."""
    rules, tests = rules_of(context.plan), list(model_tests(context))
    tables, verdicts = {}, []
    for aspect, name in TABLES.items():
        members = [test for test in tests if test.keys["aspect"] == aspect]
        rows = judged_families(members, macro_or_class, rules)
        rows = [
            row | compared_scores(test, "of_model", "of_other") | {"word": _word(row)}
            for row, test in zip(rows, members, strict=True)
        ]
        tables[name] = paired_table(name, rows)
        verdicts += [model_verdict(row, rules) for row in rows]
    return TopicResult(tables, tuple(verdicts))


def model_tests(context: Context) -> Iterator[PairTest]:
    """Yield, for each pair of models, the tests of every method and of every method's effect on its control.

    Args:
        context: A study; with one model nothing is yielded.
    """
    study, rules = context.study, rules_of(context.plan)
    pairing = study_pairing(study, context.units, context.unit)
    labels, models = (list(dict.fromkeys(getattr(run, name) for run in study.data)) for name in ("label", "model"))
    names = {(run.label, run.model): run.method for run in study.data}
    for first, second in combinations(models, 2):
        for label in labels:
            method, other = names.get((label, first)), names.get((label, second))
            if method is None or other is None:
                continue
            pairs = {DIFFERENCE: pairing.pair(method, other)}
            controls = [control_of(member, study, context.plan) for member in (method, other)]
            if controls[0] is not None and controls[1] is not None:
                pairs[INTERACTION] = pairing.pair_effects((method, controls[0]), (other, controls[1]))
            for aspect, pair in pairs.items():
                if pair is not None:
                    keys = {"aspect": aspect, "method": label, "model": first, "other_model": second}
                    yield from pair_tests(pair, study.class_names, rules, keys | {"unit": context.unit})


def _word(row: Mapping[str, Any]) -> Word:
    """Return the word of a verdict; an effect that is greater with either model depends on the model."""
    decided = row["aspect"] == INTERACTION and row["word"] in (Word.BETTER, Word.WORSE)
    return Word.SUPPORTED if decided else row["word"]


def model_verdict(row: Mapping[str, Any], rules: Rules) -> Verdict:
    """Put one row of table `model_differences` or `model_interactions` into words."""
    name, word, interacts = row["class"], row["word"], row["aspect"] == INTERACTION
    method, model, other = row["method"], row["model"], row["other_model"]
    score_name = "macro Dice" if name == MACRO else f"Dice of {name}"
    quantity = f"the effect of {method} on {score_name}" if interacts else f"{score_name} of {method}"
    write = points if interacts else lambda dice: f"{100 * dice:.1f}"
    scores = f"{write(row['of_model'])} points with {model}, {write(row['of_other'])} with {other}"
    evidence = f"{scores}; the difference is {difference_text(row, rules)}, {evidence_text(row)}"
    if row["n_units"] == 0:
        sentence = f"{name} does not occur in the scored images."
    elif row["n_units"] == 1:
        sentence = (
            f"Whether {quantity} depends on the model cannot be tested: {NO_INTERVAL.format(unit=row['unit'])}. "
            f"Observed: {scores}."
        )
    elif word == Word.NOT_TESTABLE:
        sentence = (
            f"Whether {quantity} depends on the model cannot be tested: {too_few_text(row, rules)}. Observed: {scores}."
        )
    elif word == Word.EQUIVALENT:
        sentence = (
            f"{_start(quantity)} is the same with {model} and {other} within {margin_text(rules.margin)}: {evidence}."
        )
    elif word == Word.SUPPORTED:
        sentence = f"{_start(quantity)} depends on the model: {evidence}."
    elif word in (Word.BETTER, Word.WORSE):
        sentence = f"{_start(quantity)} is {word} with {model} than with {other}: {evidence}."
    else:
        sentence = f"Whether {quantity} depends on the model is undecided: {evidence}."
    if word != Word.NOT_TESTABLE:
        sentence += caution_text(row)
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED):
        sentence += " With one seed this speaks of these trained models, not of the models in general."
    return Verdict(
        topic=Topic.MODEL,
        aspect=f"{row['aspect']}/{model}/{other}",
        method=method,
        class_name=name,
        subject=method,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in ("of_model", "of_other", *DECIDED, "n_units", "n_seeds")},
        rule=rule_text(row, rules, _FAMILIES) + ("; supported: the interval excludes 0" if interacts else ""),
    )


def _start(text: str) -> str:
    return text[0].upper() + text[1:]
