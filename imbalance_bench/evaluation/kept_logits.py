"""The logits of one image while several things are counted of them: in memory, or in a file where they are large."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

KEPT_BYTES = 2**28  # of one image in memory
_HALF_BITS = 16


class KeptLogits:
    """The logits of one image, (K, H, W) float32, as bands of rows. A context manager: leaving it forgets them.

    Args:
        folder: Where the file of large ones lies; it has no name there, and goes with this process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._bytes = folder, 0
        self._bands: list[np.ndarray] = []
        self._shapes: list[tuple[int, ...]] = []  # of the bands in the file
        self._file: IO[bytes] | None = None

    @property
    def in_memory(self) -> bool:
        """Whether reading them costs nothing."""
        return self._file is None

    def append(self, band: np.ndarray) -> None:
        """Add the next rows, (K, h, W) float32."""
        self._bytes += band.nbytes
        if self._file is None and self._bytes > KEPT_BYTES:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with this object
        self._bands.append(band)
        if self._file is not None:
            self._move_to(self._file)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the bands from the top; one reading at a time."""
        if self._file is None:
            yield from self._bands
            return
        self._file.seek(0)
        for shape in self._shapes:
            content = self._file.read(4 * math.prod(shape))
            yield np.frombuffer(content, dtype=np.float32).reshape(shape)

    def __enter__(self) -> "KeptLogits":
        return self

    def __exit__(self, *error: object) -> None:
        self._bands = []
        if self._file is not None:
            self._file.close()

    def _move_to(self, file: IO[bytes]) -> None:
        file.seek(0, os.SEEK_END)
        for band in self._bands:
            file.write(np.ascontiguousarray(band, dtype=np.float32).data)
            self._shapes.append(band.shape)
        self._bands = []


def nth_smallest(parts: Callable[[], Iterable[np.ndarray]], n: int) -> np.float32:
    """Return the n-th smallest of many numbers, 1 for the smallest, without having them all in memory.

    Args:
        parts: Gives them, float32 of any shape and without NaN, the same each time it is called; it is called twice.
        n: At most as many as there are.
    """
    upper = sum(np.bincount(_keys(part) >> _HALF_BITS, minlength=2**_HALF_BITS) for part in parts())
    below = np.cumsum(upper)
    first = int(np.searchsorted(below, n))
    left = n - (int(below[first - 1]) if first else 0)
    lower = np.zeros(2**_HALF_BITS, dtype=np.int64)
    for part in parts():
        keys = _keys(part)
        inside = keys[keys >> _HALF_BITS == first]
        lower += np.bincount(inside & (2**_HALF_BITS - 1), minlength=2**_HALF_BITS)
    second = int(np.searchsorted(np.cumsum(lower), left))
    return _number(first << _HALF_BITS | second)


def _keys(values: np.ndarray) -> np.ndarray:
    """Return uint32 in the order of float32 numbers; zero has one sign."""
    bits = (values.ravel() + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(2**31))


def _number(key: int) -> np.float32:
    bits = key & (2**31 - 1) if key >> 31 else ~key & (2**32 - 1)
    return np.float32(np.array(bits, dtype=np.uint32).view(np.float32))
