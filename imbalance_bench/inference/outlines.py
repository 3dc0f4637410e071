"""Outlines of the areas of a mask along pixel edges, with their holes."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

_STEP = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (row, column) of one step east, south, west, north
# Pixel left and right ahead of a step that ends at vertex (row, column), for each direction of the step.
_AHEAD_LEFT = np.array([[-1, 0], [0, 0], [0, -1], [-1, -1]])
_AHEAD_RIGHT = np.array([[0, 0], [0, -1], [-1, -1], [-1, 0]])


@dataclass(frozen=True)
class Area:
    """One connected area of one class.

    Attributes:
        class_id: Its class.
        exterior: (n + 1, 2) int64 vertices as x, y in px; the last is the first. Counter-clockwise by the formula.
        holes: The same for each hole, clockwise.
    """

    class_id: int
    exterior: np.ndarray
    holes: tuple[np.ndarray, ...]


def trace_areas(mask: np.ndarray) -> list[Area]:
    """Trace every area of a mask; areas are connected over pixel edges, not over corners.

    Together the areas tile the mask: each pixel lies in exactly one. Rings never cross or touch themselves; an area's
    rings may touch each other at corners, which simple-feature geometry allows.

    Args:
        mask: (H, W) uint8 class ids.

    Returns:
        Areas in the order of their topmost, then leftmost pixel.
    """
    labels = np.pad(np.asarray(label(mask, connectivity=1, background=-1)), 1)
    runs = _Runs.of(labels)
    rings = runs.rings()
    ring_of_run = np.concatenate([np.full(len(ring), number) for number, ring in enumerate(rings)])
    order = np.concatenate(rings)
    owner = runs.owners[[ring[0] for ring in rings]]
    doubled_area = np.bincount(ring_of_run, weights=_shoelace(runs.vertices[order], rings))
    vertices = [_closed(runs.vertices[ring][:, ::-1] - 1) for ring in rings]  # x, y without the padding
    exterior = {int(owner[number]): vertices[number] for number in np.flatnonzero(doubled_area > 0)}
    holes: dict[int, list[np.ndarray]] = {}
    for number in np.flatnonzero(doubled_area < 0):
        holes.setdefault(int(owner[number]), []).append(vertices[number])
    first_pixels = np.unique(labels[1:-1, 1:-1], return_index=True)
    class_of = dict(zip(first_pixels[0].tolist(), mask.ravel()[first_pixels[1]].tolist(), strict=True))
    by_place = sorted(zip(first_pixels[1].tolist(), first_pixels[0].tolist(), strict=True))
    return [Area(class_of[name], exterior[name], tuple(holes.get(name, ()))) for _, name in by_place]


@dataclass(frozen=True)
class _Runs:
    """Straight pieces of outline, each walked with its own area on the right hand.

    Attributes:
        vertices: (n, 2) int64, row and column of each run's first vertex, in the padded image.
        owners: (n,) label of the area.
        following: (n,) the run that comes next on the ring.
    """

    vertices: np.ndarray
    owners: np.ndarray
    following: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "_Runs":
        """Collect the runs of all areas of a padded label image; label 0 is the padding."""
        parts = [_runs_of_direction(labels, direction) for direction in range(4)]
        vertices, owners, turns, ends = (np.concatenate([part[k] for part in parts]) for k in range(4))
        directions = np.repeat(np.arange(4), [len(part[0]) for part in parts])
        size = labels.size
        keys = directions * size + vertices[:, 0] * labels.shape[1] + vertices[:, 1]
        wanted = (directions + turns) % 4 * size + ends[:, 0] * labels.shape[1] + ends[:, 1]
        order = np.argsort(keys)
        return cls(vertices, owners, order[np.searchsorted(keys[order], wanted)])

    def rings(self) -> list[np.ndarray]:
        """Return the runs of each ring in the order of walking."""
        following = self.following.tolist()
        seen = bytearray(len(following))
        rings = []
        for start in range(len(following)):
            if seen[start]:
                continue
            ring, run = [], start
            while not seen[run]:
                seen[run] = 1
                ring.append(run)
                run = following[run]
            rings.append(np.array(ring))
        return rings


def _runs_of_direction(labels: np.ndarray, direction: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return first vertex, owner, turn at the end (+1 right, -1 left) and last vertex of the runs of one direction."""
    inside, outside = labels[1:-1, 1:-1], _neighbour(labels, direction)
    rows, columns = (places + 1 for places in np.nonzero(inside != outside))
    if direction in (1, 3):  # in the order of walking: along columns, and west and north backwards
        order = np.lexsort((rows, columns))
        rows, columns = rows[order], columns[order]
    if direction in (2, 3):
        rows, columns = rows[::-1], columns[::-1]
    owners = labels[rows, columns]
    first_corner = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])[direction]
    starts = np.column_stack([rows, columns]) + first_corner
    ends = starts + _STEP[direction]
    on_left, on_right = (
        labels[ends[:, 0] + offset[direction, 0], ends[:, 1] + offset[direction, 1]] == owners
        for offset in (_AHEAD_LEFT, _AHEAD_RIGHT)
    )
    turns = np.where(on_left, -1, np.where(on_right, 0, 1))
    last = turns != 0
    first = np.concatenate([[True], last[:-1]]) if len(last) else last
    return starts[first], owners[first], turns[last], ends[last]


def _neighbour(labels: np.ndarray, direction: int) -> np.ndarray:
    """Return the label on the left hand of a step along each pixel's edge: above, right of, below or left of it."""
    height, width = labels.shape
    row, column = [(0, 1), (1, 2), (2, 1), (1, 0)][direction]
    return labels[row : row + height - 2, column : column + width - 2]


def _shoelace(vertices: np.ndarray, rings: list[np.ndarray]) -> np.ndarray:
    """Return each vertex's part of twice the signed area of its ring, from (row, column) vertices ring by ring."""
    lengths = np.array([len(ring) for ring in rings])
    last = np.cumsum(lengths) - 1
    following = np.arange(1, len(vertices) + 1)
    following[last] = last - lengths + 1
    y, x = vertices[:, 0].astype(float), vertices[:, 1].astype(float)
    return x * y[following] - x[following] * y


def _closed(vertices: np.ndarray) -> np.ndarray:
    return np.vstack([vertices, vertices[:1]])
