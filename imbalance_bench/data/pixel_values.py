"""The values of a picture of any size, counted without an index of eight bytes a pixel."""

from collections.abc import Iterator

import numpy as np

_BAND_PX = 2**22


def bands(height_px: int, width_px: int, least_px: int = 1) -> Iterator[slice]:
    """Yield consecutive rows of a picture: a few million pixels at a time, and `least_px` rows or more."""
    step = max(least_px, _BAND_PX // max(width_px, 1), 1)
    for top in range(0, height_px, step):
        yield slice(top, min(top + step, height_px))


def value_counts(picture: np.ndarray) -> np.ndarray:
    """Count the pixels of each value of an 8-bit picture, (H, W) uint8 -> (256,) int64."""
    counts = np.zeros(256, dtype=np.int64)
    for rows in bands(*picture.shape):
        counts += np.bincount(picture[rows].ravel(), minlength=256)
    return counts
