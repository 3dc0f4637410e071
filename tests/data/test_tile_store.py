"""Tiles on disk are the tiles of the images, and each image is decoded once."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile

from imbalance_bench.data import tile_store
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.tile_store import TileStore
from imbalance_bench.data.tiling import cut, cut_mask, tile_dataset

TILE_PX = 16


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each image is decoded."""
    counter: Counter[str] = Counter()
    read = PreparedDataset.read_image

    def counting(self: PreparedDataset, image_id: str) -> np.ndarray:
        counter[image_id] += 1
        return read(self, image_id)

    monkeypatch.setattr(PreparedDataset, "read_image", counting)
    return counter


@pytest.mark.parametrize("chunk_tiles", [1, 3, 5, 1000])
def test_holds_the_tiles(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Counter[str], chunk_tiles: int
) -> None:
    monkeypatch.setattr(tile_store, "_CHUNK_BYTES", chunk_tiles * 4 * TILE_PX**2)
    dataset = PreparedDataset.open(tiny)
    tiles = tile_dataset(dataset, TILE_PX, 8)
    store = TileStore.open(dataset, tiles, TILE_PX, tmp_path / "cache", dataset.content_hash())
    assert set(decoded.values()) == {1}
    for row, tile in enumerate(tiles):
        image, mask = dataset.read_image(tile.image_id), dataset.read_mask(tile.image_id)
        np.testing.assert_array_equal(store.images[row], cut(image, tile.top, tile.left, TILE_PX))
        np.testing.assert_array_equal(store.masks[row], cut_mask(mask, tile.top, tile.left, TILE_PX))


def test_is_found_again_and_other_tiles_are_another_store(tiny: Path, tmp_path: Path, decoded: Counter[str]) -> None:
    dataset = PreparedDataset.open(tiny)
    content_hash = dataset.content_hash()
    tiles = tile_dataset(dataset, TILE_PX, TILE_PX)
    for _ in range(2):
        TileStore.open(dataset, tiles, TILE_PX, tmp_path / "cache", content_hash)
    assert decoded.total() == 6
    TileStore.open(dataset, tiles, TILE_PX, tmp_path / "cache", "other content")
    TileStore.open(dataset, tiles[:-1], TILE_PX, tmp_path / "cache", content_hash)
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("chunk_tiles", [1, 3, 1000])
def test_a_tiled_tiff_is_never_decoded_as_a_whole(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Counter[str], chunk_tiles: int
) -> None:
    monkeypatch.setattr(tile_store, "_CHUNK_BYTES", chunk_tiles * 4 * TILE_PX**2)
    dataset = PreparedDataset.open(tiny)
    tiles = tile_dataset(dataset, TILE_PX, 8)
    before = TileStore.open(dataset, tiles, TILE_PX, tmp_path / "before", "hash")
    pixels = dataset.read_image("im_2")
    tifffile.imwrite(tiny / "images/im_2.tif", pixels, tile=(16, 16), photometric="rgb", compression="zlib")
    (tiny / "images/im_2.png").unlink()
    decoded.clear()
    after = TileStore.open(PreparedDataset.open(tiny), tiles, TILE_PX, tmp_path / "after", "hash")
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.masks, before.masks)
    assert set(decoded) == {f"im_{number}" for number in (0, 1, 3, 4, 5)}


def test_tiles_must_be_grouped_by_image(tiny: Path, tmp_path: Path) -> None:
    dataset = PreparedDataset.open(tiny)
    tiles = tile_dataset(dataset, TILE_PX, TILE_PX)
    with pytest.raises(ValueError, match="grouped by image"):
        TileStore.open(dataset, tiles[::4] + tiles[1::4], TILE_PX, tmp_path, "hash")
