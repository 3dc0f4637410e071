"""Recompute the scores of a study from its predicted and true masks with independent packages, image by image.

    python -m benchmarks.independent_scores STUDY [--images N]

Dice and IoU come from MONAI (`compute_dice`, `compute_iou`), surface Dice and the 95 % Hausdorff distance from its
surface elements (`use_subvoxels`, which are those of google-deepmind/surface-distance), boundary IoU from SciPy's
erosion. Each is compared with what the run recorded for the image, and their means over images with the tables of
`analyze` where every scored image kept its predicted mask. What packages print by default is shown beside it, never
judged: those differences are named in docs/evaluation.md. Exit code 1 if a score differs by more than the tolerance.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.meaniou import compute_iou
from monai.metrics.utils import get_edge_surface_distance
from PIL import Image
from rich.progress import track
from scipy import ndimage

from analysis.reading.analysed_study import AnalysedStudy
from analysis.scoring.metrics import score
from analysis.study.dataset import open_study_data
from analysis.study.runs import RunData, read_study
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.records import RunRecord
from imbalance_bench.table_schemas import BoundaryMeasure

TOLERANCE = 1e-6  # of shares; of distances, um, relative: MONAI computes them in single precision
ROUNDING = 1e-6  # of lengths in single precision: where 95 % lie within a distance exactly, the next one is as good
DEFAULT = "hausdorff_95 as MONAI prints it"


@dataclass(frozen=True)
class Masks:
    """One predicted image.

    Args:
        predicted: (H, W) uint8; UNLABELLED where the truth is.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
        mpp_um: Height and width of a pixel, um; None where unknown.
    """

    predicted: np.ndarray
    target: np.ndarray
    mpp_um: tuple[float, float] | None


def region_scores(masks: Masks, n_classes: int) -> Iterator[tuple[int, str, float, float]]:
    """Yield class, measure, distance (NaN) and Dice and IoU of classes that the truth holds."""
    known = masks.target != UNLABELLED
    predicted, true = (
        torch.from_numpy(each[known][None] == np.arange(n_classes)[:, None])[None, :, :, None].double()
        for each in (masks.predicted, masks.target)
    )
    for measure, compute in (("dice", compute_dice), ("iou", compute_iou)):
        found = compute(predicted, true, include_background=True, ignore_empty=True)[0]
        yield from ((c, measure, np.nan, float(value)) for c, value in enumerate(found) if not value.isnan())


def surface_scores(masks: Masks, n_classes: int, tolerances_um: list[float]) -> Iterator[tuple[int, str, float, float]]:
    """Yield surface Dice and the 95 % Hausdorff distance of classes in either mask; of fully labelled images.

    The Hausdorff distance is yielded twice, just below and just above 95 %; either is right.
    """
    if masks.mpp_um is None:
        return
    for c in range(n_classes):
        both = [torch.from_numpy(np.pad(each == c, 1)) for each in (masks.predicted, masks.target)]
        there = [bool(each.any()) for each in both]
        if not all(there):  # no border of one of them is near
            yield from ((c, str(BoundaryMeasure.SURFACE_DICE), far, 0.0) for far in tolerances_um if any(there))
            continue
        edges, distances, areas = get_edge_surface_distance(
            both[0], both[1], spacing=masks.mpp_um, use_subvoxels=True, symmetric=True
        )
        lengths = [np.asarray(area[edge], dtype=np.float64) for area, edge in zip(areas, edges, strict=True)]
        total = sum(each.sum() for each in lengths)
        far = [np.asarray(distance, dtype=np.float64) for distance in distances]
        for tolerance in tolerances_um:
            near = sum(length[away <= tolerance].sum() for length, away in zip(lengths, far, strict=True))
            yield c, str(BoundaryMeasure.SURFACE_DICE), tolerance, float(near / total)
        for share in (0.95 - ROUNDING, 0.95 + ROUNDING):
            reach = max(_weighted_percentile(away, length, share) for away, length in zip(far, lengths, strict=True))
            yield c, str(BoundaryMeasure.HAUSDORFF_95), np.nan, reach
        one = [each[None, None].float() for each in both]
        default = compute_hausdorff_distance(*one, include_background=True, percentile=95, spacing=masks.mpp_um)
        yield c, DEFAULT, np.nan, float(default)


def _weighted_percentile(distance: np.ndarray, length: np.ndarray, share: float) -> float:
    """Return the smallest distance within which a share of the length lies."""
    order = np.argsort(distance)
    reached = np.cumsum(length[order]) / length.sum()
    return float(distance[order][min(np.searchsorted(reached, share), len(order) - 1)])


def band_scores(masks: Masks, n_classes: int, widths: dict[float, int]) -> Iterator[tuple[int, str, float, float]]:
    """Yield boundary IoU of classes in either mask; of fully labelled images.

    Args:
        masks: The masks.
        n_classes: K.
        widths: Distance, um (NaN: the share of the diagonal) -> erosions by a 3 x 3 square.
    """
    square = np.ones((3, 3), dtype=bool)
    for c in range(n_classes):
        both = [each == c for each in (masks.predicted, masks.target)]
        if not any(each.any() for each in both):
            continue
        for distance, erosions in widths.items():
            bands = [each & np.logical_not(ndimage.binary_erosion(each, square, erosions)) for each in both]
            measure = BoundaryMeasure.BOUNDARY_IOU_DIAGONAL if np.isnan(distance) else BoundaryMeasure.BOUNDARY_IOU
            yield c, str(measure), distance, float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def recomputed(masks: Masks, n_classes: int, evaluation: dict) -> pd.DataFrame:
    """Return class_id, measure, distance_um and value of everything that can be computed from one image."""
    rows = list(region_scores(masks, n_classes))
    if not (masks.target == UNLABELLED).any():  # next to unlabelled pixels no border is known, which packages ignore
        height, width = masks.target.shape
        widths = {np.nan: max(1, round(evaluation["boundary_diagonal"] * float(np.hypot(height, width))))}
        if masks.mpp_um is not None:
            widths |= {far: max(1, round(far / masks.mpp_um[0])) for far in evaluation["boundary_um"]}
        rows += surface_scores(masks, n_classes, evaluation["surface_um"])
        rows += band_scores(masks, n_classes, widths)
    return pd.DataFrame(rows, columns=["class_id", "measure", "distance_um", "independent"])


def recorded(run: RunData, record: RunRecord, split: str) -> pd.DataFrame:
    """Return image_id, class_id, measure, distance_um and value of one run's records."""
    counts = run.counts[run.counts["split"] == split]
    counted = [counts[name].to_numpy() for name in ("tp", "fp", "fn")]
    tables = [
        counts[["image_id", "class_id"]].assign(measure=name, distance_um=np.nan, recorded=score(name, *counted))
        for name in ("dice", "iou")
    ]
    boundary = record.boundary()
    if boundary is not None:
        boundary = boundary[(boundary["split"] == split) & (boundary["measure"] != BoundaryMeasure.TRIMAP)]
        value = boundary["numerator"] / boundary["denominator"]
        value = value.where(boundary["measure"] != BoundaryMeasure.HAUSDORFF_95, boundary["numerator"] / 1e6)
        tables.append(boundary[["image_id", "class_id", "measure", "distance_um"]].assign(recorded=value))
    return pd.concat(tables, ignore_index=True).dropna(subset="recorded")


