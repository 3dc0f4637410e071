"""Areas of the convex hulls of many point sets at once."""

import numpy as np

_FARTHEST = 64  # largest distance, in points, between a point and the two it is compared with


def hull_areas(y: np.ndarray, x: np.ndarray, set_id: np.ndarray, n: int) -> np.ndarray:
    """Return the area of the convex hull of each set of points, (n,) float64; 0 for points on a line.

    Args:
        y: (P,) rows.
        x: (P,) columns.
        set_id: (P,) int, set of each point, 0..n-1.
        n: Number of sets.
    """
    order = np.lexsort((x, y, set_id))
    y, x, set_id = (values[order] for values in (np.asarray(y, np.float64), np.asarray(x, np.float64), set_id))
    new = (np.diff(set_id, prepend=-1) != 0) | (np.diff(y, prepend=np.nan) != 0)  # the first point of a row of its set
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(y))[: len(first)] - 1
    left, right = (_area_beside(y[ends], x[ends] * sign, set_id[ends], n) for ends, sign in ((first, 1), (last, -1)))
    return -(left + right)


def _area_beside(y: np.ndarray, x: np.ndarray, set_id: np.ndarray, n: int) -> np.ndarray:
    """Return the integral over rows of the convex curve that bounds each set on the side of small x, (n,).

    A point that does not lie outside the line between two others of its set is not on the hull, whichever two they
    are, so points can be dropped together. Distant partners remove long concave stretches quickly; when every point
    lies outside the line between its two neighbours, the curve is convex.

    Args:
        y: (P,) rows, strictly ascending within a set.
        x: (P,) columns.
        set_id: (P,) ascending.
        n: Number of sets.
    """
    stride = _FARTHEST
    while True:
        index = np.arange(len(y))
        begin = np.flatnonzero(np.diff(set_id, prepend=-1))
        size = np.diff(np.append(begin, len(y)))
        before = np.maximum(index - stride, np.repeat(begin, size))
        after = np.minimum(index + stride, np.repeat(begin + size - 1, size))
        bend = (y - y[before]) * (x[after] - x) - (x - x[before]) * (y[after] - y)
        keep = (bend > 0) | (before == index) | (after == index)
        if keep.all() and stride == 1:
            break
        y, x, set_id = y[keep], x[keep], set_id[keep]
        stride = stride // 2 or _FARTHEST
    same = set_id[1:] == set_id[:-1]
    strip = np.diff(y) * (x[1:] + x[:-1]) / 2
    return np.bincount(set_id[1:][same], weights=strip[same], minlength=n)


def pixel_hull_areas(row: np.ndarray, start: np.ndarray, stop: np.ndarray, instance: np.ndarray, n: int) -> np.ndarray:
    """Return the area of the convex hull of the corners of each instance's pixels, (n,).

    Args:
        row: (R,) rows of runs of pixels.
        start: (R,) first columns.
        stop: (R,) columns after the last.
        instance: (R,) instance of each run, 0..n-1.
        n: Number of instances.
    """
    y, x = np.concatenate([row, row, row + 1, row + 1]), np.tile(np.concatenate([start, stop]), 2)
    return hull_areas(y, x, np.tile(instance, 4), n)
