"""Outlines of the areas of a mask along pixel edges, with their holes."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.inference.outline_runs import Place, Runs


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


@dataclass(frozen=True)
class Chain:
    """A piece of outline of an area that several blocks share, or a whole ring of it.

    Attributes:
        owner: Number of the area.
        start: Number of its first step in the whole mask.
        following: Number of the step that comes after its last; `start` where it is a ring.
        vertices: (n, 2) int64, x and y of the first vertex of each of its runs.
        doubled_area: Its part of twice the signed area of its ring.
    """

    owner: int
    start: int
    following: int
    vertices: np.ndarray
    doubled_area: float


def connected(mask: np.ndarray) -> np.ndarray:
    """Label the areas of a mask, connected over pixel edges, not over corners; UNLABELLED is 0, no area."""
    return np.asarray(label(mask, connectivity=1, background=UNLABELLED))


def trace_areas(mask: np.ndarray) -> list[Area]:
    """Trace every area of a mask; areas are connected over pixel edges, not over corners.

    Together the areas tile what is labelled: each such pixel lies in exactly one. Rings never cross or touch
    themselves; an area's rings may touch each other at corners, which simple-feature geometry allows.

    Args:
        mask: (H, W) uint8 class ids; UNLABELLED is no area.

    Returns:
        Areas in the order of their topmost, then leftmost pixel.
    """
    return trace_block(mask, np.pad(connected(mask), 1), Place(0, 0, *mask.shape), 0)[0]


def trace_block(mask: np.ndarray, labels: np.ndarray, place: Place, n_shared: int) -> tuple[list[Area], list[Chain]]:
    """Trace the areas of one block of a mask.

    Args:
        mask: (h, w) uint8 class ids.
        labels: (h + 2, w + 2), labels of its areas, within one pixel of what surrounds it.
        place: Where it lies.
        n_shared: Labels up to this one reach into other blocks.

    Returns:
        Areas of the block alone, in the order of their topmost, then leftmost pixel; pieces of those that are shared.
    """
    runs = Runs.of(labels, place)
    if not len(runs.keys):
        return [], []
    walks = runs.walks()
    order = np.concatenate(walks)
    owners = runs.owners[[walk[0] for walk in walks]]
    walk_of = np.repeat(np.arange(len(walks)), [len(walk) for walk in walks])
    doubled_area = np.bincount(walk_of, _shoelace(runs, order, place))
    shift = np.array([place.left - 1, place.top - 1])  # x, y without the padding
    exterior: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = {}
    chains = []
    for owner, walk, area in zip(owners.tolist(), walks, doubled_area.tolist(), strict=True):
        vertices = runs.vertices[walk][:, ::-1] + shift
        if owner <= n_shared:
            chains.append(Chain(owner, int(runs.keys[walk[0]]), int(runs.wanted[walk[-1]]), vertices, area))
        elif area > 0:
            exterior[owner] = closed(vertices)
        else:
            holes.setdefault(owner, []).append(closed(vertices))
    names, first = np.unique(labels[1:-1, 1:-1], return_index=True)
    inner = np.argsort(first)[names[np.argsort(first)] > n_shared]
    ids = mask.ravel()
    return [
        Area(int(ids[first[k]]), exterior[int(names[k])], tuple(holes.get(int(names[k]), ()))) for k in inner.tolist()
    ], chains


def closed(vertices: np.ndarray) -> np.ndarray:
    """Repeat the first vertex at the end."""
    return np.vstack([vertices, vertices[:1]])


def _shoelace(runs: Runs, order: np.ndarray, place: Place) -> np.ndarray:
    """Return each run's part of twice the signed area of its ring, which may go on in other blocks."""
    corner = np.array([place.top, place.left])
    (y, x), (next_y, next_x) = ((vertices[order] + corner).T.astype(float) for vertices in (runs.vertices, runs.ends))
    return x * next_y - next_x * y
