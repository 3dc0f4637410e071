"""The effect of the learned bias: Dice after only the bias was changed in a trained model, minus Dice as trained.

Nothing else changes, and the images are the same, so a difference is an effect of the bias in these models. It says
nothing about models that were trained without a bias.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.schema.names import MACRO
from analysis.scoring.changed_models import ChangedModels, magnitudes
from analysis.scoring.comparisons import PairTest, Rules, judged_families, pair_tests
from analysis.scoring.pairs import rules_of
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.topics.method_comparison import paired_table
from analysis.topics.paired_decision import caution_text, difference_text, evidence_text, rule_text, too_few_text
from analysis.topics.path_ceiling import Ceiling, Ceilings
from analysis.verdicts import Topic, Verdict, Word, margin_text
from imbalance_bench.records import StudyRecords

LEARNED, ZEROED, PERMUTED, SHIFTED = "learned", "zeroed", "permuted", "shifted"


def intervention_runs(records: StudyRecords, study: StudyTables) -> dict[str, list[tuple[RunData, pd.DataFrame]]]:
    """Return the runs of each method that have re-predictions with a changed bias, with these re-predictions."""
    runs_of: dict[str, list[tuple[RunData, pd.DataFrame]]] = {}
    for run in study.data:
        rows = records.run(run.run_id).interventions()
        if rows is not None and len(rows):
            runs_of.setdefault(run.method, []).append((run, rows))
    return runs_of


def intervention_tests(
    runs: dict[str, list[tuple[RunData, pd.DataFrame]]], study: StudyTables, plan: AnalysisPlan, unit: str
) -> list[PairTest]:
    """Test Dice after each intervention against Dice as trained, paired by unit.

    Args:
        runs: Method -> runs and their re-predictions, columns of `table_schemas.INTERVENTIONS`.
        study: The study.
        plan: The plan.
        unit: "group" or "image".

    Returns:
        Zeroed and permuted (the mean over permutations): macro and every class; shifted: the class itself.
    """
    tests, rules, names = [], rules_of(plan), study.class_names
    for method, pairs in runs.items():
        models = ChangedModels.of(pairs, ("intervention",), study.split, unit, len(names))
        if (LEARNED,) not in models.changes:
            continue
        for intervention in (ZEROED, PERMUTED):
            members = sorted(change for change in models.changes if str(change[0]).split("_")[0] == intervention)
            if members:
                keys = {"method": method, "intervention": intervention, "unit": unit}
                tests += pair_tests(models.against(members, (LEARNED,)).scores, names, rules, keys)
        for class_id, name in enumerate(names):
            if (member := (f"{SHIFTED}_{class_id}",)) in models.changes:
                keys = {"method": method, "intervention": SHIFTED, "unit": unit}
                scores = models.against([member], (LEARNED,)).scores.of_class(class_id)
                tests += pair_tests(scores, (name,), rules, keys, only=name)
    return tests


def family_of(test: PairTest) -> object:
    """Return the family of an intervention: macro of all, or the classes of one intervention."""
    if test.keys["class"] == MACRO:
        return MACRO
    return test.keys["method"], test.keys["intervention"]


_WORDS = {
    ZEROED: "Setting the bias of {method} to zero",
    PERMUTED: "Permuting the bias of {method} among the classes",
    SHIFTED: "Raising the bias of {method} by 1 for {name} alone",
}


def analyze(context: Context) -> TopicResult:
    """Compare Dice after a change of the bias with Dice as trained; empty if no run was re-predicted."""
    runs = intervention_runs(context.records, context.study)
    rules, ceilings = rules_of(context.plan), Ceilings(context.tables["path_controls"])
    tests = intervention_tests(runs, context.study, context.plan, context.unit)
    rows = []
    for test, row in zip(tests, judged_families(tests, family_of, rules), strict=True):
        ceiling = ceilings.of(row["method"], row["class"])
        size = float(magnitudes(test.pairs)[0][test.column])
        limited = {"word": ceiling.word_of_bias(row["word"]), "share_of_ceiling": ceiling.share(row["difference"])}
        rows.append(row | limited | {"magnitude": size})
    verdicts = [intervention_verdict(row, rules, ceilings.of(row["method"], row["class"])) for row in rows]
    return TopicResult({"interventions": paired_table("interventions", rows)}, tuple(verdicts))


def intervention_verdict(row: Mapping[str, Any], rules: Rules, ceiling: Ceiling) -> Verdict:
    """Put one row of `judged_families` into words.

    Args:
        row: The row, with `magnitude` and `share_of_ceiling`; its word respects the ceiling.
        rules: The rules.
        ceiling: What the path of this bias can do to the class.
    """
    name, n, word, difference = row["class"], int(row["n_units"]), row["word"], difference_text(row, rules)
    score_name = "macro Dice" if name == MACRO else f"Dice of {name}"
    change = _WORDS[row["intervention"]].format(method=row["method"], name=name)
    effect = f"{difference}, {evidence_text(row)}"
    if n == 0 and name == MACRO:
        finding = f"cannot be judged on {score_name}: no class occurs in the scored images"
    elif n < 2:
        finding = f"cannot be judged on {score_name}: it occurs in {n} {row['unit']}{'' if n == 1 else 's'}"
    elif word == Word.NOT_TESTABLE:
        finding = f"cannot be judged on {score_name}: {too_few_text(row, rules)} (observed {difference})"
    elif word == Word.INERT:
        finding = (
            f"says nothing about it: {score_name} does not depend on what the class attention learned (uniform "
            f"attention weights move it by {100 * ceiling.at_most:.1f} points at most); observed {difference}"
        )
    elif word == Word.EQUIVALENT:
        finding = f"leaves {score_name} within {margin_text(rules.margin)}: {effect}"
    elif word in (Word.BETTER, Word.WORSE):
        finding = f"makes {score_name} {word}: {effect}"
    else:
        finding = f"has no shown effect on {score_name}: {effect}"
    sentence = f"{change} {finding}."
    if word not in (Word.NOT_TESTABLE, Word.INERT):
        sentence += caution_text(row)
        if ceiling.word is not None or name == MACRO:  # for macro only: a verdict on the data says it as well
            sentence += ceiling.remark(row["difference"], word)
    if row["n_seeds"] == 1 and word not in (Word.NOT_TESTABLE, Word.UNDECIDED, Word.INERT):
        sentence += " With one seed this speaks of this trained model alone."
    keys = ("difference", "low", "high", "p", "p_holm", "low_holm", "high_holm", "p_tost_holm", "p_sign_flip", "family")
    keys += ("magnitude", "share_of_ceiling")
    return Verdict(
        topic=Topic.INTERVENTION,
        aspect=row["intervention"],
        method=row["method"],
        class_name=name,
        subject=row["method"],
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in (*keys, "n_units", "n_seeds")},
        rule="inert: uniform attention weights leave the class, or macro Dice, within the margin (topic path); else "
        + rule_text(row, rules, "macro Dice of all interventions; the classes of one intervention"),
    )
