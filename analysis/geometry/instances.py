"""The shapes of all whole instances of an image at once."""

import numpy as np
import pandas as pd

from analysis.geometry.hulls import pixel_hull_areas
from analysis.geometry.runs import Runs

Moments = dict[tuple[int, int], np.ndarray]  # powers of dy and dx -> (n,) sums over the pixels of each instance

HU_MOMENTS = tuple(f"log_hu_{order}" for order in range(1, 8))
FEATURES = ("area_px", "log_area", "eccentricity", "solidity", "compactness", *HU_MOMENTS)
STANDARDISED = ("log_area", "eccentricity", "solidity", "compactness")
SMALLEST_INSTANCE_UM2 = 6.0  # a disk of 2.8 um, 24 px of .5 um: half a small lymphocyte
_SMALLEST_PX = 16.0  # the shape of a smaller instance is pixel noise
MOST_WEIGHT = 10.0  # otherwise an instance nearly as large as the image would stand for hundreds
_SMALLEST_MOMENT = 1e-30  # a symmetric shape has moments of 0, which have no logarithm

# weights of the 16 configurations of 2 x 2 pixels in Crofton's perimeter along four directions, as in
# skimage.measure.perimeter_crofton; bits: own pixel 1, above 2, left 4, above-left 8 of each window's lower right pixel
_DIAGONAL = np.pi / (4 * np.sqrt(2))
_CORNER = np.pi / 4 * (1 + 1 / np.sqrt(2))
_CROFTON = np.array(
    [
        *(0, _CORNER, _DIAGONAL, 2 * _DIAGONAL, 0, _CORNER, 0, _DIAGONAL),
        *(np.pi / 4, np.pi / 2, _DIAGONAL, _DIAGONAL, np.pi / 4, np.pi / 2, 0, 0),
    ]
)


def instance_shapes(runs: Runs, components: np.ndarray, whole: np.ndarray) -> pd.DataFrame:
    """Measure every whole instance.

    Args:
        runs: Runs of the mask.
        components: (H, W) int, component numbers from 1; those of instances that are not whole may be 0.
        whole: (n + 1,) bool, from `whole_instances`.

    Returns:
        One row per whole instance: class_id, weight (from `whole_weights`) and FEATURES. Compactness is 4 pi A / P^2
        with Crofton's perimeter, solidity A over the area of the convex hull of the pixels' corners, log_hu_i the
        natural logarithm of the absolute value of Hu's i-th moment.
    """
    numbers = np.flatnonzero(whole)
    index_of = np.cumsum(whole) - 1
    in_whole = whole[runs.component]
    row, start, stop, instance = (
        runs.row[in_whole],
        runs.start[in_whole],
        runs.stop[in_whole],
        index_of[runs.component[in_whole]],
    )
    moments = _central_moments(row, start, stop, instance, len(numbers))
    size = moments[0, 0]
    perimeter = crofton_perimeters(components, len(whole))[numbers]
    columns = {
        "class_id": runs.class_of[numbers],
        "weight": whole_weights(*_boxes(row, start, stop, instance, len(numbers)), runs.shape),
        "area_px": size,
        "log_area": np.log(size),
        "eccentricity": eccentricities(moments),
        "solidity": size / pixel_hull_areas(*_row_extents(row, start, stop, instance), len(numbers)),
        "compactness": 4 * np.pi * size / np.maximum(perimeter, 1e-9) ** 2,
    }
    hu = np.maximum(np.abs(hu_moments(moments)), _SMALLEST_MOMENT)
    return pd.DataFrame(columns | dict(zip(HU_MOMENTS, np.log(hu).T, strict=True)))


def smallest_instance_px(px_per_um: float) -> float:
    """Return the smallest area at which an instance has a shape, px: 6 um^2 at every resolution, at least 16 px."""
    return max(_SMALLEST_PX, SMALLEST_INSTANCE_UM2 * px_per_um**2)


def whole_instances(runs: Runs, unlabelled: np.ndarray, smallest_px: float) -> np.ndarray:
    """Return which components are large enough and not cut by the image edge or an unlabelled area, (n + 1,) bool.

    Args:
        runs: Runs of the mask.
        unlabelled: (H, W) bool.
        smallest_px: Smallest area, from `smallest_instance_px`.
    """
    n, (height, width) = len(runs.class_of), runs.shape
    whole = np.bincount(runs.component, weights=runs.length, minlength=n) >= smallest_px
    whole[0] = False
    cut = (runs.row == 0) | (runs.row == height - 1) | (runs.start == 0) | (runs.stop == width)
    if unlabelled.any():
        near = np.concatenate([[0], np.cumsum(_grown(unlabelled))])
        begin = runs.row * width + runs.start
        cut |= near[begin + runs.length] > near[begin]
    whole[runs.component[cut]] = False
    return whole


