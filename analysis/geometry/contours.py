"""Outer contours of all instances of an image at once, and what is computed from them."""

from dataclasses import dataclass

import numpy as np

HARMONICS = 10
COEFFICIENTS = 4 * HARMONICS - 3  # the first three of a normalised contour are 1, 0, 0
_ROUNDING = 1e-9  # of a descriptor that is 0

# sides of a pixel in clockwise order, as (row, column): which way one walks, and where the outside lies
_ALONG = ((0, 1), (1, 0), (0, -1), (-1, 0))
_OUTWARD = ((-1, 0), (0, 1), (1, 0), (0, -1))


@dataclass(frozen=True)
class Contours:
    """Closed polygons through the midpoints of pixel edges, clockwise on the screen, one after the other.

    Args:
        y: (V,) float, rows; the centre of the first pixel is 0.
        x: (V,) float, columns.
        starts: (N,) first vertex of each polygon.
        own: (N,) component number of each polygon, ascending.
    """

    y: np.ndarray
    x: np.ndarray
    starts: np.ndarray
    own: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """(N,) vertex after the last of each polygon."""
        return _ends(self.starts, len(self.x))


def outer_contours(components: np.ndarray) -> Contours:
    """Trace the outer contour of every component.

    All edges between a component and its surroundings are linked to their successors, and the links are followed by
    doubling, so that the work is a few passes over the edges and no loop over instances.

    Args:
        components: (H, W) int, 8-connected component numbers from 1; 0 is no component.

    Returns:
        One polygon per component: what `skimage.measure.find_contours(components == n, 0.5, "high")` finds outside.
    """
    padded = np.pad(components, 1)
    width = padded.shape[1]
    flat = padded.ravel()
    along, outward = (np.array([dy * width + dx for dy, dx in steps]) for steps in (_ALONG, _OUTWARD))
    inside = np.flatnonzero(flat > 0)
    found = [(inside[flat[inside] != flat[inside + outward[side]]], side) for side in range(4)]
    pixel = np.concatenate([pixels for pixels, _ in found])
    side = np.concatenate([np.full(len(pixels), number) for pixels, number in found])
    if not len(pixel):
        none = np.zeros(0)
        return Contours(none, none, none.astype(np.int64), none.astype(np.int64))
    successor = _successors(flat, [pixels for pixels, _ in found], along, outward)
    start, rank = _order(successor)
    order = np.lexsort((rank, start))
    pixel, side, start = pixel[order], side[order], start[order]
    row, column = np.divmod(pixel, width)
    out = np.array(_OUTWARD)[side] / 2
    y, x = row - 1 + out[:, 0], column - 1 + out[:, 1]
    return _outer(y, x, np.flatnonzero(np.diff(start, prepend=-1)), flat[pixel])


def fourier_descriptors(contours: Contours) -> np.ndarray:
    """Return normalised elliptic Fourier descriptors, (N, COEFFICIENTS): free of place, size, turn and starting point.

    The order is d_1, then a, b, c, d of harmonics 2 to 10. Of the two ends of the long axis at which a contour may
    start, the one with a_2 >= 0 is taken; where a symmetric contour has a_2 = 0, the next descriptor decides.

    Source:
        Kuhl and Giardina 1982, equations 7, 12, 14 and 19.
    """
    starts, n = contours.starts, len(contours.starts)
    if not n:
        return np.zeros((0, COEFFICIENTS))
    ends = contours.ends
    following = np.arange(1, len(contours.x) + 1)
    following[ends - 1] = starts
    dx, dy = contours.x[following] - contours.x, contours.y[following] - contours.y
    dt = np.hypot(dx, dy)
    owner = np.repeat(np.arange(n), ends - starts)
    until = np.cumsum(dt)
    until -= (until[starts] - dt[starts])[owner]
    length = np.add.reduceat(dt, starts)
    after = np.exp(2j * np.pi * until / length[owner])  # of the first harmonic, where each step ends
    before = np.roll(after, 1)  # where it begins
    before[starts] = 1
    found = np.empty((n, HARMONICS, 2, 2))  # [[a, b], [c, d]]
    end, begin = after, before
    for harmonic in range(1, HARMONICS + 1):
        factor = length / (2 * (harmonic * np.pi) ** 2)
        change = (end - begin) / dt
        for row, step in enumerate((dx, dy)):
            wave = factor * np.add.reduceat(step * change, starts)
            found[:, harmonic - 1, row] = np.stack([wave.real, wave.imag], axis=1)
        end, begin = end * after, begin * before
    return _normalised(found)


