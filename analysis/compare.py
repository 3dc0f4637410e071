"""Several analysed studies side by side: their scores, the order of their methods, and what their biases follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.explain import Explained, explain
from analysis.practical_comparison import PracticalComparison, practical_comparisons
from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema.names import MACRO
from analysis.statistics.critical_difference import CriticalDifference, critical_difference
from analysis.study.class_frames import each_its_own
from analysis.study.runs import AnalysisPlan
from analysis.topics.explanation import measures_of, quantities_of, training_overlap
from analysis.topics.path_ceiling import Ceilings
from analysis.verdicts import Verdict
from imbalance_bench.errors import UserError
from imbalance_bench.records import run_name


@dataclass(frozen=True)
class ComparedStudies:
    """Joint results of several studies.

    Args:
        scores: study, dataset, aggregation, method, mean, low, high, n_units, n_seeds: the macro Dice that each study
            quotes, a mean over groups, or over images where groups are unknown.
        differences: study, dataset, method, control, difference, low, high, p_holm, low_holm, high_holm, verdict: from
            each comparisons.csv.
        ranks: Average ranks over data sets, and whether they could be tested; None with fewer than two shared methods.
        practical: Probability of a practical difference in one more data set, per method and control.
        explanation: Tables that explain the learned bias over the classes of all data sets.
        verdicts: Verdicts on the explanation, the headline of each method first.
        notes: What was left out, and why, one sentence each.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    ranks: CriticalDifference | None
    practical: tuple[PracticalComparison, ...]
    explanation: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]


def compare_studies(roots: Sequence[Path], *, classes_apart: bool = False) -> ComparedStudies:
    """Compare analysed studies.

    A data set counts once: among several studies on the same data, the first one is ranked and explained. Tests use the
    analysis plan of the first study.

    Args:
        roots: At least two directories of analysed studies.
        classes_apart: Explain as if a name were another class in each data set. For series that deal their levels to
            the classes of each data set anew (`data phantom --design`); of other data, names are the same class.

    Returns:
        Tables and verdicts; nothing is written.

    Raises:
        UserError: Fewer than two studies, one study twice, no shared method, or a label with different options.
    """
    studies = _open_studies(roots)
    names = _study_names(studies)
    _require_same_methods(studies, names)
    plan = AnalysisPlan.of(studies[0].records)
    distinct, notes = _distinct_data_sets(studies, names)
    notes += [study.remark for study in studies if study.remark] + _plan_notes(studies, names)
    scores = pd.concat([_scores(study, name) for study, name in zip(studies, names, strict=True)], ignore_index=True)
    differences = [_differences(study, name) for study, name in zip(studies, names, strict=True)]
    ranks, rank_notes = _ranks(scores, [names[index] for index in distinct], plan.alpha)
    pairs = [(studies[index], names[index]) for index in distinct]
    practical = practical_comparisons(_posteriors(pairs), plan.rope_dice)
    explanation = _explanation(pairs, plan, classes_apart=classes_apart)
    notes += [CLASSES_APART] if classes_apart else []
    notes += _inert_notes(pairs) + rank_notes
    all_differences = pd.concat(differences, ignore_index=True)
    tables, verdicts = explanation.tables, explanation.verdicts
    return ComparedStudies(scores, all_differences, ranks, tuple(practical), tables, verdicts, tuple(notes))


CLASSES_APART = (
    "A class name counts as another class in each data set, which holds only where levels were dealt to the classes of "
    "each data set anew."
)


def _explanation(studies: Sequence[tuple[AnalysedStudy, str]], plan: AnalysisPlan, *, classes_apart: bool) -> Explained:
    """Explain what was learned, over the classes of all data sets, by methods whose class attention is read."""
    quantities = []
    for study, name in studies:
        of_study, ceilings = study.table("learned_bias"), Ceilings(study.table("path_controls"))
        read = [not ceilings.of(str(method)).inert for method in of_study["method"]]
        read_rows = of_study[np.array(read, dtype=bool)]
        quantities.append(quantities_of(name, read_rows, study.dataset.get("families", {})))
    measures = [measures_of(name, study.table("measures")) for study, name in studies]
    learned, measured = (pd.concat(parts, ignore_index=True) for parts in (quantities, measures))
    measured["primary"] = measured["measure"] == measured["construct"].map(plan.primary)
    if classes_apart:
        learned, measured = each_its_own(learned), each_its_own(measured)
    overlaps = {name: training_overlap(study.records) for study, name in studies}
    known = {name: overlap for name, overlap in overlaps.items() if overlap is not None}
    return explain(learned, measured, plan, training_overlap=known)


def _inert_notes(studies: Sequence[tuple[AnalysedStudy, str]]) -> list[str]:
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


def _open_studies(roots: Sequence[Path]) -> list[AnalysedStudy]:
    if len(roots) < 2:
        raise UserError(f"`compare` needs at least two study directories. Got {len(roots)}.")
    resolved = [Path(root).resolve() for root in roots]
    for root in resolved:
        if resolved.count(root) > 1:
            raise UserError(f"{root} must be given once. Got it {resolved.count(root)} times.")
    return [AnalysedStudy.open(Path(root)) for root in roots]


def _study_names(studies: Sequence[AnalysedStudy]) -> list[str]:
    """Return the name of each study, with its directory if another study has the same name."""
    planned = [str(study.plan.get("name") or study.root.name) for study in studies]
    return [
        name if planned.count(name) == 1 else f"{name} ({study.root})"
        for name, study in zip(planned, studies, strict=True)
    ]


