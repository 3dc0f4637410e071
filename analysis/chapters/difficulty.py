"""How rare and how hard the classes are: from training images and truth, frozen features, and the control's runs."""

from dataclasses import dataclass

import pandas as pd

from analysis import standing
from analysis.boundary_scores import BoundaryCounts
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import table
from analysis.measures.cached_features import find_features
from analysis.measures.control_runs import (
    ControlMeasure,
    baseline_difficulty,
    boundary_gap,
    ensemble_disagreement,
    time_to_learn,
)
from analysis.measures.estimates import adjacency_table, border_profile_table, measure_table
from analysis.measures.feature_space import FeatureSums, feature_sums
from analysis.measures.survey import Survey, survey
from analysis.measures.training_dynamics import training_dynamics
from analysis.study_data import open_study_data
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord

TABLES = ("measures", "border_profiles", "adjacency")
NO_FEATURES = (
    "no features of the study's frozen encoder are in {cache}: run the study again to encode once more, or give "
    "`analyze` its --cache"
)


@dataclass(frozen=True)
class _Source:
    """What the measures are taken from."""

    dataset: PreparedDataset
    taxonomy: Taxonomy
    found: Survey
    features: FeatureSums | None
    no_features: str


def chapter(found: Findings) -> Chapter:
    """Measure the classes; say so where that is not possible."""
    try:
        source = _survey(found)
    except UserError as error:
        nothing = {name: table(name, []) for name in TABLES}
        verdict = standing.measures_verdict(str(error), nothing["measures"])
        return Chapter(nothing, () if verdict is None else (verdict,))
    names = found.study.class_names
    options = {"resamples": found.plan.resamples, "seed": found.plan.seed}
    free = measure_table(source.found, names, features=source.features, **options)
    of_control = [row for each in _of_control(found, source) for row in each.rows(names)]
    measures = table("measures", pd.concat([free, table("measures", of_control)]) if of_control else free)
    tables = {
        "measures": measures,
        "border_profiles": border_profile_table(source.found, names, **options),
        "adjacency": adjacency_table(source.found, names, features=source.features, **options),
    }
    verdicts = (standing.measures_verdict("", measures), standing.context_verdict(source.no_features))
    return Chapter(tables, tuple(each for each in verdicts if each is not None))


def _survey(found: Findings) -> _Source:
    """Survey the training images and their cached features.

    Raises:
        UserError: The data set is gone or has changed.
    """
    study = found.study
    source, taxonomy = open_study_data(found.records.root, study.dataset, study.class_names)
    folds = Splits.load(found.records.root / "splits.json").folds
    train = [folds[fold].train for fold in sorted({run.fold for run in study.data})]
    surveyed = survey(source, taxonomy, train, band_um=found.plan.boundary_band_um, on_progress=found.report)
    features, reason = _features(found, source, taxonomy, surveyed)
    return _Source(source, taxonomy, surveyed, features, reason)


def _features(
    found: Findings, source: PreparedDataset, taxonomy: Taxonomy, surveyed: Survey
) -> tuple[FeatureSums | None, str]:
    """Return the features' sums, or None and why there are none."""
    facts = found.study.dataset
    if found.cache_dir is None:
        return None, "the analysis was given no cache of frozen features"
    try:
        cached = find_features(
            found.cache_dir, source, data_hash=facts["data_hash"], weights_hash=facts.get("encoder_weights_hash")
        )
    except UserError as error:
        return None, str(error)
    if cached is None:
        return None, NO_FEATURES.format(cache=found.cache_dir)
    return feature_sums(cached, source, taxonomy, surveyed), ""


def _of_control(found: Findings, source: _Source) -> list[ControlMeasure]:
    """Return what the control's runs say about the classes; nothing where there is no control."""
    study, plan = found.study, found.plan
    runs = [run for run in study.data if run.label == plan.control]
    if not runs:
        return []
    records = [found.records.run(run.run_id) for run in runs]
    first = [found.records.run(run.run_id) for run in runs if (run.fold, run.method) == (runs[0].fold, runs[0].method)]
    control, scores = runs[0].method, found.tables["method_scores"]
    measures = [
        time_to_learn(records, len(study.class_names)),
        baseline_difficulty(scores, control, study.class_names),
        ensemble_disagreement(first, source.dataset, source.taxonomy, band_um=plan.boundary_band_um, seed=plan.seed),
    ]
    measures += training_dynamics(records, len(study.class_names), resamples=plan.resamples, seed=plan.seed)
    if control in set(found.tables["boundary_scores"]["method"]):  # the chapter of borders says where it is not
        counts = BoundaryCounts(found.recorded(control, RunRecord.boundary), found.units[control])
        measures.append(boundary_gap(counts, control, study.class_names, plan))
    return [each for each in measures if each is not None]
