"""Features of a frozen encoder, read from the cache that training wrote; without torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.array_store import require_undamaged
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.data.tiling import Tile, cut_mask, tile_dataset
from imbalance_bench.errors import UserError
from imbalance_bench.record_documents import read_document
from imbalance_bench.seeding import generator

CELLS_PER_TILE = 64  # of each class, drawn from the cells that contain only this class


@dataclass(frozen=True)
class CachedFeatures:
    """One cache: the features of every tile of a data set, without augmentation.

    Args:
        encoder: Name of the encoder.
        levels: One array per level, finest first, (rows, C, h, w) float16; row i is tile i.
        strides: Stride of each level, px.
        tiles: The T tiles.
        tile_px: Edge of a tile, px.
    """

    encoder: str
    levels: Sequence[np.ndarray]
    strides: Sequence[int]
    tiles: Sequence[Tile]
    tile_px: int

    def cells(
        self, dataset: PreparedDataset, taxonomy: Taxonomy, image_ids: Sequence[str]
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield, tile by tile, the features of cells that lie wholly in one class; the same cells at every call.

        A cell is as large as the finest stride; coarser levels are read at its centre. Where tiles overlap, the first
        one counts.

        Yields:
            Image id, (n,) class indices, (n, C of all levels) float32.
        """
        wanted, current = set(image_ids), ""
        mask = covered = np.zeros((0, 0), np.uint8)
        for row, tile in enumerate(self.tiles):
            if tile.image_id not in wanted:
                continue
            if tile.image_id != current:
                current, mask = tile.image_id, taxonomy.apply(dataset.read_mask(tile.image_id))
                covered = mask.copy()
            part = cut_mask(covered, tile.top, tile.left, self.tile_px)
            y, x, classes = self._draw(part, generator(0, "cells", current, tile.top, tile.left))
            covered[tile.top : tile.top + self.tile_px, tile.left : tile.left + self.tile_px] = UNLABELLED
            if len(classes):
                yield current, classes, self._read(row, y, x)

    def _draw(self, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw cells of one tile: the row and column of their centres, px, and their classes."""
        stride = self.strides[0]
        edge = self.tile_px // stride
        blocks = mask[: edge * stride, : edge * stride].reshape(edge, stride, edge, stride)
        lowest, highest = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
        pure = np.where(lowest == highest, lowest, UNLABELLED).ravel()
        draws = []
        for c in np.unique(pure[pure != UNLABELLED]):
            indices = np.flatnonzero(pure == c)
            draws.append(rng.permutation(indices)[:CELLS_PER_TILE])
        chosen = np.concatenate(draws) if draws else np.zeros(0, np.int64)
        row, column = np.divmod(chosen, edge)
        return row * stride + stride // 2, column * stride + stride // 2, pure[chosen].astype(np.int64)

    def _read(self, row: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        parts = [
            np.asarray(level[row])[:, y // s, x // s].T for level, s in zip(self.levels, self.strides, strict=True)
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)


def find_features(
    cache_dir: Path,
    dataset: PreparedDataset,
    *,
    data_hash: str,
    encoder: str | None = None,
    weights_hash: str | None = None,
) -> CachedFeatures | None:
    """Find the features of a data set in a cache folder.

    Args:
        cache_dir: The folder given to `run --cache`.
        dataset: The data set.
        data_hash: Its content hash.
        encoder: Name of the encoder; None if the cache holds features of one encoder only.
        weights_hash: Hash of its weights; None for any.

    Returns:
        The features, of the largest tiles if there are several tilings, or None.

    Raises:
        UserError: There are features of several encoders and none was named, or a cache is damaged.
    """
    matches = []
    for marker in sorted(Path(cache_dir).glob("features-*/complete.json")):
        description = read_document(marker).get("description", {})
        name, weights = description.get("encoder", (None, None))
        if description.get("data") == data_hash and encoder in (None, name) and weights_hash in (None, weights):
            matches.append((marker.parent, description))
    names = sorted({description["encoder"][0] for _, description in matches})
    if len(names) > 1:
        raise UserError(f"{cache_dir} holds features of several encoders. Choose one of {', '.join(names)}.")
    if not matches:
        return None
    folder, description = max(matches, key=lambda match: match[1]["tiling"][0])
    return _open(folder, description, dataset)


def _open(folder: Path, description: dict[str, Any], dataset: PreparedDataset) -> CachedFeatures:
    require_undamaged(folder)
    tile_px, stride_px = description["tiling"]
    strides = description["strides"]
    tiles = tile_dataset(dataset, tile_px, stride_px)
    levels = []
    for level in range(len(strides)):
        path = folder / f"level_{level}.npy"
        try:
            levels.append(np.load(path, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} must be readable. Got: {error}. Delete the folder and run the study again."
            ) from error
        if len(levels[-1]) < len(tiles):
            raise UserError(f"{path} must hold {len(tiles)} tiles. Got {len(levels[-1])}. Delete the folder.")
    return CachedFeatures(description["encoder"][0], levels, strides, tiles, tile_px)
