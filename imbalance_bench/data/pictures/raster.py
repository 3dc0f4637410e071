"""PNG, JPEG, WebP, BMP and GIF: decoded by Pillow, but for some PNG.

Of 16-bit colour Pillow drops the low bytes; plain 8-bit samples it copies several times, which takes up to four times
the memory.
"""

import mmap
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from imbalance_bench.data.pictures.facts import GREY, PALETTE, RGB, PictureFacts
from imbalance_bench.data.pictures.orientation import ORIENTATION_TAG, known_orientation, upright, upright_size
from imbalance_bench.data.pictures.picture import Picture, require_within_limit, silence, unreadable
from imbalance_bench.decoding import DECODER_ERRORS
from imbalance_bench.errors import UserError

_ERRORS = (*DECODER_ERRORS, Image.DecompressionBombError)
# Pillow's name of a format -> ours; every other one may change samples on the way (PPM, JPEG 2000 of 12 bit)
_FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WEBP", "BMP": "BMP", "DIB": "BMP", "GIF": "GIF"}
# mode -> colour, bits, alpha
_MODES = {
    "1": (GREY, 1, False),
    "L": (GREY, 8, False),
    "LA": (GREY, 8, True),
    "I;16": (GREY, 16, False),
    "P": (PALETTE, 8, False),
    "RGB": (RGB, 8, False),
    "RGBA": (RGB, 8, True),
}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EXIF_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp")
_pillow_limit = threading.Lock()


@dataclass(frozen=True)
class _PngHeader:
    """What Pillow does not tell of a PNG: bits per sample, and whether it may hold an orientation."""

    bits: int
    may_be_turned: bool


class RasterFile(Picture):
    """A picture that Pillow opens.

    Raises:
        UserError: The file is damaged, larger than the limit, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            self._png = _png_header(path) if self._file.format == "PNG" else None
            self.facts = self._read_facts()
        except _ERRORS as error:
            self.close()
            raise unreadable(path, error) from None
        except UserError:
            self.close()
            raise

    def samples(self) -> np.ndarray:
        """See `Picture`."""
        try:
            return upright(self._stored(), self.facts.orientation)
        except _ERRORS as error:
            raise unreadable(self.path, error) from None

    def palette(self) -> np.ndarray:
        """See `Picture`."""
        colours = np.array(self._file.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        alpha = np.full(len(colours), 255, dtype=np.uint8)
        hidden = self._file.info.get("transparency")
        if isinstance(hidden, bytes):
            alpha[: len(hidden)] = np.frombuffer(hidden, np.uint8)[: len(alpha)]
        elif hidden is not None:
            alpha[hidden] = 0
        return np.column_stack([colours, alpha])

    def close(self) -> None:
        """See `Picture`."""
        self._file.close()

    def _read_facts(self) -> PictureFacts:
        file = self._file
        name = _FORMATS.get(str(file.format))
        if name is None:
            raise UserError(f"{self.path} must be PNG, JPEG, WebP, BMP, GIF or TIFF. Got {file.format}. Convert it.")
        require_within_limit(self.path, file.height, file.width)
        colour, bits, alpha = _MODES.get(file.mode, (file.mode, 8, False))
        orientation = 1
        if self._png is None or self._png.may_be_turned:
            orientation = known_orientation(file.getexif().get(ORIENTATION_TAG))
        height, width = upright_size(file.height, file.width, orientation)
        return PictureFacts(
            file_format=name,
            height_px=height,
            width_px=width,
            colour=colour,
            bits=self._png.bits if self._png else bits,
            alpha=alpha or "transparency" in file.info,
            pictures=getattr(file, "n_frames", 1),
            orientation=orientation,
        )

    def _stored(self) -> np.ndarray:
        """Decode without turning."""
        bits, colour = self.facts.bits, self.facts.colour
        if (bits == 16 and self._file.mode != "I;16") or self._is_plain_png:
            samples = self._png_samples()
        else:
            samples = np.array(self._file)
            if self._file.mode == "1":
                samples = samples.astype(np.uint8)
            elif colour == GREY and bits < 8:
                samples //= 255 // (2**bits - 1)  # Pillow spreads 2 and 4 bits over 0..255
        key = self._file.info.get("transparency")
        if self.facts.alpha and colour != PALETTE and key is not None and samples.shape[2:] in ((), (3,)):
            visible = samples != np.array(key)
            alpha = (visible.any(axis=2) if samples.ndim == 3 else visible) * (2**bits - 1)
            samples = np.dstack([samples, alpha.astype(samples.dtype)])
        return samples

    @property
    def _is_plain_png(self) -> bool:
        """Whether libpng gives the samples that Pillow gives: in a fraction of the memory, as Pillow copies them."""
        return (
            self._png is not None and self.facts.bits == 8 and self._file.mode in ("L", "RGB") and not self.facts.alpha
        )

    def _png_samples(self) -> np.ndarray:
        """Decode by libpng, which refuses more than Pillow: rows that are missing, wrong checksums of pixels."""
        silence("imagecodecs")
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return np.asarray(imagecodecs.png_decode(content))
            except UnicodeDecodeError:  # of the message of libpng, some of which imagecodecs cannot read
                raise ValueError("libpng refuses it") from None


def _open(path: Path) -> Image.Image:
    with _without_pillow_limit():
        try:
            return Image.open(path)
        except _ERRORS as error:
            raise unreadable(path, error) from None


@contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit while a header is read: ours is larger, and its message says how to raise it."""
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _png_header(path: Path) -> _PngHeader:
    """Walk over the chunks of a PNG without reading its pixels.

    Source: PNG specification, third edition, W3C 2003-2025, sections 5.3 (chunks) and 11.2.1 (IHDR).
    """
    bits, may_be_turned = 8, False
    with path.open("rb") as file:
        if file.read(len(_PNG_SIGNATURE)) != _PNG_SIGNATURE:
            raise ValueError("no PNG signature")
        while len(start := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", start)
            read = file.read(min(length, 40))
            if name == b"IHDR":
                bits = read[8]
            may_be_turned |= name == b"eXIf" or (name in (b"tEXt", b"zTXt", b"iTXt") and read.startswith(_EXIF_TEXTS))
            file.seek(length - len(read) + 4, 1)
    return _PngHeader(bits, may_be_turned)
