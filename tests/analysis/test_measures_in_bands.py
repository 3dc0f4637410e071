"""A large image is reduced in bands: what is summed of them is what is summed of the whole."""

from dataclasses import fields

import numpy as np
import pytest

from analysis.measures.scale import Scale
from analysis.measures.survey import summarise_image
from imbalance_bench.data import image_bands, pixel_values
from imbalance_bench.data.taxonomy import UNLABELLED


@pytest.mark.parametrize("mpp_um", [0.5, 2.0])
def test_an_image_in_bands_has_the_sums_of_the_whole(mpp_um: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (230, 70, 3), dtype=np.uint8)
    mask = rng.integers(0, 3, (23, 7)).repeat(10, axis=0).repeat(10, axis=1).astype(np.uint8)
    mask[rng.random(mask.shape) < 0.02] = UNLABELLED
    scale = Scale(mpp_um, band_um=4.0)
    whole = summarise_image(image, mask, 3, scale)
    monkeypatch.setattr(image_bands, "WHOLE_PX", 0)
    monkeypatch.setattr(pixel_values, "_BAND_PX", 70)
    assert len(list(image_bands.image_bands(mask.shape, 24))) > 8
    parts = summarise_image(image, mask, 3, scale)
    for field in fields(whole.sums):
        one, other = getattr(whole.sums, field.name), getattr(parts.sums, field.name)
        np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=field.name)