def _require_same_methods(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> None:
    """Raise if the studies share no method, or if one label stands for different options."""
    shared = set.intersection(*(set(study.methods) for study in studies))
    if not shared:
        raise UserError(
            f"Studies must share a method to stand side by side. Got none in {' and '.join(names)}; "
            f"{names[0]} has {', '.join(studies[0].methods)}."
        )
    for method in studies[0].methods:
        if method not in shared:
            continue
        options = [_options(study, method) for study in studies]
        known_options = [(name, parts) for name, parts in zip(names, options, strict=True) if parts is not None]
        for name, parts in known_options[1:]:
            if parts != known_options[0][1]:
                raise UserError(
                    f"The label '{method}' must stand for the same method everywhere. Got {parts} in {name} and "
                    f"{known_options[0][1]} in {known_options[0][0]}. Give one of them another label."
                )


def _options(study: AnalysedStudy, method: str) -> list[Any] | None:
    """Return the parts of a method with all options, from one of its finished runs; None if none is readable.

    Last comes its recipe or share of the steps, if it has its own. Where settings were chosen for each fold, those of
    every fold, as planned.
    """
    labels = {run_name(run["method"], run.get("model")): run["method"] for run in study.plan["runs"]}
    planned = study.plan.get("methods", {}).get(labels.get(method, method), {})
    if "by_fold" in planned:
        return [_training(settings) for settings in planned["by_fold"]]
    runs = study.table("runs")
    for run_id in runs.loc[(runs["method"] == method) & (runs["state"] == "done"), "run_id"]:
        try:
            return _training(study.records.run(str(run_id)).manifest()["method"])
        except (UserError, KeyError):
            continue
    return None


def _training(method: Mapping[str, Any]) -> list[Any]:
    own = {key: value for key, value in method.items() if key not in ("label", "parts")}
    return [*method["parts"], *([own] if own else [])]


def _distinct_data_sets(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the index of the first study of each data set, and a sentence on each other study."""
    first: dict[str, int] = {}
    notes = []
    for index, study in enumerate(studies):
        earlier = first.setdefault(str(study.dataset["data_hash"]), index)
        if earlier != index:
            notes.append(
                f"{names[index]} is on the same data as {names[earlier]}: it is shown, but a data set counts once, so "
                "it is neither ranked nor explained again."
            )
    return list(first.values()), notes


def _plan_notes(studies: Sequence[AnalysedStudy], names: Sequence[str]) -> list[str]:
    plans = [AnalysisPlan.of(study.records) for study in studies]
    levels = [(plan.alpha, plan.rope_dice) for plan in plans]
    different = [name for name, level in zip(names, levels, strict=True) if level != levels[0]]
    notes = []
    if different:
        notes.append(
            f"The plan of {', '.join(different)} has another alpha or margin than {names[0]}; verdicts keep their own."
        )
    measured = [name for name, plan in zip(names, plans, strict=True) if plan.primary != plans[0].primary]
    if measured:
        notes.append(
            f"The plan of {', '.join(measured)} names other primary measures than {names[0]}: what was learned is "
            f"explained by those of {names[0]}."
        )
    return notes


def _scores(study: AnalysedStudy, name: str) -> pd.DataFrame:
    rows = study.table("method_scores")
    macro = rows[(rows["metric"] == "dice") & (rows["aggregation"] == study.aggregation) & (rows["class"] == MACRO)]
    macro = macro[["aggregation", "method", "mean", "low", "high", "n_units", "n_seeds"]]
    return macro.assign(study=name, dataset=str(study.dataset["name"]))[["study", "dataset", *macro.columns]]


def _differences(study: AnalysedStudy, name: str) -> pd.DataFrame:
    rows = study.table("comparisons")
    macro = rows[rows["class"] == MACRO]
    macro = macro[["method", "control", "difference", "low", "high", "p_holm", "low_holm", "high_holm", "verdict"]]
    return macro.assign(study=name, dataset=str(study.dataset["name"]))[["study", "dataset", *macro.columns]]


def _posteriors(studies: Sequence[tuple[AnalysedStudy, str]]) -> pd.DataFrame:
    tables = [study.table("practical_differences").assign(study=name) for study, name in studies]
    rows = pd.concat(tables, ignore_index=True)
    return rows[rows["class"] == MACRO]


def _ranks(scores: pd.DataFrame, studies: Sequence[str], alpha: float) -> tuple[CriticalDifference | None, list[str]]:
    """Rank the methods that every data set has."""
    distinct = scores[scores["study"].isin(studies)]
    n_data_sets = distinct.dropna(subset=["mean"]).groupby("method", sort=False)["study"].nunique()
    shared = n_data_sets.index[n_data_sets == len(studies)]
    missing = [str(method) for method in n_data_sets.index if method not in set(shared)]
    notes = [f"Not ranked, because a data set lacks them: {', '.join(missing)}."] if missing else []
    if len(shared) < 2:
        return None, [*notes, "Fewer than two methods have a score on every data set, so there is nothing to rank."]
    rows = distinct[distinct["method"].isin(shared)].rename(columns={"mean": "score"})
    return critical_difference(rows.assign(dataset=rows["study"])[["dataset", "method", "score"]], alpha), notes
