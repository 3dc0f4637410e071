"""Boundary IoU, surface Dice, Hausdorff distance and trimap curves from integer counts, with intervals.

Every one of them is a ratio of sums over units, as in `scoring.units`: the Hausdorff distance sums distances over
images and counts images. Counts are pooled over images before they are divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from analysis.scoring.estimates import Estimates, estimate_rows, interval_rows
from analysis.scoring.units import (
    Ratios,
    UnitCounts,
    effective_units,
    leave_one_out,
    ratios,
    scores_by_seed,
    weighted_scores,
)
from analysis.statistics.intervals import unit_weights
from analysis.study.runs import AnalysisPlan
from imbalance_bench.records import BoundaryMeasure

PM_PER_UM = 1e6
ALL = "all"  # trimap: every labelled pixel


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary rows of one method.

    Args:
        rows: Columns of records.BOUNDARY of the scored split and the seeds of `units`, and `seed`.
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

    def by_unit(self, above: np.ndarray, below: np.ndarray, occurs: np.ndarray) -> Ratios:
        """Sum (S, I, K) numerators and denominators and (I, K) occurrence over the images of each unit."""
        index = self.units.unit_of_image
        gather = np.zeros((len(self.units.units), len(index)))
        gather[index, np.arange(len(index))] = 1
        return Ratios(gather @ above, gather @ below, (gather @ occurs).astype(np.int64))


def boundary_rows(
    method: str, counts: BoundaryCounts, class_names: Sequence[str], plan: AnalysisPlan
) -> list[dict[str, Any]]:
    """Score one method at every recorded distance; rows of table `boundary_scores`.

    Args:
        method: Its label.
        counts: Its counts.
        class_names: K names.
        plan: Resamples and seed.
    """
    weights = unit_weights(len(counts.units.units), plan.resamples, plan.seed)
    rows = []
    scored = counts.rows[counts.rows["measure"] != BoundaryMeasure.TRIMAP]
    for (measure, distance), own in scored.groupby(["measure", "distance_um"], dropna=False, sort=True):
        above, below = counts.arrays(own)
        complete = (below > 0).all(axis=0)  # every seed has something to measure
        highest = 1.0
        if measure == BoundaryMeasure.HAUSDORFF_95:
            above, below, highest = above * complete / PM_PER_UM, below * complete, np.inf
        parts = counts.by_unit(above, below, counts.occurs() & complete)
        keys = {"method": method, "measure": measure, "distance_um": distance}
        rows += [keys | _renamed(row) for row in interval_rows(parts, weights, tuple(class_names), highest=highest)]
    return rows


def gap_rows(
    counts: BoundaryCounts, class_names: Sequence[str], plan: AnalysisPlan
) -> tuple[float, list[dict[str, Any]]]:
    """Return the narrowest recorded distance, um, and pooled IoU minus boundary IoU there, a row per class.

    The difference is taken within each seed and each resample of units, so the interval is that of the difference; it
    rests on as many units as the weaker of the two.

    Args:
        counts: One method's.
        class_names: K names.
        plan: Resamples and seed.

    Raises:
        ValueError: No boundary IoU was recorded.
    """
    own = counts.rows[counts.rows["measure"] == BoundaryMeasure.BOUNDARY_IOU]
    if own.empty:
        raise ValueError("gap_rows needs counts of boundary IoU.")
    distance_um = float(own["distance_um"].min())
    above, below = counts.arrays(own[own["distance_um"] == distance_um])
    complete = (below > 0).all(axis=0)
    weights = unit_weights(len(counts.units.units), plan.resamples, plan.seed)
    whole = ratios(counts.units, "iou", "pooled")
    border = counts.by_unit(above, below, counts.occurs() & complete)
    k = len(class_names)  # what comes after the classes is their macro mean
    gap = Estimates(
        by_seed=(scores_by_seed(whole) - scores_by_seed(border))[:, :k],
        resampled=(weighted_scores(whole, weights) - weighted_scores(border, weights))[:, :k],
        jackknife=(leave_one_out(whole) - leave_one_out(border))[:, :k],
        n_units=np.minimum(*((each.occurs > 0).sum(axis=0) for each in (whole, border))),
        effective_units=np.minimum(effective_units(whole), effective_units(border))[:k],
    )
    return distance_um, estimate_rows(gap, class_names, lowest=-1.0)


def trimap_rows(
    method: str, counts: BoundaryCounts, class_names: Sequence[str], ends_um: Sequence[float], plan: AnalysisPlan
) -> list[dict[str, Any]]:
    """Score one method in rings around true borders; rows of table `trimap_curves`.

    Args:
        method: Its label.
        counts: Its counts.
        class_names: K names.
        ends_um: Outer ends of the rings that were recorded; one more ring has none.
        plan: Resamples and seed.
    """
    weights = unit_weights(len(counts.units.units), plan.resamples, plan.seed)
    rings = counts.rows[counts.rows["measure"] == BoundaryMeasure.TRIMAP]
    names = (*class_names, ALL)
    rows = []
    for inner, outer in pairwise((0.0, *ends_um, np.inf)):
        own = rings[rings["distance_um"] == outer]
        above, below = (_with_total(each) for each in counts.arrays(own))
        parts = counts.by_unit(above, below, below[0] > 0)
        pixels = below[0].sum(axis=0).astype(np.int64)
        scored = {str(row["class"]): _renamed(row) for row in interval_rows(parts, weights, names)}
        for name, n_pixels in zip(names, pixels.tolist(), strict=True):
            kept = {key: scored[name][key] for key in ("class", "value", "low", "high", "n_units")}
            rows.append({"method": method, "inner_um": inner, "outer_um": outer} | kept | {"n_pixels": n_pixels})
    return rows


def _with_total(values: np.ndarray) -> np.ndarray:
    """Append the sum over classes as one more class, (S, I, K) -> (S, I, K + 1)."""
    return np.concatenate([values, values.sum(axis=2, keepdims=True)], axis=2)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {"value" if key == "mean" else key: value for key, value in row.items()}
