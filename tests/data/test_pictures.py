"""Every kind of picture file that people have: read as it was drawn, or refused in one line that says what it holds."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from imbalance_bench.data.pictures import open_picture, read_class_ids, read_colours, read_labels, read_rgb
from imbalance_bench.data.pictures.picture import LIMIT_VARIABLE
from imbalance_bench.errors import UserError

Writer = Callable[[Path], object]
Pass = tuple[int, int, int, int]  # first row and column, steps between rows and columns

LABELS = np.arange(12 * 17).reshape(12, 17).astype(np.uint8) % 3
PICTURE = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
THREE = np.repeat(LABELS[..., None], 3, axis=2)
OPAQUE = np.full(LABELS.shape, 65535)


def write_png(
    path: Path,
    samples: np.ndarray,
    bits: int,
    colour_type: int,
    *more: tuple[bytes, bytes],
    passes: Sequence[Pass] = ((0, 0, 1, 1),),
) -> None:
    """Write a PNG of any depth, (H, W, C); colour type 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = samples.shape[:2]
    packed = []
    for top, left, down, right in passes:
        for line in samples[top::down, left::right]:
            if bits == 16:
                packed.append(line.astype(">u2").tobytes())
            else:
                spread = np.unpackbits(line.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
                packed.append(np.packbits(spread).tobytes())
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, len(passes) > 1)
    content = [chunk(b"IHDR", header), *(chunk(*each) for each in more)]
    content += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in packed))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(content))


def png(samples: np.ndarray, bits: int, colour_type: int, *more: tuple[bytes, bytes], **options: Any) -> Writer:
    samples = samples if samples.ndim == 3 else samples[..., None]
    return lambda path: write_png(path, samples, bits, colour_type, *more, **options)


def changed(write: Writer, change: Callable[[bytes], bytes]) -> Writer:
    """Change the bytes of a file after it was written."""

    def both(path: Path) -> None:
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return both


def tiff(samples: np.ndarray, **options: object) -> Writer:
    return lambda path: tifffile.imwrite(path, samples, **options)  # pyright: ignore[reportArgumentType] - any option


def planes(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(samples, -1, 0))


def palette_tiff(colours: np.ndarray, factor: int = 257) -> Writer:
    table = np.zeros((3, 256), np.uint16)
    table[:, : len(colours)] = colours.T.astype(np.uint16) * factor
    return tiff(LABELS, photometric="palette", colormap=table)


TILE: dict[str, Any] = {"tile": (16, 16)}
COLOURS = np.array([(10, 20, 30), (200, 0, 0), (0, 0, 99)], dtype=np.uint8)
PLTE = (b"PLTE", COLOURS.tobytes())
ADAM7: Sequence[Pass] = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip
ODD_CHUNKS = ((b"gAMA", struct.pack(">I", 45455)), (b"sBIT", b"\5\5\5"), (b"iCCP", b"x\0\0"))

