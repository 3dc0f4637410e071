"""Tiles cover every pixel, are never padded without need, and go back together."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.tiling import Stitcher, cut, cut_mask, tile_dataset, tile_image
from imbalance_bench.errors import UserError

geometry = st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40)).filter(
    lambda g: g[3] <= g[2]
)


@given(geometry)
def test_every_pixel_is_covered_and_no_tile_leaves_the_image(given_geometry: tuple[int, int, int, int]) -> None:
    height, width, tile_px, stride_px = given_geometry
    covered = np.zeros((height, width), dtype=int)
    places = tile_image(height, width, tile_px, stride_px)
    for top, left in places:
        assert top + tile_px <= max(height, tile_px)
        assert left + tile_px <= max(width, tile_px)
        covered[top : top + tile_px, left : left + tile_px] += 1
    assert covered.min() >= 1
    assert len(set(places)) == len(places)


@given(geometry)
def test_cutting_and_stitching_give_the_image_back(given_geometry: tuple[int, int, int, int]) -> None:
    height, width, tile_px, stride_px = given_geometry
    image = np.arange(height * width * 2, dtype=np.float32).reshape(height, width, 2)
    stitcher = Stitcher(2, height, width)
    for top, left in tile_image(height, width, tile_px, stride_px):
        tile = cut(image, top, left, tile_px)
        assert tile.shape == (tile_px, tile_px, 2)
        stitcher.add(top, left, tile.transpose(2, 0, 1))
    np.testing.assert_allclose(stitcher.result().transpose(1, 2, 0), image, rtol=1e-6)


def test_the_last_tile_is_shifted_back() -> None:
    assert tile_image(10, 4, 4, 4) == [(0, 0), (4, 0), (6, 0)]
    assert tile_image(8, 8, 4, 4) == [(0, 0), (0, 4), (4, 0), (4, 4)]


def test_small_images_are_reflected_and_small_masks_are_unlabelled() -> None:
    image = np.array([[[1], [2], [3]]], dtype=np.uint8)
    assert cut(image, 0, 0, 4)[:, :, 0].tolist() == [[1, 2, 3, 2]] * 4
    assert cut_mask(image[:, :, 0], 0, 0, 4).tolist() == [[1, 2, 3, 255], *[[255] * 4] * 3]


def test_overlaps_are_averaged() -> None:
    stitcher = Stitcher(1, 1, 3)
    stitcher.add(0, 0, np.full((1, 1, 2), 1.0))
    stitcher.add(0, 1, np.full((1, 1, 2), 3.0))
    assert stitcher.result().tolist() == [[[1, 2, 3]]]


def test_uncovered_pixels_are_an_error() -> None:
    stitcher = Stitcher(1, 2, 2)
    stitcher.add(0, 0, np.ones((1, 1, 2)))
    with pytest.raises(ValueError, match="Got 2 pixels without a prediction"):
        stitcher.result()


@pytest.mark.parametrize(("tile_px", "stride_px"), [(0, 1), (4, 5), (4, 0)])
def test_refuses_gaps(tile_px: int, stride_px: int) -> None:
    with pytest.raises(UserError, match="must"):
        tile_image(10, 10, tile_px, stride_px)


def test_dataset_tiles_carry_their_place_in_the_index(tiny: Path) -> None:
    tiles = tile_dataset(PreparedDataset.open(tiny), 16, 16, image_ids=["im_4", "im_2"])
    assert [(tile.image_index, tile.image_id) for tile in tiles[::4]] == [(2, "im_2"), (4, "im_4")]
    assert [(tile.top, tile.left) for tile in tiles[:4]] == [(0, 0), (0, 8), (4, 0), (4, 8)]
