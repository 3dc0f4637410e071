"""The shape of whole instances, all of an image at once."""

import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull

HU_MOMENTS = tuple(f"log_hu_{order}" for order in range(1, 8))
FEATURES = ("area_px", "log_area", "eccentricity", "solidity", "compactness", *HU_MOMENTS)
STANDARDISED = ("log_area", "eccentricity", "solidity", "compactness")
SMALLEST_INSTANCE_PX = 16  # below, shape is pixel noise
_SMALLEST_MOMENT = 1e-30  # a symmetric shape has moments of 0

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


def instance_shapes(components: np.ndarray, class_of: np.ndarray, unlabelled: np.ndarray | None = None) -> pd.DataFrame:
    """Measure every instance that is whole: one that touches the edge of the image or an unlabelled pixel is cut.

    Args:
        components: (H, W) int32, component numbers from 1; 0 is no component.
        class_of: (n + 1,) int64, class of each component; entry 0 is not used.
        unlabelled: (H, W) bool, or None for none.

    Returns:
        One row per instance of at least 16 px: class_id and FEATURES. Compactness is 4 pi A / P^2 with Crofton's
        perimeter, solidity A over the area of the convex hull of the pixels' corners, log_hu_i the natural logarithm of
        the absolute value of Hu's i-th moment.
    """
    n = len(class_of)
    area = np.bincount(components.ravel(), minlength=n)
    whole = whole_instances(components, area, unlabelled)
    chosen = np.flatnonzero(whole)
    size = area[chosen].astype(np.float64)
    place = np.full(n, -1)
    place[chosen] = np.arange(len(chosen))
    y, x = np.nonzero(whole[components])
    own = place[components[y, x]]
    perimeter = crofton_perimeters(components, n)[chosen]
    columns = {
        "class_id": class_of[chosen],
        "area_px": size,
        "log_area": np.log(size),
        "eccentricity": eccentricities(y, x, own, len(chosen)),
        "solidity": size / hull_areas(y, x, own),
        "compactness": 4 * np.pi * size / np.maximum(perimeter, 1e-9) ** 2,
    }
    moments = np.maximum(np.abs(hu_moments(y, x, own, len(chosen))), _SMALLEST_MOMENT)
    return pd.DataFrame(columns | dict(zip(HU_MOMENTS, np.log(moments).T, strict=True)))


def whole_instances(components: np.ndarray, area: np.ndarray, unlabelled: np.ndarray | None) -> np.ndarray:
    """Tell which components of at least 16 px are not cut by the edge of the image or an unlabelled area, (n + 1,)."""
    whole = area >= SMALLEST_INSTANCE_PX
    whole[0] = False
    whole[_touching(components, unlabelled)] = False
    return whole


def crofton_perimeters(components: np.ndarray, n: int) -> np.ndarray:
    """Return the perimeter of each component in px, (n,) float64, all in one pass over the image.

    Source:
        Crofton's formula along four directions, as `skimage.measure.perimeter_crofton(directions=4)`.
    """
    padded = np.pad(components, 1)
    # the pixel itself, and its neighbours above, left, and above left
    corners = [padded[1:, 1:], padded[:-1, 1:], padded[1:, :-1], padded[:-1, :-1]]
    busy = (corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3])
    corners = [corner[busy].astype(np.int64) for corner in corners]
    perimeter = np.zeros(n)
    for place, own in enumerate(corners):
        code = np.sum([(other == own).astype(np.int64) << bit for bit, other in enumerate(corners)], axis=0)
        first = ~np.any([earlier == own for earlier in corners[:place]], axis=0) if place else np.ones(len(own), bool)
        rows = first & (own > 0)
        perimeter += np.bincount(own[rows], weights=_CROFTON[code[rows]], minlength=n)
    return perimeter


def eccentricities(y: np.ndarray, x: np.ndarray, own: np.ndarray, n: int) -> np.ndarray:
    """Return the eccentricity of the ellipse with the same second moments, (n,) float64 in 0..1; 0 for a disk.

    Deviation: a pixel is a unit square, not a point as in skimage's regionprops, so that rectangles come out exactly.

    Args:
        y: (P,) rows of pixels.
        x: (P,) columns.
        own: (P,) instance of each pixel, 0..n-1.
        n: Instances.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(own, weights=values, minlength=n) / count

    count = np.bincount(own, minlength=n)
    dy, dx = y - mean(y)[own], x - mean(x)[own]
    a, b, c = mean(dy * dy) + 1 / 12, mean(dy * dx), mean(dx * dx) + 1 / 12
    root = np.sqrt(((a - c) / 2) ** 2 + b**2)
    large, small = (a + c) / 2 + root, (a + c) / 2 - root
    return np.sqrt(np.clip(1 - small / large, 0, 1))


def hu_moments(y: np.ndarray, x: np.ndarray, own: np.ndarray, n: int) -> np.ndarray:
    """Return Hu's seven moments of each instance, (n, 7) float64, free of place, size and turn.

    Source:
        Hu 1962, as `skimage.measure.moments_hu` of the normalised central moments.

    Args:
        y: (P,) rows of pixels.
        x: (P,) columns.
        own: (P,) instance of each pixel, 0..n-1.
        n: Instances.
    """
    count = np.bincount(own, minlength=n)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(own, weights=values, minlength=n)

    dy, dx = y - (total(y) / count)[own], x - (total(x) / count)[own]
    square, cube = count.astype(np.float64) ** 2, count**2.5
    n20, n02, n11 = (total(each) / square for each in (dy * dy, dx * dx, dy * dx))
    n30, n03, n21, n12 = (total(each) / cube for each in (dy**3, dx**3, dy * dy * dx, dy * dx * dx))
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


def hull_areas(y: np.ndarray, x: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the area of the convex hull of each instance's pixel corners, px, in order of instance number.

    Args:
        y: (P,) rows of pixels, ascending.
        x: (P,) columns, ascending within a row.
        own: (P,) instance of each pixel; every number occurs.
    """
    if not len(y):
        return np.zeros(0)
    row = own * (int(y.max()) + 1) + y  # one key per row of each instance
    order = np.argsort(row, kind="stable")  # x stays ascending within a row
    y, x, own, row = y[order], x[order], own[order], row[order]
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    ends = np.append(starts[1:], len(row)) - 1
    left, right, top = x[starts], x[ends] + 1, y[starts]
    bounds = np.flatnonzero(np.diff(own[starts], prepend=-1))
    areas = []
    for first, last in zip(bounds, np.append(bounds[1:], len(starts)), strict=True):
        edge = slice(first, last)
        columns = np.concatenate([left[edge], right[edge], left[edge], right[edge]])
        rows = np.concatenate([top[edge], top[edge], top[edge] + 1, top[edge] + 1])
        areas.append(ConvexHull(np.column_stack([columns, rows])).volume)
    return np.array(areas)


def _touching(components: np.ndarray, unlabelled: np.ndarray | None) -> np.ndarray:
    edge = [components[0], components[-1], components[:, 0], components[:, -1]]
    if unlabelled is not None and unlabelled.any():
        grown = np.pad(unlabelled, 1)
        rows, columns = unlabelled.shape
        near = np.zeros_like(unlabelled)
        for dy in range(3):
            for dx in range(3):
                near |= grown[dy : dy + rows, dx : dx + columns]
        edge.append(components[near])
    return np.unique(np.concatenate(edge))
