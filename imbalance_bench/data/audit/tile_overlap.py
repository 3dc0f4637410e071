"""Which tiles of different folds show some of the same tissue."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from imbalance_bench.data.audit.images import AuditedImage


def shared_areas(placed: Sequence[AuditedImage]) -> tuple[int, list[str]]:
    """Return the number of areas, and those that have tiles in more than one fold."""
    folds: dict[str, set[str]] = defaultdict(set)
    for image in placed:
        if image.position and image.part:
            folds[image.position.area].add(image.fold)
    return len(folds), sorted(area for area, folds_of_area in folds.items() if len(folds_of_area) > 1)


def find_overlaps(placed: Sequence[AuditedImage]) -> list[tuple[AuditedImage, AuditedImage]]:
    """Return the pairs of images of different folds that show some of the same tissue.

    Args:
        placed: Images with position and size; those without a split are left out.
    """
    areas: dict[str, list[AuditedImage]] = defaultdict(list)
    for image in placed:
        if image.position and image.part:
            areas[image.position.area].append(image)
    return [pair for members in areas.values() for pair in _overlaps_within(members)]


def _overlaps_within(members: list[AuditedImage]) -> list[tuple[AuditedImage, AuditedImage]]:
    places = np.array([image.position[1:] for image in members if image.position], dtype=np.int64)  # (n, 2): x, y
    ends = places + np.array([(image.width_px, image.height_px) for image in members], dtype=np.int64)
    folds = np.unique([image.fold for image in members], return_inverse=True)[1]
    pairs = []
    for row in range(len(members) - 1):  # a row at a time: n x n would not fit for whole slides
        later = slice(row + 1, None)
        hit = (places[later] < ends[row]).all(axis=1) & (ends[later] > places[row]).all(axis=1)
        hit &= folds[later] != folds[row]
        pairs += [(members[row], members[row + 1 + offset]) for offset in np.flatnonzero(hit)]
    return pairs
