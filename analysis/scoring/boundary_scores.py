"""Boundary IoU, surface Dice, Hausdorff distance and trimap curves from integer counts, with intervals.

Each of them is a ratio of sums over units, as in `scoring.units`, with the same aggregations as Dice. The Hausdorff
distance of an image is a distance, not a ratio: it is averaged over images or over groups, and images in which a class
occurs but is not predicted have no distance. They are counted as missed, and the macro mean is missing if a class that
occurs has no distance at all: otherwise a method could improve it by never predicting a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema.names import MACRO
from analysis.scoring.estimates import estimate_rows, interval_rows
from analysis.scoring.image_rows import ids_apart
from analysis.scoring.influence import Influence
from analysis.scoring.metrics import AGGREGATIONS, Aggregation
from analysis.scoring.units import (
    Ratios,
    UnitCounts,
    aggregate,
    effective_units,
    ratios,
    scores_by_seed,
    with_apart,
    without_each,
)
from imbalance_bench.table_schemas import BoundaryMeasure

PM_PER_UM = 1e6
ALL = "all"  # trimap: every labelled pixel


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary rows of one method.

    Args:
        rows: Columns of table_schemas.BOUNDARY of the scored split and the seeds of `units`, `seed` and, where folds
            share units, `fold`.
        units: The method's images and units, with the counts that say which class occurs where.
    """

    rows: pd.DataFrame
    units: UnitCounts

    def arrays(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return numerators and denominators of some of the rows, (S, I, K) float64 each; 0 where there is no row."""
        shape = self.units.counts.shape[1:]
        seed = np.searchsorted(self.units.seeds, rows["seed"].to_numpy())
        image = pd.Index(self.units.images).get_indexer(pd.Index(rows["image_id"]))
        cell = np.ravel_multi_index((seed, image, rows["class_id"].to_numpy()), shape)
        size = int(np.prod(shape))
        numerators, denominators = (
            np.bincount(cell, weights=rows[column].to_numpy(), minlength=size).reshape(shape)
            for column in ("numerator", "denominator")
        )
        return numerators, denominators

    @property
    def apart(self) -> "BoundaryCounts | None":
        """The same where what each fold tested of a unit is a unit of its own; None where no folds share units."""
        if self.units.apart is None:
            return None
        ids = ids_apart(self.rows["image_id"], self.rows["fold"])
        return BoundaryCounts(self.rows.assign(image_id=ids), self.units.apart)

    def recorded(self, measure: BoundaryMeasure) -> bool:
        """Return whether any run recorded the measure."""
        return bool((self.rows["measure"] == measure).any())

    def occurs(self) -> np.ndarray:
        """Return the images in which the truth has a pixel of the class, (I, K) bool."""
        tp, _, fn = self.units.counts[:, 0]
        return tp + fn > 0

    def aggregate(
        self, numerators: np.ndarray, denominators: np.ndarray, occurs: np.ndarray, aggregation: Aggregation = "pooled"
    ) -> Ratios:
        """Aggregate (S, I, K) numerators and denominators and (I, K) occurrence over the images of each unit."""
        return aggregate(self.units, numerators, denominators, occurs, aggregation)


def boundary_rows(method: str, counts: BoundaryCounts, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Score one method at every recorded distance; rows of table `boundary_scores`.

    Args:
        method: Label of the method.
        counts: Its counts.
        class_names: K names.
    """
    rows = []
    scored_rows = counts.rows[counts.rows["measure"] != BoundaryMeasure.TRIMAP]
    for (measure, distance), rows_of_measure in scored_rows.groupby(
        ["measure", "distance_um"], dropna=False, sort=True
    ):
        is_distance = measure == BoundaryMeasure.HAUSDORFF_95
        for aggregation in AGGREGATIONS:
            if is_distance and aggregation == "pooled":
                continue  # distances of images are averaged, never pooled
            keys = {"method": method, "measure": measure, "distance_um": distance, "aggregation": aggregation}
            score = _distance_rows if is_distance else _ratio_rows
            of_measure = replace(counts, rows=rows_of_measure)
            rows += [keys | _renamed(row) for row in score(of_measure, class_names, aggregation)]
    return rows


def _ratio_rows(counts: BoundaryCounts, class_names: Sequence[str], aggregation: Aggregation) -> list[dict[str, Any]]:
    def measured(counts: BoundaryCounts) -> Ratios:
        numerators, denominators = counts.arrays(counts.rows)
        measurable = counts.occurs() & (denominators > 0).all(axis=0)  # every seed has something to measure
        return counts.aggregate(numerators, denominators, measurable, aggregation)

    return [row | {"missed": 0} for row in interval_rows(with_apart(measured, counts), class_names)]


def _distance_rows(
    counts: BoundaryCounts, class_names: Sequence[str], aggregation: Aggregation
) -> list[dict[str, Any]]:
    def measured(counts: BoundaryCounts) -> Ratios:
        numerators, denominators = counts.arrays(counts.rows)
        complete = (denominators > 0).all(axis=0)
        numerators, denominators = numerators * complete / PM_PER_UM, denominators * complete
        return counts.aggregate(numerators, denominators, counts.occurs() & complete, aggregation)

    rows = interval_rows(with_apart(measured, counts), class_names, highest=np.inf)
    occurs, complete = counts.occurs(), (counts.arrays(counts.rows)[1] > 0).all(axis=0)
    missed = dict(zip(class_names, (occurs & ~complete).sum(axis=0).tolist(), strict=True))
    lacking = [
        name for name, n in zip(class_names, (occurs & complete).sum(axis=0), strict=True) if missed[name] and not n
    ]
    for row in rows:
        row["missed"] = sum(missed.values()) if row["class"] == MACRO else missed[str(row["class"])]
        if row["class"] == MACRO and lacking:
            row |= {"mean": np.nan, "low": np.nan, "high": np.nan, "sd_over_seeds": np.nan, "n_units": 0}
    return rows


def gap_rows(counts: BoundaryCounts, class_names: Sequence[str]) -> tuple[float, list[dict[str, Any]]]:
    """Return the smallest recorded distance, um, and pooled IoU minus boundary IoU at it, one row per class.

    The difference is taken within each seed and without each unit, so the interval is that of the difference. Its
    number of units is the smaller of the two.

    Args:
        counts: Counts of one method.
        class_names: K names.

    Raises:
        ValueError: No boundary IoU was recorded.
    """
    border_rows = counts.rows[counts.rows["measure"] == BoundaryMeasure.BOUNDARY_IOU]
    if border_rows.empty:
        raise ValueError("gap_rows needs counts of boundary IoU.")
    distance_um = float(border_rows["distance_um"].min())
    smallest = replace(counts, rows=border_rows[border_rows["distance_um"] == distance_um])
    influence, n_units = _gap(smallest)
    apart = None if smallest.apart is None else _gap(smallest.apart)[0]
    influence = influence.over(counts.units.folds, apart)
    return distance_um, estimate_rows(influence, class_names, n_units, lowest=-1.0)


def _gap(counts: BoundaryCounts) -> tuple[Influence, np.ndarray]:
    """Return how far each unit moves IoU minus boundary IoU, and the number of units of each class."""
    numerators, denominators = counts.arrays(counts.rows)
    complete = (denominators > 0).all(axis=0)
    iou = ratios(counts.units, "iou", "pooled")
    boundary_iou = counts.aggregate(numerators, denominators, counts.occurs() & complete)
    by_seed = (scores_by_seed(iou) - scores_by_seed(boundary_iou))[:, :-1]  # without the macro mean
    without = without_each(iou) - without_each(boundary_iou)
    counted = iou.counted & boundary_iou.counted
    effective = np.minimum(effective_units(iou)[:-1], effective_units(boundary_iou)[:-1])
    influence = Influence.of_scores(by_seed, without, counted, by_seed.mean(axis=0), effective)
    return influence, np.minimum((iou.occurs > 0).sum(axis=0), (boundary_iou.occurs > 0).sum(axis=0))


def trimap_rows(
    method: str, counts: BoundaryCounts, class_names: Sequence[str], ends_um: Sequence[float]
) -> list[dict[str, Any]]:
    """Score one method in rings around true borders; rows of table `trimap_curves`.

    Args:
        method: Label of the method.
        counts: Its counts.
        class_names: K names.
        ends_um: Outer ends of the recorded rings; the last ring has none.
    """
    rings = counts.rows[counts.rows["measure"] == BoundaryMeasure.TRIMAP]
    names = (*class_names, ALL)
    rows = []
    for inner, outer in pairwise((0.0, *ends_um, np.inf)):
        parts = with_apart(_of_ring, replace(counts, rows=rings[rings["distance_um"] == outer]))
        pixels = parts.denominator[0].sum(axis=0).astype(np.int64)
        row_of_class = {str(row["class"]): _renamed(row) for row in interval_rows(parts, names)}
        for name, n_pixels in zip(names, pixels.tolist(), strict=True):
            columns = {key: row_of_class[name][key] for key in ("class", "value", "low", "high", "n_units")}
            rows.append({"method": method, "inner_um": inner, "outer_um": outer} | columns | {"n_pixels": n_pixels})
    return rows


def _of_ring(counts: BoundaryCounts) -> Ratios:
    """Return the share of wrong pixels in a ring, of each class and of all together."""
    numerators, denominators = (_with_total(array) for array in counts.arrays(counts.rows))
    return counts.aggregate(numerators, denominators, denominators[0] > 0)


def _with_total(values: np.ndarray) -> np.ndarray:
    """Append the sum over classes as one more class, (S, I, K) -> (S, I, K + 1)."""
    return np.concatenate([values, values.sum(axis=2, keepdims=True)], axis=2)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {"value" if key == "mean" else key: value for key, value in row.items()}
