"""Boundary IoU, surface Dice, Hausdorff distance and trimap curves from integer counts, with intervals.

Every one of them is a ratio of sums over units, as in `scoring.units`, under the aggregations that Dice has. The
Hausdorff distance of an image is a distance, not a ratio: there is a mean over images and one over groups, and images
in which a class occurs but is not predicted have no distance. They are counted as missed, and a macro mean is missing
where a class that occurs has no distance at all: otherwise a method could improve it by never predicting a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema.names import MACRO
from analysis.scoring.estimates import estimate_rows, interval_rows
from analysis.scoring.influence import Influence
from analysis.scoring.metrics import AGGREGATIONS, Aggregation
from analysis.scoring.units import Ratios, UnitCounts, aggregated, effective_units, ratios, scores_by_seed, without_each
from imbalance_bench.table_schemas import BoundaryMeasure

PM_PER_UM = 1e6
ALL = "all"  # trimap: every labelled pixel


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary rows of one method.

    Args:
        rows: Columns of table_schemas.BOUNDARY of the scored split and the seeds of `units`, and `seed`.
        units: The method's images and units, with the counts that say which class occurs where.
    """

    rows: pd.DataFrame
    units: UnitCounts

    def arrays(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators of some of the rows, (S, I, K) float64 each; 0 where there is no row."""
        shape = self.units.counts.shape[1:]
        seed = np.searchsorted(self.units.seeds, rows["seed"].to_numpy())
        image = pd.Index(self.units.images).get_indexer(pd.Index(rows["image_id"]))
        place = np.ravel_multi_index((seed, image, rows["class_id"].to_numpy()), shape)
        size = int(np.prod(shape))
        above, below = (
            np.bincount(place, weights=rows[column].to_numpy(), minlength=size).reshape(shape)
            for column in ("numerator", "denominator")
        )
        return above, below

    def recorded(self, measure: BoundaryMeasure) -> bool:
        """Whether any run recorded the measure."""
        return bool((self.rows["measure"] == measure).any())

    def occurs(self) -> np.ndarray:
        """Images in which the truth holds a pixel of the class, (I, K) bool."""
        tp, _, fn = self.units.counts[:, 0]
        return tp + fn > 0

    def aggregated(
        self, above: np.ndarray, below: np.ndarray, occurs: np.ndarray, aggregation: Aggregation = "pooled"
    ) -> Ratios:
        """Aggregate (S, I, K) numerators and denominators and (I, K) occurrence over the images of each unit."""
        return aggregated(self.units, above, below, occurs, aggregation)


def boundary_rows(method: str, counts: BoundaryCounts, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Score one method at every recorded distance; rows of table `boundary_scores`.

    Args:
        method: Its label.
        counts: Its counts.
        class_names: K names.
    """
    rows = []
    scored = counts.rows[counts.rows["measure"] != BoundaryMeasure.TRIMAP]
    for (measure, distance), own in scored.groupby(["measure", "distance_um"], dropna=False, sort=True):
        is_distance = measure == BoundaryMeasure.HAUSDORFF_95
        for aggregation in AGGREGATIONS:
            if is_distance and aggregation == "pooled":
                continue  # distances of images are averaged, never pooled
            keys = {"method": method, "measure": measure, "distance_um": distance, "aggregation": aggregation}
            score = _distance_rows if is_distance else _ratio_rows
            rows += [keys | _renamed(row) for row in score(counts, own, class_names, aggregation)]
    return rows


def _ratio_rows(
    counts: BoundaryCounts, own: pd.DataFrame, class_names: Sequence[str], aggregation: Aggregation
) -> list[dict[str, Any]]:
    above, below = counts.arrays(own)
    there = counts.occurs() & (below > 0).all(axis=0)  # every seed has something to measure
    parts = counts.aggregated(above, below, there, aggregation)
    return [row | {"missed": 0} for row in interval_rows(parts, class_names, fold_of_unit=counts.units.fold_of_unit)]


def _distance_rows(
    counts: BoundaryCounts, own: pd.DataFrame, class_names: Sequence[str], aggregation: Aggregation
) -> list[dict[str, Any]]:
    above, below = counts.arrays(own)
    complete = (below > 0).all(axis=0)
    above, below = above * complete / PM_PER_UM, below * complete
    occurs = counts.occurs()
    parts = counts.aggregated(above, below, occurs & complete, aggregation)
    rows = interval_rows(parts, class_names, fold_of_unit=counts.units.fold_of_unit, highest=np.inf)
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
    """Return the narrowest recorded distance, um, and pooled IoU minus boundary IoU there, a row per class.

    The difference is taken within each seed and without each unit, so the interval is that of the difference; it rests
    on as many units as the weaker of the two.

    Args:
        counts: One method's.
        class_names: K names.

    Raises:
        ValueError: No boundary IoU was recorded.
    """
    own = counts.rows[counts.rows["measure"] == BoundaryMeasure.BOUNDARY_IOU]
    if own.empty:
        raise ValueError("gap_rows needs counts of boundary IoU.")
    distance_um = float(own["distance_um"].min())
    above, below = counts.arrays(own[own["distance_um"] == distance_um])
    complete = (below > 0).all(axis=0)
    both = ratios(counts.units, "iou", "pooled"), counts.aggregated(above, below, counts.occurs() & complete)
    seeds, without = (whole - border for whole, border in (map(scores_by_seed, both), map(without_each, both)))
    k = len(class_names)  # what comes after the classes is their macro mean
    counted = both[0].counted & both[1].counted
    effective = np.minimum(*(effective_units(each)[:k] for each in both))
    found = Influence.of_scores(seeds[:, :k], without, counted, seeds[:, :k].mean(axis=0), effective)
    n_units = np.minimum(*((each.occurs > 0).sum(axis=0) for each in both))
    return distance_um, estimate_rows(found, class_names, n_units, lowest=-1.0)


def trimap_rows(
    method: str, counts: BoundaryCounts, class_names: Sequence[str], ends_um: Sequence[float]
) -> list[dict[str, Any]]:
    """Score one method in rings around true borders; rows of table `trimap_curves`.

    Args:
        method: Its label.
        counts: Its counts.
        class_names: K names.
        ends_um: Outer ends of the rings that were recorded; one more ring has none.
    """
    rings = counts.rows[counts.rows["measure"] == BoundaryMeasure.TRIMAP]
    names = (*class_names, ALL)
    rows = []
    for inner, outer in pairwise((0.0, *ends_um, np.inf)):
        own = rings[rings["distance_um"] == outer]
        above, below = (_with_total(array) for array in counts.arrays(own))
        parts = counts.aggregated(above, below, below[0] > 0)
        pixels = below[0].sum(axis=0).astype(np.int64)
        scored = {str(row["class"]): _renamed(row) for row in interval_rows(parts, names)}
        for name, n_pixels in zip(names, pixels.tolist(), strict=True):
            kept = {key: scored[name][key] for key in ("class", "value", "low", "high", "n_units")}
            rows.append({"method": method, "inner_um": inner, "outer_um": outer} | kept | {"n_pixels": n_pixels})
    return rows


def _with_total(values: np.ndarray) -> np.ndarray:
    """Append the sum over classes as one more class, (S, I, K) -> (S, I, K + 1)."""
    return np.concatenate([values, values.sum(axis=2, keepdims=True)], axis=2)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {"value" if key == "mean" else key: value for key, value in row.items()}
