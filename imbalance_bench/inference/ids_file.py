"""Class ids of an image of any size in a file, written and read in windows."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class IdsFile:
    """Class ids of an image on disk, (H, W) uint8; what has not been written is UNLABELLED. A context manager.

    The file holds id + 1 modulo 256, so that what nobody wrote is a hole in it and takes no space. It is read and
    written by plain calls rather than mapped: mapped pages would count as memory of this process.

    Args:
        path: The file; it is made where there is none.
        height_px: H.
        width_px: W.
    """

    def __init__(self, path: Path, height_px: int, width_px: int) -> None:
        self.height_px, self.width_px = height_px, width_px
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.ftruncate(self._file, height_px * width_px)

    @property
    def shape(self) -> tuple[int, int]:
        """H and W."""
        return self.height_px, self.width_px

    def write(self, top: int, left: int, ids: np.ndarray) -> None:
        """Write a window, (h, w) uint8."""
        stored = ids + np.uint8(1)
        if not stored.any():
            return
        if ids.shape[1] == self.width_px:
            self._put(stored.tobytes(), top * self.width_px)
            return
        for number, row in enumerate(stored):
            self._put(row.tobytes(), (top + number) * self.width_px + left)

    def read(self, top: int, left: int, height: int, width: int, *, step: int = 1) -> np.ndarray:
        """Read a window.

        Args:
            top: First row.
            left: First column.
            height: Rows, at most those that are left.
            width: Columns, at most those that are left.
            step: Take each step-th row and column only.

        Returns:
            (ceil(height / step), ceil(width / step)) uint8.
        """
        if step == 1 and width == self.width_px:
            stored = np.frombuffer(self._get(height * width, top * width), np.uint8).reshape(height, width)
        else:
            starts = ((top + row) * self.width_px + left for row in range(0, height, step))
            stored = np.stack([np.frombuffer(self._get(width, start), np.uint8)[::step] for start in starts])
        return stored - np.uint8(1)

    def flush(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _put(self, content: bytes, place: int) -> None:
        view = memoryview(content)
        while view:
            written = os.pwrite(self._file, view, place)
            view, place = view[written:], place + written

    def _get(self, size: int, place: int) -> bytes:
        parts = []
        while size:  # the system reads at most 2 GiB at once
            part = os.pread(self._file, size, place)
            if not part:
                raise OSError("The file of class ids is shorter than its image.")
            parts.append(part)
            size, place = size - len(part), place + len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
