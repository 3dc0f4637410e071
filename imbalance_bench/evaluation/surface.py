"""Border lengths and distances between borders in physical units: surface Dice and robust Hausdorff distance.

The border of a class is a polygon through the corners of pixels (Nikolov et al. 2018): each window of 2 x 2 pixels that
holds the class in some and not in all of its pixels is one border element at the window's middle, whose length follows
from which of the four hold it. Elements of all classes come from the few windows of a mask that are not uniform; no
distance transform of a whole image is needed.

What lies outside of the image belongs to no class, as in the reference implementation, so a class that the image's
edge cuts has a border there. A window with an unlabelled pixel holds no element, neither of the truth nor of the
prediction.

Discretisation: distances run between the middles of windows, so they are exact for whole pixels and axis-parallel
borders; the lengths overestimate an oblique straight border by at most 8.3 %.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.spatial import KDTree

from imbalance_bench.data.pixel_values import bands
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.evaluation.boundary import PixelSize

OUTSIDE = UNLABELLED - 1  # of the image; no data set has as many classes
SEARCHED_PX = 8  # around each border element before the k-d tree is queried
_AT_ONCE = 2**20  # elements, so that what is calculated of them stays small


@dataclass(frozen=True)
class BorderElements:
    """The border of one class in one mask.

    Args:
        place: (n, 2) int64, row and column of each element; 0 is the image's edge, H or W the other one.
        code: (n,) uint8, which pixels of the window hold the class: 8 4 / 2 1.
    """

    place: np.ndarray
    code: np.ndarray


@dataclass(frozen=True)
class BorderDistances:
    """Elements of two borders and how far each is from the other border.

    Args:
        element_length_um: (16,) float64, length of an element by its code.
        codes: Codes of the predicted and of the true elements, (n,) and (m,) uint8.
        distances_um: Their distances to the other border, float64; inf where there is no other border.
    """

    element_length_um: np.ndarray
    codes: tuple[np.ndarray, np.ndarray]
    distances_um: tuple[np.ndarray, np.ndarray]

    def length_um(self, within_um: float = math.inf) -> float:
        """Length of both borders that lies at most `within_um` from the other, um."""
        codes = [code[far <= within_um] for code, far in zip(self.codes, self.distances_um, strict=True)]
        counts = np.bincount(np.concatenate(codes), minlength=16)
        return float(counts @ self.element_length_um)

    def hausdorff_um(self, share: float = 0.95) -> float | None:
        """Smallest distance within which `share` of the length of each border lies; None if one border is missing.

        Source: Nikolov et al. 2018 and their reference implementation: of border length, larger of both directions.
        """
        if not all(map(len, self.codes)):
            return None
        both = zip(self.codes, self.distances_um, strict=True)
        return max(self._percentile(code, far, share) for code, far in both)

    def _percentile(self, code: np.ndarray, far: np.ndarray, share: float) -> float:
        order = np.argsort(far, kind="stable")
        reached = np.cumsum(self.element_length_um[code[order]])
        first = np.searchsorted(reached / reached[-1], share)
        return float(far[order[min(first, len(order) - 1)]])


class MaskBorders:
    """The windows of 2 x 2 pixels of a mask that are not uniform.

    Args:
        labels: (H, W) uint8 class ids, or UNLABELLED.
    """

    def __init__(self, labels: np.ndarray) -> None:
        height, width = labels.shape
        self._width = width + 1
        found = [_mixed_windows(labels, rows) for rows in bands(height + 1, width + 1)]
        self._place = np.concatenate([place for place, _ in found])
        self._corner_labels = np.concatenate([corner_labels for _, corner_labels in found], axis=1)

    @classmethod
    def seen(cls, predicted: np.ndarray, target: np.ndarray) -> "MaskBorders":
        """Return the borders of a prediction, (H, W) uint8 in 0..K-1, where the truth is labelled."""
        return cls(np.where(target == UNLABELLED, UNLABELLED, predicted))

    def of_class(self, class_id: int) -> BorderElements:
        """Return the border of one class."""
        holds = self._corner_labels == class_id
        code = holds[0] * np.uint8(8) + holds[1] * np.uint8(4) + holds[2] * np.uint8(2) + holds[3]
        own = (code > 0) & (code < 15)
        return BorderElements(np.stack(np.divmod(self._place[own], self._width), axis=1), code[own])


def _mixed_windows(labels: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Find the windows in some rows of windows; 0 is the row of the image's edge.

    Returns:
        Flat places, (n,) int64 ascending, and the labels of the corners of each, (4, n) uint8.
    """
    height, width = labels.shape
    padded = np.full((rows.stop - rows.start + 1, width + 2), OUTSIDE, dtype=labels.dtype)  # from the row above
    inside = slice(max(rows.start - 1, 0), min(rows.stop, height))
    first = inside.start - (rows.start - 1)
    padded[first : first + inside.stop - inside.start, 1:-1] = labels[inside]
    corners = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    mixed = (corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3])
    corner_labels = np.stack([corner[mixed] for corner in corners])
    valid = (corner_labels != UNLABELLED).all(axis=0)
    return np.flatnonzero(mixed)[valid] + rows.start * (width + 1), corner_labels[:, valid]


