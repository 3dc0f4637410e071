"""Box counting: how many boxes of each size a class touches."""

import numpy as np

from analysis.geometry.runs import Runs

BOX_SIZES = 6  # each twice the one before
SMALLEST_BOX_UM = 1.0
_SMALLEST_BOX_PX = 2.0


def smallest_box_px(px_per_um: float) -> float:
    """Return the edge of the smallest box, px: 1 um, doubled until it is at least 2 px."""
    edge = SMALLEST_BOX_UM * px_per_um
    while edge < _SMALLEST_BOX_PX:
        edge *= 2
    return edge


def box_counts(runs: Runs, n_classes: int, box_px: float) -> np.ndarray:
    """Count the boxes that hold a pixel of each class, for boxes of `box_px` and 2, 4 ... 32 times that.

    Args:
        runs: Of the mask.
        n_classes: K.
        box_px: Edge of the smallest box, px; a pixel belongs to the box that holds its centre.

    Returns:
        (K, BOX_SIZES) int64.
    """
    row, column = (np.floor((np.arange(length) + 0.5) / box_px).astype(np.int64) for length in runs.shape)
    shape = (n_classes, int(row[-1]) + 1, int(column[-1]) + 2)
    first = (runs.class_id * shape[1] + row[runs.row]) * shape[2]
    change = [
        np.bincount(first + place, minlength=np.prod(shape))
        for place in (column[runs.start], column[runs.stop - 1] + 1)
    ]
    held, counts = (change[0] - change[1]).reshape(shape).cumsum(axis=2)[:, :, :-1] > 0, []
    for _ in range(BOX_SIZES):
        counts.append(held.sum(axis=(1, 2)))
        held = np.pad(held, ((0, 0), (0, held.shape[1] % 2), (0, held.shape[2] % 2)))
        held = held[:, ::2] | held[:, 1::2]
        held = held[:, :, ::2] | held[:, :, 1::2]
    return np.stack(counts, axis=1)


def fractal_dimension(counts: np.ndarray) -> np.ndarray:
    """Return minus the slope of log count on log edge, least squares.

    Args:
        counts: (..., BOX_SIZES) float, >= 0.

    Returns:
        (...) float64; 2 for a filled region, 1 for a line; NaN where nothing was counted.
    """
    known = np.asarray((counts > 0).all(axis=-1))
    size = np.arange(BOX_SIZES) - (BOX_SIZES - 1) / 2
    logs = np.log2(np.where(known[..., None], counts, 1))
    return np.where(known, -(logs @ size) / (size @ size), np.nan)
