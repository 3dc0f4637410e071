"""Rare or hard: what the learned bias follows beyond the other."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from analysis.bias import ESTIMAND_WORDS
from analysis.chapters.findings import Chapter, Findings
from analysis.class_points import FREQUENCY, StudyFrames
from analysis.columns import judged_table, rows_of, table
from analysis.explanation import DIFFICULTY, HEADLINE, Explanation, associate_studies
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text

_REFUSALS = (Word.NOT_TESTABLE, Word.UNRELIABLE, Word.NOT_SEPARABLE)  # in this order
WordOf = Callable[[str, str], Word | None]  # (method, estimand) -> verdict on reliability, or on inertia


def chapter(found: Findings) -> Chapter:
    """Test rare given hard and hard given rare, fit the mixed model, and share out the variation."""
    frames = StudyFrames(
        str(found.study.dataset.get("name", "")), found.tables["learned_bias"], found.tables["measures"]
    )
    explained = associate_studies([frames], found.plan)
    return judge(
        explained,
        found.plan,
        reliability=lambda method, estimand: found.word(f"reliability/{method}/{estimand}"),
        inertia=lambda method, estimand: found.word(f"inertia/{method}/{estimand}"),
    )


def judge(explained: Explanation, plan: AnalysisPlan, *, reliability: WordOf, inertia: WordOf) -> Chapter:
    """Judge an explanation of one or several studies.

    Args:
        explained: From `associate_studies`.
        plan: The plan.
        reliability: Word on the reliability of an estimand of a method; None where there is one run.
        inertia: Word on its inertia; None where nothing is known of its start.

    Returns:
        Tables partial_associations, mixed_models and partition; verdicts: `explanation/METHOD/ESTIMAND` first, then one
        on each partial association and on each slope, or on a model that was refused.
    """
    partial = [
        partial_verdict(row, plan, reliability(row["method"], row["estimand"]))
        for row in rows_of(explained.partial_associations)
    ]
    mixed = [
        mixed_verdict(row, plan, reliability(row["method"], row["estimand"])) for row in rows_of(explained.mixed_models)
    ]
    by_id = {each.id: each for each in partial}
    headline = []
    for row in rows_of(explained.partial_associations[["method", "estimand"]].drop_duplicates()):
        method, estimand = row["method"], row["estimand"]
        rare, hard = (by_id[f"partial/{method}/{estimand}/{name}"] for name in HEADLINE)
        shares = _shares(explained.partition, method, estimand)
        headline.append(explanation_verdict(method, estimand, (rare, hard), shares, inertia(method, estimand)))
    tables = {
        "partial_associations": judged_table("partial_associations", explained.partial_associations, partial),
        "mixed_models": judged_table("mixed_models", explained.mixed_models, mixed),
        "partition": table("partition", explained.partition.drop(columns="n_data_sets")),
    }
    refused = explained.mixed_models["refusal"].astype(bool).to_numpy()
    fitted = [each for each, no in zip(mixed, refused, strict=True) if not no]
    return Chapter(tables, (*headline, *partial, *_refusals(explained.mixed_models[refused]), *fitted))


def partial_verdict(row: Mapping[str, Any], plan: AnalysisPlan, reliability: Word | None) -> Verdict:
    """Judge one row of `Explanation.partial_associations`."""
    estimand, construct, n = row["estimand"], row["construct"], int(row["n_classes"])
    what = f"{ESTIMAND_WORDS[estimand]} of {row['method']}"
    rule = (
        "not_testable: no residual degree of freedom, nothing varies, fewer than two runs, or the smallest possible p "
        f"times the {row['family']} tests corrected together is not below {plan.alpha:g}; unreliable: ICC(3,k) below "
        f"{plan.reliability_floor:g}; not_separable: VIF above {plan.largest_vif:g}; supported: corrected "
        f"Freedman-Lane p < {plan.alpha:g}; else not_supported"
    )
    numbers = "" if math.isnan(row["r2"]) else f" (partial R squared {row['r2']:.2f}, {p_text(row['p'])} uncorrected)"
    if row["residual_df"] < 1:
        word, tail = Word.NOT_TESTABLE, f"cannot be tested with {n} classes: no residual degree of freedom is left"
    elif reliability not in (Word.RELIABLE, Word.UNRELIABLE):
        word, tail = Word.NOT_TESTABLE, f"is not interpreted: its reliability is unknown{numbers}"
    elif reliability == Word.UNRELIABLE:
        word, tail = Word.UNRELIABLE, f"is not interpreted: runs do not agree{numbers}"
    elif row["vif"] > plan.largest_vif:
        word = Word.NOT_SEPARABLE
        tail = f"cannot be told: they go together too closely (VIF {_inflation(row['vif'])}, {n} classes){numbers}"
    elif math.isnan(row["p"]):
        word, tail = Word.NOT_TESTABLE, "cannot be tested: one of them does not vary"
    elif row["min_p"] * row["family"] >= plan.alpha * (1 - 1e-9):
        word = Word.NOT_TESTABLE
        tail = (
            f"is not testable with {n} classes: the smallest possible p is {row['min_p']:.2g}, and {row['family']} "
            f"tests are corrected together{numbers}"
        )
    else:
        word = Word.SUPPORTED if row["p_holm"] < plan.alpha else Word.NOT_SUPPORTED
        verb = "is shown" if word == Word.SUPPORTED else "is not shown"
        tail = f"{verb}: partial R squared {row['r2']:.2f} over {n} classes, {p_text(row['p_holm'])} corrected"
    keys = ("partial_rho", "r2", "p", "min_p", "p_holm", "family", "vif", "residual_df", "n_classes", "n_data_sets")
    sentence = f"That the {what} follows {construct} beyond {row['given']} {tail}."
    identity = f"partial/{row['method']}/{estimand}/{construct}"
    return Verdict(identity, Topic.EXPLANATION, what, word, sentence, {key: row[key] for key in keys}, rule)


def mixed_verdict(row: Mapping[str, Any], plan: AnalysisPlan, reliability: Word | None) -> Verdict:
    """Judge one slope of the mixed model."""
    estimand, construct = row["estimand"], row["construct"]
    what = f"{ESTIMAND_WORDS[estimand]} of {row['method']}"
    rule = (
        f"not_testable: the model is refused, did not converge, or there are fewer than two runs; unreliable: ICC(3,k) "
        f"below {plan.reliability_floor:g}; supported: p of Student's t with the degrees of freedom of classes, after "
        f"Holm over the slopes, < {plan.alpha:g}; else not_supported"
    )
    if row["refusal"]:
        word, tail = Word.NOT_TESTABLE, f"no mixed model is fitted: {row['refusal']}"
    elif not row["converged"]:
        word, tail = Word.NOT_TESTABLE, f"the mixed model did not converge: {row['messages']}"
    else:
        slope = f"slope {row['estimate']:+.2f} (95 % interval {row['low']:+.2f} to {row['high']:+.2f}"
        slope += f", {p_text(row['p_holm'])} corrected, {row['df']} degrees of freedom)"
        slope += "; classes do not vary beyond measures and runs (singular fit)" if row["singular"] else ""
        if reliability != Word.RELIABLE:
            word = Word.UNRELIABLE if reliability == Word.UNRELIABLE else Word.NOT_TESTABLE
            tail = f"not interpreted, because runs are not shown to agree: {slope}"
        else:
            word = Word.SUPPORTED if row["p_holm"] < plan.alpha else Word.NOT_SUPPORTED
            tail = f"{'an effect' if word == Word.SUPPORTED else 'no effect'} is shown: {slope}"
    keys = (
        "estimate",
        "error",
        "low",
        "high",
        "t",
        "df",
        "p",
        "p_holm",
        "class_sd",
        "residual_sd",
        "n_classes",
        "n_rows",
    )
    numbers = {key: row[key] for key in (*keys, "converged", "singular")}
    sentence = f"Mixed model, {construct} on the {what}, the other measures given: {tail}."
    identity = f"mixed/{row['method']}/{estimand}/{construct}"
    return Verdict(identity, Topic.EXPLANATION, what, word, sentence, numbers, rule)


def _refusals(models: pd.DataFrame) -> list[Verdict]:
    """Return one verdict per mixed model that was refused."""
    return [
        Verdict(
            f"mixed/{row['method']}/{row['estimand']}",
            Topic.EXPLANATION,
            f"{ESTIMAND_WORDS[row['estimand']]} of {row['method']}",
            Word.NOT_TESTABLE,
            f"No mixed model of the {ESTIMAND_WORDS[row['estimand']]} of {row['method']}: {row['refusal']}.",
            {"n_classes": row["n_classes"], "n_rows": row["n_rows"], "df": row["df"]},
            "not_testable: too few classes or runs, or measures that determine one another",
        )
        for row in rows_of(models.drop_duplicates(["method", "estimand"]))
    ]


def explanation_verdict(
    method: str, estimand: str, pair: tuple[Verdict, Verdict], shares: Mapping[str, float], inertia: Word | None
) -> Verdict:
    """Put together the answer to "rare or hard" for one estimand of one method.

    Args:
        method: Label.
        estimand: A primary one.
        pair: Verdicts on frequency given difficulty and on difficulty given frequency.
        shares: Adjusted shares of the variation by component.
        inertia: Word on the inertia of this estimand.
    """
    what = f"{ESTIMAND_WORDS[estimand]} of {method}"
    rule = (
        "a refusal that either test got (not_testable, unreliable, not_separable); inertia: what the verdict on the "
        "inertia of this estimand says; supported: frequency beyond difficulty, difficulty beyond frequency, or both "
        "are supported; else not_supported"
    )
    follows = [name for name, each in zip(HEADLINE, pair, strict=True) if each.verdict == Word.SUPPORTED]
    refused = next((each for word in _REFUSALS for each in pair if each.verdict == word), None)
    if refused is not None:
        word, sentence = refused.verdict, refused.sentence
    elif inertia == Word.INERTIA:
        word = Word.INERTIA
        sentence = f"The {what} is mostly its start, so what it follows says what the start follows."
    elif follows:
        word = Word.SUPPORTED
        how = {FREQUENCY: "rare", DIFFICULTY: "hard"}[follows[0]] if len(follows) == 1 else "rare and how hard"
        other = {FREQUENCY: DIFFICULTY, DIFFICULTY: FREQUENCY}[follows[0]]
        beyond = f" beyond {other}" if len(follows) == 1 else ""
        tests = ", ".join(f"{each.id.split('/')[-1]} {p_text(each.numbers['p_holm'])}" for each in pair)
        sentence = f"The {what} follows how {how} a class is{beyond} (corrected: {tests})."
    else:
        word = Word.NOT_SUPPORTED
        sentence = f"The {what} is shown to follow neither frequency beyond difficulty nor difficulty beyond frequency."
    if word in (Word.SUPPORTED, Word.NOT_SUPPORTED) and all(math.isfinite(value) for value in shares.values()):
        told = ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in shares.items())
        sentence += f" Adjusted shares of its variation over classes: {told}."
    numbers = {"follows": "+".join(follows)} | dict(shares)
    identity = f"explanation/{method}/{estimand}"
    return Verdict(identity, Topic.EXPLANATION, what, word, sentence, numbers, rule)


def _shares(partition: pd.DataFrame, method: str, estimand: str) -> dict[str, float]:
    rows = partition[(partition["method"] == method) & (partition["estimand"] == estimand)]
    return {row["component"]: float(row["adjusted"]) for row in rows_of(rows[rows["kind"] == "share"])}


def _inflation(vif: float) -> str:
    return "infinite" if math.isinf(vif) else f"{vif:.1f}"
