"""Scores with one row per run, image and class, as other statistics packages read them."""

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.scoring.boundary_scores import PM_PER_UM
from analysis.scoring.metrics import METRICS, score
from analysis.study.runs import RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import BoundaryMeasure

_IMAGE_CLASS = ["image_id", "class_id"]
# column -> measure, column of its distance ("" where it has none), stored units per written one
_BORDER_SCORES = {
    "boundary_iou": (BoundaryMeasure.BOUNDARY_IOU, "boundary_um", 1.0),
    "surface_dice": (BoundaryMeasure.SURFACE_DICE, "surface_um", 1.0),
    "hd95_um": (BoundaryMeasure.HAUSDORFF_95, "", PM_PER_UM),
}
_BORDER_COLUMNS = ["boundary_iou", "boundary_um", "surface_dice", "surface_um", "hd95_um"]


def image_scores(study: StudyTables, records: StudyRecords, band_um: float) -> pd.DataFrame:
    """Score every image of every finished run; table `image_scores`.

    Args:
        study: The study.
        records: Its directory, for boundary counts; runs without any have no boundary scores.
        band_um: Boundary IoU and surface Dice are reported at the recorded distance nearest to it, um.
    """
    lengths = [len(run.counts) for run in study.data]
    keys = {name: np.repeat([getattr(run, name) for run in study.data], lengths) for name in ("method", "fold", "seed")}
    counts = pd.concat([run.counts for run in study.data], ignore_index=True)
    counts = counts.assign(**keys, place=np.repeat(np.arange(len(lengths)), lengths))
    counts = counts[counts["split"] == study.split].reset_index(drop=True)
    tp, fp, fn = (counts[name].to_numpy() for name in ("tp", "fp", "fn"))
    names = dict(enumerate(study.class_names))
    scores = pd.DataFrame(
        {name: counts[name] for name in ("method", "fold", "seed")}
        | {"image": counts["image_id"], "group": counts["group_id"], "class_id": counts["class_id"]}
        | {"class": counts["class_id"].map(names)}
        | {metric: score(metric, tp, fp, fn) for metric in METRICS}
    )
    by_method = sorted(
        enumerate(study.data), key=lambda indexed_run: indexed_run[1].method
    )  # as consolidated records lie
    borders = [
        part.assign(place=index)
        for index, run in by_method
        if (part := _borders(run, study, records, band_um)) is not None
    ]
    if borders:
        border_scores = pd.concat(borders).set_index("place", append=True)
        border_scores = border_scores.reindex(pd.MultiIndex.from_frame(counts[[*_IMAGE_CLASS, "place"]]))
    else:
        border_scores = pd.DataFrame(np.nan, columns=_BORDER_COLUMNS, index=range(len(counts)))
    border_scores.loc[tp + fn == 0, list(_BORDER_SCORES)] = np.nan  # as every score of a class that does not occur
    frame = pd.concat([scores, border_scores.reset_index(drop=True)], axis=1).assign(tp=tp, fp=fp, fn=fn)
    return table("image_scores", frame)


def _borders(run: RunData, study: StudyTables, records: StudyRecords, band_um: float) -> pd.DataFrame | None:
    """Return boundary scores by image and class, with their distances; None if not recorded."""
    try:
        rows = records.run(run.run_id).boundary()
    except UserError:  # the topic `boundaries` says so
        rows = None
    if rows is None:
        return None
    rows = rows[rows["split"] == study.split]
    columns = {}
    for column, (measure, distance, unit) in _BORDER_SCORES.items():
        rows_of_measure = rows[rows["measure"] == measure]
        recorded = np.unique(rows_of_measure["distance_um"].dropna())
        if len(recorded):
            nearest = recorded[np.abs(recorded - band_um).argmin()]
            rows_of_measure = rows_of_measure[rows_of_measure["distance_um"] == nearest]
            columns[distance] = rows_of_measure.set_index(_IMAGE_CLASS)["distance_um"]
        columns[column] = (rows_of_measure["numerator"] / rows_of_measure["denominator"] / unit).set_axis(
            pd.MultiIndex.from_frame(rows_of_measure[_IMAGE_CLASS])
        )
    return pd.DataFrame(columns).reindex(columns=_BORDER_COLUMNS)


def analyze(context: Context) -> TopicResult:
    """Tabulate the scores of images."""
    frame = image_scores(context.study, context.records, context.plan.boundary_band_um)
    return TopicResult({"image_scores": frame})