def whole_weights(height: np.ndarray, width: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how many instances each whole one stands for, including those that an edge of the image cuts.

    An instance of h x w px is whole at (H - h - 1)(W - w - 1) of the H W positions in an image: the larger it is, the
    more often an edge cuts it, so whole instances alone would make a class look small.

    Args:
        height: (n,) px of the bounding box.
        width: (n,) px.
        shape: (H, W) of the image.

    Returns:
        (n,) float64, 1 to MOST_WEIGHT.

    Source:
        Miles 1974 and Lantuejoul 1978; as in Serra 1982, Image Analysis and Mathematical Morphology, chapter VIII.
    Deviation:
        Weights are trimmed; unlabelled areas, which cut instances too, are not counted.
    """
    places = np.maximum(shape[0] - height - 1, 1) * np.maximum(shape[1] - width - 1, 1)
    return np.minimum(shape[0] * shape[1] / places, MOST_WEIGHT)


def crofton_perimeters(components: np.ndarray, n: int) -> np.ndarray:
    """Return the perimeter of each component in px, (n,) float64, all in one pass over the image.

    Source:
        Crofton's formula along four directions, as `skimage.measure.perimeter_crofton(directions=4)`.
    """
    padded = np.pad(components, 1)
    # the pixel itself, and its neighbours above, left, and above left
    corners = [padded[1:, 1:], padded[:-1, 1:], padded[1:, :-1], padded[:-1, :-1]]
    mixed = np.nonzero((corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3]))
    corners = [corner[mixed].astype(np.int64) for corner in corners]
    perimeter = np.zeros(n)
    for i, component in enumerate(corners):
        code = np.sum([(other == component).astype(np.int64) << bit for bit, other in enumerate(corners)], axis=0)
        first = (
            ~np.any([earlier == component for earlier in corners[:i]], axis=0) if i else np.ones(len(component), bool)
        )
        rows = first & (component > 0)
        perimeter += np.bincount(component[rows], weights=_CROFTON[code[rows]], minlength=n)
    return perimeter


def eccentricities(moments: Moments) -> np.ndarray:
    """Return the eccentricity of the ellipse with the same second moments, (n,) float64 in 0..1; 0 for a disk.

    Deviation: a pixel is a unit square, not a point as in skimage's regionprops, so that rectangles come out exactly.
    """
    size = moments[0, 0]
    a, b, c = moments[2, 0] / size + 1 / 12, moments[1, 1] / size, moments[0, 2] / size + 1 / 12
    root = np.sqrt(((a - c) / 2) ** 2 + b**2)
    large, small = (a + c) / 2 + root, (a + c) / 2 - root
    return np.sqrt(np.clip(1 - small / large, 0, 1))


def hu_moments(moments: Moments) -> np.ndarray:
    """Return Hu's seven moments of each instance, (n, 7) float64, invariant to position, size and rotation.

    Source:
        Hu 1962, as `skimage.measure.moments_hu` of the normalised central moments.
    """
    size = moments[0, 0]
    n20, n02, n11 = (moments[order] / size**2 for order in ((2, 0), (0, 2), (1, 1)))
    n30, n03, n21, n12 = (moments[order] / size**2.5 for order in ((3, 0), (0, 3), (2, 1), (1, 2)))
    t0, t1 = n30 + n12, n21 + n03
    p, q = n30 - 3 * n12, 3 * n21 - n03
    return np.stack(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            p**2 + q**2,
            t0**2 + t1**2,
            p * t0 * (t0**2 - 3 * t1**2) + q * t1 * (3 * t0**2 - t1**2),
            (n20 - n02) * (t0**2 - t1**2) + 4 * n11 * t0 * t1,
            q * t0 * (t0**2 - 3 * t1**2) - p * t1 * (3 * t0**2 - t1**2),
        ],
        axis=1,
    )


def _row_extents(
    row: np.ndarray, start: np.ndarray, stop: np.ndarray, instance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Join the runs in each row of an instance; arguments as of `_central_moments`, returned in the same order."""
    order = np.argsort(instance, kind="stable")  # keeps the raster order of runs
    row, start, stop, instance = row[order], start[order], stop[order], instance[order]
    first = np.flatnonzero((np.diff(instance, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0))
    last = np.append(first[1:], len(row))[: len(first)] - 1
    return row[first], start[first], stop[last], instance[first]


def _boxes(
    row: np.ndarray, start: np.ndarray, stop: np.ndarray, instance: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the height and width of each instance's bounding box, (n,) each; arguments as of `_central_moments`."""
    first, last = np.full((2, n), np.iinfo(np.int64).max), np.full((2, n), -1)
    for axis, (low, high) in enumerate(((row, row + 1), (start, stop))):
        np.minimum.at(first[axis], instance, low)
        np.maximum.at(last[axis], instance, high)
    return last[0] - first[0], last[1] - first[1]


def _central_moments(row: np.ndarray, start: np.ndarray, stop: np.ndarray, instance: np.ndarray, n: int) -> Moments:
    """Return the sums of dy^i dx^j, i + j <= 3, over the pixels of each instance, (n,) each; [0, 0] is the area.

    Args:
        row: (R,) rows of runs.
        start: (R,) first columns.
        stop: (R,) columns after the last.
        instance: (R,) instance of each run, 0..n-1.
        n: Number of instances.
    """

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(instance, weights=values, minlength=n)

    length, middle = stop - start, (start + stop - 1) / 2
    size = total(length)
    dy = row - (total(length * row) / size)[instance]
    dx = middle - (total(length * middle) / size)[instance]
    spread = (length**2 - 1) / 12  # mean square distance of a run's pixels from its middle
    squared = dx * dx + spread
    return {
        (0, 0): size,
        (2, 0): total(length * dy * dy),
        (1, 1): total(length * dy * dx),
        (0, 2): total(length * squared),
        (3, 0): total(length * dy**3),
        (2, 1): total(length * dy * dy * dx),
        (1, 2): total(length * dy * squared),
        (0, 3): total(length * dx * (squared + 2 * spread)),
    }


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return the mask and its eight neighbours."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    near = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            near |= padded[dy : dy + rows, dx : dx + columns]
    return near
