"""Rare or hard: what the learned bias follows beyond the other, in one study or over several data sets at once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.measures import PRIMARY
from analysis.schema import judged_table, rows_of, table
from analysis.schema.names import ESTIMAND_WORDS
from analysis.statistics.corrections import attainable, holm
from analysis.statistics.intervals import percentile_interval
from analysis.statistics.intraclass_correlation import icc_average_consistency
from analysis.statistics.mixed_model import fit_mixed_model
from analysis.statistics.partial_association import PartialAssociation, partial_association
from analysis.statistics.partition import SMALLEST_RESIDUAL_DF, Partition, partition, resampled_partitions
from analysis.statistics.rank_association import rank_association
from analysis.statistics.strata import variance_inflation, within_ranks, within_scores
from analysis.study.class_points import FREQUENCY, ClassPoints, StudyFrames, class_points
from analysis.study.runs import AnalysisPlan
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic, Verdict, Word, p_text
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS
from imbalance_bench.seeding import generator

DIFFICULTY = "difficulty"  # all constructs but frequency, together
HEADLINE = (FREQUENCY, DIFFICULTY)  # the two tests that answer "rare or hard", corrected together


@dataclass(frozen=True)
class Explanation:
    """What the learned bias of some methods follows.

    Args:
        associations: One row per method, estimand and construct: rank association within data sets.
        partial_associations: Frequency given difficulty, difficulty given frequency, each construct given frequency.
        mixed_models: One row per slope.
        partition: Shares of the explained variation.
        reliability: ICC(3,k) of each method and estimand over all data sets; NaN with one run.
    """

    associations: pd.DataFrame
    partial_associations: pd.DataFrame
    mixed_models: pd.DataFrame
    partition: pd.DataFrame
    reliability: pd.DataFrame


def associate_studies(studies: Sequence[StudyFrames], plan: AnalysisPlan) -> Explanation:
    """Explain the learned bias over the classes of one or several studies; classes are compared within data sets only.

    Args:
        studies: Their frames; methods are matched by label. A study without a method is left out for that method.
        plan: Level, permutations, resamples and seed.

    Returns:
        Frames without verdicts; `analysis.topics.explanation.judge` adds them.
    """
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in Explanation.__dataclass_fields__}
    methods = dict.fromkeys(str(method) for study in studies for method in study.bias["method"].unique())
    for method in methods:
        for estimand in PRIMARY_ESTIMANDS:
            points = class_points(studies, method, estimand)
            if not len(points.values) or FREQUENCY not in points.constructs or len(points.constructs) < 2:
                continue
            keys: dict[str, object] = {"method": method, "estimand": estimand, "n_data_sets": points.n_strata}
            for name, rows in _explained(points, plan, f"{method}/{estimand}").items():
                tables[name] += [keys | row for row in rows]
    keyed = {name: ["method", "estimand", "n_data_sets", *columns.split()] for name, columns in _COLUMNS.items()}
    return Explanation(**{name: pd.DataFrame(rows, columns=keyed[name]) for name, rows in tables.items()})


_COLUMNS = {
    "associations": "construct measure n_classes spearman kendall p_spearman p_kendall min_p rho_needed p_holm family",
    "partial_associations": "construct measure given n_classes residual_df partial_rho r2 p min_p draws vif p_holm "
    "family",
    "mixed_models": "construct measure estimate error low high t df p p_holm family class_sd residual_sd n_classes "
    "n_rows converged singular messages refusal",
    "partition": "kind component value adjusted low high resampled n_classes residual_df vif",
    "reliability": "icc low high n_seeds n_classes",
}


def _explained(points: ClassPoints, plan: AnalysisPlan, name: str) -> dict[str, list[dict[str, object]]]:
    icc, low, high = icc_average_consistency(points.complete_runs())
    n_runs = points.complete_runs().shape[1]
    row = {"icc": icc, "low": low, "high": high, "n_seeds": n_runs, "n_classes": len(points.values)}
    return {
        "associations": _associations(points, plan, name),
        "partial_associations": _partial_associations(points, plan, name),
        "mixed_models": _mixed_model(points),
        "partition": _partition(points, plan, name),
        "reliability": [row],
    }


def _associations(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    rows = []
    for j, construct in enumerate(points.constructs):
        rng = generator(plan.seed, "stratified association", name, construct)
        found = rank_association(
            *(points.means, points.measures[:, j]),
            alpha=plan.alpha,
            permutations=plan.permutations,
            rng=rng,
            strata=list(points.strata),
        )
        row = {"construct": construct, "measure": PRIMARY[construct], "n_classes": found.n}
        row |= {key: getattr(found, key) for key in ("spearman", "kendall", "p_spearman", "p_kendall", "min_p")}
        rows.append(row | {"rho_needed": found.rho_needed})
    return _with_holm(rows, "p_spearman")


def _partial_associations(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    """Test rare given hard and hard given rare, then each construct of difficulty given frequency."""
    headline = [(FREQUENCY, (FREQUENCY,), points.difficulty), (DIFFICULTY, points.difficulty, (FREQUENCY,))]
    single = [(each, (each,), (FREQUENCY,)) for each in points.difficulty]
    families = []
    for tests in (headline, single):
        rows = []
        for construct, tested, given in tests:
            found = _partial(points, tested, given, plan, generator(plan.seed, "partial", name, construct))
            row = {
                "construct": construct,
                "measure": _joined([PRIMARY[each] for each in tested]),
                "given": _joined(given),
                "n_classes": found.n,
            }
            row |= {"residual_df": found.residual_df, "partial_rho": found.partial, "r2": found.r2, "p": found.p}
            rows.append(row | {"min_p": found.min_p, "draws": found.draws, "vif": found.vif})
        families += _with_holm(rows, "p")
    return families


def _partial(
    points: ClassPoints, tested: Sequence[str], given: Sequence[str], plan: AnalysisPlan, rng: np.random.Generator
) -> PartialAssociation:
    ranks = _ranks(points)
    return partial_association(
        *(ranks.means, ranks.of(tested), ranks.of(given)),
        permutations=plan.permutations,
        rng=rng,
        strata=list(points.strata),
    )


def _mixed_model(points: ClassPoints) -> list[dict[str, object]]:
    """Fit standardised bias on standardised measures; the spread of class means is 1 within each data set."""
    scale = np.array([np.std(points.means[points.strata == each]) for each in points.strata])
    runs = points.values.shape[1]
    outcome = points.values / np.where(scale > 0, scale, np.nan)[:, None]
    measures = np.column_stack([within_scores(each, list(points.strata)) for each in points.measures.T])
    classes, strata = (np.repeat(each, runs) for each in (np.arange(len(outcome)), points.strata))
    found = fit_mixed_model(outcome.ravel(), np.repeat(measures, runs, axis=0), classes, strata)
    low, high = found.interval()
    shared: dict[str, object] = {"df": found.class_df, "messages": "; ".join(found.messages)}
    shared |= {key: getattr(found, key) for key in _FIT_COLUMNS}
    rows = []
    for j, construct in enumerate(points.constructs):
        row = {"construct": construct, "measure": PRIMARY[construct], "estimate": found.estimates[j]}
        row |= {"error": found.errors[j], "low": low[j], "high": high[j], "t": found.t[j], "p": found.p[j]}
        rows.append(row | shared)
    return _with_holm(rows, "p")


_FIT_COLUMNS = ("class_sd", "residual_sd", "n_classes", "n_rows", "converged", "singular", "refusal")


def _partition(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, object]]:
    """Share out the variation of the ranks: rare alone, hard alone, shared; dominance; every common part."""
    ranks = _ranks(points)
    whole = partition(ranks.means, ranks.measures, list(points.strata))
    resampled, what, degrees = _resampled(points, whole, plan, generator(plan.seed, "partition", name))
    inflation = variance_inflation(ranks.measures, list(points.strata))
    raw, adjusted = (_components(each, points.constructs) for each in (whole, whole.adjusted()))
    drawn = [_components(each.adjusted(), points.constructs) for each in resampled]
    rows = []
    for kind, component in raw:
        values = np.array([each[kind, component] for each in drawn])
        bounded = len(values) > 0 and component != "total"  # intervals of the total cover 77 to 93 % only
        low, high = percentile_interval(values, degrees, 0.95) if bounded else (np.nan, np.nan)
        row = {"kind": kind, "component": component, "value": raw[kind, component], "low": low, "high": high}
        row |= {"adjusted": adjusted[kind, component], "resampled": what if bounded else ""}
        vif = inflation[points.constructs.index(component)] if component in points.constructs else np.nan
        rows.append(row | {"n_classes": whole.n, "residual_df": whole.residual_df, "vif": vif})
    return rows


def _components(found: Partition, constructs: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return every part by kind and name."""
    rare = [constructs.index(FREQUENCY)]
    hard = [j for j in range(len(constructs)) if j not in rare]
    names = ("unique_frequency", "unique_difficulty", "shared")
    parts = {("share", name): value for name, value in zip(names, found.of_two(rare, hard), strict=True)}
    parts["share", "total"] = float(found.r2[-1])
    weights = found.dominance()
    parts |= {("dominance", name): float(weights[j]) for j, name in enumerate(constructs)}
    common = found.commonality()
    for size in range(1, len(constructs) + 1):
        for chosen in combinations(range(len(constructs)), size):
            name = _joined([constructs[j] for j in chosen])
            parts["commonality", name] = float(common[sum(1 << j for j in chosen)])
    return parts


