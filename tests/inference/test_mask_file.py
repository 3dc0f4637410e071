"""The indexed PNG writer against Pillow's reader."""

import io

import numpy as np
import pytest
from PIL import Image

from imbalance_bench.inference.mask_file import IndexedPngWriter


def test_pillow_reads_what_was_written_in_parts() -> None:
    ids = np.random.default_rng(0).integers(0, 3, (37, 53)).astype(np.uint8)
    file = io.BytesIO()
    with IndexedPngWriter(file, 37, 53, ["#ff0000", "#00ff00", "#0000ff"]) as png:
        for top in range(0, 37, 10):
            png.write(ids[top : top + 10])
    image = Image.open(io.BytesIO(file.getvalue()))
    image.verify()
    image = Image.open(io.BytesIO(file.getvalue()))
    assert np.array_equal(np.asarray(image), ids)
    assert np.asarray(image.convert("RGB"))[ids == 1].tolist()[0] == [0, 255, 0]


def test_missing_or_odd_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows were not written"), IndexedPngWriter(io.BytesIO(), 4, 3, []) as png:
        png.write(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="Rows must be"), IndexedPngWriter(io.BytesIO(), 1, 3, []) as png:
        png.write(np.zeros((2, 3), np.uint8))
