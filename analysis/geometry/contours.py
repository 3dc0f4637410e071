"""Outer contours of all instances of an image at once, and their elliptic Fourier descriptors."""

from dataclasses import dataclass

import numpy as np

HARMONICS = 10
COEFFICIENTS = 4 * HARMONICS - 3  # the first three of a normalised contour are 1, 0, 0
_ROUNDING = 1e-9  # a smaller descriptor counts as 0

# sides of a pixel in clockwise order, as (row, column): direction of the walk, and direction of the outside
_ALONG = ((0, 1), (1, 0), (0, -1), (-1, 0))
_OUTWARD = ((-1, 0), (0, 1), (1, 0), (0, -1))


@dataclass(frozen=True)
class Contours:
    """Closed polygons through the midpoints of pixel edges, clockwise on the screen, concatenated.

    Args:
        y: (V,) float, rows; the centre of the first pixel is 0.
        x: (V,) float, columns.
        starts: (N,) index of the first vertex of each polygon.
        component: (N,) component number of each polygon, ascending.
    """

    y: np.ndarray
    x: np.ndarray
    starts: np.ndarray
    component: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """(N,) index after the last vertex of each polygon."""
        return _ends(self.starts, len(self.x))


def outer_contours(components: np.ndarray) -> Contours:
    """Trace the outer contour of every component.

    All edges between a component and its surroundings are linked to their successors, and the links are followed by
    pointer doubling: a few passes over the edges, without a loop over instances.

    Args:
        components: (H, W) int, 8-connected component numbers from 1; 0 is no component.

    Returns:
        One polygon per component: what `skimage.measure.find_contours(components == n, 0.5, "high")` finds outside.
    """
    padded = np.pad(components, 1)
    width = padded.shape[1]
    flat = padded.ravel()
    along, outward = (np.array([dy * width + dx for dy, dx in steps]) for steps in (_ALONG, _OUTWARD))
    edges = [_edge_pixels(padded, *step) for step in _OUTWARD]
    pixel = np.concatenate(edges)
    side = np.concatenate([np.full(len(pixels), number) for number, pixels in enumerate(edges)])
    if not len(pixel):
        empty = np.zeros(0)
        return Contours(empty, empty, empty.astype(np.int64), empty.astype(np.int64))
    successor = _successors(flat, edges, along, outward)
    start, rank = _order(successor)
    order = np.lexsort((rank, start))
    pixel, side, start = pixel[order], side[order], start[order]
    row, column = np.divmod(pixel, width)
    out = np.array(_OUTWARD)[side] / 2
    y, x = row - 1 + out[:, 0], column - 1 + out[:, 1]
    return _outer(y, x, np.flatnonzero(np.diff(start, prepend=-1)), flat[pixel])


def _edge_pixels(padded: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return the flat indices, ascending, of pixels of a component whose neighbour on one side is not of it."""
    height, width = (edge - 2 for edge in padded.shape)
    here = padded[1:-1, 1:-1]
    there = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
    row, column = np.divmod(np.flatnonzero((here != there) & (here > 0)), max(width, 1))
    return (row + 1) * (width + 2) + column + 1


def fourier_descriptors(contours: Contours) -> np.ndarray:
    """Return normalised elliptic Fourier descriptors, (N, COEFFICIENTS).

    They are invariant to position, size, rotation and starting point.

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
    after = np.exp(2j * np.pi * until / length[owner])  # phase of the first harmonic at the end of each step
    before = np.roll(after, 1)  # at its beginning
    before[starts] = 1
    coefficients = np.empty((n, HARMONICS, 2, 2))  # [[a, b], [c, d]]
    end, begin = after, before
    for harmonic in range(1, HARMONICS + 1):
        factor = length / (2 * (harmonic * np.pi) ** 2)
        change = (end - begin) / dt
        for row, step in enumerate((dx, dy)):
            wave = factor * np.add.reduceat(step * change, starts)
            coefficients[:, harmonic - 1, row] = np.stack([wave.real, wave.imag], axis=1)
        end, begin = end * after, begin * before
    return _normalised(coefficients)


def _successors(flat: np.ndarray, edges: list[np.ndarray], along: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Return the next edge of each edge: left at a diagonal neighbour, straight on at a neighbour, else right.

    Args:
        flat: Padded component numbers.
        edges: For each side, the pixels that have an edge there, ascending; edges are numbered in this order.
        along: Offset of the next pixel along each side.
        outward: Offset of the pixel across each side.
    """
    first = np.cumsum([0, *(len(edge) for edge in edges)])

    def number(side: int, pixels: np.ndarray) -> np.ndarray:
        return first[side % 4] + np.searchsorted(edges[side % 4], pixels)

    successors = []
    for side, pixel in enumerate(edges):
        ahead = pixel + along[side]
        diagonal = ahead + outward[side]
        left = flat[diagonal] == flat[pixel]
        straight = ~left & (flat[ahead] == flat[pixel])
        following = number(side + 1, pixel)
        following[straight] = number(side, ahead[straight])
        following[left] = number(side - 1, diagonal[left])
        successors.append(following)
    return np.concatenate(successors)


def _order(successor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each edge the smallest edge of its cycle, and its rank, ascending from that edge."""
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


def _outer(y: np.ndarray, x: np.ndarray, starts: np.ndarray, component: np.ndarray) -> Contours:
    """Keep the polygons that enclose their component; those around its holes have the opposite orientation."""
    ends = _ends(starts, len(x))
    following = np.arange(1, len(x) + 1)
    following[ends - 1] = starts
    area = np.add.reduceat(x * y[following] - x[following] * y, starts) / 2
    outer = np.flatnonzero(area > 0)
    outer = outer[np.argsort(component[starts[outer]], kind="stable")]
    sizes = (ends - starts)[outer]
    first = np.cumsum(sizes) - sizes
    vertices = np.repeat(starts[outer] - first, sizes) + np.arange(sizes.sum())
    return Contours(y[vertices], x[vertices], first, component[starts[outer]].astype(np.int64))


def _ends(starts: np.ndarray, n: int) -> np.ndarray:
    """Return the ends of consecutive segments of 0..n that begin at `starts`; empty where there are none."""
    return np.append(starts, n)[1:]


def _normalised(coefficients: np.ndarray) -> np.ndarray:
    """Normalise (N, HARMONICS, 2, 2) for starting point, rotation and size, to (N, COEFFICIENTS)."""
    a, b, c, d = coefficients[:, 0].reshape(-1, 4).T
    theta = np.arctan2(2 * (a * b + c * d), a**2 - b**2 + c**2 - d**2) / 2
    angles = np.arange(1, HARMONICS + 1)[None] * theta[:, None]
    rotated = coefficients @ _rotations(angles)
    psi = np.arctan2(rotated[:, 0, 1, 0], rotated[:, 0, 0, 0])
    rotated = _rotations(-psi)[:, None] @ rotated
    rotated /= np.abs(rotated[:, :1, :1, :1])
    second = rotated[:, 1].reshape(-1, 4)
    first_nonzero = (np.abs(second) > _ROUNDING).argmax(axis=1)
    flip = np.where(second[np.arange(len(second)), first_nonzero] < 0, -1.0, 1.0)
    rotated[:, 1::2] *= flip[:, None, None, None]
    return rotated.reshape(len(coefficients), -1)[:, 3:]


def _rotations(angles: np.ndarray) -> np.ndarray:
    """Return the rotation matrices [[cos, -sin], [sin, cos]], (..., 2, 2)."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
