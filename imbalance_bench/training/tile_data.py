"""What a model is fed: crops of tiles as images or cached features, with their labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.config import StudyConfig
from imbalance_bench.data.augmentation import jitter, resized, resized_labels, turn, turn_array
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.data.tile_store import TileStore
from imbalance_bench.models.encoders import COARSEST_STRIDE_PX
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.training.batches import Batch
from imbalance_bench.training.feature_cache import CachedFeatures, cached_element
from methods.slots import TrainingBatch


@dataclass(frozen=True)
class TileData:
    """The tiles of a data set as one run sees them.

    Attributes:
        config: The study.
        tiles: Images and masks of all tiles.
        lookup: (256,) uint8, source class id -> merged class id or UNLABELLED.
        cache: Features of frozen encoders, or None for training on images.
        device: Where tensors go.
    """

    config: StudyConfig
    tiles: TileStore
    lookup: np.ndarray
    cache: CachedFeatures | None
    device: torch.device

    @property
    def folders(self) -> list[Path]:
        """The stores on disk that are read."""
        return [self.tiles.folder, *(self.cache.folders if self.cache is not None else ())]

    @property
    def grid_px(self) -> int:
        """Where crops can begin: at every pixel of images, at whole pixels of every level of cached features."""
        if self.cache is None:
            return 1
        common = math.lcm(*self.cache.strides)
        return COARSEST_STRIDE_PX if COARSEST_STRIDE_PX % common == 0 else common

    def training_batch(self, batch: Batch) -> TrainingBatch:
        """Read the features or images of a training batch, as augmented, and its labels."""
        target, valid = self.training_labels(batch)
        if self.cache is not None:
            size = self.config.training.crop_px
            features = self.cache.read(batch.tiles, batch.cached_views, batch.tops, batch.lefts, size)
            return TrainingBatch([feature.to(self.device) for feature in features], self.cache.strides, target, valid)
        return TrainingBatch([self._training_images(batch)], (1,), target, valid)

    def training_logits(self, segmenter: Segmenter, batch: TrainingBatch) -> Tensor:
        """Run the model on a training batch: (B, K, crop, crop) float32."""
        if self.cache is not None:
            return segmenter.decode(batch.maps, batch.target.shape[-1])
        return segmenter(batch.maps[0])

    def _training_images(self, batch: Batch) -> Tensor:
        """Crops of the images, turned and jittered, (B, 3, crop, crop) float32 in 0..255."""
        size = self.config.training.crop_px
        turned = [
            turn(torch.from_numpy(np.array(self.tiles.images[tile])).permute(2, 0, 1), int(element))
            for tile, element in zip(batch.tiles, batch.views.element, strict=True)
        ]
        if batch.windows is None:
            places = zip(turned, batch.tops, batch.lefts, strict=True)
            crops = [tile[:, top : top + size, left : left + size] for tile, top, left in places]
        else:
            crops = [resized(tile, window, size) for tile, window in zip(turned, batch.windows, strict=True)]
        return jitter(torch.stack(crops).to(self.device), batch.views)

    def training_labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return target, (B, crop, crop) int64 in 0..K-1, and valid, (B, crop, crop) bool, of a training batch."""
        size = self.config.training.crop_px
        turned = [
            turn_array(self.tiles.masks[tile], int(element))
            for tile, element in zip(batch.tiles, self.elements(batch), strict=True)
        ]
        if batch.windows is None:
            places = zip(turned, batch.tops, batch.lefts, strict=True)
            crops = [tile[top : top + size, left : left + size] for tile, top, left in places]
        else:
            crops = [resized_labels(tile, window, size) for tile, window in zip(turned, batch.windows, strict=True)]
        return target_and_valid(torch.from_numpy(self.lookup[np.stack(crops)]).to(self.device))

    def elements(self, batch: Batch) -> np.ndarray:
        """Return the element of the dihedral group that turns each crop's tile, (B,) int64."""
        return batch.views.element if self.cache is None else cached_element(batch.cached_views, self.config)

    def tile_logits(self, segmenter: Segmenter, tiles: Sequence[int]) -> Tensor:
        """Run the model on whole tiles as they are: (n, K, tile, tile) float32."""
        return segmenter.decode(self.tile_features(segmenter, tiles), self.config.dataset.tile_px)

    def tile_features(self, segmenter: Segmenter, tiles: Sequence[int]) -> list[Tensor]:
        """Features of whole tiles as they are, one tensor per level, (n, C, h, w)."""
        rows = np.asarray(tiles, dtype=np.int64)
        if self.cache is not None:
            origin = np.zeros_like(rows)
            features = self.cache.read(rows, origin, origin, origin, self.config.dataset.tile_px)
            return [feature.to(self.device) for feature in features]
        images = torch.from_numpy(self.tiles.images[rows]).permute(0, 3, 1, 2)
        return segmenter.encode(images.to(self.device))

    def crop_logits(
        self, segmenter: Segmenter, tiles: np.ndarray, tops: np.ndarray, lefts: np.ndarray, size_px: int
    ) -> Tensor:
        """Run the model on crops of tiles as they are: (n, K, size_px, size_px) float32.

        Args:
            segmenter: The model.
            tiles: (n,) int64, rows of the tile store.
            tops: (n,) int64, first row of each crop, px, a multiple of the coarsest stride.
            lefts: (n,) int64, first column, likewise.
            size_px: Edge of the crops, likewise.
        """
        if self.cache is not None:
            features = self.cache.read(tiles, np.zeros_like(tiles), tops, lefts, size_px)
            return segmenter.decode([feature.to(self.device) for feature in features], size_px)
        crops = [
            self.tiles.images[tile, top : top + size_px, left : left + size_px]
            for tile, top, left in zip(tiles, tops, lefts, strict=True)
        ]
        return segmenter(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(self.device))

    def crop_labels(self, tile: int, top: int, left: int, size_px: int) -> np.ndarray:
        """Labels of a crop as it is, (size_px, size_px) uint8 in 0..K-1 or UNLABELLED."""
        return self.lookup[self.tiles.masks[tile, top : top + size_px, left : left + size_px]]

    def crop_pixels(self, tile: int, top: int, left: int, size_px: int, n_classes: int) -> np.ndarray:
        """Labelled pixels of each class in a crop, (n_classes,) int64."""
        return np.bincount(self.crop_labels(tile, top, left, size_px).ravel(), minlength=256)[:n_classes]

    def tile_pixels(self, tiles: Sequence[int], n_classes: int) -> np.ndarray:
        """Labelled pixels of each class in each tile, (n, n_classes) int64."""
        edge = self.config.dataset.tile_px
        return np.stack([self.crop_pixels(tile, 0, 0, edge, n_classes) for tile in tiles])


def target_and_valid(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Turn labels, (B, S, S) uint8 in 0..K-1 or UNLABELLED, into target, int64 in 0..K-1, and valid, bool."""
    valid = labels != UNLABELLED
    return torch.where(valid, labels, 0).long(), valid