def _resampled(
    points: ClassPoints, whole: Partition, plan: AnalysisPlan, rng: np.random.Generator
) -> tuple[list[Partition], str, int]:
    """Resample classes where enough are there; else runs, which says nothing about other classes; else nothing.

    Returns:
        Partitions, what was resampled, and the degrees of freedom of its spread.
    """
    strata = list(points.strata)
    if whole.residual_df >= SMALLEST_RESIDUAL_DF:
        ranks = _ranks(points)
        drawn = resampled_partitions(ranks.means, ranks.measures, strata, resamples=plan.resamples, rng=rng)
        return drawn, "classes", whole.n - whole.n_strata
    runs = points.complete_runs()
    if runs.shape[1] < 2 or whole.residual_df < 1:
        return [], "", 0
    measures = _ranks(points).measures
    chosen = rng.integers(0, runs.shape[1], size=(plan.resamples, runs.shape[1]))
    responses = (within_ranks(runs[:, each].mean(axis=1), strata) for each in chosen)
    return [partition(each, measures, strata) for each in responses], "runs", runs.shape[1] - 1


def _ranks(points: ClassPoints) -> ClassPoints:
    """Return the same points with ranks within each data set instead of values; one run, the mean of all."""
    strata = list(points.strata)
    measures = np.column_stack([within_ranks(each, strata) for each in points.measures.T])
    return ClassPoints(points.strata, within_ranks(points.means, strata)[:, None], measures, points.constructs)


