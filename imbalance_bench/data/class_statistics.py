"""How much of each class there is: pixels, images, connected components. Methods see the training split only."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from imbalance_bench.data.pixel_values import value_counts
from imbalance_bench.data.prepared import PreparedDataset, usable_cores
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.errors import UserError


@dataclass(frozen=True)
class ClassCounts:
    """Counts per class over a set of masks; unlabelled pixels count nowhere.

    Args:
        names: K class names.
        pixels: (K,) int64, pixels of the class.
        images: (K,) int64, images with at least one pixel of the class.
        components: (K,) int64, 8-connected components.
        pixels_of_images_with_class: (K,) int64, labelled pixels of the images that hold the class.
        valid_pixels: Labelled pixels in all.
        n_images: Images in all.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    images: np.ndarray
    components: np.ndarray
    pixels_of_images_with_class: np.ndarray
    valid_pixels: int
    n_images: int

    @property
    def frequency(self) -> np.ndarray:
        """(K,) float64: share of the labelled pixels; zeros where nothing is labelled."""
        return self.pixels / max(self.valid_pixels, 1)


def training_counts(dataset: PreparedDataset, taxonomy: Taxonomy, train_ids: Sequence[str]) -> ClassCounts:
    """Count classes over the training images: the only statistics that a method may see.

    Args:
        dataset: The data set.
        taxonomy: The study's classes.
        train_ids: Images of the training split.

    Raises:
        UserError: The training split is empty, or a class has no pixel in it.
    """
    if not train_ids:
        raise UserError("A training split must hold at least one image. Got none. Choose other splits.")
    with ThreadPoolExecutor(usable_cores()) as pool:
        rows = pool.map(
            lambda image_id: _count_mask(taxonomy.apply(dataset.read_mask(image_id)), len(taxonomy)), train_ids
        )
        counts = _sum_counts(rows, taxonomy.names)
    require_every_class(counts.pixels, taxonomy.names, "the training split")
    return counts


def per_image_pixels(
    dataset: PreparedDataset, taxonomy: Taxonomy, *, on_progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Count the pixels of each class in each image.

    Args:
        dataset: The data set.
        taxonomy: The study's classes.
        on_progress: Called with (images done, images in all).

    Returns:
        (n_images, K) int64, in the order of `dataset.entries`.
    """

    def count(image_id: str) -> np.ndarray:
        return _pixels(taxonomy.apply(dataset.read_mask(image_id)), len(taxonomy))

    ids = [entry.image_id for entry in dataset.entries]
    presence = np.zeros((len(ids), len(taxonomy)), dtype=np.int64)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for index, pixels in enumerate(pool.map(count, ids)):
            presence[index] = pixels
            if on_progress is not None:
                on_progress(index + 1, len(ids))
    return presence


def require_every_class(pixels: np.ndarray, names: Sequence[str], where: str) -> None:
    """Refuse a training split that lacks a class.

    Args:
        pixels: (K,) pixels per class in the training split.
        names: K class names.
        where: Which split, for the message.

    Raises:
        UserError: A class has no pixel.
    """
    absent = [name for name, count in zip(names, pixels, strict=True) if not count]
    if absent:
        raise UserError(
            f"Every class must occur in {where}. Got no pixel of '{', '.join(absent)}'. "
            "Merge it (`groups`), ignore it (`ignore`), or choose another split."
        )


def _pixels(mask: np.ndarray, n_classes: int) -> np.ndarray:
    values = value_counts(mask)
    if values[n_classes:UNLABELLED].any():
        strange = n_classes + int(np.flatnonzero(values[n_classes:UNLABELLED])[0])
        raise ValueError(f"A mask must hold 0..{n_classes - 1} or {UNLABELLED}. Got {strange}.")
    return values[:n_classes]


def _count_mask(mask: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (2, K) int64: pixels and components of one mask."""
    pixels = _pixels(mask, n_classes)
    # one pass labels the components of all classes: only equal neighbours join
    labels = np.asarray(label(mask.astype(np.int16), background=UNLABELLED, connectivity=2), dtype=np.intp)
    class_of_component = np.zeros(labels.max() + 1, dtype=np.uint8)
    class_of_component[labels] = mask
    return np.stack([pixels, np.bincount(class_of_component[1:], minlength=n_classes)])


def _sum_counts(rows: Iterable[np.ndarray], names: Sequence[str]) -> ClassCounts:
    table = np.array(list(rows), dtype=np.int64).reshape(-1, 2, len(names))  # (n_images, 2, K)
    pixels, components = table[:, 0], table[:, 1]
    present = pixels > 0
    valid = pixels.sum(axis=1)  # (n_images,)
    return ClassCounts(
        names=tuple(names),
        pixels=pixels.sum(axis=0),
        images=present.sum(axis=0, dtype=np.int64),
        components=components.sum(axis=0),
        pixels_of_images_with_class=valid @ present,
        valid_pixels=int(valid.sum()),
        n_images=len(table),
    )
