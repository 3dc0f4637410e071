"""Resized crops: within the tile, of the wanted area, the labels where the image is."""

import numpy as np
import pytest
import torch

from imbalance_bench.config import TrainingSection
from imbalance_bench.data.augmentation import draw_windows, resized, resized_labels
from imbalance_bench.training.batches import BatchSequence

TILE = 64


def windows(area: tuple[float, float], n: int = 400) -> np.ndarray:
    return draw_windows(np.random.default_rng(0), n, tile_px=TILE, area=area)


def test_parts_lie_in_the_tile_and_have_the_wanted_area_and_ratio() -> None:
    drawn = windows((0.08, 0.5))
    tops, lefts, heights, widths = drawn.T
    assert (drawn[:, :2] >= 0).all()
    assert (tops + heights <= TILE).all()
    assert (lefts + widths <= TILE).all()
    area, ratio = heights * widths / TILE**2, widths / heights
    assert 0.07 < area.min() < 0.1
    assert 0.45 < area.max() < 0.53
    assert area.mean() == pytest.approx(0.29, abs=0.02)
    assert 0.7 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.45
    assert (windows((0.999, 1.0))[:, 2:] >= 0.85 * TILE).all()


def test_labels_are_those_of_the_place_in_the_image() -> None:
    """A mask drawn into the image comes out as the labels do, but for pixels at a border."""
    rows, columns = np.mgrid[:TILE, :TILE]
    labels = ((rows - 20) ** 2 + (columns - 40) ** 2 < 15**2).astype(np.uint8)
    for window in windows((0.2, 1.0), 20):
        image = resized(torch.from_numpy(labels)[None] * 255, window, 32)[0].numpy()
        assert ((image > 127) != resized_labels(labels, window, 32)).mean() < 0.03


def test_the_whole_tile_stays_as_it_is() -> None:
    image = torch.randint(0, 256, (3, TILE, TILE), generator=torch.Generator().manual_seed(0))
    whole = np.array([0, 0, TILE, TILE])
    assert torch.equal(resized(image, whole, TILE), image.float())
    labels = image[0].numpy().astype(np.uint8)
    assert np.array_equal(resized_labels(labels, whole, TILE), labels)


def test_a_batch_without_them_is_the_one_it_was() -> None:
    """The draw comes last, so that every other number of a batch stays."""

    def batch(**augmentation: object):
        section = TrainingSection.model_validate({"crop_px": 32, "batch_size": 4, "augmentation": augmentation})
        sequence = BatchSequence(
            np.arange(9), np.ones((9, 2), np.int64), tile_px=TILE, section=section, seed=3, cached_views=0
        )
        return next(sequence.of_step(5))

    plain, with_windows = batch(), batch(resized_crop=[0.08, 1])
    assert plain.windows is None
    assert with_windows.windows is not None
    assert with_windows.windows.shape == (4, 4)
    for name in ("tiles", "cached_views", "tops", "lefts"):
        assert np.array_equal(getattr(plain, name), getattr(with_windows, name))
    assert plain.update(b"") != with_windows.update(b"")
