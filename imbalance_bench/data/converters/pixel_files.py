"""Reading source images and translating source labels: every code is known, or refused with its file and place."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imbalance_bench.errors import UserError

UNLABELLED_ID = 255

_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_LABEL_MODES = ("L", "P", "1", "I", "I;16")
_COLOUR_MODES = ("RGB", "RGBA", "L", "P", "LA")
_LOSSY_SUFFIXES = (".jpg", ".jpeg")
_SHOWN = 12  # codes listed in a message


class UnknownLabelsError(UserError):
    """A mask holds codes that are no labels."""


@dataclass(frozen=True)
class LabelTable:
    """A map from source codes to class ids.

    Args:
        ids: Code -> class id or UNLABELLED_ID. A colour is the code 0xrrggbb.
        colours: Whether codes are colours; only for messages.
    """

    ids: Mapping[int, int]
    colours: bool = False

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        codes = np.array(sorted(self.ids), dtype=np.int64)
        return codes, np.array([self.ids[int(code)] for code in codes], dtype=np.uint8)

    def apply(self, codes: np.ndarray, path: Path) -> np.ndarray:
        """Translate codes.

        Args:
            codes: (H, W) integers.
            path: Where they come from, for the message.

        Returns:
            (H, W) uint8.

        Raises:
            UserError: A code is not in the table.
        """
        known, ids = self._sorted
        place = np.searchsorted(known, codes).clip(max=len(known) - 1)
        wrong = known[place] != codes
        if wrong.any():
            fix = "Map it to a class or to unlabelled, or correct the mask."
            if path.suffix.lower() in _LOSSY_SUFFIXES:
                fix = "JPEG changes labels: export the mask again as PNG or TIFF."
            if self.colours:
                fix += " Where masks are anti-aliased or noisy, `nearest: true` takes the nearest label."
            raise self.unknown(codes, wrong, path, fix)
        return ids[place]

    def unknown(self, codes: np.ndarray, wrong: np.ndarray, path: Path, fix: str) -> UnknownLabelsError:
        """Return the error about codes that are no labels: each with its number of pixels, the most frequent first.

        Args:
            codes: (H, W) integers.
            wrong: (H, W) bool, where they are unknown.
            path: Where they come from.
            fix: What to do.
        """
        row, column = (int(each[0]) for each in np.nonzero(wrong))
        strange, counts = np.unique(codes[wrong], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        shown = [
            f"{self._name(code)} ({n} px)"
            for code, n in zip(strange[order][:_SHOWN], counts[order][:_SHOWN], strict=True)
        ]
        more = f", and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        known = [self._name(code) for code in self._sorted[0][:_SHOWN]]
        known += ["..."] if len(self.ids) > _SHOWN else []
        return UnknownLabelsError(
            f"{path} must hold known labels ({', '.join(known)}). Got {', '.join(shown)}{more}: {len(order)} unknown "
            f"in {100 * wrong.mean():.2g} % of the pixels, first at row {row}, column {column}. {fix}"
        )

    def _name(self, code: int | np.integer[Any]) -> str:
        return f"#{int(code):06x}" if self.colours else str(int(code))


def read_rgb(path: Path) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8; an alpha channel is dropped.

    Raises:
        UserError: The file is truncated or not 8-bit.
    """
    return _decode(path, _COLOUR_MODES, "RGB", "an 8-bit image")


def read_labels(path: Path) -> np.ndarray:
    """Decode a mask of codes to (H, W) int32: one channel, or three equal ones.

    Raises:
        UserError: The file is truncated or holds colours.
    """
    array = _decode(path, (*_LABEL_MODES, "RGB", "RGBA"), None, "a mask of codes").astype(np.int32)
    if array.ndim == 3:
        if (array[..., :3] != array[..., :1]).any():
            raise UserError(f"{path} must hold codes in one channel. Got colours. Map colours ('#rrggbb') instead.")
        array = array[..., 0]
    return array


def read_colours(path: Path) -> np.ndarray:
    """Decode a mask of colours to (H, W) int32 codes 0xrrggbb; a palette is resolved.

    Raises:
        UserError: The file is truncated or not 8-bit.
    """
    red, green, blue = np.moveaxis(_decode(path, _COLOUR_MODES, "RGB", "a mask of colours").astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def require_same_size(image: np.ndarray, image_path: Path, mask: np.ndarray, mask_path: Path) -> None:
    """Refuse an image and a mask of different size."""
    if image.shape[:2] != mask.shape[:2]:
        sizes = [f"{array.shape[0]} x {array.shape[1]}" for array in (image, mask)]
        raise UserError(
            f"{mask_path} must have the size of {image_path}, {sizes[0]} px (height x width). Got {sizes[1]}. "
            "Replace one of them."
        )


def _decode(path: Path, modes: tuple[str, ...], convert: str | None, what: str) -> np.ndarray:
    try:
        with Image.open(path) as file:
            if file.mode not in modes:
                raise UserError(f"{path} must be {what} ({', '.join(modes)}). Got mode {file.mode}. Convert it.")
            return np.array(file.convert(convert) if convert else file)
    except _DECODE_ERRORS as error:
        raise UserError(f"{path} must be a complete image file. Got: {error}. Download it again.") from None
