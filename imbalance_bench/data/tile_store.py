"""All tiles of a data set, decoded once and kept on disk, shared by every method, fold, seed and taxonomy."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from imbalance_bench.data.array_store import ArrayStore
from imbalance_bench.data.prepared import PreparedDataset, usable_cores
from imbalance_bench.data.tiling import Tile, cut, cut_mask
from imbalance_bench.manifest import canonical_hash

_FORMAT = 1  # raise it when the bytes for the same tiles change
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class TileStore:
    """Tiles of a data set, read through memory maps.

    Args:
        tiles: T tiles; row i of both arrays is tile i.
        images: (T, t, t, 3) uint8, read-only.
        masks: (T, t, t) uint8, read-only, in *source* class ids: index `Taxonomy.lookup` with them.
        folder: Where they lie.
    """

    tiles: tuple[Tile, ...]
    images: np.ndarray
    masks: np.ndarray
    folder: Path

    @classmethod
    def open(
        cls,
        dataset: PreparedDataset,
        tiles: Sequence[Tile],
        tile_px: int,
        cache_dir: Path,
        content_hash: str,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Open the store of these tiles, cutting what is missing first.

        Args:
            dataset: The data set.
            tiles: T tiles, grouped by image, so that each image is decoded once.
            tile_px: Edge t, px.
            cache_dir: Where stores lie; this one is a folder named after `content_hash` and the tiling.
            content_hash: `dataset.content_hash()`.
            on_progress: Called with (tiles done, T).

        Raises:
            UserError: An image or mask is unsound, or the disk is too small.
        """
        changes = sum(before.image_id != after.image_id for before, after in pairwise(tiles))
        if not tiles or changes + 1 != len({tile.image_id for tile in tiles}):
            raise ValueError("tiles must be given, grouped by image.")
        key = _key(tiles, tile_px, content_hash)
        store = ArrayStore.open_or_fill(
            Path(cache_dir) / f"tiles-{key[:16]}",
            arrays={"images": ((tile_px, tile_px, 3), np.uint8), "masks": ((tile_px, tile_px), np.uint8)},
            rows=len(tiles),
            fill=_Cutter(dataset, tiles, tile_px),
            chunk=max(1, _CHUNK_BYTES // (4 * tile_px**2)),
            on_progress=on_progress,
            description={"dataset": dataset.info.name, "content_hash": content_hash, "tile_px": tile_px},
            key=key,
        )
        return cls(tuple(tiles), store["images"], store["masks"], store.folder)


class _Cutter:
    """Cuts chunks of tiles, decoding the images of a chunk side by side.

    The last image of a chunk is kept, because the next chunk usually begins in it. An image that can be read in windows
    is never decoded as a whole; its mask, a third of the size, is.
    """

    def __init__(self, dataset: PreparedDataset, tiles: Sequence[Tile], tile_px: int) -> None:
        self._dataset = dataset
        self._tiles = tiles
        self._tile_px = tile_px
        self._last: tuple[str, np.ndarray | None, np.ndarray] | None = None

    def __call__(self, rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        t = self._tile_px
        images = np.empty((len(rows), t, t, 3), dtype=np.uint8)
        masks = np.empty((len(rows), t, t), dtype=np.uint8)
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(self._tiles[row].image_id, []).append(place)

        def cut_image(image_id: str) -> tuple[str, np.ndarray | None, np.ndarray]:
            image, mask = self._decode(image_id)
            here = [(place, self._tiles[rows[place]]) for place in places[image_id]]
            for place, tile in here:
                masks[place] = cut_mask(mask, tile.top, tile.left, t)
            if image is None:
                with self._dataset.open_windows(image_id) as windows:
                    for place, tile in here:
                        images[place] = cut(windows.read(tile.top, tile.left, t, t), 0, 0, t)
            else:
                for place, tile in here:
                    images[place] = cut(image, tile.top, tile.left, t)
            return image_id, image, mask

        *first, last = places
        with ThreadPoolExecutor(usable_cores()) as pool:
            for _ in pool.map(lambda image_id: cut_image(image_id)[0], first):
                pass
        self._last = cut_image(last)
        return {"images": images, "masks": masks}

    def _decode(self, image_id: str) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the image, or None where it is read in windows, and its mask."""
        if self._last is not None and self._last[0] == image_id:
            return self._last[1:]
        in_windows = self._dataset.is_read_in_windows(image_id)
        return None if in_windows else self._dataset.read_image(image_id), self._dataset.read_mask(image_id)


def _key(tiles: Sequence[Tile], tile_px: int, content_hash: str) -> str:
    places = [(tile.image_id, tile.top, tile.left) for tile in tiles]
    return canonical_hash([_FORMAT, content_hash, tile_px, places])
