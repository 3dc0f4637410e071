"""Whole images from tiles: logits are averaged where tiles overlap, then the most likely class is taken."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.tiling import Stitcher, Tile
from imbalance_bench.evaluation.finite import require_finite

TILES_PER_PASS = 4


def passes(rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Divide the rows of an image's tiles into what goes through the model at once."""
    return [tuple(rows[start : start + TILES_PER_PASS]) for start in range(0, len(rows), TILES_PER_PASS)]


def most_likely(logits: np.ndarray) -> np.ndarray:
    """Return the class of the largest logit, (K, H, W) -> (H, W) uint8."""
    return logits.argmax(0).astype(np.uint8)


def logit_bands(
    tile_logits: Callable[[Sequence[int]], Tensor],
    tiles: Sequence[Tile],
    rows: Sequence[int],
    *,
    n_classes: int,
    height_px: int,
    width_px: int,
    adjust_logits: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[np.ndarray]:
    """Predict the logits of one image, from its first row to its last, band by band.

    Args:
        tile_logits: Rows -> (n, K, t, t) float32.
        tiles: Where each row lies in its image.
        rows: Rows of this image's tiles, from its top to its bottom.
        n_classes: K.
        height_px: Of the image.
        width_px: Of the image.
        adjust_logits: A method's inference-time correction.

    Yields:
        (K, h, W) float32; h is what no further tile reaches.

    Raises:
        NotFiniteError: A logit is NaN or infinite.
    """
    stitcher, top = Stitcher(n_classes, height_px, width_px), 0
    for part in passes(rows):
        with torch.inference_mode():
            logits = tile_logits(part)
            if adjust_logits is not None:
                logits = adjust_logits(logits)
        require_finite("The model's logits", logits)
        for row, values in zip(part, logits.cpu().numpy(), strict=True):
            if tiles[row].top > top:
                top = tiles[row].top
                yield stitcher.take(top)
            stitcher.add(tiles[row].top, tiles[row].left, values)
    yield stitcher.result()
