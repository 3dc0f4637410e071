"""Speed of the boundary counts beside a plain loop over classes and distances, which must give the same numbers.

    python -m benchmarks.boundary_speed [--size 1000] [--classes 5] [--repeats 3] [--study DIR]

Masks are smooth noise at 0.25 um per pixel. The plain loop follows the definitions: erosions of each class's mask by a
3 x 3 square, and Euclidean distance transforms between the border elements of each class, over the whole image. With
--study, the time that the runs of a finished study spent on boundaries beside prediction is printed from their
manifests. Exit code 1 if the numbers differ.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from imbalance_bench.config import EvaluationSection
from imbalance_bench.evaluation.boundary import diagonal_radius_px, radius_px
from imbalance_bench.evaluation.image_tables import PM_PER_UM, BoundarySetting, ImageKeys, boundary_rows
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.evaluation.surface import element_lengths_um
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import BoundaryMeasure

MPP_UM = (0.25, 0.25)
Numbers = dict[tuple[int, str, float], tuple[int, int]]


def draw_masks(size_px: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a true and a predicted mask, (size, size) uint8 each."""
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.normal(size=(size_px, size_px)), 10) for _ in range(classes)]
    moved = [field + 0.4 * field.std() * _smooth(rng, size_px) for field in fields]
    return np.argmax(fields, axis=0).astype(np.uint8), np.argmax(moved, axis=0).astype(np.uint8)


def _smooth(rng: np.random.Generator, size_px: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(rng.normal(size=(size_px, size_px)), 6)
    return noise / noise.std()


def count_plainly(predicted: np.ndarray, target: np.ndarray, classes: int, setting: BoundarySetting) -> Numbers:
    """Return boundary IoU, surface Dice and Hausdorff distance of every class, one class and distance at a time."""
    found: Numbers = {}
    diagonal = diagonal_radius_px(target.shape[0], target.shape[1], setting.diagonal)
    radii = [(BoundaryMeasure.BOUNDARY_IOU_DIAGONAL, 0.0, diagonal[0])]
    radii += [(BoundaryMeasure.BOUNDARY_IOU, far, radius_px(far, MPP_UM)[0]) for far in setting.boundary_um]
    for class_id in range(classes):
        masks = predicted == class_id, target == class_id
        for measure, far, radius in radii:
            first, second = (mask & ~_eroded(mask, radius) for mask in masks)
            found[class_id, measure, far] = int((first & second).sum()), int((first | second).sum())
        found |= _surfaces(class_id, *masks, setting)
    return found


def _eroded(mask: np.ndarray, radius: int) -> np.ndarray:
    return np.asarray(ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=radius))


def _surfaces(class_id: int, predicted: np.ndarray, target: np.ndarray, setting: BoundarySetting) -> Numbers:
    lengths, borders = [], []
    for mask in (predicted, target):
        padded = np.pad(mask, 1).astype(np.uint8)
        code = 8 * padded[:-1, :-1] + 4 * padded[:-1, 1:] + 2 * padded[1:, :-1] + padded[1:, 1:]
        lengths.append(element_lengths_um(MPP_UM)[code])
        borders.append((code > 0) & (code < 15))
    far = [np.asarray(ndimage.distance_transform_edt(~border, sampling=MPP_UM)) for border in borders]
    pairs = [(far[1][borders[0]], lengths[0][borders[0]]), (far[0][borders[1]], lengths[1][borders[1]])]
    whole = round(sum(float(length.sum()) for _, length in pairs) * PM_PER_UM)
    found: Numbers = {}
    for tolerance in setting.surface_um:
        near = sum(float(length[distance <= tolerance].sum()) for distance, length in pairs)
        found[class_id, BoundaryMeasure.SURFACE_DICE, tolerance] = round(near * PM_PER_UM), whole
    found[class_id, BoundaryMeasure.HAUSDORFF_95, 0.0] = round(max(map(_percentile, pairs)) * PM_PER_UM), 1
    return found


def _percentile(pair: tuple[np.ndarray, np.ndarray]) -> float:
    distance, length = pair
    order = np.argsort(distance, kind="stable")
    reached = np.cumsum(length[order]) / length.sum()
    return float(distance[order[min(np.searchsorted(reached, 0.95), len(order) - 1)]])


