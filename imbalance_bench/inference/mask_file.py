"""Masks written row by row as PNG: pixel values are class ids, grey or as indices of the classes' colours."""

import struct
import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST_EDGE = 2**31 - 1
_GREY, _PALETTE = 0, 3  # colour types


class MaskWriter:
    """Writes an 8-bit PNG of any size without holding it in memory; a context manager.

    Args:
        file: Open for writing.
        height_px: Rows.
        width_px: Columns.
        colours: "#rrggbb" of each id from 0, for a palette. Without them ids are grey values, which every program reads
            as they are; those of a palette many read as colours.

    Source: PNG specification, third edition, W3C 2003-2025, sections 5, 9 (filter 0) and 11.
    """

    def __init__(self, file: IO[bytes], height_px: int, width_px: int, colours: Sequence[str] = ()) -> None:
        if not 1 <= min(height_px, width_px) <= max(height_px, width_px) <= _LARGEST_EDGE:
            raise ValueError(f"A PNG must have 1 to {_LARGEST_EDGE} rows and columns. Got {height_px} x {width_px}.")
        self._file, self._width, self._rows_left = file, width_px, height_px
        self._compress = zlib.compressobj(6)
        file.write(_SIGNATURE)
        kind = _PALETTE if colours else _GREY
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, kind, 0, 0, 0))
        if colours:
            self._chunk(b"PLTE", b"".join(bytes.fromhex(colour.removeprefix("#")) for colour in colours))

    def write(self, rows: np.ndarray) -> None:
        """Append rows, (n, width) uint8."""
        if rows.ndim != 2 or rows.shape[1] != self._width or len(rows) > self._rows_left:
            raise ValueError(f"Rows must be (<= {self._rows_left}, {self._width}). Got {rows.shape}.")
        self._rows_left -= len(rows)
        filtered = np.zeros((len(rows), self._width + 1), dtype=np.uint8)  # filter type 0 before each row
        filtered[:, 1:] = rows
        self._data(self._compress.compress(filtered.tobytes()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if self._rows_left:
            raise ValueError(f"{self._rows_left} rows were not written.")
        self._data(self._compress.flush())
        self._chunk(b"IEND", b"")

    def _data(self, content: bytes) -> None:
        if content:
            self._chunk(b"IDAT", content)

    def _chunk(self, name: bytes, content: bytes) -> None:
        checksum = zlib.crc32(content, zlib.crc32(name))
        self._file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum))
