"""The image with its classes laid over it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.manifest import write_atomically

LONGEST_SIDE_PX = 4096
STRENGTH = 0.35  # of the class colour inside an area; its border has the full colour


def write_overlay(path: Path, image: RegionImage, ids: np.ndarray, colours: Sequence[str]) -> None:
    """Write a PNG of the image, tinted by class, with full colour on the borders; large images are reduced.

    Args:
        path: Target.
        image: H x W.
        ids: (H, W) uint8 class ids.
        colours: "#rrggbb" of each class.
    """
    stride = -(-max(ids.shape) // LONGEST_SIDE_PX)
    palette = np.array([list(bytes.fromhex(colour.removeprefix("#"))) for colour in colours], dtype=np.float32)
    height, width = -(-ids.shape[0] // stride), -(-ids.shape[1] // stride)
    overlay = np.empty((height, width, 3), dtype=np.uint8)
    band = stride * max(1, LONGEST_SIDE_PX // (4 * stride))
    for top in range(0, ids.shape[0], band):
        rows = min(band, ids.shape[0] - top)
        pixels = Image.fromarray(image.read(top, 0, rows, image.width_px)).reduce(stride)
        part = np.asarray(ids[top : top + rows : stride, ::stride])
        below = np.asarray(ids[min(top + rows, ids.shape[0] - 1), ::stride])[None]
        overlay[top // stride : top // stride + len(part)] = blend(np.asarray(pixels), part, palette, below)
    picture = Image.fromarray(overlay)
    write_atomically(path, partial(picture.save, format="PNG"))


def blend(pixels: np.ndarray, ids: np.ndarray, palette: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Tint (h, w, 3) pixels by (h, w) ids; `below`, (1, w), is the row of ids under them."""
    next_row = np.vstack([ids[1:], below])
    next_column = np.hstack([ids[:, 1:], ids[:, -1:]])
    border = (ids != next_row) | (ids != next_column)
    strength = np.where(border, 1.0, STRENGTH)[..., None].astype(np.float32)
    return (pixels * (1 - strength) + palette[ids] * strength).round().astype(np.uint8)
