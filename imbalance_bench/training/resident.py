"""Training tiles that live on the device: crops are gathered there by index, with the values that the CPU reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.augmentation import ELEMENTS, jitter, turn_array
from imbalance_bench.training.batches import Batch
from imbalance_bench.training.feature_cache import FeatureCache
from imbalance_bench.training.tile_data import TileData, target_and_valid
from methods.slots import TrainingBatch

SHARE_OF_FREE_MEMORY = 0.1  # of a device, so that several runs can share it


class TurnedPlaces:
    """Where crops lie in flattened square tiles that an element of the dihedral group has turned.

    Args:
        edge_px: Of a tile, at least 2.
    """

    def __init__(self, edge_px: int) -> None:
        index = np.arange(edge_px**2).reshape(edge_px, edge_px)
        turned = [turn_array(index, element) for element in range(ELEMENTS)]
        self._first = np.array([each[0, 0] for each in turned])
        self._down = np.array([each[1, 0] - each[0, 0] for each in turned])
        self._right = np.array([each[0, 1] - each[0, 0] for each in turned])
        self._pixels = edge_px**2

    def of(self, rows: np.ndarray, elements: np.ndarray, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
        """Return where n crops begin and how they go on; all arguments (n,) int64.

        Returns:
            (3, n) int64: place of the first pixel, and steps to the pixel below and to the one on the right.
        """
        down, right = self._down[elements], self._right[elements]
        return np.stack([rows * self._pixels + self._first[elements] + tops * down + lefts * right, down, right])


class ResidentMaps:
    """Some rows of an array of square maps, on a device.

    Args:
        array: (R, t, t, ...), of which only `rows` are read.
        rows: n rows of it.
        device: Where they live.
        channels_first: The array is (R, C, t, t); on the device its channels come last.
    """

    def __init__(
        self, array: np.ndarray, rows: Sequence[int], device: torch.device, *, channels_first: bool = False
    ) -> None:
        def of_row(row: int) -> Tensor:
            read = torch.from_numpy(np.array(array[row])).to(device)
            return read.permute(1, 2, 0) if channels_first else read

        first = of_row(rows[0])
        maps = torch.empty((len(rows), *first.shape), dtype=first.dtype, device=device)
        for place, row in enumerate(rows):
            maps[place] = of_row(row)
        self._flat = maps.flatten(0, 2)
        self._turned = TurnedPlaces(first.shape[0])
        self._place = {row: place for place, row in enumerate(rows)}

    def crops(
        self, rows: Sequence[int], tops: np.ndarray, lefts: np.ndarray, size: int, elements: np.ndarray | None = None
    ) -> Tensor:
        """Return crops of maps, (n, size, size, ...), which `elements` turn first, if given."""
        places = np.array([self._place[row] for row in rows])
        unturned = np.zeros_like(places)
        numbers = self._turned.of(places, unturned if elements is None else elements, tops, lefts)
        first, down, right = torch.from_numpy(numbers).to(self._flat.device)[:, :, None, None]
        steps = torch.arange(size, device=self._flat.device)
        return self._flat[first + down * steps[:, None] + right * steps]


@dataclass(frozen=True)
class ResidentCrops:
    """What `TileData.training_batch` reads, on a device.

    Attributes:
        data: The tiles.
        lookup: (256,) uint8, source class id -> merged class id or UNLABELLED.
        masks: Of the training tiles, in source class ids.
        images: Of the training tiles, of a model that encodes them in every step.
        features: Else, the cache and the maps of each level of each encoder.
    """

    data: TileData
    lookup: Tensor
    masks: ResidentMaps
    images: ResidentMaps | None
    features: tuple[tuple[FeatureCache, tuple[ResidentMaps, ...]], ...]

    @classmethod
    def of(cls, data: TileData, tiles: Sequence[int]) -> Self:
        """Bring training tiles, given by their rows, to the device of `data`."""
        device, store = data.device, data.tiles
        return cls(
            data,
            torch.from_numpy(np.array(data.lookup)).to(device),
            ResidentMaps(store.masks, tiles, device),
            ResidentMaps(store.images, tiles, device) if data.cache is None else None,
            tuple(
                (cache, tuple(ResidentMaps(level, rows, device, channels_first=True) for level in cache.levels))
                for cache, rows in _cached_rows(data, tiles)
            ),
        )

    def training_batch(self, batch: Batch) -> TrainingBatch:
        """Return the features or images of a training batch, as augmented, and its labels."""
        tiles, places, elements = batch.tiles.tolist(), (batch.tops, batch.lefts), self.data.elements(batch)
        size, cache = self.data.config.training.crop_px, self.data.cache
        target, valid = target_and_valid(self.lookup[self.masks.crops(tiles, *places, size, elements).long()])
        if cache is None:
            assert self.images is not None
            images = self.images.crops(tiles, *places, size, elements).permute(0, 3, 1, 2).contiguous()
            return TrainingBatch([jitter(images, batch.views)], (1,), target, valid)
        maps = [
            _maps(level.crops(rows, batch.tops // stride, batch.lefts // stride, size // stride))
            for each, levels in self.features
            for rows in [each.rows_of(batch.tiles, batch.cached_views)]
            for level, stride in zip(levels, each.strides, strict=True)
        ]
        return TrainingBatch(maps, cache.strides, target, valid)


def _maps(crops: Tensor) -> Tensor:
    """Turn crops, (n, e, e, C) float16, into maps, (n, C, e, e) float32, in memory as those of the CPU."""
    if crops.shape[1] == 1:  # strides of single pixels are ambiguous, and kernels are chosen by strides
        return crops.float().flatten(1)[:, :, None, None]
    return crops.permute(0, 3, 1, 2).float()


def crops_of(data: TileData, tiles: Sequence[int], n_crops: int) -> TileData | ResidentCrops:
    """Return what reads training batches: on a GPU from its own memory, where the training tiles fit there.

    Args:
        data: The tiles.
        tiles: Rows of those that are trained on.
        n_crops: That a training reads; to bring all tiles to the device costs about as much as to read a crop of each.
    """
    augmentation = data.config.training.augmentation
    n_rows = len(tiles) * (1 if data.cache is None else augmentation.cached_views)
    if data.device.type != "cuda" or augmentation.resized_crop is not None or n_crops < n_rows:
        return data
    free, _ = torch.cuda.mem_get_info(data.device)
    return ResidentCrops.of(data, tiles) if _n_bytes(data, tiles) <= SHARE_OF_FREE_MEMORY * free else data


def _cached_rows(data: TileData, tiles: Sequence[int]) -> list[tuple[FeatureCache, list[int]]]:
    """Rows of each feature cache that hold the training tiles in all views."""
    if data.cache is None:
        return []
    views = data.config.training.augmentation.cached_views
    every = np.repeat(np.asarray(tiles), views), np.tile(np.arange(views), len(tiles))
    return [(cache, cache.rows_of(*every)) for cache in data.cache.caches]


def _n_bytes(data: TileData, tiles: Sequence[int]) -> int:
    store = data.tiles
    arrays = [store.masks] if data.cache is not None else [store.masks, store.images]
    cached = sum(len(rows) * level[0].nbytes for cache, rows in _cached_rows(data, tiles) for level in cache.levels)
    return cached + sum(len(tiles) * array[0].nbytes for array in arrays)
