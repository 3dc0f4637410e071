"""Rows of an array store that are on disk, in chunks with their checksums.

The journal is a file of fixed-size records that is only ever appended to. A record that was cut off, or that does not
agree with its own checksum, ends it.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

_SPAN = struct.Struct("<QQI")  # first row, row after the last, CRC-32 of the rows in all arrays
_SPAN_CHECKSUM = struct.Struct("<I")  # CRC-32 of the span's bytes
_RECORD_BYTES = _SPAN.size + _SPAN_CHECKSUM.size


@dataclass(frozen=True)
class Chunk:
    """Rows that were written together.

    Args:
        start: First row.
        stop: Row after the last.
        checksum: CRC-32 of these rows of every array, in the order of their names.
    """

    start: int
    stop: int
    checksum: int

    @property
    def rows(self) -> slice:
        """Its rows of an array."""
        return slice(self.start, self.stop)

    @property
    def n_rows(self) -> int:
        """How many rows it has."""
        return self.stop - self.start


def rows_checksum(values: Mapping[str, np.ndarray]) -> int:
    """Return the CRC-32 of the bytes of some rows of every array, in the order of their names."""
    checksum = 0
    for name in sorted(values):
        checksum = zlib.crc32(np.ascontiguousarray(values[name]).reshape(-1).view(np.uint8).data, checksum)
    return checksum


def read_journal(path: Path) -> tuple[list[Chunk], int]:
    """Return the finished chunks and how many bytes of the journal are intact; none where there is no journal."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    chunks: list[Chunk] = []
    whole_bytes = len(content) - len(content) % _RECORD_BYTES
    for position in range(0, whole_bytes, _RECORD_BYTES):
        span = content[position : position + _SPAN.size]
        if _SPAN_CHECKSUM.unpack_from(content, position + _SPAN.size) != (zlib.crc32(span),):
            return chunks, position
        chunks.append(Chunk(*_SPAN.unpack(span)))
    return chunks, whole_bytes


def append_to_journal(file: FileIO, chunk: Chunk) -> None:
    """Append a chunk whose rows are on disk, and wait until the journal is, too."""
    span = _SPAN.pack(chunk.start, chunk.stop, chunk.checksum)
    file.write(span + _SPAN_CHECKSUM.pack(zlib.crc32(span)))
    os.fsync(file.fileno())
