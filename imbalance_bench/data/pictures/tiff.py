"""TIFF of any depth, colour and arrangement, decoded by tifffile: as a whole, or in windows where it is tiled."""

import math
from pathlib import Path

import numpy as np
import tifffile

from imbalance_bench.data.pictures.facts import GREY, PALETTE, RGB, WHITE_IS_ZERO, PictureFacts
from imbalance_bench.data.pictures.orientation import ORIENTATION_TAG, known_orientation, upright, upright_size
from imbalance_bench.data.pictures.picture import Picture, require_within_limit, silence, unreadable
from imbalance_bench.errors import UserError

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# photometric interpretation -> its name, and how many channels it means
_COLOURS = {0: (WHITE_IS_ZERO, 1), 1: (GREY, 1), 2: (RGB, 3), 3: (PALETTE, 1), 5: ("CMYK", 4), 6: ("YCbCr", 3)}
_SAMPLES = {1: "unsigned", 2: "signed", 3: "float", 4: "unsigned", 5: "complex", 6: "complex"}
_JPEG = (6, 7, 33007, 34892)  # compressions whose decoder turns YCbCr into RGB
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_SAME_SHAPE = 0.02  # relative difference of the reductions of height and width up to which a page is a level


def is_tiff(path: Path) -> bool:
    """Return whether a file begins as a TIFF; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) in _SIGNATURES
    except OSError:
        return False


def is_tiled_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF whose first page is stored in tiles; False for a damaged one."""
    if not is_tiff(path):
        return False
    try:
        with TiffPicture(path) as picture:
            return picture.facts.tiled
    except UserError:
        return False


class TiffPicture(Picture):
    """The first picture of a TIFF.

    Raises:
        UserError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        silence("tifffile")
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # noqa: BLE001 - tifffile and its decoders share no class of errors
            raise unreadable(path, error) from None
        try:
            self._page = self._file.pages.first
            self.facts = _read_facts(self._file, self._page)
        except Exception as error:  # noqa: BLE001 - as above
            self.close()
            raise unreadable(path, error) from None

    def samples(self) -> np.ndarray:
        """See `Picture`."""
        page = self._page
        require_within_limit(self.path, page.imagelength, page.imagewidth)
        try:
            self._require_whole()
            stored = page.asarray(maxworkers=1).reshape(page.shaped)[:, 0]  # (planes, H, W, channels)
        except Exception as error:  # noqa: BLE001 - as above
            raise unreadable(self.path, error) from None
        pixels = stored[0] if stored.shape[0] == 1 else np.moveaxis(stored[..., 0], 0, 2)
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        return upright(pixels.view(np.uint8) if pixels.dtype == bool else pixels, self.facts.orientation)

    def palette(self) -> np.ndarray:
        """See `Picture`."""
        if self._page.colormap is None:
            raise unreadable(self.path, ValueError("its palette is missing"))
        colours = np.asarray(self._page.colormap).T  # (N, 3) uint16, a colour of 8 bits being 257 times its value
        if colours.max() > 255:  # some programs store 8 bits as they are, which libtiff, too, takes for what they are
            colours = colours >> 8
        return np.column_stack([colours, np.full(len(colours), 255)]).astype(np.uint8)

    def close(self) -> None:
        """See `Picture`."""
        self._file.close()

    def read(self, top_px: int, left_px: int, height_px: int, width_px: int) -> np.ndarray:
        """Decode the tiles under a window of a tiled picture for which `facts.is_plain_rgb` holds.

        Returns:
            (h, w, 3) uint8, RGB; what lies outside the picture is left out.

        Raises:
            UserError: A tile is damaged.
        """
        page = self._page
        bottom, right = min(top_px + height_px, page.imagelength), min(left_px + width_px, page.imagewidth)
        window = np.zeros((bottom - top_px, right - left_px, 3), np.uint8)
        per_row = -(-page.imagewidth // page.tilewidth)
        for row in range(top_px // page.tilelength, -(-bottom // page.tilelength)):
            for column in range(left_px // page.tilewidth, -(-right // page.tilewidth)):
                tile = self._decode(row * per_row + column)
                y, x = row * page.tilelength, column * page.tilewidth
                height, width = tile.shape[:2]
                rows = slice(max(y, top_px), min(y + height, bottom))
                columns = slice(max(x, left_px), min(x + width, right))
                window[rows.start - top_px : rows.stop - top_px, columns.start - left_px : columns.stop - left_px] = (
                    tile[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
                )
        return window

    def _decode(self, index: int) -> np.ndarray:
        """Return one tile, (height, width, 3) uint8; cut at the picture's edge."""
        page, file = self._page, self._file.filehandle
        try:
            file.seek(page.dataoffsets[index])
            data = file.read(page.databytecounts[index])
            decoded = page.decode(data, index, jpegtables=page.jpegtables)[0]
        except Exception as error:  # noqa: BLE001 - as above
            raise unreadable(self.path, error) from None
        if decoded is None:
            raise unreadable(self.path, ValueError(f"tile {index} is empty"))
        return np.asarray(decoded)[0]

    def _require_whole(self) -> None:
        """Refuse strips and tiles that are missing: tifffile would fill them with zeros."""
        page, size = self._page, self._file.filehandle.size
        parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if len(parts) < math.prod(page.chunked) or any(not count or start + count > size for start, count in parts):
            raise ValueError("parts of the picture are missing")


