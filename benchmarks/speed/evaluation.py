"""Counting a predicted tile, and measuring the classes of images, beside plain loops over classes."""

import time
from pathlib import Path

import numpy as np

from analysis.measures.scale import Scale
from analysis.measures.survey import summarise_image
from benchmarks.boundary_speed import MPP_UM, count_plainly, draw_masks
from benchmarks.plain_measures import plain_loop
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.config import EvaluationSection
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.evaluation.counts import count_pixels
from imbalance_bench.evaluation.image_tables import BoundarySetting, ImageKeys, boundary_rows

EDGE_PX, CLASSES, ROUNDS = 1024, 6, 3
IMAGES = 6


def count_rows(setting: Setting) -> list[Row]:
    """Count pixels, boundary IoU, surface Dice and Hausdorff distances of one tile, sides in turn."""
    import torch
    from monai.metrics.confusion_matrix import get_confusion_matrix

    section, edge_px = EvaluationSection(), 128 if setting.tiny else EDGE_PX
    boundary = BoundarySetting(MPP_UM, section.boundary_diagonal, section.boundary_um, section.surface_um, ())
    target, predicted = draw_masks(edge_px, CLASSES)
    keys, ours, theirs = ImageKeys("image", "group", "test"), [], []

    def one_hot(mask: np.ndarray) -> "torch.Tensor":
        return torch.from_numpy(np.stack([mask == c for c in range(CLASSES)])[None].astype(np.float32))

    counted = count_pixels(predicted, target, CLASSES)  # both once before the clock runs
    plain = get_confusion_matrix(one_hot(predicted), one_hot(target))
    for _ in range(1 if setting.tiny else ROUNDS):
        started = time.process_time()
        counted = count_pixels(predicted, target, CLASSES)
        boundary_rows(keys, predicted, target, CLASSES, boundary)
        between = time.process_time()
        plain = get_confusion_matrix(one_hot(predicted), one_hot(target))
        count_plainly(predicted, target, CLASSES, boundary)
        theirs.append(time.process_time() - between)
        ours.append(between - started)
    valid = int((target < CLASSES).sum())
    if valid == target.size and plain[0, :, 0].long().tolist() != counted.tp.tolist():
        raise RuntimeError("MONAI counts other pixels.")
    what = f"counts and boundary counts of a {edge_px} px tile, {CLASSES} classes"
    against = "MONAI's confusion matrix, distance transforms class by class"
    return [Row(what, against, 1e3 * min(ours), 1e3 * min(theirs), "CPU ms", 5, "ratio at least")]


def measure_rows(setting: Setting) -> list[Row]:
    """Measure the classes of some CoNSeP images where they are at hand, else of a phantom."""
    images, (dataset, name) = 1 if setting.tiny else IMAGES, _tissue(setting.folder)
    taxonomy, scale = Taxonomy(dataset.info), Scale(dataset.info.mpp_um, 2.0)
    ours = theirs = 0.0
    for entry in dataset.entries[:images]:
        image, mask = dataset.read_image(entry.image_id), taxonomy.apply(dataset.read_mask(entry.image_id))
        started = time.process_time()
        summarise_image(image, mask, len(taxonomy), scale, entry.image_id)
        between = time.process_time()
        plain_loop(image, mask, len(taxonomy), scale)
        theirs += time.process_time() - between
        ours += between - started
    what = f"class measures of {min(images, len(dataset.entries))} images of {name}"
    return [Row(what, "scikit-image, class by class", ours, theirs, "CPU s", 8, "ratio at least")]


def _tissue(folder: Path) -> tuple[PreparedDataset, str]:
    tissue = Path(__file__).parents[2] / ".." / "shared" / "data" / "consep"
    if tissue.is_dir():
        return PreparedDataset.open(tissue), "CoNSeP"
    generate_phantom(PRESETS["tissue"], folder / "phantom")
    return PreparedDataset.open(folder / "phantom"), "the phantom"