def differences(rows: Numbers, expected: Numbers) -> list[tuple[int, str, float]]:
    """Keys whose numbers differ: pixels at all, lengths by more than their rounding."""
    return [key for key, pair in expected.items() if not np.allclose(rows.get(key, (-1, -1)), pair, rtol=1e-9, atol=1)]


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Shortest CPU time of several repeats."""
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def probability_seconds(predicted: np.ndarray, target: np.ndarray, options: argparse.Namespace) -> float:
    """CPU time of counting the probabilities of random logits whose largest is that of the predicted class."""
    noise = np.random.default_rng(0).normal(size=(options.classes, *predicted.shape)).clip(-2, 2)
    logits = (noise + 4 * (np.arange(options.classes)[:, None, None] == predicted)).astype(np.float32)
    return seconds_of(lambda: count_probabilities(logits, predicted, target), options.repeats)


def print_study(root: Path) -> None:
    """Print what the runs of a study spent on their evaluation."""
    for run in StudyRecords.open(root).finished():
        manifest = run.manifest()
        spent, label = manifest["cost"].get("evaluation_seconds"), manifest["method"]["label"]
        if spent is None:
            print(f"{run.run_id} {label}: recorded by an earlier version")
            continue
        images = len(run.counts()[["split", "image_id"]].drop_duplicates())
        parts = ", ".join(f"{name} {value:.1f} s" for name, value in spent.items())
        shares = ", ".join(
            f"{name} / prediction {spent[name] / spent['prediction']:.0%}"
            for name in ("boundary", "probabilities")
            if name in spent
        )
        of_run = spent["boundary"] / manifest["cost"]["seconds"]
        print(f"{run.run_id} {label}, {images} images: {parts}; {shares}; boundary of the whole run {of_run:.1%}")


def main() -> None:
    """Parse the command line, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="edge of the masks, px")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--study", type=Path)
    options = parser.parse_args()
    section = EvaluationSection()
    plain_setting = BoundarySetting(MPP_UM, section.boundary_diagonal, section.boundary_um, section.surface_um, ())
    setting = BoundarySetting(
        MPP_UM, section.boundary_diagonal, section.boundary_um, section.surface_um, section.trimap_um
    )
    target, predicted = draw_masks(options.size, options.classes)
    keys = ImageKeys("image", "group", "test")
    table = boundary_rows(keys, predicted, target, options.classes, plain_setting).fillna({"distance_um": 0.0})
    found = {
        (int(row[3]), str(row[4]), float(row[5])): (int(row[6]), int(row[7]))
        for row in table.itertuples(index=False, name=None)
    }
    wrong = differences(found, count_plainly(predicted, target, options.classes, plain_setting))
    megapixels = options.size**2 / 1e6
    ours = seconds_of(lambda: boundary_rows(keys, predicted, target, options.classes, plain_setting), options.repeats)
    whole = seconds_of(lambda: boundary_rows(keys, predicted, target, options.classes, setting), options.repeats)
    plain = seconds_of(lambda: count_plainly(predicted, target, options.classes, plain_setting), 1)
    right = np.mean(target == predicted)
    print(f"{options.size} x {options.size} px, {options.classes} classes, {right:.0%} of pixels right")
    print(f"boundary IoU, surface Dice, Hausdorff: {1e3 * ours / megapixels:.0f} ms per megapixel")
    print(
        f"the same by a plain loop:              {1e3 * plain / megapixels:.0f} ms ({plain / ours:.1f} times as long)"
    )
    print(f"with trimaps, as recorded:             {1e3 * whole / megapixels:.0f} ms")
    probabilities = probability_seconds(predicted, target, options)
    print(f"counts of predicted probabilities:     {1e3 * probabilities / megapixels:.0f} ms")
    print(f"{len(found)} numbers compared, {len(wrong)} differ")
    if options.study is not None:
        print_study(options.study)
    sys.exit(1 if wrong or not found else 0)


if __name__ == "__main__":
    main()
