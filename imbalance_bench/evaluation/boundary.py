"""Boundary IoU and trimap counts: all classes and all widths from one pass over each mask.

A **border** lies between two labelled pixels of different classes that touch, also at a corner. A pixel is within
radius r of a border if a pixel of another class lies at most r rows and r columns away, which is what r erosions of
each class's mask by a 3 x 3 square take off (the reference implementation of Cheng et al. 2021). One dilation of the
borders of a whole mask gives the bands of all of its classes, so that the cost does not grow with their number.

What lies outside of the labelled area:
- Unlabelled pixels never count, and what was predicted there is not looked at. Next to them no border is known, so
  there is none, neither of the truth nor of the prediction.
- The edge of the image counts as a border for boundary IoU (`image_edge=True`), as in the reference: a mask that the
  edge cuts has a boundary there. For trimaps it does not: tissue goes on.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from imbalance_bench.data.image_bands import image_bands
from imbalance_bench.data.taxonomy import UNLABELLED

Radius = tuple[int, int]  # rows, columns; px
PixelSize = tuple[float, float]  # height, width; um


def radius_px(distance_um: float, mpp_um: PixelSize) -> Radius:
    """Round a distance to whole pixels along each axis, at least one.

    Args:
        distance_um: Distance, um.
        mpp_um: Size of a pixel, (height, width), um.
    """
    height, width = (max(1, round(distance_um / size)) for size in mpp_um)
    return height, width


def diagonal_radius_px(height_px: int, width_px: int, share: float) -> Radius:
    """Return a share of an image's diagonal in whole pixels, at least one.

    Source: Cheng et al. 2021, section 4.3 (2 % of the diagonal), and its reference implementation (rounding).
    """
    radius = max(1, round(share * math.hypot(height_px, width_px)))
    return radius, radius


def border_pixels(labels: np.ndarray, *, image_edge: bool, first: bool = True, last: bool = True) -> np.ndarray:
    """Find the labelled pixels that touch a labelled pixel of another class, also at a corner, (H, W) bool.

    Args:
        labels: (H, W) uint8 class ids, or UNLABELLED.
        image_edge: Also the labelled pixels of the first and last row and column.
        first: The first row is that of the image.
        last: The last row is that of the image.
    """
    valid = labels != UNLABELLED
    complete = bool(valid.all())
    border = np.zeros(labels.shape, dtype=bool)
    for here, there in _NEIGHBOURS:
        differs = labels[here] != labels[there]
        if not complete:
            differs &= valid[here] & valid[there]
        border[here] |= differs
        border[there] |= differs
    if image_edge:
        border[:1] |= first
        border[-1:] |= last
        border[:, [0, -1]] = True
        border &= valid
    return border


def widen(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Add every pixel at most `rows` rows and `columns` columns away, (H, W) bool.

    The window doubles with each step, so the cost grows with the logarithm of the radius.
    """
    return _widen_rows(_widen_rows(pixels, rows).T, columns).T


