"""The PNG writer of masks against the readers that people use."""

import io

import matplotlib.image
import numpy as np
import pytest
import skimage.io
from PIL import Image

from imbalance_bench.inference.mask_file import MaskWriter

IDS = np.random.default_rng(0).integers(0, 3, (37, 53)).astype(np.uint8)
COLOURS = ["#ff0000", "#00ff00", "#0000ff"]


def written(colours: list[str]) -> bytes:
    file = io.BytesIO()
    with MaskWriter(file, 37, 53, colours) as png:
        for top in range(0, 37, 10):
            png.write(IDS[top : top + 10])
    return file.getvalue()


def test_grey_masks_are_ids_to_every_reader() -> None:
    content = written([])
    image = Image.open(io.BytesIO(content))
    assert image.mode == "L"
    image.verify()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), IDS)
    assert np.array_equal(skimage.io.imread(io.BytesIO(content)), IDS)
    assert np.array_equal((matplotlib.image.imread(io.BytesIO(content)) * 255).round(), IDS)


def test_a_palette_is_there_for_those_who_want_it() -> None:
    image = Image.open(io.BytesIO(written(COLOURS)))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), IDS)
    assert np.asarray(image.convert("RGB"))[IDS == 1].tolist()[0] == [0, 255, 0]


def test_missing_or_odd_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows were not written"), MaskWriter(io.BytesIO(), 4, 3) as png:
        png.write(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="Rows must be"), MaskWriter(io.BytesIO(), 1, 3) as png:
        png.write(np.zeros((2, 3), np.uint8))
