"""Maps of numbers in MATLAB 5 files.

Read here, and not by `scipy.io.loadmat`, which ends the process on some damaged files (streams that are cut, unknown
types, complex numbers without their second part).
Source: MAT-File Format (The MathWorks), level 5: a header of 128 bytes, then elements of a tag and their data.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imbalance_bench.errors import UserError

_HEADER_BYTES, _TAG_BYTES, _SHORT_BYTES = 128, 8, 4
_BYTE_ORDERS = {b"IM": "<", b"MI": ">"}  # of 'M' and 'I' in the file
_LEVEL_5 = 0x0100
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15  # types of elements
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # by type
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x0800


def read_maps(path: Path, *names: str) -> list[np.ndarray]:
    """Read real, dense matrices of a MATLAB file.

    Args:
        path: Written by MATLAB's `save -v6` or `save -v7`, or by `scipy.io.savemat`.
        names: Of the variables.

    Raises:
        UserError: The file is damaged or of another version, or lacks one of them.
    """
    try:
        found = dict(_matrices(path.read_bytes()))
    except (ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path} must be a complete MATLAB file. Got: {error}. Download it again.") from None
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{path} must hold {' and '.join(names)}. Got no {missing[0]!r}. Download it again.")
    return [found[name] for name in names]


def _matrices(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values of every real, dense matrix of numbers.

    Raises:
        ValueError, struct.error, zlib.error: The file is damaged or of another version.
    """
    order = _BYTE_ORDERS.get(content[126:_HEADER_BYTES])
    if order is None or struct.unpack(f"{order}H", content[124:126])[0] != _LEVEL_5:
        raise ValueError("another version than 5 (MATLAB's `save -v7` writes it)")
    for kind, data in _elements(content[_HEADER_BYTES:], order):
        within = _elements(_decompressed(data), order) if kind == _COMPRESSED else [(kind, data)]
        for inner_kind, matrix in within:
            found = _matrix(matrix, order) if inner_kind == _MATRIX else None
            if found is not None:
                yield found


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and data of each element."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        place += _TAG_BYTES
        if kind >> 16:  # short: its data are in the tag
            kind, size = kind & 0xFFFF, kind >> 16
            data = content[place - _SHORT_BYTES : place][:size]
        else:
            data = content[place : place + size]
            place += size if kind == _COMPRESSED else size + -size % _TAG_BYTES
        if len(data) < size:
            raise ValueError("an element that ends too early")
        yield kind, data


def _decompressed(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data)
    if not stream.eof:
        raise ValueError("a compressed element that is cut")
    return content


def _matrix(content: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """Return name and values; None for text, cells, structures, sparse or complex matrices."""
    parts = list(_elements(content, order))
    if [kind for kind, _ in parts[:3]] != [_UINT32, _INT32, _INT8]:
        raise ValueError("a matrix without flags, size and name")
    (_, flags), (_, size), (_, name) = parts[:3]
    (of_matrix,) = struct.unpack_from(f"{order}I", flags)
    numbers = _CLASSES.get(of_matrix & 0xFF)
    if numbers is None or of_matrix & _COMPLEX:
        return None
    if len(parts) != 4 or parts[3][0] not in _STORED:
        raise ValueError("a matrix without its numbers")
    kind, data = parts[3]
    values = np.frombuffer(data, dtype=f"{order}{_STORED[kind]}")
    shape = struct.unpack(f"{order}{len(size) // 4}i", size)
    if min(shape, default=-1) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} numbers in a matrix of {' x '.join(map(str, shape))}")
    return name.decode("latin-1"), values.reshape(shape, order="F").astype(numbers)
