"""Masks of images of any size: tiles are predicted row by row, and finished rows leave at once."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np

from imbalance_bench.data.tiling import cut, tile_image
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.evaluation.prediction import TILES_PER_PASS

TileLogits = Callable[[np.ndarray], np.ndarray]  # (n, t, t, 3) uint8 -> (n, K, t, t) float32


def predict_bands(
    image: RegionImage,
    tile_logits: TileLogits,
    *,
    tile_px: int,
    stride_px: int,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[np.ndarray]:
    """Predict an image, yielding its mask from top to bottom in bands of complete rows.

    Logits are summed where tiles overlap, which gives the classes of their average, as in the evaluation of a run.
    Memory: one row of tiles, that is (K + 1) x tile_px x W numbers of 4 bytes, whatever the height of the image.

    Args:
        image: An open image, H x W.
        tile_logits: The model.
        tile_px: Edge t of the tiles.
        stride_px: Pixels from one tile to the next.
        on_progress: Called with the tiles done and the tiles in all.

    Yields:
        (h, W) uint8 class ids; the heights h sum to H.
    """
    places = tile_image(image.height_px, image.width_px, tile_px, stride_px)
    rows = [(top, [left for _, left in row]) for top, row in groupby(places, key=lambda place: place[0])]
    band: _Band | None = None
    done = 0
    for number, (top, lefts) in enumerate(rows):
        strip = image.read(top, 0, min(tile_px, image.height_px - top), image.width_px)
        for part in _passes(lefts):
            logits = tile_logits(np.stack([cut(strip, 0, left, tile_px) for left in part]))
            if band is None:
                band = _Band(logits.shape[1], tile_px, image.width_px)
            for left, values in zip(part, logits, strict=True):
                band.add(top, left, values)
            done += len(part)
            on_progress(done, len(places))
        until = rows[number + 1][0] if number + 1 < len(rows) else image.height_px
        if band is not None:
            yield band.take(until)


class _Band:
    """Sums of logits of the rows that are not finished yet."""

    def __init__(self, n_classes: int, tile_px: int, width_px: int) -> None:
        self._sum = np.zeros((n_classes, tile_px, width_px), dtype=np.float32)
        self._top = 0

    def add(self, top: int, left: int, logits: np.ndarray) -> None:
        """Add the (K, t, t) logits of one tile; what lies right of the image is dropped."""
        first = top - self._top
        width = min(logits.shape[2], self._sum.shape[2] - left)
        self._sum[:, first:, left : left + width] += logits[:, : self._sum.shape[1] - first, :width]

    def take(self, until: int) -> np.ndarray:
        """Return the mask of the rows before `until`, and move on to it."""
        n = until - self._top
        mask = self._sum[:, :n].argmax(0).astype(np.uint8)  # the largest sum is the largest mean
        self._sum[:, :-n] = self._sum[:, n:].copy()
        self._sum[:, -n:] = 0
        self._top = until
        return mask


def _passes(lefts: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(lefts), TILES_PER_PASS):
        yield lefts[start : start + TILES_PER_PASS]