def _with_holm(rows: list[dict[str, object]], p: str) -> list[dict[str, object]]:
    """Add p after Holm over these rows, and how many tests that corrects."""
    values = np.array([row[p] for row in rows], dtype=np.float64)
    family = int(np.isfinite(values).sum())
    return [row | {"p_holm": value, "family": family} for row, value in zip(rows, holm(values), strict=True)]


def _joined(names: Sequence[str]) -> str:
    return " + ".join(names)


_REFUSALS = (Word.NOT_TESTABLE, Word.UNRELIABLE, Word.NOT_SEPARABLE)  # in this order
WordOf = Callable[[str, str], Word | None]  # (method, estimand) -> verdict on reliability, or on inertia


def analyze(context: Context) -> TopicResult:
    """Test rare given hard and hard given rare, fit the mixed model, and share out the variation."""
    frames = StudyFrames(
        str(context.study.dataset.get("name", "")), context.tables["learned_bias"], context.tables["measures"]
    )
    explained = associate_studies([frames], context.plan)
    return judge(
        explained,
        context.plan,
        reliability=lambda method, estimand: context.word(Topic.RELIABILITY, method=method, estimand=estimand),
        inertia=lambda method, estimand: context.word(Topic.INERTIA, method=method, estimand=estimand),
    )


