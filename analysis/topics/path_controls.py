"""Is the class attention that a bias acts on read at all? Dice after the attention was changed in trained models.

Uniform weights remove whatever the attention learned about a place; if the prediction of a model does not change, it
cannot depend on it. That is judged first, by an equivalence test of macro Dice, for each method separately.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.schema.names import MACRO
from analysis.scoring.changed_models import Change, ChangedModels, magnitudes
from analysis.scoring.comparisons import Rules, judged_rows, pair_tests
from analysis.scoring.pairs import rules_of
from analysis.study.runs import RunData
from analysis.topics.context import Context, TopicResult, not_recorded
from analysis.topics.interventions import LEARNED, PERMUTED, ZEROED, intervention_runs
from analysis.topics.path_ceiling import Ceiling, Ceilings
from analysis.verdicts import Topic, Verdict, Word, margin_text, p_text, points
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import PathControl

WEIGHTS = (PathControl.UNIFORM, PathControl.REMOVED, PathControl.ORACLE, PathControl.ROLLED)
DOSES = (PathControl.BIAS_DOSE, PathControl.LOGIT_DOSE, PathControl.LOGIT_MATCHED)
OF_BIAS = (ZEROED, PERMUTED, str(PathControl.BIAS_DOSE))
NOT_CONTROLLED = "no path controls were recorded (runs of earlier versions, or `evaluation.path_controls: 0`)"
RULE = (
    "macro Dice under uniform attention weights against Dice as trained, each method alone: inert: the interval of two "
    "one-sided tests over units, seeds and folds lies within +-{margin:g}, and so does the mean |difference| over "
    "models; live: the 95 % interval excludes 0; not_testable: no interval, or fewer units than a sign-flip test needs "
    "for p < {alpha:g}; else undecided"
)


def analyze(context: Context) -> TopicResult:
    """Tabulate every control of the path and judge, for each method, whether it is inert."""
    rules, rows = rules_of(context.plan), []
    bias_changes = intervention_runs(context.records, context.study)
    controlled = controlled_runs(context.records, context.study.data)
    for done, (method, pairs) in enumerate(controlled.items()):
        context.report("path controls", done, len(controlled))
        rows += method_rows(method, pairs, bias_changes.get(method, []), context, rules)
    frame = table("path_controls", rows)
    not_controlled = {method: NOT_CONTROLLED for method in bias_changes if method not in controlled}
    ceilings = Ceilings(frame)
    verdicts = [path_verdict(frame, method, ceilings.of(method), rules) for method in controlled]
    unrecorded = not_recorded(
        "path_controls", "whether the class attention is read", "path_controls.parquet", not_controlled
    )
    return TopicResult({"path_controls": frame}, (*verdicts, *unrecorded))


def controlled_runs(records: StudyRecords, runs: Sequence[RunData]) -> dict[str, list[tuple[RunData, pd.DataFrame]]]:
    """Return the runs of each method with their path controls; methods with a run that lacks them are left out."""
    runs_of: dict[str, list[tuple[RunData, pd.DataFrame]]] = {}
    without: set[str] = set()
    for run in runs:
        rows = records.run(run.run_id).path_controls()
        if rows is None or not len(rows):
            without.add(run.method)
        else:
            runs_of.setdefault(run.method, []).append((run, rows))
    return {method: pairs for method, pairs in runs_of.items() if method not in without}


def method_rows(
    method: str,
    pairs: Sequence[tuple[RunData, pd.DataFrame]],
    biased: Sequence[tuple[RunData, pd.DataFrame]],
    context: Context,
    rules: Rules,
) -> list[dict[str, Any]]:
    """Return the rows of one method: changes of its bias, of the weights of its attention, and doses.

    Args:
        method: Label of the method.
        pairs: Its runs and their path controls.
        biased: Its runs and their predictions with a changed bias; empty if it has no bias.
        context: The study.
        rules: The rules.
    """
    names, shape = context.study.class_names, (context.study.split, context.unit, len(context.study.class_names))
    models = ChangedModels.of(pairs, ("control", "target_id", "dose"), *shape)
    trained = (str(PathControl.LEARNED), -1, 0.0)
    weights = [(str(control), -1, 0.0) for control in WEIGHTS]
    rows: list[dict[str, Any]] = []

    def add(models: ChangedModels, changes: Sequence[Change], trained: Change, keys: dict[str, Any]) -> None:
        tested = _tested(models, changes, trained, {"method": method, "unit": context.unit} | keys, names, rules)
        rows.extend(_of_dose(tested, keys["target"]))

    if biased:
        of_bias = ChangedModels.of(biased, ("intervention",), *shape)
        for name in (ZEROED, PERMUTED):
            members = [change for change in of_bias.changes if str(change[0]).split("_")[0] == name]
            if members:
                add(of_bias, members, (LEARNED,), {"control": name, "target": "", "dose": 0.0})
    for change in weights:
        if change in models.changes:
            add(models, [change], trained, {"control": change[0], "target": "", "dose": 0.0})
    on_all = Ceilings(table("path_controls", [_plain(row, Ceiling()) for row in rows]))
    on_dosed = _on_images_of_doses(models, trained, method, names, rules, on_all)
    for change in models.changes:
        if change[0] in DOSES:
            keys = {"control": str(change[0]), "target": names[int(str(change[1]))], "dose": float(str(change[2]))}
            add(models, [change], trained, keys)
    _mark_curves(rows)
    return [
        _plain(row, (on_dosed if row["target"] else {}).get(row["class"]) or on_all.of(method, row["class"]))
        for row in rows
    ]


def _tested(
    models: ChangedModels,
    changes: Sequence[Change],
    trained: Change,
    keys: dict[str, Any],
    names: Sequence[str],
    rules: Rules,
) -> list[dict[str, Any]]:
    """Test one control, macro alone and the classes together, and add predicted shares and the mean |difference|."""
    counts = models.against(changes, trained)
    pairs, (after, before) = counts.scores, counts.predicted_shares
    tests = pair_tests(pairs, names, rules, keys)
    rows = judged_rows(tests[:1], rules, influence=False) + judged_rows(tests[1:], rules, influence=False)
    magnitude, n_models = magnitudes(pairs)
    columns = [len(names), *range(len(names))]  # macro first, which has no predicted share
    predicted, predicted_trained = np.append(after, np.nan), np.append(before, np.nan)
    return [
        row
        | {"magnitude": float(magnitude[column]), "n_models": n_models, "moved": after - before}
        | {"predicted": float(predicted[column]), "predicted_trained": float(predicted_trained[column])}
        for row, column in zip(rows, columns, strict=True)
    ]


def _of_dose(rows: list[dict[str, Any]], target: str) -> list[dict[str, Any]]:
    """Return the rows of a control that the table contains: for a dose, macro and the dosed class."""
    return [row for row in rows if not target or row["class"] in (MACRO, target)]


def _on_images_of_doses(
    models: ChangedModels, trained: Change, method: str, names: Sequence[str], rules: Rules, on_all: Ceilings
) -> dict[str, Ceiling]:
    """Return the ceilings for doses: the difference on the images that were dosed, with the word of all images."""
    uniform = (str(PathControl.UNIFORM), -1, 0.0)
    dosed = next((change for change in models.changes if change[0] in DOSES), None)
    if dosed is None or uniform not in models.changes:
        return {}
    tests = pair_tests(models.against([uniform], trained, like=[dosed]).scores, names, rules, {})
    differences = {test.keys["class"]: test.uncertainty.estimate for test in tests}
    return {name: replace(on_all.of(method, name), difference=value) for name, value in differences.items()}


def _mark_curves(rows: list[dict[str, Any]]) -> None:
    """Add `monotone` and `specific` to the rows, from how each dose moved the predicted shares."""
    curves: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        row |= {"monotone": False, "specific": False}
        if row["target"] and row["class"] == row["target"]:
            curves.setdefault((row["control"], row["target"]), []).append(row)
    for curve in curves.values():
        ordered = sorted([(row["dose"], row["predicted"]) for row in curve] + [(0.0, curve[0]["predicted_trained"])])
        shares = np.array([share for _, share in ordered])
        monotone = bool((np.diff(shares) >= 0).all() and shares[-1] > shares[0])
        for row in curve:
            shift = (row["predicted"] - row["predicted_trained"]) * np.sign(row["dose"])
            specific = bool(shift > 0 and shift >= np.abs(row["moved"]).max())
            row |= {"monotone": monotone, "specific": specific}


def _plain(row: Mapping[str, Any], ceiling: Ceiling) -> dict[str, object]:
    """Return the columns of the table."""
    columns = ("method", "control", "target", "dose", "class", "unit", "n_units", "n_seeds", "n_models", "difference")
    columns += ("low", "high", "magnitude", "p", "p_tost", "p_tost_holm", "low_tost", "high_tost", "predicted")
    content = {name: row[name] for name in (*columns, "predicted_trained")}
    content |= {"monotone": row.get("monotone", False), "specific": row.get("specific", False)}
    word = row["word"]
    if row["control"] == PathControl.UNIFORM:
        word = word_of_uniform(word, row["magnitude"], row["margin"])
    elif row["control"] in OF_BIAS:
        word = ceiling.word_of_bias(word)
    return content | {"verdict": str(word), "share_of_ceiling": ceiling.share(row["difference"])}


def word_of_uniform(word: Word, magnitude: float, margin: float) -> Word:
    """Return the word on the path from the difference under uniform weights.

    Args:
        word: Word on the difference, as in any comparison.
        magnitude: Mean |difference| over models: models whose differences cancel are not inert.
        margin: Half width of the region of practical equivalence.
    """
    if word == Word.EQUIVALENT:
        return Word.INERT if magnitude < margin else Word.UNDECIDED
    return Word.LIVE if word in (Word.BETTER, Word.WORSE) else word


def path_verdict(frame: pd.DataFrame, method: str, ceiling: Ceiling, rules: Rules) -> Verdict:
    """Say whether the prediction of a method depends on what its class attention learned."""
    rows = frame[(frame["method"] == method) & (frame["class"] == MACRO)]
    row = rows[rows["control"] == str(PathControl.UNIFORM)].iloc[0]
    effect = (
        f"{points(row['difference'])} points of macro Dice, mean |difference| over {int(row['n_models'])} models "
        f"{100 * row['magnitude']:.1f}, over {int(row['n_units'])} {row['unit']}s"
    )
    word = ceiling.word or Word.NOT_TESTABLE
    tost = f"interval of two one-sided tests {points(row['low_tost'])} to {points(row['high_tost'])}"
    if word == Word.INERT:
        sentence = (
            f"The prediction of {method} does not depend on what its class attention learned: attending to every class "
            f"equally moves macro Dice by {100 * ceiling.at_most:.1f} points at most, inside the margin of "
            f"{margin_text(rules.margin)} ({effect}, {tost}, {p_text(row['p_tost'])}). Neither an effect of a bias on "
            "that attention nor its absence says anything about the bias."
        )
    elif word == Word.LIVE:
        sentence = (
            f"The prediction of {method} depends on what its class attention learned: attending to every class equally "
            f"changes it by {effect} (95 % interval {points(row['low'])} to {points(row['high'])}, {p_text(row['p'])})."
        )
    else:
        sentence = (
            f"Whether the prediction of {method} depends on what its class attention learned is not decided: attending "
            f"to every class equally changes it by {effect}"
            + (f" ({tost})." if np.isfinite(row["low_tost"]) else "; there is no interval.")
        )
    dosed = _largest(rows)
    largest = ", ".join(f"{100 * value:.1f} points by a {name.replace('_', ' ')}" for name, value in dosed.items())
    if dosed:
        n = int(rows[rows["target"] != ""]["n_units"].max())
        sentence += f" Largest effect of any dose, on {n} {row['unit']}{'' if n == 1 else 's'}: {largest}."
    numbers = {key: row[key] for key in ("difference", "low", "high", "p", "magnitude", "low_tost", "high_tost")}
    numbers |= {key: row[key] for key in ("p_tost", "n_units", "n_seeds", "n_models")} | dosed
    return Verdict(
        topic=Topic.PATH,
        method=method,
        class_name=MACRO,
        subject=method,
        word=word,
        sentence=sentence,
        numbers={**numbers, "at_most": ceiling.at_most},
        rule=RULE.format(margin=rules.margin, alpha=rules.alpha),
    )


def _largest(rows: pd.DataFrame) -> dict[str, float]:
    """Return the largest |difference| of macro Dice over the doses of the bias, and over those of the logits."""
    largest = (
        rows[rows["target"] != ""]
        .groupby("control")["difference"]
        .agg(lambda differences: float(differences.abs().max()))
    )
    return {
        str(name): float(largest[name]) for name in (PathControl.BIAS_DOSE, PathControl.LOGIT_DOSE) if name in largest
    }
