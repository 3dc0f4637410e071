"""Windows of an image against the whole (oracle: `Stitcher`, as in the evaluation of a run)."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from imbalance_bench.data.tiling import Stitcher, cut, tile_image
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.inference.tissue import Tissue
from imbalance_bench.inference.windowed_prediction import Tiling, Window, predict_windows

WEIGHTS = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).numpy()


class Noise(RegionImage):
    """An image in memory."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.height_px, self.width_px, self.mpp_um = height_px, width_px, None
        self.pixels = np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3)).astype(np.uint8)

    def close(self) -> None: ...

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self.pixels[top:bottom, left:right]


class Model:
    """Logits that depend on the place in the tile, so that overlaps matter; counts the tiles that it sees."""

    def __init__(self) -> None:
        self.tiles = 0

    def __call__(self, tiles: np.ndarray) -> Tensor:
        self.tiles += len(tiles)
        place = np.linspace(0, 30, 64, dtype=np.float32)
        logits = np.moveaxis(tiles @ WEIGHTS, 3, 1).astype(np.float32)
        return torch.from_numpy(logits + (place[:, None] + 9 * place) * np.arange(3, dtype=np.float32)[:, None, None])


def whole(image: Noise, stride_px: int) -> np.ndarray:
    stitcher = Stitcher(3, image.height_px, image.width_px)
    for top, left in tile_image(image.height_px, image.width_px, 64, stride_px):
        stitcher.add(top, left, Model()(cut(image.pixels, top, left, 64)[None])[0].numpy())
    return stitcher.result().argmax(0)


def painted(image: Noise, windows: list[Window]) -> np.ndarray:
    ids = np.full((image.height_px, image.width_px), 77, np.uint8)
    for window in windows:
        part = ids[window.top : window.top + len(window.ids), window.left : window.left + window.ids.shape[1]]
        assert (part == 77).all()
        part[...] = window.ids
    return ids


@pytest.mark.parametrize("size", [(50, 40), (64, 64), (200, 150), (65, 129), (129, 700)])
@pytest.mark.parametrize("stride", [64, 40, 17])
@pytest.mark.parametrize("panel", [64, 150, 1000])
def test_windows_are_the_whole(size: tuple[int, int], stride: int, panel: int) -> None:
    image = Noise(*size)
    windows = list(predict_windows(image, Model(), Tiling(64, stride, 3, panel)))
    assert np.array_equal(painted(image, windows), whole(image, stride))
    assert max(window.ids.shape[1] for window in windows) <= max(panel, 64)


def test_of_equal_classes_the_first_is_taken() -> None:
    windows = predict_windows(Noise(70, 70), lambda tiles: torch.zeros(len(tiles), 3, 64, 64), Tiling(64, 40))
    assert all((window.ids == 0).all() for window in windows)


@pytest.mark.parametrize("stride", [64, 40])
def test_glass_changes_nothing_where_tissue_is_and_is_not_computed(stride: int) -> None:
    image = Noise(300, 420)
    cells = np.zeros((30, 42), bool)
    cells[3:9, 4:11] = cells[20:21, 30:31] = True
    tissue, model, told = Tissue(cells, 300, 420), Model(), []
    tiling = Tiling(64, stride, 4, 200)
    windows = list(predict_windows(image, model, tiling, tissue=tissue, on_progress=lambda *at: told.append(at)))
    inside = np.kron(cells, np.ones((10, 10), bool))
    assert np.array_equal(painted(image, windows), np.where(inside, whole(image, stride), 255))
    assert told[-1] == (model.tiles, model.tiles)
    everything = Model()
    list(predict_windows(image, everything, tiling))
    reached = sum(inside[top : top + 64, left : left + 64].any() for top, left in tile_image(300, 420, 64, stride))
    assert reached <= model.tiles < everything.tiles / 2


@pytest.mark.parametrize("stride", [64, 40, 17])
@pytest.mark.parametrize("stop", [0, 1, 4, 9])
def test_a_prediction_goes_on_from_any_window(stride: int, stop: int) -> None:
    image, tiling = Noise(300, 420), Tiling(64, stride, 4, 200)
    complete = list(predict_windows(image, Model(), tiling))
    first = complete[:stop]
    finished = {window.panel: window.row + 1 for window in first}
    model, told = Model(), []
    rest = list(predict_windows(image, model, tiling, finished=finished, on_progress=lambda *at: told.append(at)))
    assert len(first) + len(rest) == len(complete)
    assert np.array_equal(painted(image, [*first, *rest]), whole(image, stride))
    assert told[-1][0] == told[-1][1]
    assert all(one < other for (one, _), (other, _) in pairwise(told))
    assert (model.tiles < told[-1][0]) == (
        stop > 1 or (stop == 1 and stride == 64)
    )  # a tile that overlaps is predicted again
