"""Windows of a tiled TIFF file: only the tiles that a window touches are decoded."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import tifffile

from imbalance_bench.errors import UserError

# What a damaged file, or a compression without its codec, makes tifffile raise.
_ERRORS = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, RuntimeError, EOFError)


def is_tiled_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF whose first page is stored in tiles; False for whatever is no TIFF at all."""
    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.pages.first.is_tiled)
    except _ERRORS:
        return False


class TiledTiff:
    """The first page of a tiled 8-bit RGB TIFF.

    Args:
        path: The file.

    Raises:
        UserError: It is not tiled 8-bit RGB, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = tifffile.TiffFile(path)
            page = self._file.pages.first
        except _ERRORS as error:
            raise _damaged(path, error) from None
        if not page.is_tiled or page.dtype != np.uint8 or page.samplesperpixel != 3 or page.planarconfig != 1:
            self.close()
            raise UserError(f"{path} must be a tiled 8-bit RGB TIFF. Convert it.")
        self._page = page
        self.height_px, self.width_px = page.imagelength, page.imagewidth

    def read(self, top_px: int, left_px: int, height_px: int, width_px: int) -> np.ndarray:
        """Decode the tiles under a window; what lies outside the image is left out.

        Returns:
            (h, w, 3) uint8, RGB.

        Raises:
            UserError: A tile is damaged.
        """
        page = self._page
        bottom, right = min(top_px + height_px, self.height_px), min(left_px + width_px, self.width_px)
        window = np.zeros((bottom - top_px, right - left_px, 3), np.uint8)
        per_row = -(-self.width_px // page.tilewidth)
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

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self, index: int) -> np.ndarray:
        """Return one tile, (height, width, 3) uint8; cut at the image's edge."""
        page, file = self._page, self._file.filehandle
        try:
            file.seek(page.dataoffsets[index])
            data = file.read(page.databytecounts[index])
            decoded = page.decode(data, index, jpegtables=page.jpegtables)[0]
        except _ERRORS as error:
            raise _damaged(self._path, error) from None
        if decoded is None:
            raise _damaged(self._path, ValueError(f"tile {index} is empty"))
        return np.asarray(decoded)[0]


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} must be a complete image file. Got: {error}. Copy or convert it again.")
