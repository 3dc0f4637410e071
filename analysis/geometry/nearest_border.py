"""Which class border is nearest to a pixel, how far it is, and how the stains change across it."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from imbalance_bench.data.image_bands import EVERY_ROW
from imbalance_bench.data.taxonomy import UNLABELLED

PROFILE_STEP_UM = 1.0
PROFILE_STEPS = 10  # on each side
EDGE_SIGMA_UM = 1.0  # of the Gaussian whose gradient is the edge strength
EDGE_REACH = 3.0  # standard deviations; the Gaussian is cut off there


@dataclass(frozen=True)
class NearBorder:
    """The labelled pixels near a border between two labelled classes; P of them.

    Args:
        index: (P,) int64, flat index into the image, ascending.
        own: (P,) uint8, class of the pixel.
        other: (P,) uint8, class beyond the nearest border.
        squared_px: (P,) int32, squared distance of the pixel's centre from that of the nearest pixel at a border.
    """

    index: np.ndarray
    own: np.ndarray
    other: np.ndarray
    squared_px: np.ndarray

    @property
    def depth_px(self) -> np.ndarray:
        """(P,) float64, distance of the pixel's centre from the border, 0.5 at the border."""
        return np.sqrt(self.squared_px) + 0.5

    def within(self, depth_px: float) -> np.ndarray:
        """Return which pixels are at most this far from the border, (P,) bool."""
        return self.squared_px <= _largest_square(depth_px)


def pixels_near_borders(mask: np.ndarray, reach_px: float, rows: slice = EVERY_ROW) -> NearBorder:
    """Assign every pixel within reach of a border to the border nearest to it.

    Where three classes meet, or two borders are equally near, the choice is fixed but arbitrary.

    Args:
        mask: (H, W) uint8, class indices or UNLABELLED.
        reach_px: Greatest distance, px.
        rows: Those of which pixels are assigned; the others only have borders.
    """
    beyond = np.full(mask.shape, UNLABELLED, dtype=np.uint8)  # of each border pixel: the smallest class across
    flat = mask.ravel()
    for first, second in _neighbours(mask):
        for here, there in ((first, second), (second, first)):
            beyond.ravel()[here] = np.minimum(beyond.ravel()[here], flat[there])
    on_border = beyond != UNLABELLED
    if not on_border.any():
        empty = np.zeros(0, dtype=np.uint8)
        return NearBorder(empty.astype(np.int64), empty, empty, empty.astype(np.int32))
    # (H, W) each
    row, column = np.asarray(distance_transform_edt(~on_border, return_distances=False, return_indices=True))
    height, width = mask.shape
    away = row - np.arange(height, dtype=np.int32)[:, None]
    squared = away * away
    away = column - np.arange(width, dtype=np.int32)
    squared += away * away
    near = np.zeros(mask.shape, dtype=bool)
    near[rows] = (squared[rows] <= _largest_square(reach_px)) & (mask[rows] != UNLABELLED)
    index = np.flatnonzero(near)
    source = (row * np.int64(width) + column).ravel()[index]
    own, at_source = flat[index], flat[source]
    other = np.where(at_source == own, beyond.ravel()[source], at_source)
    return NearBorder(index, own, other, squared.ravel()[index])


