"""One image's rows of the record tables, from its predicted and its true mask, and its logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imbalance_bench.evaluation.boundary import (
    PixelSize,
    boundary_iou_counts,
    diagonal_radius_px,
    radius_px,
    trimap_counts,
)
from imbalance_bench.evaluation.counts import Counts
from imbalance_bench.evaluation.probabilities import ProbabilityCounts
from imbalance_bench.evaluation.surface import MaskBorders, border_distances
from imbalance_bench.table_schemas import BOUNDARY, BoundaryMeasure

if TYPE_CHECKING:
    from imbalance_bench.config import BoundarySection

PM_PER_UM = 1_000_000  # lengths are stored as whole picometres: sums over images stay exact
_BoundaryRow = tuple[int, str, float, int, int]  # class_id, measure, distance_um, numerator, denominator


@dataclass(frozen=True)
class BoundarySetting:
    """Which distances are counted.

    Attributes:
        mpp_um: Height and width of a pixel, um; None where unknown: then only the share of the diagonal is counted.
        diagonal: Width of the band of boundary IoU as a share of the image's diagonal.
        boundary_um: Widths of the band of boundary IoU, ascending.
        surface_um: Tolerances of surface Dice, ascending; empty: neither it nor the Hausdorff distance.
        trimap_um: Outer ends of the bands around the true border, ascending; empty: none.
    """

    mpp_um: PixelSize | None
    diagonal: float
    boundary_um: Sequence[float]
    surface_um: Sequence[float]
    trimap_um: Sequence[float]

    @classmethod
    def of(cls, section: "BoundarySection", mpp_um: float | None) -> "BoundarySetting":
        """Return what a study file asks for, on pixels that are squares."""
        return cls(
            mpp_um=None if mpp_um is None else (mpp_um, mpp_um),
            diagonal=section.boundary_diagonal,
            boundary_um=section.boundary_um,
            surface_um=section.surface_um,
            trimap_um=section.trimap_um,
        )


@dataclass(frozen=True)
class ImageKeys:
    """What every row of an image carries."""

    image_id: str
    group_id: str
    split: str

    def of(self, columns: dict[str, object]) -> pd.DataFrame:
        """Return a table with these keys in front of its columns."""
        return pd.DataFrame(vars(self) | columns)


def count_rows(keys: ImageKeys, *counts: Counts, **told: Sequence[object]) -> pd.DataFrame:
    """Rows of counts.parquet: one per class, of several predictions one after the other.

    Args:
        keys: Of the image.
        counts: Of each prediction.
        told: Further columns, with one value for each prediction.
    """
    n_classes = len(counts[0].tp)
    return keys.of(
        {
            "class_id": np.tile(np.arange(n_classes, dtype=np.int16), len(counts)),
            "tp": np.concatenate([each.tp for each in counts]),
            "fp": np.concatenate([each.fp for each in counts]),
            "fn": np.concatenate([each.fn for each in counts]),
            "n_valid": np.repeat([each.n_valid for each in counts], n_classes),
            **{name: np.repeat(np.asarray(values), n_classes) for name, values in told.items()},
        }
    )


def confusion_rows(keys: ImageKeys, confusion: np.ndarray) -> pd.DataFrame:
    """Rows of confusion.parquet: one per pair of classes that occurs; `confusion` is (K, K), truth x prediction."""
    true_id, predicted_id = np.nonzero(confusion)
    return keys.of(
        {
            "true_id": true_id.astype(np.int16),
            "predicted_id": predicted_id.astype(np.int16),
            "pixels": confusion[true_id, predicted_id],
        }
    )


def probability_rows(keys: ImageKeys, counts: ProbabilityCounts) -> pd.DataFrame:
    """Rows of probabilities.parquet: one per class, predicted as it or not, and bin that holds a pixel."""
    totals = [counted.sum(axis=2) for counted in (counts.pixels, counts.p, counts.p_squared)]  # over what the truth is
    true = [counted[:, :, 1] for counted in (counts.pixels, counts.p)]
    where = np.nonzero(totals[0])
    class_id, predicted, bins = where
    return keys.of(
        {
            "class_id": class_id.astype(np.int16),
            "predicted": predicted.astype(bool),
            "bin": bins.astype(np.int16),
            "pixels": totals[0][where],
            "true_pixels": true[0][where],
            "p_millionths": totals[1][where],
            "true_p_millionths": true[1][where],
            "p_squared_millionths": totals[2][where],
        }
    )


def boundary_rows(
    keys: ImageKeys, predicted: np.ndarray, target: np.ndarray, n_classes: int, setting: BoundarySetting
) -> pd.DataFrame:
    """Rows of boundary.parquet: one per class, measure and distance that has something to measure.

    Args:
        keys: Of the image.
        predicted: (H, W) uint8 in 0..K-1.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
        n_classes: K.
        setting: Distances.
    """
    rows = _boundary_iou(predicted, target, n_classes, setting)
    if setting.mpp_um is not None:
        rows += _trimap(predicted, target, n_classes, setting.trimap_um, setting.mpp_um)
        rows += _surfaces(predicted, target, n_classes, setting.surface_um, setting.mpp_um)
    columns = BOUNDARY.names[3:]
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    types = ("int16", "str", "float64", "int64", "int64")
    frame = pd.DataFrame(dict(zip(columns, values, strict=True))).astype(dict(zip(columns, types, strict=True)))
    return keys.of({name: frame[name] for name in columns})


def _boundary_iou(
    predicted: np.ndarray, target: np.ndarray, n_classes: int, setting: BoundarySetting
) -> list[_BoundaryRow]:
    # two calls: where pixels are no squares the widths in um do not nest with a share of the diagonal
    height_px, width_px = target.shape
    radius = diagonal_radius_px(height_px, width_px, setting.diagonal)
    counts = boundary_iou_counts(predicted, target, n_classes, [radius])
    rows = _occurring(BoundaryMeasure.BOUNDARY_IOU_DIAGONAL, (np.nan,), counts)
    if setting.mpp_um is not None:
        radii = [radius_px(far, setting.mpp_um) for far in setting.boundary_um]
        counts = boundary_iou_counts(predicted, target, n_classes, radii)
        rows += _occurring(BoundaryMeasure.BOUNDARY_IOU, setting.boundary_um, counts)
    return rows


def _trimap(
    predicted: np.ndarray, target: np.ndarray, n_classes: int, ends_um: Sequence[float], mpp_um: PixelSize
) -> list[_BoundaryRow]:
    if not ends_um:
        return []
    counts = trimap_counts(predicted, target, n_classes, [radius_px(far, mpp_um) for far in ends_um])
    return _occurring(BoundaryMeasure.TRIMAP, (*ends_um, np.inf), counts)


def _occurring(
    measure: BoundaryMeasure, distances_um: Sequence[float], counts: tuple[np.ndarray, np.ndarray]
) -> list[_BoundaryRow]:
    """Rows of what has a denominator; `counts` are numerators and denominators, (distances, K) each."""
    above, below = counts
    return [
        (class_id, str(measure), distances_um[row], int(above[row, class_id]), int(below[row, class_id]))
        for row, class_id in np.argwhere(below).tolist()
    ]


def _surfaces(
    predicted: np.ndarray, target: np.ndarray, n_classes: int, tolerances_um: Sequence[float], mpp_um: PixelSize
) -> list[_BoundaryRow]:
    if not tolerances_um:
        return []
    seen, true = MaskBorders.seen(predicted, target), MaskBorders(target)
    rows: list[_BoundaryRow] = []
    for class_id in range(n_classes):
        distances = border_distances(seen.of_class(class_id), true.of_class(class_id), mpp_um)
        whole = round(distances.length_um() * PM_PER_UM)
        if not whole:
            continue
        for far in tolerances_um:
            near = round(distances.length_um(far) * PM_PER_UM)
            rows.append((class_id, str(BoundaryMeasure.SURFACE_DICE), far, near, whole))
        farthest = distances.hausdorff_um()
        if farthest is not None:
            rows.append((class_id, str(BoundaryMeasure.HAUSDORFF_95), np.nan, round(farthest * PM_PER_UM), 1))
    return rows