def judge(explained: Explanation, plan: AnalysisPlan, *, reliability: WordOf, inertia: WordOf) -> TopicResult:
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
    by_construct = {(each.method, each.estimand, each.measure): each for each in partial}
    headline = []
    for row in rows_of(explained.partial_associations[["method", "estimand"]].drop_duplicates()):
        method, estimand = row["method"], row["estimand"]
        rare, hard = (by_construct[method, estimand, name] for name in HEADLINE)
        shares = _shares(explained.partition, method, estimand)
        headline.append(explanation_verdict(method, estimand, (rare, hard), shares, inertia(method, estimand)))
    tables = {
        "partial_associations": judged_table(
            "partial_associations", explained.partial_associations, [each.word for each in partial]
        ),
        "mixed_models": judged_table("mixed_models", explained.mixed_models, [each.word for each in mixed]),
        "partition": table("partition", explained.partition.drop(columns="n_data_sets")),
    }
    refused = explained.mixed_models["refusal"].astype(bool).to_numpy()
    fitted = [each for each, no in zip(mixed, refused, strict=True) if not no]
    return TopicResult(tables, (*headline, *partial, *_refusals(explained.mixed_models[refused]), *fitted))


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
    elif not attainable(row["min_p"], row["family"], plan.alpha):
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
    return Verdict(
        topic=Topic.PARTIAL_ASSOCIATION,
        method=row["method"],
        estimand=estimand,
        measure=construct,
        subject=what,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in keys},
        rule=rule,
    )


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
    return Verdict(
        topic=Topic.MIXED_MODEL,
        method=row["method"],
        estimand=estimand,
        measure=construct,
        subject=what,
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )


def _refusals(models: pd.DataFrame) -> list[Verdict]:
    """Return one verdict per mixed model that was refused."""
    return [
        Verdict(
            topic=Topic.MIXED_MODEL,
            method=row["method"],
            estimand=row["estimand"],
            subject=f"{ESTIMAND_WORDS[row['estimand']]} of {row['method']}",
            word=Word.NOT_TESTABLE,
            sentence=f"No mixed model of the {ESTIMAND_WORDS[row['estimand']]} of {row['method']}: {row['refusal']}.",
            numbers={"n_classes": row["n_classes"], "n_rows": row["n_rows"], "df": row["df"]},
            rule="not_testable: too few classes or runs, or measures that determine one another",
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
    follows = [name for name, each in zip(HEADLINE, pair, strict=True) if each.word == Word.SUPPORTED]
    refused = next((each for word in _REFUSALS for each in pair if each.word == word), None)
    if refused is not None:
        word, sentence = refused.word, refused.sentence
    elif inertia == Word.INERTIA:
        word = Word.INERTIA
        sentence = f"The {what} is mostly its start, so what it follows says what the start follows."
    elif follows:
        word = Word.SUPPORTED
        how = {FREQUENCY: "rare", DIFFICULTY: "hard"}[follows[0]] if len(follows) == 1 else "rare and how hard"
        other = {FREQUENCY: DIFFICULTY, DIFFICULTY: FREQUENCY}[follows[0]]
        beyond = f" beyond {other}" if len(follows) == 1 else ""
        tests = ", ".join(f"{each.measure} {p_text(each.numbers['p_holm'])}" for each in pair)
        sentence = f"The {what} follows how {how} a class is{beyond} (corrected: {tests})."
    else:
        word = Word.NOT_SUPPORTED
        sentence = f"The {what} is shown to follow neither frequency beyond difficulty nor difficulty beyond frequency."
    if word in (Word.SUPPORTED, Word.NOT_SUPPORTED) and all(math.isfinite(value) for value in shares.values()):
        told = ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in shares.items())
        sentence += f" Adjusted shares of its variation over classes: {told}."
    numbers = {"follows": "+".join(follows)} | dict(shares)
    return Verdict(
        topic=Topic.EXPLANATION,
        method=method,
        estimand=estimand,
        subject=what,
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )


def _shares(partition: pd.DataFrame, method: str, estimand: str) -> dict[str, float]:
    rows = partition[(partition["method"] == method) & (partition["estimand"] == estimand)]
    return {row["component"]: float(row["adjusted"]) for row in rows_of(rows[rows["kind"] == "share"])}


def _inflation(vif: float) -> str:
    return "infinite" if math.isinf(vif) else f"{vif:.1f}"
