"""Which class border is nearest to a pixel, how far it is, and how the stains change across it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from imbalance_bench.data.taxonomy import UNLABELLED

PROFILE_STEP_UM = 1.0
PROFILE_STEPS = 10  # on each side
EDGE_SIGMA_UM = 1.0  # of the Gaussian whose gradient is the edge strength


@dataclass(frozen=True)
class NearBorder:
    """The labelled pixels near a border between two labelled classes; P of them.

    Args:
        place: (P,) int64, flat index into the image.
        own: (P,) class of the pixel.
        other: (P,) class beyond the nearest border.
        depth_px: (P,) float, distance of the pixel's centre from that border, 0.5 at the border.
    """

    place: np.ndarray
    own: np.ndarray
    other: np.ndarray
    depth_px: np.ndarray


def pixels_near_borders(mask: np.ndarray, reach_px: float) -> NearBorder:
    """Assign every pixel within reach of a border to the border nearest to it.

    Where three classes meet, or two borders are equally near, the choice is fixed but arbitrary.

    Args:
        mask: (H, W) uint8, class indices or UNLABELLED.
        reach_px: Greatest distance, px.
    """
    beyond = np.full(mask.shape, UNLABELLED, dtype=np.uint8)  # of each border pixel: the smallest class across
    for one, other in _neighbours(mask):
        met = (mask[one] != mask[other]) & (mask[one] != UNLABELLED) & (mask[other] != UNLABELLED)
        for here, there in ((one, other), (other, one)):
            np.minimum(beyond[here], np.where(met, mask[there], UNLABELLED), out=beyond[here])
    on_border = beyond != UNLABELLED
    if not on_border.any():
        none = np.zeros(0, dtype=np.int64)
        return NearBorder(none, none, none, none.astype(float))
    distance, nearest = ndimage.distance_transform_edt(~on_border, return_indices=True)  # pyright: ignore[reportGeneralTypeIssues] - the stubs know one array
    place = np.flatnonzero((distance + 0.5 <= reach_px) & (mask != UNLABELLED))
    source = nearest[0].ravel()[place].astype(np.int64) * mask.shape[1] + nearest[1].ravel()[place]
    own, at_source = mask.ravel()[place], mask.ravel()[source]
    other = np.where(at_source == own, beyond.ravel()[source], at_source)
    return NearBorder(place, own.astype(np.int64), other.astype(np.int64), distance.ravel()[place] + 0.5)


def border_lengths(mask: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the pixel edges between each pair of classes, (K, K) int64, symmetric, 0 on the diagonal."""
    lengths = np.zeros(n_classes**2, dtype=np.int64)
    for one, other in _neighbours(mask):
        a, b = mask[one], mask[other]
        met = (a != b) & (a != UNLABELLED) & (b != UNLABELLED)
        lengths += np.bincount(a[met].astype(np.int64) * n_classes + b[met], minlength=n_classes**2)
    square = lengths.reshape(n_classes, n_classes)
    return square + square.T


def stain_profiles(near: NearBorder, stains: np.ndarray, n_classes: int, step_px: float) -> np.ndarray:
    """Sum stains over distance to the border of each class.

    Args:
        near: The pixels, at least PROFILE_STEPS * step_px deep.
        stains: (H, W, 2) float, H and E.
        n_classes: K.
        step_px: Width of a bin, px.

    Returns:
        (2, K, PROFILE_STEPS, 3) float64: [0] inside the class, [1] outside, in the classes that it borders; nearest bin
        first; pixels, sum of H, sum of E.
    """
    step = np.floor(near.depth_px / step_px).astype(np.int64)
    kept = step < PROFILE_STEPS
    values = stains.reshape(-1, 2)[near.place[kept]]
    found = np.empty((2, n_classes, PROFILE_STEPS, 3))
    for side, classes in enumerate((near.own, near.other)):
        code = classes[kept] * PROFILE_STEPS + step[kept]
        for column, weight in enumerate((None, values[:, 0], values[:, 1])):
            total = np.bincount(code, weights=weight, minlength=n_classes * PROFILE_STEPS)
            found[side, :, :, column] = total.reshape(n_classes, PROFILE_STEPS)
    return found


def edge_sums(
    mask: np.ndarray, near: NearBorder, stains: np.ndarray, n_classes: int, *, sigma_px: float, band_px: float
) -> np.ndarray:
    """Sum the Gaussian-gradient magnitude of H and E at each class's border and in its interior.

    Args:
        mask: (H, W) uint8.
        near: Pixels near borders, at least `band_px` deep.
        stains: (H, W, 2) float, H and E.
        n_classes: K.
        sigma_px: Of the Gaussian; pixels up to this deep, on both sides, are the border.
        band_px: Deeper pixels of the class are its interior.

    Returns:
        (2, K, 3) float64: [0] border, [1] interior; pixels, sum for H, sum for E.
    """
    magnitude = np.stack([_gradient(stains[..., each], sigma_px).ravel() for each in (0, 1)], axis=1)
    at = near.depth_px <= sigma_px
    edge = [(near.own[at], near.place[at]), (near.other[at], near.place[at])]
    deep = mask.ravel() != UNLABELLED
    deep[near.place[near.depth_px <= band_px + 0.5]] = False
    inside = np.flatnonzero(deep)
    groups = (edge, [(mask.ravel()[inside].astype(np.int64), inside)])
    found = np.zeros((2, n_classes, 3))
    for row, parts in enumerate(groups):
        for classes, place in parts:
            found[row, :, 0] += np.bincount(classes, minlength=n_classes)
            for column in (0, 1):
                found[row, :, 1 + column] += np.bincount(classes, magnitude[place, column], minlength=n_classes)
    return found


def _gradient(stain: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the gradient's magnitude of the smoothed stain, per px."""
    smooth = ndimage.gaussian_filter(np.ascontiguousarray(stain), sigma_px, truncate=3.0)
    down, right = np.zeros_like(smooth), np.zeros_like(smooth)
    down[1:-1] = (smooth[2:] - smooth[:-2]) / 2
    right[:, 1:-1] = (smooth[:, 2:] - smooth[:, :-2]) / 2
    return np.hypot(down, right)


def _neighbours(mask: np.ndarray) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Return pairs of windows that lay each pixel over its right and its lower neighbour."""
    rows, columns = mask.shape
    everything, first, rest = slice(None), slice(0, columns - 1), slice(1, columns)
    return [
        ((everything, first), (everything, rest)),
        ((slice(0, rows - 1), everything), (slice(1, rows), everything)),
    ]