def element_lengths_um(mpp_um: PixelSize) -> np.ndarray:
    """Return the length of a border element by its code, (16,) float64 um; 0 for uniform windows.

    One pixel apart from three cuts a corner off: half a diagonal. Two beside each other part the window along an axis.
    Two across cut two corners off.

    Args:
        mpp_um: Size of a pixel, (height, width), um.
    """
    height, width = mpp_um
    corner = math.hypot(height, width) / 2
    lengths = np.zeros(16)
    for code in range(1, 15):
        top_left, top_right, bottom_left, bottom_right = (bool(code & bit) for bit in (8, 4, 2, 1))
        if top_left == top_right and bottom_left == bottom_right:
            lengths[code] = width
        elif top_left == bottom_left and top_right == bottom_right:
            lengths[code] = height
        else:
            lengths[code] = 2 * corner if top_left == bottom_right and top_right == bottom_left else corner
    return lengths


def border_distances(predicted: BorderElements, true: BorderElements, mpp_um: PixelSize) -> BorderDistances:
    """Measure how far each element of two borders is from the other border.

    Args:
        predicted: Border of a class in the predicted mask.
        true: Border of the class in the true mask.
        mpp_um: Size of a pixel, (height, width), um.
    """
    distances = _distances_um(predicted.place, true.place, mpp_um), _distances_um(true.place, predicted.place, mpp_um)
    return BorderDistances(element_lengths_um(mpp_um), (predicted.code, true.code), distances)


def _distances_um(places: np.ndarray, others: np.ndarray, mpp_um: PixelSize) -> np.ndarray:
    """Distance of each place, (n, 2), to the nearest of the others, (m, 2).

    Most borders lie close to each other: the first pixels are searched ring by ring in a bitmap, which costs a few
    nanoseconds a pixel, and only what is left asks a k-d tree.
    """
    distances = np.full(len(places), np.inf)
    if not len(places) or not len(others):
        return distances
    size = np.asarray(mpp_um)
    down, right = (np.concatenate([places[:, axis], others[:, axis]]) for axis in (0, 1))
    corner = np.array([down.min(), right.min()], dtype=np.int64) - SEARCHED_PX
    height, width = down.max() - corner[0] + SEARCHED_PX + 1, right.max() - corner[1] + SEARCHED_PX + 1
    bitmap, row_by_row = np.zeros(height * width, dtype=bool), np.array([width, 1], dtype=np.int64)
    bitmap[np.dot(others - corner, row_by_row)] = True
    rings, tree = _rings(mpp_um), None
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        index, left = np.dot(some - corner, row_by_row), np.arange(start, start + len(some))
        for distance_um, steps in rings:
            is_near = np.zeros(len(left), dtype=bool)
            for rows, columns in steps:
                is_near |= bitmap[index + (rows * width + columns)]
            distances[left[is_near]] = distance_um
            index, left = index[~is_near], left[~is_near]
        if len(left):
            tree = tree or KDTree(others * size, balanced_tree=False, compact_nodes=False)
            nearest = others[tree.query(places[left] * size)[1]]
            distances[left] = _length_um(places[left] - nearest, mpp_um)
    return distances


@lru_cache
def _rings(mpp_um: PixelSize) -> list[tuple[float, list[tuple[int, int]]]]:
    """Steps to near pixels, grouped by their distance in um, nearest first; complete up to the last distance."""
    reach = range(-SEARCHED_PX, SEARCHED_PX + 1)
    rings: dict[float, list[tuple[int, int]]] = {}
    for step in product(reach, reach):
        rings.setdefault(float(_length_um(np.array(step), mpp_um)), []).append(step)
    return sorted((far, steps) for far, steps in rings.items() if far <= SEARCHED_PX * min(mpp_um))


def _length_um(steps: np.ndarray, mpp_um: PixelSize) -> np.ndarray:
    """Length of steps of whole pixels, (..., 2) -> (...): the same number wherever the border lies."""
    return np.sqrt((steps[..., 0] * mpp_um[0]) ** 2 + (steps[..., 1] * mpp_um[1]) ** 2)
