"""Rare or hard: the tables of a study are explained by `analysis.explain`, like tables from elsewhere."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.explain import Explained, explain
from analysis.schema import table
from analysis.schema.names import ESTIMANDS
from analysis.study.class_frames import FREQUENCY
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from analysis.topics.ledger_quantities import OBSERVED, differing, ledger_quantities
from analysis.topics.path_ceiling import CONCLUSIONS, Ceilings, without_inert
from analysis.verdicts import Topic, Word
from imbalance_bench.data.splits import Splits
from imbalance_bench.records import StudyRecords

_SE_OF_INTERVAL = 2 * 1.96  # standard errors in the width of a 95 % interval


def analyze(context: Context) -> TopicResult:
    """Explain what the learned bias follows: by single measures, partial tests, a mixed model, and its start."""
    name, measures = str(context.study.dataset.get("name", "")), context.tables["measures"]
    families = context.study.dataset.get("families", {})
    measure_frame, ledger = measures_of(name, measures), ledger_quantities(context.study)
    shared = training_overlap(context.records)
    overlap = {} if shared is None else {name: shared}
    learned_quantities = quantities_of(name, context.tables["learned_bias"], families)
    learned = explain(learned_quantities, measure_frame, context.plan, training_overlap=overlap)
    other_quantities = quantities_of(name, differing(ledger), families)
    others = explain(  # corrected separately
        other_quantities, measure_frame, context.plan, explored=OBSERVED, training_overlap=overlap
    )
    explored = others.tables["associations"].assign(primary=False)  # the plan names none of these quantities
    others = replace(others, tables=others.tables | {"associations": explored})
    explained = join(with_path_ceiling(learned, context), others)
    tests = study_limits.primary_tests(measures, learned.tables["associations"], context.plan)
    possible = study_limits.correlation_attainability(context.n_occurring, tests, context.plan)
    return TopicResult(explained.tables | {"ledger_quantities": ledger}, (possible, *explained.verdicts))


def training_overlap(records: StudyRecords) -> np.ndarray | None:
    """Return the share of their training images that the folds of a study have in common, (F, F); None if unknown.

    Where two folds trained on different numbers of images, this is relative to the geometric mean of the numbers.
    """
    path = records.root / "splits.json"
    trained = [fold.train for fold in Splits.load(path).folds] if path.exists() else []
    if not trained or not all(trained):
        return None
    images = sorted({image for fold in trained for image in fold})
    used = np.array([np.isin(images, fold) for fold in trained]).astype(np.float64)
    used /= np.sqrt(used.sum(axis=1, keepdims=True))
    return used @ used.T


def join(*parts: Explained) -> Explained:
    """Join explanations of different quantities that were corrected separately."""
    tables = {name: table(name, pd.concat([part.tables[name] for part in parts])) for name in parts[0].tables}
    return Explained(tables, tuple(verdict for part in parts for verdict in part.verdicts))


def with_path_ceiling(explained: Explained, context: Context) -> Explained:
    """Withdraw conclusions on what a method learned in a class attention that its prediction does not depend on.

    Methods that differ in their start only are explained as one; all of them must be inert.
    """
    ceilings, learned = Ceilings(context.tables["path_controls"]), context.tables["learned_bias"]
    members = learned.groupby("start_of")["method"].unique()
    inert = {str(name) for name, methods in members.items() if all(ceilings.of(method).inert for method in methods)}
    if not inert:
        return explained
    reasons = {verdict.method: verdict.sentence for verdict in context.verdicts_on(Topic.PATH)}
    verdicts = tuple(
        without_inert(verdict, reasons[verdict.method])
        if verdict.method in inert and verdict.estimand in ESTIMANDS
        else verdict
        for verdict in explained.verdicts
    )
    tables = dict(explained.tables)
    for name in ("associations", "partial_associations", "mixed_models"):
        rows = tables[name]
        limited = rows["method"].isin(inert) & rows["estimand"].isin(ESTIMANDS) & rows["verdict"].isin(CONCLUSIONS)
        tables[name] = rows.assign(verdict=rows["verdict"].mask(limited, str(Word.INERT)))
    return Explained(tables, verdicts)


def quantities_of(data_set: str, learned_bias: pd.DataFrame, families: dict[str, str]) -> pd.DataFrame:
    """Return the frame that `explain` takes from table `learned_bias` of a study.

    Methods that differ in the start of their bias only become one method with several starts. The value of a change is
    the final value, so that the start is accounted for only once.
    """
    frame = learned_bias.rename(columns={"estimand": "quantity"})
    ended = frame["value"] + frame["start"].where(frame["quantity"] == "change", 0.0)
    alone = frame.groupby("start_of")["method"].transform("nunique") < 2
    names = frame["method"].where(~alone, "")
    frame = frame.assign(data_set=data_set, value=ended, start_name=names, method=frame["start_of"])
    frame["family"] = [families.get(str(name), "") for name in frame["class"]]
    columns = ["data_set", "method", "quantity", "fold", "seed", "start_name", "class", "family", "start", "value"]
    return frame.loc[frame["value"].notna(), columns].reset_index(drop=True)


def measures_of(data_set: str, measures: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that `explain` takes from table `measures` of a study.

    Frequency is that of the training images and has no error. The standard error of another measure comes from its
    interval over training groups; it is not used if the table has a reliability.
    """
    frame = measures.assign(data_set=data_set, standard_error=(measures["high"] - measures["low"]) / _SE_OF_INTERVAL)
    frame.loc[frame["construct"] == FREQUENCY, "standard_error"] = np.nan
    if "reliability" in frame:
        frame["reliability"] = frame["reliability"].where(frame["construct"] != FREQUENCY)
    return frame.drop(columns=["class_id", "low", "high", "unit"])
