"""Turning a picture as its orientation tag says.

Source: TIFF 6.0, Adobe 1992, tag 274; Exif 2.32, JEITA CP-3451E, section 4.6.4.
"""

import numpy as np

ORIENTATION_TAG = 274
_TRANSPOSED, _ROWS_FLIPPED, _COLUMNS_FLIPPED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)


def known_orientation(value: object) -> int:
    """Return an orientation of 1 to 8; whatever else a file holds means 1, upright."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored samples, (H, W, ...), to how they are shown."""
    if orientation in _TRANSPOSED:
        samples = samples.swapaxes(0, 1)
    if orientation in _ROWS_FLIPPED:
        samples = samples[::-1]
    if orientation in _COLUMNS_FLIPPED:
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Return the height and width as shown, from those stored."""
    return (width, height) if orientation in _TRANSPOSED else (height, width)