def boundary_iou_counts(
    predicted: np.ndarray, target: np.ndarray, n_classes: int, radii: Sequence[Radius], *, image_edge: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Count, per class and radius, the pixels in both bands of the class and those in either.

    Args:
        predicted: (H, W) uint8 in 0..K-1.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
        n_classes: K.
        radii: R ascending widths of the band.
        image_edge: Count the edge of the image as a border.

    Returns:
        Intersection and union, (R, K) int64 each; 0 / 0 for a class that is in neither mask.

    Source:
        Cheng, Girshick, Dollar, Berg and Kirillov 2021 (arXiv 2103.16562), equation 4, "boundary IoU".
    """
    counts = np.zeros((3, len(radii) + 1, n_classes), dtype=np.int64)
    for band in image_bands(target.shape, _reach(radii)):
        true = target[band.rows]
        seen = np.where(true == UNLABELLED, UNLABELLED, predicted[band.rows])
        borders = (
            border_pixels(mask, image_edge=image_edge, first=band.is_first, last=band.is_last) for mask in (seen, true)
        )
        rings = [rings_around(border, radii)[band.inner] for border in borders]
        seen, true = seen[band.inner], true[band.inner]
        agree = seen == true
        # a pixel is in both bands of its class from the radius on that reaches it in both masks
        counts[0] += _per_class_and_ring(true[agree], np.maximum(*rings)[agree], n_classes, len(radii))
        for size, mask, ring in zip(counts[1:], (seen, true), rings, strict=True):
            size += _per_class_and_ring(mask, ring, n_classes, len(radii))
    intersection, predicted_size, true_size = np.cumsum(counts, axis=1)[:, :-1]
    return intersection, predicted_size + true_size - intersection


def rings_around(border: np.ndarray, radii: Sequence[Radius]) -> np.ndarray:
    """Return, for each pixel, the index of the first radius that reaches it from a border; R beyond the last.

    Args:
        border: (H, W) bool, from `border_pixels`.
        radii: R radii, none smaller along either axis than the one before.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: The radii do not nest.
    """
    if any(later[axis] < earlier[axis] for earlier, later in pairwise(radii) for axis in (0, 1)):
        raise ValueError(f"Radii must grow along both axes. Got {list(radii)}.")
    ring = np.full(border.shape, len(radii), dtype=np.uint8)
    for rows, columns in radii:
        # A pixel of another class at most r away is reached by steps between neighbours; where the class first changes
        # on the way there is a border pixel at most r - 1 away.
        ring -= widen(border, rows - 1, columns - 1)
    return ring


def trimap_counts(
    predicted: np.ndarray, target: np.ndarray, n_classes: int, radii: Sequence[Radius]
) -> tuple[np.ndarray, np.ndarray]:
    """Count the errors and the pixels of each true class by their distance to the true border.

    Args:
        predicted: (H, W) uint8 in 0..K-1.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
        n_classes: K.
        radii: R ascending outer ends of the bands; what lies beyond the last is one more band.

    Returns:
        Wrongly predicted pixels and labelled pixels, (R + 1, K) int64 each; each labelled pixel is in one band.

    Source:
        Kohli, Ladicky and Torr 2009, section 6 (trimap accuracy), per class and in rings instead of discs.
    """
    wrong_pixels, pixels = np.zeros((2, len(radii) + 1, n_classes), dtype=np.int64)
    for band in image_bands(target.shape, _reach(radii)):
        ring = rings_around(border_pixels(target[band.rows], image_edge=False), radii)[band.inner]
        true = target[band.rows][band.inner]
        wrong = predicted[band.rows][band.inner] != true
        wrong_pixels += _per_class_and_ring(true[wrong], ring[wrong], n_classes, len(radii))
        pixels += _per_class_and_ring(true, ring, n_classes, len(radii))
    return wrong_pixels, pixels


# pairs of equally large views in which every pixel meets its neighbour below, to the right, and on both diagonals
_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)
_NEIGHBOURS = (
    ((_FIRST, _ALL), (_LAST, _ALL)),
    ((_ALL, _FIRST), (_ALL, _LAST)),
    ((_FIRST, _FIRST), (_LAST, _LAST)),
    ((_FIRST, _LAST), (_LAST, _FIRST)),
)


def _reach(radii: Sequence[Radius]) -> int:
    """Rows above and below that decide how near a pixel is to a border: a neighbour of which makes it one."""
    return max((rows for rows, _ in radii), default=0)


def _widen_rows(pixels: np.ndarray, radius: int) -> np.ndarray:
    """Spread along the first axis by `radius`."""
    radius = min(radius, len(pixels) - 1)
    if radius == 0:
        return pixels
    spread, window = np.pad(pixels, ((radius, radius), (0, 0))), 1
    while 2 * window <= 2 * radius + 1:
        spread, window = spread[:-window] | spread[window:], 2 * window
    remaining = 2 * radius + 1 - window
    return spread[:-remaining] | spread[remaining:] if remaining else spread


def _per_class_and_ring(labels: np.ndarray, ring: np.ndarray, n_classes: int, n_radii: int) -> np.ndarray:
    """Count pixels, (R + 1, K) int64; UNLABELLED is no class and falls out."""
    place = ring.astype(np.uint16) * np.uint16(256) + labels
    return np.bincount(place.ravel(), minlength=(n_radii + 1) * 256).reshape(n_radii + 1, 256)[:, :n_classes]
