"""Tiles: where they lie, how they are cut, and how their predictions are put together again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.errors import UserError


@dataclass(frozen=True)
class Tile:
    """One tile.

    Args:
        image_index: Position of its image in `dataset.entries`.
        image_id: Its image.
        top: First row, px.
        left: First column, px.
    """

    image_index: int
    image_id: str
    top: int
    left: int


def tile_image(height: int, width: int, tile_px: int, stride_px: int) -> list[tuple[int, int]]:
    """Return the (top, left) of tiles that cover an image, row by row.

    The last tile of a row or column is shifted back to end at the border, so nothing is padded; only an image smaller
    than a tile gets a single one at 0, which `cut` pads.

    Raises:
        UserError: A size is not positive, or the stride exceeds the tile and would leave gaps.
    """
    if tile_px < 1:
        raise UserError(f"`tile_px` must be at least 1. Got {tile_px}. Use for instance 256.")
    if not 1 <= stride_px <= tile_px:
        raise UserError(
            f"`stride_px` must lie between 1 and tile_px = {tile_px}, or pixels would be skipped. Got {stride_px}. "
            f"Use {tile_px} for tiles that do not overlap."
        )
    if min(height, width) < 1:
        raise ValueError(f"An image must have a positive size. Got {height} x {width}.")
    lefts = _starts(width, tile_px, stride_px)
    return [(top, left) for top in _starts(height, tile_px, stride_px) for left in lefts]


def tile_dataset(
    dataset: PreparedDataset, tile_px: int, stride_px: int, image_ids: Sequence[str] | None = None
) -> list[Tile]:
    """Return the tiles of the given images (default: all), grouped by image in the order of the index."""
    wanted = None if image_ids is None else {dataset.entry(id_).image_id for id_ in image_ids}
    return [
        Tile(index, entry.image_id, top, left)
        for index, entry in enumerate(dataset.entries)
        if wanted is None or entry.image_id in wanted
        for top, left in tile_image(entry.height_px, entry.width_px, tile_px, stride_px)
    ]


def cut(image: np.ndarray, top: int, left: int, tile_px: int) -> np.ndarray:
    """Cut one tile of an image; an image smaller than a tile is continued below and to the right by reflection.

    Args:
        image: (H, W, C) of any dtype.
        top: First row, px.
        left: First column, px.
        tile_px: Edge t of the tile, px.

    Returns:
        (t, t, C), a view where nothing had to be padded.
    """
    tile = image[top : top + tile_px, left : left + tile_px]
    padding = _padding(tile, tile_px)
    return np.pad(tile, (*padding, (0, 0)), mode="reflect") if np.any(padding) else tile


def cut_mask(mask: np.ndarray, top: int, left: int, tile_px: int) -> np.ndarray:
    """Cut one tile of a mask; what lies beyond a small image is UNLABELLED, which no data set uses for a class.

    Args:
        mask: (H, W) uint8.
        top: First row, px.
        left: First column, px.
        tile_px: Edge t of the tile, px.

    Returns:
        (t, t) uint8, a view where nothing had to be padded.
    """
    tile = mask[top : top + tile_px, left : left + tile_px]
    padding = _padding(tile, tile_px)
    return np.pad(tile, padding, constant_values=UNLABELLED) if np.any(padding) else tile


class Stitcher:
    """The predictions of one image, gathered tile by tile; overlaps are averaged uniformly.

    Only rows that tiles have reached and that have not been taken are in memory.

    Args:
        n_classes: K.
        height: H of the image, px.
        width: W of the image, px.
    """

    def __init__(self, n_classes: int, height: int, width: int) -> None:
        self._height, self._taken = height, 0
        self._sum = np.zeros((n_classes, 0, width), dtype=np.float32)
        self._count = np.zeros((0, width), dtype=np.float32)

    def add(self, top: int, left: int, array: np.ndarray) -> None:
        """Add the (K, t, t) logits or probabilities of one tile; what lies beyond the image is dropped.

        Raises:
            ValueError: It reaches into rows that have been taken.
        """
        if top < self._taken:
            raise ValueError(f"A tile must begin below the {self._taken} rows that were taken. Got row {top}.")
        tile_height, tile_width = array.shape[-2:]
        bottom = min(top + tile_height, self._height)
        self._reach(bottom)
        rows = slice(top - self._taken, bottom - self._taken)
        columns = slice(left, min(left + tile_width, self._count.shape[1]))
        self._sum[:, rows, columns] += array[:, : bottom - top, : columns.stop - left]
        self._count[rows, columns] += 1

    def take(self, bottom: int) -> np.ndarray:
        """Return the (K, h, W) float32 average from the rows taken before down to `bottom`, and let them go.

        Raises:
            ValueError: No tile covered some pixel.
        """
        self._reach(bottom)
        n_rows = bottom - self._taken
        total, count = self._sum[:, :n_rows], self._count[:n_rows]
        missing = int((count == 0).sum())
        if missing:
            raise ValueError(f"The tiles must cover the image. Got {missing} pixels without a prediction.")
        average = total / count
        self._sum, self._count, self._taken = self._sum[:, n_rows:].copy(), self._count[n_rows:].copy(), bottom
        return average

    def result(self) -> np.ndarray:
        """Return the (K, H, W) float32 average; with rows that were taken, what is below them.

        Raises:
            ValueError: No tile covered some pixel.
        """
        return self.take(self._height)

    def _reach(self, bottom: int) -> None:
        """Make room for rows down to `bottom`."""
        more = bottom - self._taken - len(self._count)
        if more > 0:
            n_classes, _, width = self._sum.shape
            self._sum = np.concatenate([self._sum, np.zeros((n_classes, more, width), np.float32)], axis=1)
            self._count = np.concatenate([self._count, np.zeros((more, width), np.float32)])


def _starts(length: int, tile_px: int, stride_px: int) -> list[int]:
    last = max(length - tile_px, 0)
    return [*range(0, last, stride_px), last]


def _padding(tile: np.ndarray, tile_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, tile_px - tile.shape[0]), (0, tile_px - tile.shape[1])