def _read_facts(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PictureFacts:
    colour, channels = _COLOURS.get(
        int(page.photometric), (getattr(page.photometric, "name", "unknown colour"), page.samplesperpixel)
    )
    if colour == "YCbCr" and page.compression in _JPEG:
        colour = RGB
    more = page.samplesperpixel - channels
    if more < 0:
        raise ValueError(f"{page.samplesperpixel} channels of {colour}")
    alpha = more == 1 and colour != PALETTE and tuple(page.extrasamples)[-1:] in ((1,), (2,))
    orientation = known_orientation(int(page.tags.valueof(ORIENTATION_TAG, 1)))
    height, width = upright_size(page.imagelength, page.imagewidth, orientation)
    bits = page.bitspersample
    return PictureFacts(
        file_format="TIFF",
        height_px=height,
        width_px=width,
        colour=colour,
        bits=max(bits) if isinstance(bits, tuple) else int(bits),
        sample=_SAMPLES.get(int(page.sampleformat), "unknown"),
        alpha=alpha,
        extra_channels=more - alpha,
        pictures=_count_pictures(file, page),
        orientation=orientation,
        tiled=page.is_tiled,
        planar=page.planarconfig == 2 and page.samplesperpixel > 1,
    )


def _count_pictures(file: tifffile.TiffFile, base: tifffile.TiffPage) -> int:
    """Count pages that are no level of a pyramid; one page may hold a stack, too (ImageJ, volumes)."""
    pages = 1 + sum(not _is_reduced(page, base) for page in file.pages[1:])
    first = file.series[0]
    planes = first.size // math.prod(base.shaped) if first.keyframe.index == base.index else 1
    return max(pages, planes, base.imagedepth)


def _is_reduced(page: object, base: tifffile.TiffPage) -> bool:
    """Return whether a page shows the base again: flagged so, or a smaller copy behind a tiled page."""
    if not isinstance(page, tifffile.TiffPage):
        page = page.aspage()  # pyright: ignore[reportAttributeAccessIssue] - of a TiffFrame
    assert isinstance(page, tifffile.TiffPage)
    if page.subfiletype & (_REDUCED | _MASK):
        return True
    if not base.is_tiled or (page.dtype, page.samplesperpixel) != (base.dtype, base.samplesperpixel):
        return False
    rows, columns = base.imagelength / page.imagelength, base.imagewidth / page.imagewidth
    rounding = 1 / page.imagelength + 1 / page.imagewidth
    return min(rows, columns) > 1 and abs(rows / columns - 1) <= max(_SAME_SHAPE, rounding)
