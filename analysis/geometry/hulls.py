"""Areas of the convex hulls of many point sets at once."""

import numpy as np

_FARTHEST = 64  # points between a point and the two it is held against, at most


def hull_areas(y: np.ndarray, x: np.ndarray, own: np.ndarray, n: int) -> np.ndarray:
    """Return the area of the convex hull of each set of points, (n,) float64; 0 for points on a line.

    Args:
        y: (P,) rows.
        x: (P,) columns.
        own: (P,) int, set of each point, 0..n-1.
        n: Sets.
    """
    order = np.lexsort((x, y, own))
    y, x, own = (each[order] for each in (np.asarray(y, np.float64), np.asarray(x, np.float64), own))
    new = (np.diff(own, prepend=-1) != 0) | (np.diff(y, prepend=np.nan) != 0)  # a row of its set begins
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(y))[: len(first)] - 1
    left, right = (_area_beside(y[ends], x[ends] * sign, own[ends], n) for ends, sign in ((first, 1), (last, -1)))
    return -(left + right)


def _area_beside(y: np.ndarray, x: np.ndarray, own: np.ndarray, n: int) -> np.ndarray:
    """Return the integral over rows of the convex curve that bounds each set on the side of small x, (n,).

    A point that does not lie before the line between two others of its set is not on the hull, whichever two they are,
    so points can be dropped together. Partners far away drop long hollows soon; when every point lies before the line
    between its two neighbours, the curve is convex.

    Args:
        y: (P,) ascending within a set, without repetition.
        x: (P,).
        own: (P,) ascending.
        n: Sets.
    """
    stride = _FARTHEST
    while True:
        place = np.arange(len(y))
        begin = np.flatnonzero(np.diff(own, prepend=-1))
        size = np.diff(np.append(begin, len(y)))
        before = np.maximum(place - stride, np.repeat(begin, size))
        after = np.minimum(place + stride, np.repeat(begin + size - 1, size))
        bend = (y - y[before]) * (x[after] - x) - (x - x[before]) * (y[after] - y)
        kept = (bend > 0) | (before == place) | (after == place)
        if kept.all() and stride == 1:
            break
        y, x, own = y[kept], x[kept], own[kept]
        stride = stride // 2 or _FARTHEST
    same = own[1:] == own[:-1]
    strip = np.diff(y) * (x[1:] + x[:-1]) / 2
    return np.bincount(own[1:][same], weights=strip[same], minlength=n)


def pixel_hull_areas(row: np.ndarray, start: np.ndarray, stop: np.ndarray, own: np.ndarray, n: int) -> np.ndarray:
    """Return the area of the convex hull of the corners of each instance's pixels, (n,).

    Args:
        row: (R,) rows of stretches of pixels.
        start: (R,) first columns.
        stop: (R,) columns after the last.
        own: (R,) instance of each stretch.
        n: Instances.
    """
    y, x = np.concatenate([row, row, row + 1, row + 1]), np.tile(np.concatenate([start, stop]), 2)
    return hull_areas(y, x, np.tile(own, 4), n)
