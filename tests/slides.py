"""Synthetic slides, made block by block: stained spots on glass, written as tiled TIFF."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tifffile import TiffWriter

_TILE_PX = 256


def stained(height_px: int, width_px: int, period_px: int, *, top: int = 0, left: int = 0) -> np.ndarray:
    """Return one window of an endless slide, about 60 % of which is glass: (height_px, width_px, 3) uint8.

    Args:
        height_px: Rows.
        width_px: Columns.
        period_px: Pieces of tissue repeat after so many pixels.
        top: First row.
        left: First column.
    """
    y, x = np.arange(top, top + height_px)[:, None], np.arange(left, left + width_px)[None]
    tissue = np.sin(2 * np.pi * (y / period_px + 0.1)) * np.sin(2 * np.pi * (x / period_px + 0.05)) > 0.12
    nuclei = np.sin(y / 6) * np.sin(x / 5) > 0.5
    noise = np.random.default_rng([top, left]).integers(-4, 5, (height_px, width_px, 1))
    pixels = np.where(tissue[..., None], (205, 130, 180), (241, 240, 242)) + noise
    return np.where((tissue & nuclei)[..., None], (95, 60, 140), pixels).astype(np.uint8)


def write_slide(path: Path, height_px: int, width_px: int, *, compression: str | None = None) -> Path:
    """Write a slide with one level; memory is bounded.

    Args:
        path: Target.
        height_px: Rows.
        width_px: Columns.
        compression: As tifffile names it, for instance "jpeg".
    """

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, height_px, _TILE_PX):
            for left in range(0, width_px, _TILE_PX):
                yield stained(_TILE_PX, _TILE_PX, max(height_px, width_px) // 3, top=top, left=left)

    with TiffWriter(path, bigtiff=True) as tiff:
        shape = (height_px, width_px, 3)
        tile = (_TILE_PX, _TILE_PX)
        tiff.write(tiles(), shape=shape, dtype=np.uint8, tile=tile, photometric="rgb", compression=compression)
    return path
