"""Masks of slides as tiled, pyramidal OME-TIFF, which QuPath and other viewers open at any size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from tifffile import TiffWriter

from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.manifest import write_atomically

TILE_PX = 512
_BUFFER_BYTES = 2**24  # tiles that wait for their compression


def write_pyramid(path: Path, ids: IdsFile, *, mpp_um: float | None, colours: Sequence[str] = ()) -> None:
    """Write class ids as OME-TIFF: 8 bit, deflated tiles, each level every second pixel of the one before.

    Memory: one row of tiles of the finest level, 512 x W bytes.

    Args:
        path: Target.
        ids: H x W; UNLABELLED where nothing was predicted.
        mpp_um: Micrometres per pixel, or None.
        colours: "#rrggbb" of each id from 0, for a palette; without them ids are grey values.
    """
    levels = max(0, (max(ids.shape) - 1).bit_length() - TILE_PX.bit_length() + 1)
    shared: dict[str, Any] = {"dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "compression": "deflate"}
    shared |= {"buffersize": _BUFFER_BYTES, "photometric": "palette" if colours else "minisblack"}
    if colours:
        shared["colormap"] = _colour_map(colours)
    metadata: dict[str, Any] = {"axes": "YX"}
    if mpp_um is not None:
        metadata |= {"PhysicalSizeX": mpp_um, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": mpp_um, "PhysicalSizeYUnit": "µm"}

    def write(file: IO[bytes]) -> None:
        with TiffWriter(file, bigtiff=True, ome=True) as tiff:
            for level in range(levels + 1):
                own: dict[str, Any] = {"subfiletype": 1} if level else {"subifds": levels, "metadata": metadata}
                if mpp_um is not None:
                    resolution = 1e4 / (mpp_um * 2**level)
                    own |= {"resolution": (resolution, resolution), "resolutionunit": "CENTIMETER"}
                tiff.write(_tiles(ids, 2**level), shape=_shape(ids, 2**level), **shared, **own)

    write_atomically(path, write)


def _shape(ids: IdsFile, step: int) -> tuple[int, int]:
    return -(-ids.height_px // step), -(-ids.width_px // step)


def _tiles(ids: IdsFile, step: int) -> Iterator[np.ndarray]:
    """Yield the tiles of one level, row by row, those at the border filled up."""
    height, width = _shape(ids, step)
    for top in range(0, height, TILE_PX):
        rows = min(TILE_PX, height - top)
        stop = min((top + rows) * step, ids.height_px)
        strip = ids.read(top * step, 0, stop - top * step, ids.width_px, step=step)
        for left in range(0, width, TILE_PX):
            tile = np.zeros((TILE_PX, TILE_PX), dtype=np.uint8)
            part = strip[:, left : left + TILE_PX]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _colour_map(colours: Sequence[str]) -> np.ndarray:
    """Return (3, 256) uint16; ids without a class are white."""
    colour_map = np.full((3, 256), 65535, dtype=np.uint16)
    for number, colour in enumerate(colours):
        colour_map[:, number] = [257 * value for value in bytes.fromhex(colour.removeprefix("#"))]
    return colour_map
