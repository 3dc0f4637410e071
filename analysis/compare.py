"""Several analysed studies side by side: what they share, in which order methods come, what their biases follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.explain import Explained, explain
from analysis.practical_comparison import PracticalComparison, practical_comparisons
from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema.names import MACRO
from analysis.statistics.critical_difference import CriticalDifference, critical_difference
from analysis.study.runs import AnalysisPlan
from analysis.topics.explanation import measures_of, quantities_of
from analysis.topics.path_ceiling import Ceilings
from analysis.verdicts import Verdict
from imbalance_bench.errors import UserError


@dataclass(frozen=True)
class ComparedStudies:
    """What several studies say together.

    Args:
        scores: study, dataset, aggregation, method, mean, low, high, n_units, n_seeds: the macro Dice that each study
            quotes, a mean over groups, or over images where they are unknown.
        differences: study, dataset, method, control, difference, low, high, p_holm, low_holm, high_holm, verdict: from
            each comparisons.csv.
        ranks: Average ranks over data sets, and whether they could be tested; None with fewer than two shared methods.
        practical: How probable a practical difference is in one more data set, per method and control.
        explanation: Tables of the learned bias over the classes of all data sets.
        verdicts: On the explanation, the headline of each method first.
        notes: What was left out, and why, a sentence each.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    ranks: CriticalDifference | None
    practical: tuple[PracticalComparison, ...]
    explanation: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]


def compare_studies(roots: Sequence[Path]) -> ComparedStudies:
    """Compare analysed studies.

    A data set counts once: of several studies on the same data, the first one is ranked and explained. Tests use the
    analysis plan of the first study.

    Args:
        roots: At least two study directories, analysed.

    Returns:
        Tables and verdicts; nothing is written.

    Raises:
        UserError: Fewer than two studies, one twice, no shared method, or a label that stands for other options.
    """
    studies = _open(roots)
    names = _names(studies)
    _require_same_methods(studies, names)
    plan = AnalysisPlan.of(studies[0].records)
    distinct, notes = _distinct(studies, names)
    notes += _other_plans(studies, names)
    scores = pd.concat([_scores(study, name) for study, name in zip(studies, names, strict=True)], ignore_index=True)
    differences = [_differences(study, name) for study, name in zip(studies, names, strict=True)]
    ranks, unranked = _ranks(scores, [names[place] for place in distinct], plan.alpha)
    pairs = [(studies[place], names[place]) for place in distinct]
    practical = practical_comparisons(_posteriors(pairs), plan.rope_dice)
    explained = _explained(pairs, plan)
    notes += _inert(pairs)
    all_differences = pd.concat(differences, ignore_index=True)
    tables, verdicts = explained.tables, explained.verdicts
    notes += unranked
    return ComparedStudies(scores, all_differences, ranks, tuple(practical), tables, verdicts, tuple(notes))


def _explained(studies: Sequence[tuple[AnalysedStudy, str]], plan: AnalysisPlan) -> Explained:
    """Explain what class attentions that are read learned over the classes of all data sets."""
    quantities = []
    for study, name in studies:
        learned, ceilings = study.table("learned_bias"), Ceilings(study.table("path_controls"))
        read = [not ceilings.of(str(method)).inert for method in learned["method"]]
        quantities.append(quantities_of(name, learned[read], study.dataset.get("families", {})))
    measures = [measures_of(name, study.table("measures")) for study, name in studies]
    return explain(pd.concat(quantities, ignore_index=True), pd.concat(measures, ignore_index=True), plan)


def _inert(studies: Sequence[tuple[AnalysedStudy, str]]) -> list[str]:
    """Return a sentence on each study that has methods whose class attention is not read."""
    notes = []
    for study, name in studies:
        ceilings = Ceilings(study.table("path_controls"))
        inert = [method for method in study.methods if ceilings.of(method).inert]
        if inert:
            notes.append(
                f"{name}: the prediction of {', '.join(inert)} does not depend on what the class attention learned, so "
                "that is not explained."
            )
    return notes


def _open(roots: Sequence[Path]) -> list[AnalysedStudy]:
    if len(roots) < 2:
        raise UserError(f"`compare` needs at least two study directories. Got {len(roots)}.")
    resolved = [Path(root).resolve() for root in roots]
    for root in resolved:
        if resolved.count(root) > 1:
            raise UserError(f"{root} must be given once. Got it {resolved.count(root)} times.")
    return [AnalysedStudy.open(Path(root)) for root in roots]