def compared(root: Path, images: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both values of every run, image, class and measure, and of the means over images in `class_scores`."""
    analysed = AnalysedStudy.open(root)
    study = read_study(analysed.records)
    dataset, taxonomy = open_study_data(root, study.dataset, study.class_names)
    mpp, names = dataset.info.mpp_um, study.class_names
    evaluation, frames, means = analysed.plan["evaluation"], [], []
    for run in track(study.data, "runs"):
        record = analysed.records.run(run.run_id)
        ours = recorded(run, record, study.split)
        scored = list(dict.fromkeys(ours["image_id"]))
        kept = [each for each in scored if record.prediction_path(each).exists()][:images]
        theirs = []
        for image_id in kept:
            target = taxonomy.apply(dataset.read_mask(image_id))
            with Image.open(record.prediction_path(image_id)) as file:
                predicted = np.where(target == UNLABELLED, UNLABELLED, np.array(file))
            masks = Masks(predicted, target, None if mpp is None else (mpp, mpp))
            theirs.append(recomputed(masks, len(names), evaluation).assign(image_id=image_id))
        if not theirs:
            continue
        keys = ["image_id", "class_id", "measure", "distance_um"]
        independent = pd.concat(theirs, ignore_index=True)
        frames.append(independent.merge(ours, on=keys, how="outer").assign(run_id=run.run_id))
        frames[-1] = frames[-1][frames[-1]["image_id"].isin(kept)]
        if len(kept) == len(scored):
            regions = independent[independent["measure"].isin(["dice", "iou"])]
            mean = regions.groupby(["class_id", "measure"])["independent"].mean().reset_index()
            means.append(mean.assign(run_id=run.run_id))
    tables = analysed.table("class_scores")
    tables = tables[tables["aggregation"] == "per_image"].rename(columns={"metric": "measure", "value": "recorded"})
    if not frames or not means:
        return pd.concat(frames) if frames else pd.DataFrame(), pd.DataFrame()
    return pd.concat(frames), pd.concat(means).merge(tables, on=["run_id", "class_id", "measure"])


def main() -> None:
    """Parse the command line, recompute, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--images", type=int, help="images of each run at most")
    options = parser.parse_args()
    pixels, means = compared(options.study, options.images)
    if pixels.empty:
        parser.error(f"{options.study}: no run kept a predicted mask of a scored image (compute.saved_predictions).")
    worst = print_differences(pixels, means)
    sys.exit(worst > TOLERANCE)


def print_differences(pixels: pd.DataFrame, means: pd.DataFrame) -> float:
    """Print the largest difference of each measure; return the largest that is judged."""
    hausdorff = pixels[pixels["measure"] == BoundaryMeasure.HAUSDORFF_95].drop(columns="independent")
    default = pixels.loc[pixels["measure"] == DEFAULT, ["run_id", "image_id", "class_id", "independent"]]
    shown = default.merge(hausdorff, on=["run_id", "image_id", "class_id"])
    judged = pixels[pixels["measure"] != DEFAULT]
    judged = judged[judged["independent"].notna()]  # images with unlabelled pixels have no independent borders
    print("| measure | distance, um | values | largest difference |\n|---|---|---|---|")
    worst = 0.0
    for (measure, distance), rows in judged.groupby(["measure", "distance_um"], dropna=False, sort=False):
        apart = (rows["independent"] - rows["recorded"]).abs() / rows["recorded"].clip(lower=1.0)
        apart = apart.fillna(np.inf)  # one of the two has no value
        apart = apart.groupby([rows[key] for key in ("run_id", "image_id", "class_id")]).min()
        worst = max(worst, float(apart.max()))
        print(f"| {measure}, per image | {distance:g} | {len(apart)} | {apart.max():.1e} |")
    for measure, rows in means.groupby("measure", sort=False) if len(means) else ():
        apart = float((rows["independent"] - rows["recorded"]).abs().max())
        worst = max(worst, apart)
        print(f"| {measure}, mean over images in `class_scores` | | {len(rows)} | {apart:.1e} |")
    if len(shown):
        apart = shown["independent"] - shown["recorded"]
        print(
            f"| {DEFAULT} (not judged) | | {len(shown)} | mean {apart.mean():+.2f}, {apart.abs().max():.2f} at most |"
        )
    return worst


if __name__ == "__main__":
    main()
