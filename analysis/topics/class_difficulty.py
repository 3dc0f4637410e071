"""How rare and how hard the classes are: from training images and truth, frozen features, and the control's runs."""

from dataclasses import dataclass

import pandas as pd

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
from analysis.measures.trained_features import trained_features
from analysis.measures.training_dynamics import training_dynamics
from analysis.schema import table
from analysis.scoring.boundary_scores import BoundaryCounts
from analysis.study.dataset import open_study_data
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord

TABLES = ("measures", "border_profiles", "adjacency")
NO_ENCODER = "predictions that were made elsewhere have no frozen encoder whose features could be compared"


@dataclass(frozen=True)
class _Source:
    """What classes are measured from."""

    dataset: PreparedDataset
    taxonomy: Taxonomy
    survey: Survey
    features: FeatureSums | None
    no_features: str


def analyze(context: Context) -> TopicResult:
    """Measure the classes; a verdict says why where that is not possible."""
    try:
        source = _survey(context)
    except UserError as error:
        nothing = {name: table(name, []) for name in TABLES}
        verdict = study_limits.measures_verdict(str(error), nothing["measures"])
        return TopicResult(nothing, () if verdict is None else (verdict,))
    names = context.study.class_names
    options = {"resamples": context.plan.resamples, "seed": context.plan.seed}
    primary = context.plan.primary
    data_measures = measure_table(source.survey, names, features=source.features, primary=primary, **options)
    of_control = [row for measure in _of_control(context, source) for row in measure.rows(names)]
    measures = table(
        "measures", pd.concat([data_measures, table("measures", of_control)]) if of_control else data_measures
    )
    tables = {
        "measures": measures,
        "border_profiles": border_profile_table(source.survey, names, **options),
        "adjacency": adjacency_table(source.survey, names, features=source.features, **options),
    }
    verdicts = (
        study_limits.measures_verdict("", measures),
        study_limits.context_verdict(source.no_features, primary["context"]),
    )
    return TopicResult(tables, tuple(verdict for verdict in verdicts if verdict is not None))


def _survey(context: Context) -> _Source:
    """Survey the training images and their cached features.

    Raises:
        UserError: The data set is gone or has changed.
    """
    study = context.study
    source, taxonomy = open_study_data(context.records.root, study.dataset, study.class_names)
    folds = Splits.load(context.records.root / "splits.json").folds
    train = [folds[fold].train for fold in sorted({run.fold for run in study.data})]
    surveyed = survey(source, taxonomy, train, band_um=context.plan.boundary_band_um, on_progress=context.report)
    features, reason = _features(context, source, taxonomy, surveyed)
    return _Source(source, taxonomy, surveyed, features, reason)


def _features(
    context: Context, source: PreparedDataset, taxonomy: Taxonomy, surveyed: Survey
) -> tuple[FeatureSums | None, str]:
    """Return the sums of features, or None and the reason why there are none."""
    study = context.study
    if study.is_foreign:
        return None, NO_ENCODER
    if context.cache_dir is None:
        return None, "the analysis was given no cache of frozen features"
    try:
        cached, reason = trained_features(
            study.data, context.records.plan(), context.cache_dir, source, study.dataset["data_hash"]
        )
    except UserError as error:
        return None, str(error)
    return None if cached is None else feature_sums(cached, source, taxonomy, surveyed), reason


def _of_control(context: Context, source: _Source) -> list[ControlMeasure]:
    """Return the measures of classes from the runs of the control, with several models those of the first one.

    No measure if there is no control.
    """
    study, plan = context.study, context.plan
    control = next((run.method for run in study.data if run.label == plan.control), None)
    if control is None:
        return []
    runs = study.runs_of(control)
    records = [context.records.run(run.run_id) for run in runs]
    first_records = [context.records.run(run.run_id) for run in runs if run.fold == runs[0].fold]
    scores = context.tables["method_scores"]
    measures = [
        None if study.is_foreign else time_to_learn(records, len(study.class_names)),
        baseline_difficulty(scores, control, study.class_names),
        ensemble_disagreement(
            first_records, source.dataset, source.taxonomy, band_um=plan.boundary_band_um, seed=plan.seed
        ),
    ]
    measures += training_dynamics(records, len(study.class_names), resamples=plan.resamples, seed=plan.seed)
    if control in set(context.tables["boundary_scores"]["method"]):  # the topic `boundaries` says where it is not
        counts = BoundaryCounts(context.recorded(control, RunRecord.boundary), context.units[control])
        measures.append(boundary_gap(counts, control, study.class_names))
    return [measure for measure in measures if measure is not None]
