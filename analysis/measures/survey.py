"""One pass over the training images: each is decoded once and reduced to what the measures need.

Sums are kept per group, as groups are what the bootstrap resamples, so a cohort of any size is streamed: memory grows
with groups and instances, never with pixels.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from skimage.measure import label

from analysis.measures.boundary import STAIN_BINS, border_histograms
from analysis.measures.morphology import FEATURES, instance_shapes
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageSummary:
    """What one image contributes.

    Args:
        pixels: (K,) int64, labelled pixels per class.
        components: (K,) int64, 8-connected components.
        border: (2, K, STAIN_BINS) int64, stain histograms inside and outside the class border.
        instances: One row per whole instance: class_id and FEATURES.
    """

    pixels: np.ndarray
    components: np.ndarray
    border: np.ndarray
    instances: pd.DataFrame


@dataclass(frozen=True)
class Survey:
    """Sums over the training images.

    Args:
        groups: G group ids.
        in_fold: (F, G) bool: the group trains in the fold.
        n_images: (G,) int64.
        pixels: (G, K) int64.
        images: (G, K) int64, images that hold the class.
        components: (G, K) int64.
        border: (G, 2, K, STAIN_BINS) int64.
        instances: One row per instance: group (index), class_id and FEATURES; areas in px.
        mpp_um: Micrometres per pixel, or None.
        band_px: Width of the border band, px.
    """

    groups: tuple[str, ...]
    in_fold: np.ndarray
    n_images: np.ndarray
    pixels: np.ndarray
    images: np.ndarray
    components: np.ndarray
    border: np.ndarray
    instances: pd.DataFrame
    mpp_um: float | None
    band_px: float


BAND_PX_WITHOUT_SCALE = 8.0  # where um per pixel are unknown


def summarise_image(image: np.ndarray, mask: np.ndarray, n_classes: int, band_px: float) -> ImageSummary:
    """Reduce one image.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, class indices or UNLABELLED.
        n_classes: K.
        band_px: Width of the border band, px.
    """
    components = np.asarray(label(mask.astype(np.int16), background=UNLABELLED, connectivity=2), dtype=np.int32)
    class_of = np.zeros(components.max() + 1, dtype=np.int64)
    class_of[components] = mask
    return ImageSummary(
        pixels=np.bincount(mask.ravel(), minlength=256)[:n_classes],
        components=np.bincount(class_of[1:], minlength=n_classes)[:n_classes],
        border=border_histograms(image, mask, n_classes, band_px),
        instances=instance_shapes(components, class_of, unlabelled=mask == UNLABELLED),
    )


def survey(
    dataset: PreparedDataset,
    taxonomy: Taxonomy,
    folds: Sequence[Sequence[str]],
    *,
    band_um: float,
    on_progress: OnProgress | None = None,
) -> Survey:
    """Decode every training image of the folds once.

    Args:
        dataset: The prepared data set.
        taxonomy: The study's classes.
        folds: Training image ids of each fold; a group lies wholly inside or outside of a fold's training part.
        band_um: Width of the border band on each side, um; 8 px where um per pixel are unknown.
        on_progress: Called with ("measures", images done, images in all).

    Raises:
        UserError: An image or mask is missing or unsound.
    """
    ids = sorted(set().union(*folds))
    group_of = {image_id: dataset.entry(image_id).group_id for image_id in ids}
    groups = sorted(set(group_of.values()))
    place = {group: row for row, group in enumerate(groups)}
    mpp = dataset.info.mpp_um
    band_px = band_um / mpp if mpp else BAND_PX_WITHOUT_SCALE
    g, k = len(groups), len(taxonomy)
    sums = {"n_images": np.zeros(g, np.int64), "border": np.zeros((g, 2, k, STAIN_BINS), np.int64)}
    sums |= {name: np.zeros((g, k), np.int64) for name in ("pixels", "images", "components")}
    instances = []
    for done, image_id in enumerate(ids, start=1):
        mask = taxonomy.apply(dataset.read_mask(image_id))
        summary = summarise_image(dataset.read_image(image_id), mask, k, band_px)
        row = place[group_of[image_id]]
        sums["n_images"][row] += 1
        sums["pixels"][row] += summary.pixels
        sums["images"][row] += summary.pixels > 0
        sums["components"][row] += summary.components
        sums["border"][row] += summary.border
        instances.append(summary.instances.assign(group=row))
        if on_progress is not None:
            on_progress("measures", done, len(ids))
    return Survey(
        groups=tuple(groups),
        in_fold=np.array([np.isin(groups, _groups(fold, group_of)) for fold in folds]),
        instances=pd.concat(instances, ignore_index=True)[["group", "class_id", *FEATURES]],
        mpp_um=mpp,
        band_px=band_px if math.isfinite(band_px) else BAND_PX_WITHOUT_SCALE,
        **sums,
    )


def _groups(fold: Iterable[str], group_of: dict[str, str]) -> list[str]:
    return sorted({group_of[image_id] for image_id in fold})
