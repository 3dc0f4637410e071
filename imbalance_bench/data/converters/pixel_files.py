"""Translating source labels: every code is known, or refused with its file and place."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures import open_picture
from imbalance_bench.errors import UserError

UNLABELLED_ID = 255

_LOSSY_SUFFIXES = (".jpg", ".jpeg")
_SHOWN = 12  # codes listed in a message
_BAND = 1024  # rows translated at a time


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
        translated = np.empty(codes.shape, dtype=np.uint8)
        for top in range(0, len(codes), _BAND):  # places take eight bytes a pixel
            translated[top : top + _BAND] = self._translate(codes[top : top + _BAND], top, path)
        return translated

    def _translate(self, codes: np.ndarray, top: int, path: Path) -> np.ndarray:
        known, ids = self._sorted
        place = np.searchsorted(known, codes).clip(max=len(known) - 1)
        wrong = known[place] != codes
        if wrong.any():
            row, column = (int(each[0]) for each in np.nonzero(wrong))
            strange = np.unique(codes[wrong])
            fix = "Map it to a class or to unlabelled, or correct the mask."
            if path.suffix.lower() in _LOSSY_SUFFIXES:
                fix = "JPEG changes labels: export the mask again as PNG or TIFF."
            raise UserError(
                f"{path} must hold known labels ({self._list(known)}). Got {self._list(strange)}, first at row "
                f"{top + row}, column {column}. {fix}"
            )
        return ids[place]

    def _list(self, codes: np.ndarray) -> str:
        shown = [f"#{int(code):06x}" if self.colours else str(int(code)) for code in codes[:_SHOWN]]
        return ", ".join([*shown, "..."] if len(codes) > _SHOWN else shown)


def require_same_size(image: np.ndarray, image_path: Path, mask: np.ndarray, mask_path: Path) -> None:
    """Refuse an image and a mask of different size; an orientation tag, which may be why, is named."""
    if image.shape[:2] == mask.shape[:2]:
        return
    sizes = [f"{array.shape[0]} x {array.shape[1]}" for array in (image, mask)]
    fix = "Replace one of them."
    for path in (image_path, mask_path):
        turned = _orientation(path)
        if turned != 1:
            fix = (
                f"{path} was turned as its orientation tag {turned} says: save it upright and without the tag, in the "
                "position that the other has."
            )
    raise UserError(
        f"{mask_path} must have the size of {image_path}, {sizes[0]} px (height x width). Got {sizes[1]}. {fix}"
    )


def _orientation(path: Path) -> int:
    """Return the orientation tag of a picture; 1 of a file that is none (arrays, MATLAB)."""
    try:
        with open_picture(path) as picture:
            return picture.facts.orientation
    except UserError:
        return 1
