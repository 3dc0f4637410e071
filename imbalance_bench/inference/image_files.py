"""What a prediction leaves of an image: its mask as PNG, outlines and counts, read in windows from the class ids."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from imbalance_bench.inference.geojson import Scale, write_annotations
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.mask_file import MaskWriter
from imbalance_bench.inference.outlines import Area
from imbalance_bench.manifest import write_atomically

BAND_PX = 1024  # rows that are held at once


def write_mask(path: Path, ids: IdsFile, colours: Sequence[str]) -> None:
    """Write a PNG, grey or, with colours, with a palette."""

    def write(file: IO[bytes]) -> None:
        with MaskWriter(file, *ids.shape, colours) as png:
            for top in range(0, ids.height_px, BAND_PX):
                png.write(ids.read(top, 0, min(BAND_PX, ids.height_px - top), ids.width_px))

    write_atomically(path, write)


def write_outlines(
    path: Path, areas: Iterable[Area], names: Sequence[str], colours: Sequence[str], scale: Scale
) -> None:
    """Write GeoJSON; arguments as of `write_annotations`."""
    write_atomically(path, lambda file: write_annotations(file, areas, names, colours, scale=scale))


def class_pixels(ids: IdsFile, n_classes: int) -> list[int]:
    """Return the pixels of each class."""
    pixels = np.zeros(256, dtype=np.int64)
    for top in range(0, ids.height_px, BAND_PX):
        rows = ids.read(top, 0, min(BAND_PX, ids.height_px - top), ids.width_px)
        pixels += np.bincount(rows.ravel(), minlength=256)
    return pixels[:n_classes].tolist()


def resized(ids: IdsFile, height_px: int, width_px: int, path: Path) -> IdsFile:
    """Return the ids of a picture at another size in a file of their own, each pixel taking the nearest class."""
    whole = Image.fromarray(ids.read(0, 0, *ids.shape))
    own = IdsFile(path, height_px, width_px)
    own.write(0, 0, np.asarray(whole.resize((width_px, height_px), Image.Resampling.NEAREST)))
    return own
