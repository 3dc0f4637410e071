"""What `data prepare` makes of pictures that are not plain 8-bit RGB: upright RGB, or one line before `data check`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.integrity import check_dataset
from imbalance_bench.data.pictures.picture import LIMIT_VARIABLE
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.drafting.draft import look_at
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini

YAML = r"""
name: any
image: '(?P<n>[^/_]+)\.(png|tif|jpg|webp|bmp)'
mask: '{n}_mask.png'
classes: [{name: a, labels: [0]}, {name: b, labels: [1]}, {name: c, labels: [2]}]
"""
HEIGHT, WIDTH = 24, 40
PICTURE, MASK = mini.picture(3, HEIGHT, WIDTH), mini.stripes((0, 1, 2), HEIGHT, WIDTH)
TILED: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16)}


def prepare(source: Path, name: str, write: Callable[[Path], object], mask: np.ndarray = MASK) -> PreparedDataset:
    source.mkdir(exist_ok=True)
    write(source / name)
    Image.fromarray(mask).save(source / f"{Path(name).stem}_mask.png")
    config = source.parent / "layout.yaml"
    config.write_text(YAML)
    return prepare_dataset("folder", source, source.parent / "out", PrepareOptions(config=config), workers=1).dataset


def turned(path: Path, orientation: int = 6) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(np.rot90(PICTURE))).save(path, exif=exif.tobytes())


CONVERTED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "turned png": ("a.png", turned),
    "turned tiled tiff": (
        "a.tif",
        lambda path: tifffile.imwrite(
            path, np.ascontiguousarray(np.rot90(PICTURE)), extratags=[(274, "H", 1, 6, True)], **TILED
        ),
    ),
    "planar tiled tiff": (
        "a.tif",
        lambda path: tifffile.imwrite(
            path, np.ascontiguousarray(np.moveaxis(PICTURE, 2, 0)), planarconfig="separate", **TILED
        ),
    ),
    "opaque alpha": ("a.png", lambda path: Image.fromarray(PICTURE).convert("RGBA").save(path)),
    "bmp": ("a.bmp", lambda path: Image.fromarray(PICTURE).save(path)),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_what_is_not_plain_becomes_plain(kind: str, tmp_path: Path) -> None:
    dataset = prepare(tmp_path / "source", *CONVERTED[kind])
    assert dataset.image_path("a").suffix == ".png"
    assert (dataset.read_image("a") == PICTURE).all()
    assert (dataset.read_mask("a") == MASK).all()
    assert check_dataset(dataset).sound


def test_a_plain_tiled_tiff_keeps_its_bytes(tmp_path: Path) -> None:
    dataset = prepare(tmp_path / "source", "a.tif", lambda path: tifffile.imwrite(path, PICTURE, **TILED))
    assert dataset.image_path("a").read_bytes() == (tmp_path / "source/a.tif").read_bytes()
    assert dataset.is_read_in_windows("a")
    with dataset.open_windows("a") as windows:
        assert (windows.read(0, 0, HEIGHT, WIDTH) == PICTURE).all()


def test_a_mask_drawn_on_the_unturned_pixels_is_refused_with_the_tag(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"a_mask.png must have the size of .*a.png was turned as its orientation tag 6"
    ):
        prepare(tmp_path / "source", "a.png", turned, np.rot90(MASK))


def tagged(path: Path, pixels: np.ndarray, orientation: int | None) -> None:
    """Save pixels as they are stored, with an orientation tag or without."""
    if path.suffix == ".tif":
        tags: dict[str, Any] = {"extratags": [(274, "H", 1, orientation, True)]} if orientation else {}
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **tags)
        return
    exif = Image.Exif()
    if orientation:
        exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif.tobytes())


SQUARE, SQUARE_MASK = PICTURE[:, :HEIGHT], MASK[:, :HEIGHT]
PAIRS = {
    "half a turn, image": (PICTURE, 3, MASK, None, "a.png, 3 (1: upright, or no tag). Got 1"),
    "half a turn, mask": (PICTURE, None, MASK, 3, "a.png, 1 (1: upright, or no tag). Got 3"),
    "mirrored, image": (PICTURE, 2, MASK, None, "Got 1"),
    "square, image": (SQUARE, 6, SQUARE_MASK, None, "a.png, 6 (1: upright, or no tag). Got 1"),
    "square, mask": (SQUARE, None, SQUARE_MASK, 8, "Got 8"),
    "two tags": (SQUARE, 6, SQUARE_MASK, 8, "a.png, 6 (1: upright, or no tag). Got 8"),
    "two tags, long": (np.rot90(PICTURE), 6, np.rot90(MASK), 8, "Got 8"),
    "both": (SQUARE, 6, SQUARE_MASK, 6, ""),
    "a tag that says upright": (PICTURE, 1, MASK, None, ""),
    "turned to the size of its mask": (np.rot90(PICTURE), 6, MASK, None, ""),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_an_orientation_that_one_of_a_pair_has_is_refused_unless_sizes_tell(kind: str, tmp_path: Path) -> None:
    picture, of_picture, mask, of_mask, told = PAIRS[kind]
    source = tmp_path / "source"
    source.mkdir()
    tagged(source / "a.png", picture, of_picture)
    tagged(source / "a_mask.png", mask, of_mask)
    config = tmp_path / "layout.yaml"
    config.write_text(YAML)
    if not told:
        look_at(source)
        prepare_dataset("folder", source, tmp_path / "out", PrepareOptions(config=config), workers=1)
        return
    for read in (
        lambda: look_at(source),
        lambda: prepare_dataset("folder", source, tmp_path / "out", PrepareOptions(config=config), workers=1),
    ):
        with pytest.raises(UserError, match=r"a_mask\.png must have the orientation tag of ") as caught:
            read()
        assert told in str(caught.value)


def test_a_published_mask_without_the_orientation_of_its_image_is_refused(tmp_path: Path) -> None:
    source = mini.write_crag(tmp_path / "source")
    path = next(iter(sorted((source / "train" / "Images").iterdir())))
    tagged(path, np.array(Image.open(path)), 3)
    with pytest.raises(UserError, match="must have the orientation tag of"):
        prepare_dataset("crag", source, tmp_path / "out", workers=1)


def test_deep_images_are_refused_by_the_first_command(tmp_path: Path) -> None:
    deep = PICTURE.astype(np.uint16) * 16
    striped: dict[str, Any] = {"photometric": "rgb"}
    for options in (striped, TILED):
        with pytest.raises(
            UserError, match=r"a.tif must be an 8-bit RGB, grey or palette image\. Got TIFF, 16-bit RGB"
        ):
            prepare(tmp_path / "source", "a.tif", lambda path, more=options: tifffile.imwrite(path, deep, **more))


REFUSED_IN_A_PREPARED_SET = {
    "turned": (turned, "8-bit RGB, orientation 6"),
    "alpha": (lambda path: Image.fromarray(PICTURE).convert("RGBA").save(path), "8-bit RGB with alpha"),
    "pages": (
        lambda path: tifffile.imwrite(path, np.stack([PICTURE, PICTURE]), photometric="rgb"),
        "2 pictures of 8-bit RGB",
    ),
    "tiled and turned": (
        lambda path: tifffile.imwrite(path, PICTURE, extratags=[(274, "H", 1, 3, True)], **TILED),
        "8-bit RGB, orientation 3",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_IN_A_PREPARED_SET)
def test_a_prepared_set_holds_plain_images_only(kind: str, tmp_path: Path) -> None:
    dataset = prepare(tmp_path / "source", "a.png", lambda path: Image.fromarray(PICTURE).save(path))
    write, message = REFUSED_IN_A_PREPARED_SET[kind]
    write(dataset.image_path("a"))
    problems = check_dataset(dataset).problems
    assert len(problems) == 1
    assert "a.png must be an upright 8-bit RGB image. Got" in problems[0]
    assert message in problems[0]


def test_large_masks_are_prepared_whatever_pillow_thinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    dataset = prepare(tmp_path / "source", "a.tif", lambda path: tifffile.imwrite(path, PICTURE, **TILED))
    assert check_dataset(dataset).sound
    monkeypatch.setenv(LIMIT_VARIABLE, "100")
    problems = check_dataset(dataset).problems
    assert len(problems) == 1  # the image is read in windows, the mask is not
    assert "masks/a.png must have at most 100 pixels" in problems[0]