def border_lengths(mask: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the pixel edges between each pair of classes, (K, K) int64, symmetric, 0 on the diagonal."""
    lengths, flat = np.zeros(n_classes**2, dtype=np.int64), mask.ravel()
    for first, second in _neighbours(mask):
        lengths += np.bincount(_pairs(flat[first], flat[second], n_classes), minlength=n_classes**2)
    square = lengths.reshape(n_classes, n_classes)
    return square + square.T


def stain_profiles(near: NearBorder, stains: np.ndarray, n_classes: int, step_px: float) -> np.ndarray:
    """Sum stains over distance to the border of each class.

    Args:
        near: The pixels up to at least PROFILE_STEPS * step_px from a border.
        stains: (H, W, 2) float, H and E.
        n_classes: K.
        step_px: Width of a bin, px.

    Returns:
        (2, K, PROFILE_STEPS, 3) float64: [0] inside the class, [1] outside, in the classes that it borders; the bin
        nearest to the border first; number of pixels, sum of H, sum of E.
    """
    steps = np.floor((np.sqrt(np.arange(near.squared_px.max(initial=0) + 1)) + 0.5) / step_px).astype(np.int64)
    beyond = PROFILE_STEPS  # one more bin, which is dropped
    code = _pairs(near.own, near.other, n_classes) * (PROFILE_STEPS + 1) + np.minimum(steps, beyond)[near.squared_px]
    sums = np.empty((n_classes, n_classes, PROFILE_STEPS + 1, 3))
    weights = (None, *(stains[..., channel].ravel()[near.index] for channel in (0, 1)))
    for column, weight in enumerate(weights):
        sums[..., column] = np.bincount(code, weight, minlength=sums[..., 0].size).reshape(sums.shape[:3])
    return np.stack([sums.sum(axis=1), sums.sum(axis=0)])[:, :, :PROFILE_STEPS]


def edge_sums(
    mask: np.ndarray,
    near: NearBorder,
    stains: np.ndarray,
    n_classes: int,
    *,
    sigma_px: float,
    band_px: float,
    rows: slice = EVERY_ROW,
) -> np.ndarray:
    """Sum the Gaussian-gradient magnitude of H and E at each class's border and in its interior.

    Args:
        mask: (H, W) uint8, class indices or UNLABELLED.
        near: The pixels up to at least `band_px` from a border.
        stains: (H, W, 2) float, H and E.
        n_classes: K.
        sigma_px: Standard deviation of the Gaussian; pixels up to this far from the border, on both sides, belong to
            it.
        band_px: Pixels of the class that are farther from its border are its interior.
        rows: Those of which pixels are counted, of `near` as well; stains of the others are smoothed with them.

    Returns:
        (2, K, 3) float64: [0] border, [1] interior; number of pixels, sum for H, sum for E.
    """
    magnitudes = [None, *(_gradient(stains[..., channel], sigma_px).ravel() for channel in (0, 1))]
    at_border = near.within(sigma_px)
    index, pair = near.index[at_border], _pairs(near.own[at_border], near.other[at_border], n_classes)
    inside = np.full(mask.shape, n_classes, dtype=np.int64)  # one more class, which is dropped
    inside[rows] = np.where(mask[rows] == UNLABELLED, n_classes, mask[rows])
    inside = inside.ravel()
    inside[near.index[near.within(band_px + 0.5)]] = n_classes
    sums = np.zeros((2, n_classes, 3))
    for column, weight in enumerate(magnitudes):
        border = np.bincount(pair, weight if weight is None else weight[index], minlength=n_classes**2)
        border = border.reshape(n_classes, n_classes)
        sums[0, :, column] = border.sum(axis=0) + border.sum(axis=1)
        sums[1, :, column] = np.bincount(inside, weight, minlength=n_classes + 1)[:n_classes]
    return sums


def _pairs(own: np.ndarray, other: np.ndarray, n_classes: int) -> np.ndarray:
    """Number pairs of classes, own * K + other, (P,) int64."""
    return own * np.int64(n_classes) + other


def _largest_square(depth_px: float) -> int:
    """Return the largest squared distance between centres at a depth of at most `depth_px`; -1 where there is none."""
    squares = np.arange((int(max(depth_px, 0)) + 1) ** 2)
    return int(np.searchsorted(np.sqrt(squares) + 0.5, depth_px, side="right")) - 1


def _gradient(stain: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the gradient magnitude of the smoothed stain, per px."""
    smooth = gaussian_filter(np.ascontiguousarray(stain), sigma_px, truncate=EDGE_REACH)
    down, right = np.zeros_like(smooth), np.zeros_like(smooth)
    np.subtract(smooth[2:], smooth[:-2], out=down[1:-1])
    np.subtract(smooth[:, 2:], smooth[:, :-2], out=right[:, 1:-1])
    return np.hypot(down, right) / 2


def _neighbours(mask: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the flat indices of neighbouring pixels of two labelled classes: horizontal pairs, and vertical ones."""
    width, pairs = mask.shape[1], []
    for first, second, columns, step in (
        (mask[:, :-1], mask[:, 1:], width - 1, 1),
        (mask[:-1], mask[1:], width, width),
    ):
        index = np.flatnonzero((first != second) & (first != UNLABELLED) & (second != UNLABELLED))
        here = index + (index // columns) * (width - columns) if columns else index
        pairs.append((here, here + step))
    return pairs
