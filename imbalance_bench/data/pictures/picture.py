"""The opened picture, whatever its format: facts first, samples when wanted."""

import logging
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from imbalance_bench.data.pictures.facts import PictureFacts
from imbalance_bench.errors import UserError

LIMIT_VARIABLE = "IMBALANCE_BENCH_MAX_PIXELS"
LIMIT_PX = 2**30  # of one picture decoded as a whole; as OpenCV's


class Picture(ABC):
    """An opened file; a context manager.

    Attributes:
        path: The file.
        facts: What it holds.
    """

    path: Path
    facts: PictureFacts

    @abstractmethod
    def samples(self) -> np.ndarray:
        """Decode the first picture as a whole, upright, without changing a sample.

        Returns:
            (H, W), or (H, W, C) where there are several channels; a palette's indices.

        Raises:
            UserError: The file is damaged, or larger than the limit.
        """

    @abstractmethod
    def palette(self) -> np.ndarray:
        """Return the colours of a palette, (N, 4) uint8, RGBA.

        Raises:
            UserError: The file says that it has one and has none.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def silence(library: str) -> None:
    """Keep what a library logs of odd files from the terminal: what matters is refused in one line of ours."""
    logger = logging.getLogger(library)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def unreadable(path: Path, error: Exception) -> UserError:
    """Return the error of a file that no decoder takes."""
    reason = str(error) or type(error).__name__
    return UserError(f"{path} must be a complete image file. Got: {reason}. Copy or convert it again.")


def require_within_limit(path: Path, height_px: int, width_px: int) -> None:
    """Refuse to decode a picture that is larger than the limit.

    Raises:
        UserError: It is, or the limit is no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(LIMIT_PX))
    if not text.isdecimal() or not int(text):
        raise UserError(f"{LIMIT_VARIABLE} must be a number of pixels. Got '{text}'. Correct or unset it.")
    pixels = height_px * width_px
    if pixels > int(text):
        raise UserError(
            f"{path} must have at most {int(text)} pixels to be decoded as a whole. Got {height_px} x {width_px} = "
            f"{pixels}. Cut the region, or set the environment variable {LIMIT_VARIABLE}={pixels} where the memory "
            "suffices."
        )