def _successors(flat: np.ndarray, edges: list[np.ndarray], along: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Return the next edge of each edge: left at a diagonal neighbour, straight on at a neighbour, else right.

    Args:
        flat: Padded component numbers.
        edges: For each side, the pixels that have an edge there, ascending; edges are numbered side by side.
        along: Step along each side.
        outward: Step across it.
    """
    first = np.cumsum([0, *(len(edge) for edge in edges)])

    def number(side: int, pixels: np.ndarray) -> np.ndarray:
        return first[side % 4] + np.searchsorted(edges[side % 4], pixels)

    found = []
    for side, pixel in enumerate(edges):
        ahead = pixel + along[side]
        diagonal = ahead + outward[side]
        left = flat[diagonal] == flat[pixel]
        straight = ~left & (flat[ahead] == flat[pixel])
        following = number(side + 1, pixel)
        following[straight] = number(side, ahead[straight])
        following[left] = number(side - 1, diagonal[left])
        found.append(following)
    return np.concatenate(found)


def _order(successor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each edge the smallest edge of its cycle, and how many edges lie between that one and it."""
    start, ahead = np.arange(len(successor)), successor.astype(np.int64)
    while True:
        smaller = np.minimum(start, start[ahead])
        if np.array_equal(smaller, start) and np.array_equal(start, start[successor]):
            break
        start, ahead = smaller, ahead[ahead]
    last = successor == start
    ahead = np.where(last, np.arange(len(successor)), successor)
    to_last = (~last).astype(np.int64)
    while True:
        farther = to_last + to_last[ahead]
        if np.array_equal(farther, to_last):
            break
        to_last, ahead = farther, ahead[ahead]
    return start, -to_last


def _outer(y: np.ndarray, x: np.ndarray, starts: np.ndarray, own: np.ndarray) -> Contours:
    """Keep the polygons that run around their component; those around its holes run the other way."""
    ends = _ends(starts, len(x))
    following = np.arange(1, len(x) + 1)
    following[ends - 1] = starts
    area = np.add.reduceat(x * y[following] - x[following] * y, starts) / 2
    kept = np.flatnonzero(area > 0)
    kept = kept[np.argsort(own[starts[kept]], kind="stable")]
    sizes = (ends - starts)[kept]
    first = np.cumsum(sizes) - sizes
    vertices = np.repeat(starts[kept] - first, sizes) + np.arange(sizes.sum())
    return Contours(y[vertices], x[vertices], first, own[starts[kept]].astype(np.int64))


def _ends(starts: np.ndarray, n: int) -> np.ndarray:
    """Return where pieces of n things end that begin at `starts`, one end for each start, also where there is none."""
    return np.append(starts, n)[1:]


def _normalised(found: np.ndarray) -> np.ndarray:
    """Turn (N, HARMONICS, 2, 2) into (N, COEFFICIENTS) free of starting point, turn and size."""
    a, b, c, d = found[:, 0].reshape(-1, 4).T
    theta = np.arctan2(2 * (a * b + c * d), a**2 - b**2 + c**2 - d**2) / 2
    angles = np.arange(1, HARMONICS + 1)[None] * theta[:, None]
    turned = found @ _rotations(angles)
    psi = np.arctan2(turned[:, 0, 1, 0], turned[:, 0, 0, 0])
    turned = _rotations(-psi)[:, None] @ turned
    turned /= np.abs(turned[:, :1, :1, :1])
    second = turned[:, 1].reshape(-1, 4)
    telling = (np.abs(second) > _ROUNDING).argmax(axis=1)
    flip = np.where(second[np.arange(len(second)), telling] < 0, -1.0, 1.0)
    turned[:, 1::2] *= flip[:, None, None, None]
    return turned.reshape(len(found), -1)[:, 3:]


def _rotations(angles: np.ndarray) -> np.ndarray:
    """Return (..., 2, 2) [[cos, -sin], [sin, cos]]."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
