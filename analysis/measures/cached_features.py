"""Features of frozen encoders, read from the cache that training wrote; without torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.array_store import require_undamaged
from imbalance_bench.data.caches import features_folder
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.data.tiling import Tile, cut_mask, tile_dataset
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.record_documents import read_document
from imbalance_bench.seeding import generator

# what decides the features of a tile: keys of the description of a store; one that is missing counts as None
DECIDING = ("data", "tiling", "encoder", "mean", "std", "kwargs", "scale", "features", "architecture")
CELLS_PER_TILE = 64  # of each class, drawn from the cells that contain only this class


@dataclass(frozen=True)
class CachedFeatures:
    """The features of every tile of a data set, without augmentation; of fused encoders, from one store for each.

    Args:
        encoder: Name of the encoder, or of all of them.
        levels: One array per level, (rows, C, h, w) float16; row i is tile i.
        strides: Stride of each level, px.
        tiles: The T tiles.
        tile_px: Edge of a tile, px.
        folders: The stores.
    """

    encoder: str
    levels: Sequence[np.ndarray]
    strides: Sequence[int]
    tiles: Sequence[Tile]
    tile_px: int
    folders: tuple[Path, ...]

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
        stride = min(self.strides)
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


def open_features(cache_dir: Path, dataset: PreparedDataset, keys: Sequence[str]) -> CachedFeatures | None:
    """Open the features with these keys.

    Args:
        cache_dir: The folder given to `run --cache`.
        dataset: The data set that was encoded.
        keys: As a run recorded them, one for each encoder.

    Returns:
        The features, or None where a store of them is missing or unfinished.

    Raises:
        UserError: A store is damaged, or holds other features than its name says.
    """
    stores = []
    for key in keys:
        marker = cache_dir / features_folder(key) / "complete.json"
        if not marker.exists():
            return None
        content = read_document(marker)
        if content["key"] != key:
            raise UserError(f"{marker} must be of the features {key}. Got {content['key']}. Delete the folder.")
        stores.append((marker.parent, content["description"]))
    return _open(stores, dataset)


def find_features(
    cache_dir: Path, dataset: PreparedDataset, *, data_hash: str, wanted: str | None = None
) -> CachedFeatures | None:
    """Find features of a data set in a cache folder, where no study says which.

    Args:
        cache_dir: The folder given to `run --cache`.
        dataset: The data set.
        data_hash: Its content hash.
        wanted: Name of the encoder, or of a store; None if the cache holds one kind of features only.

    Returns:
        The features, or None.

    Raises:
        UserError: There are several kinds of features, or a store is damaged.
    """
    kinds: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for folder, description in _stores(cache_dir):
        if description.get("data") == data_hash and wanted in (None, _name(description), folder.name):
            kinds.setdefault(canonical_hash(_deciding(description)), (folder, description))
    # a store of an earlier version does not name the normalisation, and may repeat one that does
    named_kinds = [_but_normalisation(store[1]) for store in kinds.values() if "mean" in store[1]]
    stores = [
        store for store in kinds.values() if "mean" in store[1] or _but_normalisation(store[1]) not in named_kinds
    ]
    if len(stores) > 1:
        named = ", ".join(_told_apart(stores))
        raise UserError(f"{cache_dir} holds features of several kinds for this data set. Choose one of {named}.")
    return _open(stores, dataset) if stores else None


def described_features(
    cache_dir: Path, dataset: PreparedDataset, description: Mapping[str, Any]
) -> CachedFeatures | None:
    """Open the features of one encoder that were described so by a version that did not record their key.

    Args:
        cache_dir: The folder given to `run --cache`.
        dataset: The data set that was encoded.
        description: What decides them, with the keys of `DECIDING` that apply.

    Raises:
        UserError: A store is damaged.
    """
    expected = _deciding(description)
    match = next((store for store in _stores(cache_dir) if _deciding(store[1]) == expected), None)
    return None if match is None else _open([match], dataset)


def _stores(cache_dir: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the finished stores of features and what they say they hold, by name."""
    for marker in sorted(Path(cache_dir).glob("features-*/complete.json")):
        yield marker.parent, read_document(marker).get("description", {})


def _deciding(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a description decides the features of tiles as they are, without augmented views."""
    return {key: description.get(key) for key in DECIDING}


def _but_normalisation(description: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _deciding(description).items() if key not in ("mean", "std")}


def _name(description: Mapping[str, Any]) -> str | None:
    return description.get("encoder", (None, None))[0]


def _told_apart(stores: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[str]:
    """Name stores by their encoders; those of the same encoder by their folders and what they hold."""
    names = [str(_name(description)) for _, description in stores]
    return sorted(
        name if names.count(name) == 1 else f"{folder.name} ({_content(description)})"
        for name, (folder, description) in zip(names, stores, strict=True)
    )


def _content(description: Mapping[str, Any]) -> str:
    name, weights = description["encoder"]
    tile_px, stride_px = description["tiling"]
    return f"{name}, weights {str(weights)[:8]}, tiles of {tile_px} px every {stride_px} px"


def _open(stores: Sequence[tuple[Path, Mapping[str, Any]]], dataset: PreparedDataset) -> CachedFeatures:
    """Open the stores of one model, which share their tiles."""
    tile_px, stride_px = stores[0][1]["tiling"]
    tiles = tile_dataset(dataset, tile_px, stride_px)
    levels: list[np.ndarray] = []
    for folder, description in stores:
        require_undamaged(folder)
        levels += [_level(folder / f"level_{level}.npy", len(tiles)) for level in range(len(description["strides"]))]
    return CachedFeatures(
        " + ".join(str(_name(description)) for _, description in stores),
        levels,
        [stride for _, description in stores for stride in description["strides"]],
        tiles,
        tile_px,
        tuple(folder for folder, _ in stores),
    )


def _level(path: Path, n_tiles: int) -> np.ndarray:
    """Map one level of a store."""
    try:
        level = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} must be readable. Got: {error}. Delete the folder and run the study again.") from error
    if len(level) < n_tiles:
        raise UserError(f"{path} must hold {n_tiles} tiles. Got {len(level)}. Delete the folder.")
    return level
