"""Box counting: how many boxes of each size a class touches."""

import numpy as np

from analysis.geometry.runs import Runs

BOX_SIZES = 6  # each edge is twice the previous one
SMALLEST_BOX_UM = 1.0
_SMALLEST_BOX_PX = 2.0


def smallest_box_px(px_per_um: float) -> float:
    """Return the edge of the smallest box, px: 1 um, doubled until it is at least 2 px."""
    edge = SMALLEST_BOX_UM * px_per_um
    while edge < _SMALLEST_BOX_PX:
        edge *= 2
    return edge


def box_counts(runs: Runs, n_classes: int, box_px: float) -> np.ndarray:
    """Count the boxes that contain a pixel of each class, for edges of 1, 2, 4 ... 32 times `box_px`.

    Args:
        runs: Runs of the mask.
        n_classes: K.
        box_px: Edge of the smallest box, px; a pixel belongs to the box that contains its centre.

    Returns:
        (K, BOX_SIZES) int64.
    """
    row, column = (np.floor((np.arange(length) + 0.5) / box_px).astype(np.int64) for length in runs.shape)
    shape = (n_classes, int(row[-1]) + 1, int(column[-1]) + 2)
    first = (runs.class_id * shape[1] + row[runs.row]) * shape[2]
    change = [
        np.bincount(first + edge, minlength=np.prod(shape)) for edge in (column[runs.start], column[runs.stop - 1] + 1)
    ]
    occupied, counts = (change[0] - change[1]).reshape(shape).cumsum(axis=2)[:, :, :-1] > 0, []
    for _ in range(BOX_SIZES):
        counts.append(occupied.sum(axis=(1, 2)))
        occupied = np.pad(occupied, ((0, 0), (0, occupied.shape[1] % 2), (0, occupied.shape[2] % 2)))
        occupied = occupied[:, ::2] | occupied[:, 1::2]
        occupied = occupied[:, :, ::2] | occupied[:, :, 1::2]
    return np.stack(counts, axis=1)


def fractal_dimension(counts: np.ndarray) -> np.ndarray:
    """Return minus the least-squares slope of log count on log edge.

    Args:
        counts: (..., BOX_SIZES) float, >= 0.

    Returns:
        (...) float64; 2 for a filled region, 1 for a line; NaN where nothing was counted.
    """
    valid = np.asarray((counts > 0).all(axis=-1))
    size = np.arange(BOX_SIZES) - (BOX_SIZES - 1) / 2
    logs = np.log2(np.where(valid[..., None], counts, 1))
    return np.where(valid, -(logs @ size) / (size @ size), np.nan)
