"""Windows of pictures and slides: the right pixels, at the resolution wanted, without seams."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imbalance_bench.data import slide_image
from imbalance_bench.data.pictures import TiffPicture
from imbalance_bench.data.region_image import open_region_image, require_region_image
from imbalance_bench.data.tiling import tile_image
from imbalance_bench.errors import UserError

HEIGHT, WIDTH, MPP_UM = 530, 705, 0.25


def smooth_picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture that is the same at any scale: each channel a slow wave along another direction."""
    y, x = np.mgrid[:height, :width] + 0.5
    waves = [np.sin(y * a / HEIGHT + x * b / WIDTH) for a, b in ((9, 2), (1, 8), (5, -6))]
    return np.round(128 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """Means of `factor` x `factor` pixels; what is left over at the edges is dropped, as slide scanners do."""
    height, width = (each // factor for each in picture.shape[:2])
    blocks = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramid of three levels, 0.25, 0.5 and 1 um per pixel, in tiles of 64."""
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    picture = smooth_picture()
    options = {"tile": (64, 64), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path) as file:
        resolution = (1e4 / MPP_UM, 1e4 / MPP_UM)
        file.write(picture, subifds=0, resolution=resolution, resolutionunit="CENTIMETER", **options)
        for factor in (2, 4):
            file.write(reduced(picture, factor), subfiletype=1, **options)
    return path


def test_a_slide_is_read_at_its_finest_level(slide: Path) -> None:
    with open_region_image(slide) as image:
        assert (image.height_px, image.width_px, image.mpp_um) == (HEIGHT, WIDTH, MPP_UM)
        assert (image.read(100, 333, 150, 91) == smooth_picture()[100:250, 333:424]).all()
        assert (image.read(0, 0, HEIGHT, WIDTH) == smooth_picture()).all()


@pytest.mark.parametrize(("mpp_um", "level"), [(0.25, 0), (0.4, 0), (0.5, 1), (0.7, 1), (1.0, 2), (2.5, 2), (0.2, 0)])
def test_a_wanted_resolution_takes_the_nearest_finer_level(
    slide: Path, mpp_um: float, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_region_image(slide, mpp_um=mpp_um) as image:
        assert image.mpp_um == pytest.approx(mpp_um, rel=0.01)
        assert image.height_px == round(HEIGHT * MPP_UM / mpp_um)
        assert image.width_px == pytest.approx(WIDTH * MPP_UM / mpp_um, abs=1)
        levels: list[int] = []
        read = image._slide.read_region  # pyright: ignore[reportAttributeAccessIssue] - of a SlideImage
        monkeypatch.setattr(image._slide, "read_region", lambda *a, **k: levels.append(a[1]) or read(*a, **k))  # pyright: ignore[reportAttributeAccessIssue]
        whole = image.read(0, 0, image.height_px, image.width_px)
        assert levels == [level]
    scaled = Image.fromarray(smooth_picture()).resize((image.width_px, image.height_px), Image.Resampling.BOX)
    assert np.abs(whole.astype(int) - np.asarray(scaled)).max() <= 6  # half a pixel of shift would be 9 and more


@pytest.mark.parametrize("mpp_um", [None, 0.2, 0.33, 0.5, 0.8])
def test_windows_join_without_seam(tmp_path: Path, mpp_um: float | None) -> None:
    noise = np.random.default_rng(0).integers(1, 256, (150, 190, 3), dtype=np.uint8)
    path, resolution = tmp_path / "noise.tif", (1e4 / MPP_UM, 1e4 / MPP_UM)
    tifffile.imwrite(path, noise, tile=(64, 64), photometric="rgb", resolution=resolution, resolutionunit="CENTIMETER")
    with open_region_image(path, mpp_um=mpp_um) as image:
        whole = image.read(0, 0, image.height_px, image.width_px)
        joined = np.zeros_like(whole)
        for top, left in tile_image(image.height_px, image.width_px, 40, 27):
            window = image.read(top, left, 40, 40)
            joined[top : top + 40, left : left + 40] = window
    assert np.abs(joined.astype(int) - whole).max() <= 1
    assert joined.min() > 0  # every pixel was covered


def test_a_picture_is_read_as_it_is(tmp_path: Path) -> None:
    picture = smooth_picture(40, 30)
    for name in ("a.png", "a.tif", "a.bmp"):
        Image.fromarray(picture).save(tmp_path / name)
        with open_region_image(tmp_path / name, mpp_um=0.5) as image:
            assert (image.height_px, image.width_px, image.mpp_um) == (40, 30, None)
            assert (image.read(3, 4, 5, 6) == picture[3:8, 4:10]).all()
    with pytest.raises(ValueError, match="must lie in 40 x 30"), open_region_image(tmp_path / "a.png") as image:
        image.read(10, 0, 31, 5)


def test_mistakes_are_one_line(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "slide.svs").write_text("no slide")
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(slide.read_bytes()[: slide.stat().st_size // 2])
    cases = {"absent.png": "no such file", "notes.txt": "Got '.txt'", "slide.svs": "must be a slide that tiffslide"}
    for name, message in cases.items():
        with pytest.raises(UserError, match=message):
            open_region_image(tmp_path / name)
    with pytest.raises(UserError, match=r"damaged.tif must be"), open_region_image(damaged) as image:
        image.read(0, 0, image.height_px, image.width_px)
    monkeypatch.setattr(slide_image, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"slide.tif is a slide, .*pip install 'imbalance-bench\[wsi\]'"):
        open_region_image(slide)


def test_a_tiled_tiff_is_read_in_windows_without_any_extra(slide: Path) -> None:
    picture = smooth_picture()
    with TiffPicture(slide) as image:
        assert (image.facts.height_px, image.facts.width_px) == (HEIGHT, WIDTH)
        for window in ((0, 0, 64, 64), (60, 60, 70, 5), (500, 690, 64, 64), (0, 0, HEIGHT, WIDTH)):
            top, left, height, width = window
            assert (image.read(*window) == picture[top : top + height, left : left + width]).all()


def test_a_window_of_a_large_tiff_takes_the_memory_of_the_window(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, smooth_picture(2048, 2048), tile=(256, 256), photometric="rgb", compression="zlib")
    with TiffPicture(path) as image:
        tracemalloc.start()
        image.read(300, 900, 256, 256)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 0.1 * 2048 * 2048 * 3


def write_slide(path: Path, pixels: np.ndarray, um: tuple[float, float] | None = None, **options: object) -> Path:
    """Write a tiled TIFF whose pixels have the given size, x and y."""
    if um is not None:
        options |= {"resolution": (1e4 / um[0], 1e4 / um[1]), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, **{"tile": (64, 64), "photometric": "rgb", **options})  # pyright: ignore[reportArgumentType] - any option
    return path


@pytest.mark.parametrize(
    ("mpp_um", "size"), [(None, (400, 300)), (0.5, (400, 300)), (1.0, (200, 150)), (0.25, (800, 600))]
)
def test_oblong_pixels_become_square(tmp_path: Path, mpp_um: float | None, size: tuple[int, int]) -> None:
    square = smooth_picture(400, 300)
    path = write_slide(tmp_path / "oblong.tif", np.round(square.reshape(200, 2, 300, 3).mean(axis=1)).astype(np.uint8),
                       (0.5, 1.0))  # fmt: skip
    with open_region_image(path, mpp_um=mpp_um) as image:
        assert (image.height_px, image.width_px) == size
        assert image.mpp_um == pytest.approx(mpp_um or 0.5)
        whole = image.read(0, 0, image.height_px, image.width_px)
        parts = [image.read(top, 0, 50, image.width_px) for top in range(0, image.height_px, 50)]
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= 1
    scaled = Image.fromarray(square).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    assert np.abs(whole.astype(int) - np.asarray(scaled)).max() <= 4


@pytest.mark.parametrize(
    ("mpp", "known"),
    [("0.5000", 0.5), ("0,5000", 0.5), ("", None), ("0", None), ("-0.5", None), ("nan", None), ("inf", None),
     ("352.8", None), ("0.001", None)],
)  # fmt: skip
def test_a_slide_tells_its_resolution_or_it_is_unknown(tmp_path: Path, mpp: str, known: float | None) -> None:
    path = tmp_path / "a.svs"
    about = f"Aperio Image Library v11.2.1\n160x128 [0,0 160x128] (64x64) JPEG/RGB Q=70|AppMag = 20|MPP = {mpp}"
    tifffile.imwrite(path, smooth_picture(128, 160), metadata=None, description=about, tile=(64, 64), photometric="rgb")
    with open_region_image(path, mpp_um=1.0) as image:
        assert image.mpp_um == (None if known is None else 1.0)
        assert (image.height_px, image.width_px) == ((128, 160) if known is None else (64, 80))
    with open_region_image(path, mpp_um=1.0, given_um=0.25) as image:  # what the user says wins
        assert (image.height_px, image.width_px, image.mpp_um) == (32, 40, 1.0)


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_the_resolution_of_a_screen_or_a_printer_is_not_believed(tmp_path: Path, dpi: int) -> None:
    options: dict[str, Any] = {"resolution": (dpi, dpi), "resolutionunit": "INCH"}
    path = write_slide(tmp_path / "a.tif", smooth_picture(128, 160), **options)
    with open_region_image(path, mpp_um=0.5) as image:
        assert (image.height_px, image.width_px, image.mpp_um) == (128, 160, None)
        assert isinstance(image, slide_image.SlideImage)
        assert image.stated_size is not None
        assert image.stated_size.x_um == pytest.approx(25400 / dpi)


def test_a_slide_far_coarser_than_the_model_is_refused(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", smooth_picture(128, 160), (10, 10))
    with pytest.raises(
        UserError, match=r"pixels of at most 4 um .* Got 10 um per pixel\. Give the true size with --mpp"
    ):
        require_region_image(path, mpp_um=0.25)
    require_region_image(path, mpp_um=0.25, given_um=0.25)


PIXELS = smooth_picture(128, 160)
SLIDES_REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "planar": (np.moveaxis(PIXELS, 2, 0), {"planarconfig": "separate"}, r"each channel stored apart \(planar\)"),
    "turned": (PIXELS, {"extratags": [(274, "H", 1, 6, True)]}, "orientation 6. Save it upright"),
    "16-bit": (PIXELS.astype(np.uint16), {}, "Got 16-bit RGB"),
    "float": (PIXELS.astype(np.float32), {}, "Got 32-bit float RGB"),
    "grey": (PIXELS[..., 0], {"photometric": "minisblack"}, "Got 8-bit grey"),
    "stack": (np.stack([PIXELS] * 3), {}, "Got 3 pictures of 8-bit RGB"),
    "channels as pages": (np.moveaxis(PIXELS, 2, 0), {"photometric": "minisblack"}, "Got 3 pictures of 8-bit grey"),
    "ycbcr": (PIXELS, {"photometric": "ycbcr"}, "Got 8-bit YCbCr"),
}


@pytest.mark.parametrize("kind", SLIDES_REFUSED)
def test_slides_that_cannot_be_right_are_refused_at_once(kind: str, tmp_path: Path) -> None:
    pixels, options, message = SLIDES_REFUSED[kind]
    path = write_slide(tmp_path / "a.tif", pixels, (0.5, 0.5), **options)
    for refuse in (require_region_image, open_region_image):
        with pytest.raises(UserError, match=message):
            refuse(path)


def test_transparent_parts_of_a_slide_are_refused(tmp_path: Path) -> None:
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]}
    path = write_slide(tmp_path / "a.tif", np.dstack([PIXELS, alpha]), **options)
    with open_region_image(path) as image:
        assert (image.read(0, 0, 128, 160) == PIXELS).all()
    alpha[100:, 100:] = 0
    write_slide(path, np.dstack([PIXELS, alpha]), **options)
    with open_region_image(path) as image, pytest.raises(UserError, match=r"a.tif must be opaque\. Got transparent"):
        image.read(90, 90, 20, 20)