MASKS_READ: dict[str, Writer] = {
    "8-bit grey png": png(LABELS, 8, 0),
    "interlaced grey png": png(LABELS, 8, 0, passes=ADAM7),
    "1-bit grey png": png(LABELS > 0, 1, 0),
    "2-bit grey png": png(LABELS, 2, 0),
    "4-bit grey png": png(LABELS, 4, 0),
    "16-bit grey png": png(LABELS, 16, 0),
    "16-bit rgb png": png(THREE, 16, 2),
    "16-bit grey and alpha png": png(np.dstack([LABELS.astype(int), OPAQUE]), 16, 4),
    "16-bit rgba png": png(np.dstack([THREE.astype(int), OPAQUE]), 16, 6),
    "8-bit rgba png": png(np.dstack([THREE, np.full(LABELS.shape, 255)]), 8, 6),
    "2-bit palette png": png(LABELS, 2, 3, PLTE),
    "palette png with a transparent index": png(LABELS, 8, 3, PLTE, (b"tRNS", b"\0")),
    "lossless webp": lambda path: Image.fromarray(THREE).save(path, format="WEBP", lossless=True),
    "bmp": lambda path: Image.fromarray(LABELS).save(path, format="BMP"),
    "gif": lambda path: Image.fromarray(LABELS).save(path, format="GIF"),
    "16-bit rgb tiff": tiff(THREE.astype(np.uint16), photometric="rgb"),
    "planar 16-bit rgb tiff": tiff(planes(THREE).astype(np.uint16), photometric="rgb", planarconfig="separate"),
    "1-bit tiff": tiff(LABELS > 0, photometric="minisblack"),
    "big-endian 16-bit tiff": tiff(LABELS.astype(">u2"), byteorder=">"),
    "32-bit unsigned tiff": tiff(LABELS.astype(np.uint32)),
    "32-bit signed tiff": tiff(LABELS.astype(np.int32)),
    "float32 tiff of whole numbers": tiff(LABELS.astype(np.float32)),
    "float64 tiff of whole numbers": tiff(LABELS.astype(np.float64)),
    "lzw tiff with predictor": tiff(LABELS, compression="lzw", predictor=True),
    "zstd tiff": tiff(LABELS, compression="zstd"),
    "jpeg 2000 tiff": tiff(LABELS, compression="jpeg2000", compressionargs={"reversible": True}),
    "tiled tiff": tiff(LABELS, **TILE),
    "big tiff": tiff(LABELS, bigtiff=True),
    "palette tiff": palette_tiff(COLOURS),
    "grey and alpha tiff": tiff(np.dstack([LABELS, np.full_like(LABELS, 255)]), extrasamples=["unassalpha"],
                                photometric="minisblack"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MASKS_READ)
def test_codes_are_read_as_they_were_drawn(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mask"
    MASKS_READ[kind](path)
    drawn = LABELS > 0 if kind.startswith("1-bit") else LABELS
    codes = read_labels(path)
    assert codes.dtype.kind in "iu"
    np.testing.assert_array_equal(codes, drawn)


def test_codes_beyond_32_bits_keep_every_bit(tmp_path: Path) -> None:
    codes = np.array([[0, 2**31, 2**32 - 1]], dtype=np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", codes)
    assert read_labels(tmp_path / "a.tif").tolist() == codes.tolist()
    tifffile.imwrite(tmp_path / "b.tif", codes.astype(np.float64))
    assert read_labels(tmp_path / "b.tif").tolist() == codes.tolist()


def one_bit_short(samples: np.ndarray) -> np.ndarray:
    samples = samples.astype(int)
    samples[3, 4, -1] -= 1
    return samples


MASKS_REFUSED: dict[str, tuple[Writer, str]] = {
    "two pages": (tiff(np.stack([LABELS * 0, LABELS])), r"must hold one picture\. Got 2 pictures of 8-bit grey"),
    "a page per class": (
        tiff(np.stack([k == LABELS for k in range(3)]).astype(np.uint8), photometric="minisblack"),
        "Got 3 pictures",
    ),
    "imagej stack": (tiff(np.stack([LABELS] * 4), imagej=True), "Got 4 pictures"),
    "stack in one page": (
        tiff(np.stack([LABELS] * 5), photometric="minisblack", volumetric=True, tile=(1, 16, 16)),
        "Got 5 pictures",
    ),
    "tiled stack": (tiff(np.stack([LABELS] * 4), photometric="minisblack", **TILE), "Got 4 pictures"),
    "pages of other sizes": (lambda path: write_pages(path, LABELS, LABELS[:7]), "Got 2 pictures"),
    "animated webp": (lambda path: animate(path, "WEBP"), "Got 2 pictures of 8-bit RGB"),
    "animated gif": (lambda path: animate(path, "GIF"), "Got 2 pictures"),
    "animated png": (lambda path: animate(path, "PNG"), "Got 2 pictures of 8-bit RGB"),
    "transparent 16-bit": (
        png(one_bit_short(np.dstack([LABELS.astype(int), OPAQUE])), 16, 4),
        r"must be opaque\. Got 1 of 204 pixels that are transparent, first at row 3, column 4",
    ),
    "grey with a transparent key": (png(LABELS, 8, 0, (b"tRNS", b"\0\1")), "Got 68 of 204 pixels that are transparent"),
    "colours": (png(PICTURE, 8, 2), "must hold codes in one channel. Got colours"),
    "white is zero": (tiff(LABELS, photometric="miniswhite"), "8-bit white-is-zero grey. Save it with black as 0"),
    "fractions": (tiff(LABELS + np.float32(0.5)), "must hold whole numbers as codes. Got 0.5"),
    "not a number": (tiff(np.full((4, 4), np.nan, np.float32)), "whole numbers as codes. Got nan"),
    "complex": (tiff(LABELS.astype(np.complex64)), "Got TIFF, 64-bit complex grey"),
    "cmyk": (tiff(np.dstack([THREE, LABELS]), photometric="separated"), "Got TIFF, 8-bit CMYK"),
    "channels of no meaning": (
        tiff(np.dstack([LABELS] * 3), photometric="minisblack", planarconfig="contig"),
        "8-bit grey with 2 more channels",
    ),
    "another format": (lambda path: Image.fromarray(LABELS).save(path, format="PPM"), "must be PNG, .*Got PPM"),
    "no picture": (lambda path: path.write_text("x"), "must be a complete image file"),
    "nothing": (lambda path: path.write_bytes(b""), "must be a complete image file"),
}  # fmt: skip


def write_pages(path: Path, *pages: np.ndarray, **options: object) -> None:
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, metadata=None, **options)  # pyright: ignore[reportArgumentType] - any option


def animate(path: Path, file_format: str) -> None:
    frames = [Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)]
    frames[0].save(path, format=file_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("kind", MASKS_REFUSED)
def test_masks_that_cannot_be_right_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mask"
    write, message = MASKS_REFUSED[kind]
    write(path)
    with pytest.raises(UserError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


IMAGES_READ: dict[str, Writer] = {
    "png": png(PICTURE, 8, 2),
    "interlaced png": png(PICTURE, 8, 2, passes=ADAM7),
    "png with chunks that could change samples": png(PICTURE, 8, 2, *ODD_CHUNKS),
    "png and more after it": changed(png(PICTURE, 8, 2), lambda content: content + content),
    "opaque rgba png": png(np.dstack([PICTURE, np.full(LABELS.shape, 255)]), 8, 6),
    "bmp": lambda path: Image.fromarray(PICTURE).save(path, format="BMP"),
    "lossless webp": lambda path: Image.fromarray(PICTURE).save(path, format="WEBP", lossless=True),
    "striped tiff": tiff(PICTURE, photometric="rgb", rowsperstrip=5),
    "tiled tiff": tiff(PICTURE, photometric="rgb", **TILE),
    "planar tiff": tiff(planes(PICTURE), photometric="rgb", planarconfig="separate"),
    "planar tiled tiff": tiff(planes(PICTURE), photometric="rgb", planarconfig="separate", **TILE),
    "lzw tiff": tiff(PICTURE, photometric="rgb", compression="lzw"),
    "jpeg 2000 tiff": tiff(PICTURE, photometric="rgb", compression="jpeg2000", compressionargs={"reversible": True}),
    "big-endian big tiff": tiff(PICTURE, photometric="rgb", byteorder=">", bigtiff=True),
    "opaque rgba tiff": tiff(np.dstack([PICTURE, np.full_like(LABELS, 255)]), extrasamples=["unassalpha"],
                             photometric="rgb"),
    "flagged pyramid": lambda path: write_pyramid(path, subfiletype=1),
    "unflagged pyramid": lambda path: write_pyramid(path),
}  # fmt: skip


def write_pyramid(path: Path, **options: object) -> None:
    with tifffile.TiffWriter(path) as file:
        for level in (PICTURE, PICTURE[::2, ::2], PICTURE[::4, ::4]):
            more = options if level is not PICTURE else {}
            file.write(level, photometric="rgb", tile=(16, 16), metadata=None, **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", IMAGES_READ)
def test_images_are_read_as_they_were_drawn(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    IMAGES_READ[kind](path)
    np.testing.assert_array_equal(read_rgb(path), PICTURE)


def test_ycbcr_in_jpeg_is_the_same_picture_in_jpeg_and_tiff(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(PICTURE[:3, :4]).resize((64, 64), Image.Resampling.BICUBIC))
    options = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 98}}
    tifffile.imwrite(tmp_path / "a.tif", smooth, **options)  # pyright: ignore[reportArgumentType] - any option
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=98)
    for name in ("a.tif", "a.jpg"):
        assert np.abs(read_rgb(tmp_path / name).astype(int) - smooth).mean() < 4


def test_grey_and_palettes_are_read_as_they_are_shown(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "white.tif", LABELS, photometric="miniswhite")
    assert (read_rgb(tmp_path / "white.tif") == 255 - THREE).all()
    palette_tiff(COLOURS)(tmp_path / "palette.tif")
    palette_tiff(COLOURS, factor=1)(tmp_path / "narrow.tif")
    png(LABELS, 2, 3, PLTE)(tmp_path / "palette.png")
    png(LABELS, 8, 0)(tmp_path / "grey.png")
    for name in ("palette.tif", "narrow.tif", "palette.png"):
        assert (read_rgb(tmp_path / name) == COLOURS[LABELS]).all()
    assert (read_rgb(tmp_path / "grey.png") == THREE).all()


IMAGES_REFUSED: dict[str, tuple[Writer, str]] = {
    "12 bits in a 16-bit png": (png(PICTURE.astype(int) * 16, 16, 2), "Got PNG, 16-bit RGB. Scale its values"),
    "16-bit grey png": (png(LABELS, 16, 0), "Got PNG, 16-bit grey"),
    "16-bit tiff": (tiff(PICTURE.astype(np.uint16) * 16, photometric="rgb"), "Got TIFF, 16-bit RGB"),
    "tiled 16-bit tiff": (tiff(PICTURE.astype(np.uint16), photometric="rgb", **TILE), "Got TIFF, 16-bit RGB"),
    "float tiff": (tiff(PICTURE / np.float32(255), photometric="rgb"), "Got TIFF, 32-bit float RGB. Convert it"),
    "signed tiff": (tiff(PICTURE.view(np.int8), photometric="rgb"), "Got TIFF, 8-bit signed RGB"),
    "1-bit png": (png(LABELS > 0, 1, 0), "Got PNG, 1-bit grey"),
    "cmyk jpeg": (lambda path: Image.new("CMYK", (9, 9)).save(path, format="JPEG"), "Got JPEG, 8-bit CMYK"),
    "cmyk tiff": (tiff(np.dstack([PICTURE, LABELS]), photometric="separated"), "Got TIFF, 8-bit CMYK"),
    "lab tiff": (tiff(PICTURE, photometric="cielab"), "Got TIFF, 8-bit CIELAB"),
    "ycbcr without jpeg": (
        lambda path: Image.fromarray(PICTURE).convert("YCbCr").save(path, format="TIFF"), "Got TIFF, 8-bit YCbCr"
    ),
    "four channels": (tiff(np.dstack([PICTURE, LABELS]), photometric="rgb", extrasamples=[0]), "with 1 more channel"),
    "picture stack": (tiff(np.stack([PICTURE] * 2), photometric="rgb"), "Got 2 pictures of 8-bit RGB"),
    "transparent": (
        png(np.dstack([PICTURE, LABELS * 100 + 55]), 8, 6), "136 of 204 pixels that are transparent, first at row 0"
    ),
    "transparent colour": (png(PICTURE, 8, 2, (b"tRNS", struct.pack(">3H", *PICTURE[5, 6]))), "at row 5, column 6"),
    "transparent index": (png(LABELS, 8, 3, PLTE, (b"tRNS", b"\xff\0")), "Got 68 of 204 pixels that are transparent"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGES_REFUSED)
def test_images_that_cannot_be_right_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    write, message = IMAGES_REFUSED[kind]
    write(path)
    with pytest.raises(UserError, match=message):
        read_rgb(path)


def test_colours_are_read_as_they_are_shown(tmp_path: Path) -> None:
    red, green, blue = np.moveaxis(COLOURS[LABELS].astype(int), -1, 0)
    png(LABELS, 2, 3, PLTE)(tmp_path / "palette.png")
    png(COLOURS[LABELS], 8, 2)(tmp_path / "rgb.png")
    for name in ("palette.png", "rgb.png"):
        assert (read_colours(tmp_path / name) == (red << 16) + (green << 8) + blue).all()
    png(LABELS > 0, 1, 0)(tmp_path / "two.png")
    assert (read_colours(tmp_path / "two.png") == (LABELS > 0) * 0xFFFFFF).all()
    png(LABELS, 4, 0)(tmp_path / "sixteen.png")
    assert (read_colours(tmp_path / "sixteen.png") == LABELS.astype(int) * 0x111111).all()
    png(THREE, 16, 2)(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"must be a mask of 8-bit colours\. Got PNG, 16-bit RGB"):
        read_colours(tmp_path / "deep.png")
    png(np.dstack([PICTURE, LABELS]), 8, 6)(tmp_path / "clear.png")
    with pytest.raises(UserError, match=r"clear.png must be opaque\. Got 204 of 204"):
        read_colours(tmp_path / "clear.png")


def save_turned(path: Path, stored: np.ndarray, orientation: int) -> None:
    """Save lossless pixels with an orientation tag, in the format that the name asks for."""
    if path.suffix == ".tif" or path.suffix == ".tiff":
        tiled: dict[str, Any] = TILE if path.suffix == ".tiff" else {}
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, stored, photometric="rgb", extratags=[tag], **tiled)
        return
    exif = Image.Exif()
    exif[274] = orientation
    lossless = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **lossless.get(path.suffix, {}))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_one_rule_for_all_formats(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    smooth = np.asarray(Image.fromarray(PICTURE[:3, :4]).resize((20, 15), Image.Resampling.BICUBIC))
    save_turned(path, smooth, orientation)
    reference = Image.fromarray(smooth)
    reference.getexif()[274] = orientation
    shown = np.asarray(ImageOps.exif_transpose(reference)).astype(int)  # the oracle: Pillow
    read = read_rgb(path)
    assert read.shape == shown.shape
    assert np.abs(read - shown).max() <= (3 if suffix == ".jpg" else 0)
    with open_picture(path) as picture:
        assert (picture.facts.height_px, picture.facts.width_px) == shown.shape[:2]


def test_an_orientation_after_the_pixels_or_in_xmp_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    write_png(tmp_path / "late.png", PICTURE, 8, 2)
    content = (tmp_path / "late.png").read_bytes()
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "late.png").write_bytes(content[:-12] + chunk + content[-12:])
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    write_png(tmp_path / "xmp.png", PICTURE, 8, 2, (b"iTXt", xmp))
    for name in ("late.png", "xmp.png"):
        assert (read_rgb(tmp_path / name) == np.rot90(PICTURE, -1)).all()


@pytest.mark.parametrize("value", [0, 9, 6000])
def test_an_orientation_of_no_meaning_is_upright(value: int, tmp_path: Path) -> None:
    save_turned(tmp_path / "a.tif", PICTURE, value)
    assert (read_rgb(tmp_path / "a.tif") == PICTURE).all()


def test_libraries_say_nothing_of_odd_files(tmp_path: Path) -> None:
    save_turned(tmp_path / "a.tif", PICTURE, 9)  # tifffile would log the tag, imagecodecs what libpng warns of
    png(PICTURE, 8, 2, *ODD_CHUNKS, passes=ADAM7)(tmp_path / "a.png")
    program = (
        "import sys, pathlib; from imbalance_bench.data.pictures import read_rgb\n"
        "for name in sys.argv[1:]: read_rgb(pathlib.Path(name))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.tif"), str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def promise_12_rows(content: bytes) -> bytes:
    header = b"IHDR" + content[16:20] + struct.pack(">I", 12) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


DAMAGED_PNG: dict[str, tuple[Writer, str]] = {
    "checksum of the pixels": (
        changed(png(PICTURE, 8, 2), lambda content: content[:-13] + bytes([content[-13] ^ 1]) + content[-12:]),
        "IDAT: CRC error",
    ),
    "rows that are missing": (
        changed(png(PICTURE[:7], 8, 2), promise_12_rows), "Not enough image data",
    ),
    "a critical chunk that nobody knows": (png(PICTURE, 8, 2, (b"ABCD", b"x")), "libpng refuses it"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED_PNG)
def test_png_that_pillow_would_complete_is_refused(kind: str, tmp_path: Path) -> None:
    write, message = DAMAGED_PNG[kind]
    write(tmp_path / "a.png")
    np.array(Image.open(tmp_path / "a.png"))
    with pytest.raises(UserError, match=f"must be a complete image file. Got: {message}"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("write", "cut"),
    [(png(PICTURE, 8, 2), 40), (png(THREE, 16, 2), 40), (tiff(PICTURE, photometric="rgb", compression="zlib"), 60),
     (tiff(PICTURE, photometric="rgb"), 100), (tiff(LABELS), 30), (tiff(PICTURE, photometric="rgb", **TILE), 100)],
)  # fmt: skip
def test_truncated_files_are_refused(write: Writer, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match="a must be a complete image file"):
        read_labels(path)


def test_strips_that_were_never_written_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, LABELS, rowsperstrip=4, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["StripByteCounts"].overwrite([0, 5, 5])
    with pytest.raises(UserError, match="parts of the picture are missing"):
        read_labels(path)


def test_the_limit_is_ours_and_its_message_says_how_to_raise_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    png(LABELS, 8, 0)(path)
    tifffile.imwrite(tmp_path / "a.tif", LABELS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit does not stop us
    assert (read_class_ids(path) == LABELS).all()
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setenv(LIMIT_VARIABLE, "203")
    for each in (path, tmp_path / "a.tif"):
        with pytest.raises(
            UserError, match=r"at most 203 pixels .* Got 12 x 17 = 204. .*IMBALANCE_BENCH_MAX_PIXELS=204"
        ):
            read_labels(each)
    monkeypatch.setenv(LIMIT_VARIABLE, "204")
    assert (read_labels(path) == LABELS).all()
    monkeypatch.setenv(LIMIT_VARIABLE, "many")
    with pytest.raises(UserError, match=r"IMBALANCE_BENCH_MAX_PIXELS must be a number of pixels\. Got 'many'"):
        read_labels(path)
