"""The contract of an image that is read in windows."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np


class RegionImage(ABC):
    """An RGB image that is read in windows. A context manager: leaving it closes the file.

    Attributes:
        height_px: Rows, at the resolution that is read.
        width_px: Columns, at the resolution that is read.
        mpp_um: Micrometres per pixel that is read, or None where the file does not state it.
        note: What was done to the file that a person might not expect, or "".
    """

    height_px: int
    width_px: int
    mpp_um: float | None
    note: str = ""

    def read(self, top_px: int, left_px: int, height_px: int, width_px: int) -> np.ndarray:
        """Read one window.

        Args:
            top_px: First row.
            left_px: First column.
            height_px: Rows h, all inside the image.
            width_px: Columns w, all inside the image.

        Returns:
            (h, w, 3) uint8, RGB.
        """
        bottom, right = top_px + height_px, left_px + width_px
        if min(top_px, left_px) < 0 or min(height_px, width_px) < 1 or bottom > self.height_px or right > self.width_px:
            raise ValueError(
                f"The window must lie in {self.height_px} x {self.width_px} px. Got rows {top_px}..{bottom}, columns "
                f"{left_px}..{right}."
            )
        return self._window(top_px, left_px, bottom, right)

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    @abstractmethod
    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
