"""The image with its classes laid over it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.manifest import write_atomically

LONGEST_SIDE_PX = 4096
STRENGTH = 0.35  # of the class colour inside an area; its border has the full colour


def write_overlay(
    path: Path, image: RegionImage, ids: IdsFile, colours: Sequence[str], overview: np.ndarray | None = None
) -> None:
    """Write a PNG of the image, tinted by class, with full colour on the borders; large images are reduced.

    Args:
        path: Target.
        image: H x W.
        ids: Class ids, H x W.
        colours: "#rrggbb" of each class.
        overview: (h, w, 3) uint8, the whole image at a size that serves; None reads it.
    """
    stride = -(-max(ids.shape) // LONGEST_SIDE_PX)
    palette = np.zeros((256, 3), dtype=np.float32)
    palette[: len(colours)] = [list(bytes.fromhex(colour.removeprefix("#"))) for colour in colours]
    height, width = -(-ids.height_px // stride), -(-ids.width_px // stride)
    whole = None if overview is None else np.asarray(Image.fromarray(overview).resize((width, height)))
    overlay = np.empty((height, width, 3), dtype=np.uint8)
    band = stride * max(1, LONGEST_SIDE_PX // (4 * stride))
    for top in range(0, ids.height_px, band):
        rows = min(band, ids.height_px - top)
        part = ids.read(top, 0, rows, ids.width_px, step=stride)
        below = ids.read(min(top + rows, ids.height_px - 1), 0, 1, ids.width_px, step=stride)
        target = slice(top // stride, top // stride + len(part))
        pixels = _reduced(image, top, rows, stride) if whole is None else whole[target]
        overlay[target] = blend(pixels, part, palette, below)
    picture = Image.fromarray(overlay)
    write_atomically(path, partial(picture.save, format="PNG"))


def blend(pixels: np.ndarray, ids: np.ndarray, palette: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Tint (h, w, 3) pixels by (h, w) ids; `below`, (1, w), is the row of ids under them."""
    next_row = np.vstack([ids[1:], below])
    next_column = np.hstack([ids[:, 1:], ids[:, -1:]])
    border = (ids != next_row) | (ids != next_column)
    strength = np.where(ids == UNLABELLED, 0.0, np.where(border, 1.0, STRENGTH))[..., None].astype(np.float32)
    return (pixels * (1 - strength) + palette[ids] * strength).round().astype(np.uint8)


def _reduced(image: RegionImage, top: int, rows: int, stride: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image.read(top, 0, rows, image.width_px)).reduce(stride))
