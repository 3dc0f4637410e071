"""Sizes of pixels: what a file may tell, and what is believed of it."""

from pathlib import Path

import pytest

from imbalance_bench.data.pixel_size import (
    PixelSize,
    require_bounded_enlargement,
    require_mpp_option,
    stated_pixel_size,
)
from imbalance_bench.errors import UserError


@pytest.mark.parametrize("told", [0.5, "0.5", "0,5000", " 0.5 ", "5e-1"])
def test_a_size_is_read_in_any_writing(told: object) -> None:
    assert stated_pixel_size(told, 0.5) == PixelSize(0.5, 0.5)


@pytest.mark.parametrize("told", [None, "", "0", 0, "-0.5", "nan", "inf", float("inf"), "0,5,0", "half", b"0.5"])
def test_what_is_no_size_is_unknown(told: object) -> None:
    assert stated_pixel_size(told, 0.5) is None
    assert stated_pixel_size(0.5, told) is None


@pytest.mark.parametrize(
    ("size", "believed"),
    [((0.5, 0.5), True), ((0.05, 20), True), ((0.049, 0.5), False), ((0.5, 20.1), False), ((352.8, 352.8), False)],
)
def test_only_sizes_of_microscopes_are_believed(size: tuple[float, float], *, believed: bool) -> None:
    assert PixelSize(*size).is_plausible is believed


@pytest.mark.parametrize("mpp_um", [float("inf"), float("nan"), 1e300, 0.0, -0.5, 0.01, 25.0])
def test_the_option_takes_what_is_believed(mpp_um: float) -> None:
    with pytest.raises(UserError, match=r"--mpp must be 0.05 to 20 um per pixel\. Got"):
        require_mpp_option(mpp_um)
    require_mpp_option(0.25)
    require_mpp_option(None)


def test_enlargement_is_bounded_on_the_coarser_axis() -> None:
    require_bounded_enlargement(Path("a.tif"), PixelSize(8, 8), 0.5)
    with pytest.raises(UserError, match=r"a.tif must have pixels of at most 8 um .* Got 0.5 x 8.1 um per pixel"):
        require_bounded_enlargement(Path("a.tif"), PixelSize(0.5, 8.1), 0.5)
