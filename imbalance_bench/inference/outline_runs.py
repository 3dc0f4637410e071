"""Straight pieces of the outlines of a label image, and the chains and rings that they make."""

from dataclasses import dataclass

import numpy as np

_STEP = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (row, column) of one step east, south, west, north
# Pixel left and right ahead of a step that ends at vertex (row, column), for each direction of the step.
_AHEAD_LEFT = np.array([[-1, 0], [0, 0], [0, -1], [-1, -1]])
_AHEAD_RIGHT = np.array([[0, 0], [0, -1], [-1, -1], [-1, 0]])


@dataclass(frozen=True)
class Place:
    """Where a block lies in a mask.

    Attributes:
        top: First row, px.
        left: First column, px.
        height_px: Rows of the whole mask.
        width_px: Columns of the whole mask.
    """

    top: int
    left: int
    height_px: int
    width_px: int

    def keys(self, directions: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """Number the steps of a whole mask by direction and first vertex; vertices are those of the padded block."""
        rows, columns = vertices[:, 0] - 1 + self.top, vertices[:, 1] - 1 + self.left
        return (directions * (self.height_px + 1) + rows) * (self.width_px + 1) + columns


@dataclass(frozen=True)
class Runs:
    """Straight pieces of outline, each walked with its own area on the right hand.

    Attributes:
        vertices: (n, 2) int64, row and column of each run's first vertex, in the padded block.
        ends: The same of its last vertex.
        owners: (n,) label of the area.
        keys: (n,) number of its first step in the whole mask.
        wanted: (n,) number of the step that comes next.
        following: (n,) the run that comes next, or -1 where that lies in another block.
    """

    vertices: np.ndarray
    ends: np.ndarray
    owners: np.ndarray
    keys: np.ndarray
    wanted: np.ndarray
    following: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, place: Place) -> "Runs":
        """Collect the runs of all areas of a block.

        Args:
            labels: (h + 2, w + 2), the block within one pixel of what surrounds it; 0 is no area.
            place: Where it lies.
        """
        parts = [_runs_of_direction(labels, direction) for direction in range(4)]
        vertices, owners, turns, ends = (np.concatenate([part[k] for part in parts]) for k in range(4))
        directions = np.repeat(np.arange(4), [len(part[0]) for part in parts])
        keys = place.keys(directions, vertices)
        wanted = place.keys((directions + turns) % 4, ends)
        order = np.argsort(keys)
        position = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        following = order[position]
        return cls(vertices, ends, owners, keys, wanted, np.where(keys[following] == wanted, following, -1))

    def walks(self) -> list[np.ndarray]:
        """Return the runs of each chain and each ring in the order of walking."""
        following = self.following.tolist()
        seen = bytearray(len(following))
        entered = np.zeros(len(following), dtype=bool)
        entered[self.following[self.following >= 0]] = True
        walks = []
        for start in (*np.flatnonzero(~entered).tolist(), *range(len(following))):
            if seen[start]:
                continue
            walk, run = [], start
            while run >= 0 and not seen[run]:
                seen[run] = 1
                walk.append(run)
                run = following[run]
            walks.append(np.array(walk))
        return walks


def _runs_of_direction(labels: np.ndarray, direction: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return first vertex, owner, turn at the end (+1 right, -1 left) and last vertex of the runs of one direction."""
    inside, outside = labels[1:-1, 1:-1], _neighbour(labels, direction)
    rows, columns = (places + 1 for places in np.nonzero((inside != outside) & (inside != 0)))
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
    last = (turns != 0) | _leaves(ends + _AHEAD_RIGHT[direction], labels.shape)
    first = np.concatenate([[True], last[:-1]]) if len(last) else last
    return starts[first], owners[first], turns[last], ends[last]


def _leaves(pixels: np.ndarray, padded: tuple[int, ...]) -> np.ndarray:
    """Return which pixels lie in the padding."""
    return ((pixels == 0) | (pixels == np.array(padded) - 1)).any(1)


def _neighbour(labels: np.ndarray, direction: int) -> np.ndarray:
    """Return the label on the left hand of a step along each pixel's edge: above, right of, below or left of it."""
    height, width = labels.shape
    row, column = [(0, 1), (1, 2), (2, 1), (1, 0)][direction]
    return labels[row : row + height - 2, column : column + width - 2]