def _names(studies: Sequence[AnalysedStudy]) -> list[str]:
    """Return the name of each study, with its directory where two have the same."""
    planned = [str(study.plan.get("name") or study.root.name) for study in studies]
    return [
        name if planned.count(name) == 1 else f"{name} ({study.root})"
        for name, study in zip(planned, studies, strict=True)
    ]


def _require_same_methods(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> None:
    """Refuse studies that share no method, or in which one label stands for different options."""
    shared = set.intersection(*(set(study.methods) for study in studies))
    if not shared:
        raise UserError(
            f"Studies must share a method to stand side by side. Got none in {' and '.join(names)}; "
            f"{names[0]} has {', '.join(studies[0].methods)}."
        )
    for method in [each for each in studies[0].methods if each in shared]:
        options = [_options(study, method) for study in studies]
        known = [(name, each) for name, each in zip(names, options, strict=True) if each is not None]
        for name, each in known[1:]:
            if each != known[0][1]:
                raise UserError(
                    f"The label '{method}' must stand for the same method everywhere. Got {each} in {name} and "
                    f"{known[0][1]} in {known[0][0]}. Give one of them another label."
                )


def _options(study: AnalysedStudy, method: str) -> list[Any] | None:
    """Return the parts of a method with every option, from one of its finished runs; None if none is readable."""
    runs = study.table("runs")
    for run_id in runs.loc[(runs["method"] == method) & (runs["state"] == "done"), "run_id"]:
        try:
            return list(study.records.run(str(run_id)).manifest()["method"]["parts"])
        except (UserError, KeyError):
            continue
    return None


def _distinct(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the first study of each data set, and a sentence on each other one."""
    first: dict[str, int] = {}
    notes = []
    for place, study in enumerate(studies):
        before = first.setdefault(str(study.dataset["data_hash"]), place)
        if before != place:
            notes.append(
                f"{names[place]} is on the same data as {names[before]}: it is shown, but a data set counts once, so "
                "it is neither ranked nor explained again."
            )
    return list(first.values()), notes


def _other_plans(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> list[str]:
    plans = [AnalysisPlan.of(study.records) for study in studies]
    differ = [name for name, plan in zip(names, plans, strict=True) if (plan.alpha, plan.rope_dice) != _level(plans[0])]
    if not differ:
        return []
    return [f"The plan of {', '.join(differ)} has another alpha or margin than {names[0]}; verdicts keep their own."]


def _level(plan: AnalysisPlan) -> tuple[float, float]:
    return plan.alpha, plan.rope_dice


def _scores(study: AnalysedStudy, name: str) -> pd.DataFrame:
    rows = study.table("method_scores")
    kept = rows[(rows["metric"] == "dice") & (rows["aggregation"] == study.aggregation) & (rows["class"] == MACRO)]
    kept = kept[["aggregation", "method", "mean", "low", "high", "n_units", "n_seeds"]]
    return kept.assign(study=name, dataset=str(study.dataset["name"]))[["study", "dataset", *kept.columns]]


def _differences(study: AnalysedStudy, name: str) -> pd.DataFrame:
    rows = study.table("comparisons")
    kept = rows[rows["class"] == MACRO]
    kept = kept[["method", "control", "difference", "low", "high", "p_holm", "low_holm", "high_holm", "verdict"]]
    return kept.assign(study=name, dataset=str(study.dataset["name"]))[["study", "dataset", *kept.columns]]


def _posteriors(studies: Sequence[tuple[AnalysedStudy, str]]) -> pd.DataFrame:
    tables = [study.table("practical_differences").assign(study=name) for study, name in studies]
    rows = pd.concat(tables, ignore_index=True)
    return rows[rows["class"] == MACRO]


def _ranks(scores: pd.DataFrame, studies: Sequence[str], alpha: float) -> tuple[CriticalDifference | None, list[str]]:
    """Rank the methods that every data set has."""
    ranked = scores[scores["study"].isin(studies)]
    found = ranked.dropna(subset=["mean"]).groupby("method", sort=False)["study"].nunique()
    shared = found.index[found == len(studies)]
    missing = [str(method) for method in found.index if method not in set(shared)]
    notes = [f"Not ranked, because a data set lacks them: {', '.join(missing)}."] if missing else []
    if len(shared) < 2:
        return None, [*notes, "Fewer than two methods have a score on every data set, so there is nothing to rank."]
    rows = ranked[ranked["method"].isin(shared)].rename(columns={"mean": "score"})
    return critical_difference(rows.assign(dataset=rows["study"])[["dataset", "method", "score"]], alpha), notes
