"""Which crops each step sees. A batch is a function of (seed, step) alone, so a resumed run sees the same ones."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from imbalance_bench.config import TrainingSection
from imbalance_bench.data.augmentation import Views, draw_views, draw_windows
from imbalance_bench.seeding import generator
from methods.slots import Sampler


@dataclass(frozen=True)
class Batch:
    """One forward pass worth of crops.

    Attributes:
        tiles: (B,) int64, rows of the tile store.
        cached_views: (B,) int64, view of each tile in the feature cache; zeros without a cache.
        tops: (B,) int64, first row of the crop in the turned tile, px.
        lefts: (B,) int64, first column, px.
        views: What to do to fresh images; not used with a cache, whose views were drawn once for all runs.
        windows: (B, 4) int64, top, left, height and width in the turned tile, px, of what is resized to the crop;
            None for crops at the tile's own scale.
    """

    tiles: np.ndarray
    cached_views: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    views: Views
    windows: np.ndarray | None = None

    def update(self, digest: bytes) -> bytes:
        """Chain this batch into a running digest."""
        chain = hashlib.sha256(digest)
        windows = () if self.windows is None else (self.windows,)
        for array in (self.tiles, self.cached_views, self.tops, self.lefts, *self.views.arrays, *windows):
            chain.update(np.ascontiguousarray(array).tobytes())
        return chain.digest()


class BatchSequence:
    """The crops of a whole training.

    Args:
        tiles: (n,) int64, rows of the tile store that belong to the training split and hold a labelled pixel.
        tile_pixels: (n, K) int64, labelled pixels of each class in each of them; for samplers.
        tile_px: Edge of a tile.
        section: The study's training section.
        seed: The run's seed, or the study's `data_order_seed`.
        cached_views: Views per tile in the feature cache; 0 for training on fresh images.
        grid_px: Crops begin at multiples of it: cached features can only be cut where every level has a whole pixel.
        sampler: Replaces one pass over all tiles in random order.

    Attributes:
        tiles: (n,) int64, as given.
    """

    def __init__(
        self,
        tiles: np.ndarray,
        tile_pixels: np.ndarray,
        *,
        tile_px: int,
        section: TrainingSection,
        seed: int,
        cached_views: int,
        grid_px: int = 1,
        sampler: Sampler | None = None,
    ) -> None:
        self.tiles, self._tile_pixels, self._sampler = tiles, tile_pixels, sampler
        self._section, self._seed, self._cached_views = section, seed, cached_views
        self._grid_px = grid_px
        self._slack = tile_px - section.crop_px
        self._drawn = np.empty(0, dtype=np.int64)
        self._epochs = 0

    def of_step(self, step: int) -> Iterator[Batch]:
        """Yield the `accumulate` batches of optimiser step `step`, 0 for the first."""
        for part in range(self._section.accumulate):
            yield self._batch(step * self._section.accumulate + part)

    def _batch(self, number: int) -> Batch:
        size = self._section.batch_size
        rng = generator(self._seed, "batch", number)
        augmentation = self._section.augmentation
        views = draw_views(
            rng,
            size,
            dihedral=augmentation.dihedral,
            stain_strength=augmentation.stain_strength,
            colour_strength=augmentation.colour_strength,
            hue_strength=augmentation.hue_strength,
        )
        grid = self._grid_px
        tops, lefts = grid * rng.integers(self._slack // grid + 1, size=(2, size))
        cached_views = rng.integers(max(self._cached_views, 1), size=size)
        area, windows = augmentation.resized_crop, None
        if area is not None:
            tile_px = self._slack + self._section.crop_px
            windows = draw_windows(rng, size, tile_px=tile_px, area=area)
        return Batch(
            tiles=self.tiles[self._positions(number * size, size)],
            cached_views=cached_views,
            tops=tops,
            lefts=lefts,
            views=views,
            windows=windows,
        )

    def _positions(self, start: int, n: int) -> np.ndarray:
        """Indices start..start+n of the endless concatenation of epochs."""
        while len(self._drawn) < start + n:
            rng = generator(self._seed, "epoch", self._epochs)
            sampler = self._sampler
            epoch = rng.permutation(len(self.tiles)) if sampler is None else sampler(self._tile_pixels, rng)
            self._drawn = np.concatenate([self._drawn, epoch])
            self._epochs += 1
        return self._drawn[start : start + n]
