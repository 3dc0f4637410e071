"""Translating source labels: every code is known, or refused with its file and place."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.pictures import open_picture
from imbalance_bench.data.pictures.orientation import upright_size
from imbalance_bench.errors import UserError

UNLABELLED_ID = 255

_LOSSY_SUFFIXES = (".jpg", ".jpeg")
Size = tuple[int, int]

_SHOWN = 12  # codes listed in a message
_BAND = 1024  # rows translated at a time


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

    @property
    def classes(self) -> dict[int, int]:
        """Class id of each code that stands for a class."""
        return {code: id_ for code, id_ in self.ids.items() if id_ != UNLABELLED_ID}

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
        sorted_codes, ids = self._sorted
        translated, wrong = np.empty(codes.shape, dtype=np.uint8), np.empty(codes.shape, dtype=bool)
        for top in range(0, len(codes), _BAND):  # places take eight bytes a pixel
            band = slice(top, top + _BAND)
            place = np.searchsorted(sorted_codes, codes[band]).clip(max=len(sorted_codes) - 1)
            wrong[band] = sorted_codes[place] != codes[band]
            translated[band] = ids[place]
        if wrong.any():
            raise self.unknown(codes, wrong, path, self._fix(path))
        return translated

    def _fix(self, path: Path) -> str:
        if path.suffix.lower() in _LOSSY_SUFFIXES:
            fix = "JPEG changes labels: export the mask again as PNG or TIFF."
        else:
            fix = "Map it to a class or to unlabelled, or correct the mask."
        if self.colours:
            fix += " Where masks are anti-aliased or noisy, `nearest: true` takes the nearest label."
        return fix

    def unknown(self, codes: np.ndarray, wrong: np.ndarray, path: Path, fix: str) -> UnknownLabelsError:
        """Return the error about codes that are no labels: each with its number of pixels, the most frequent first.

        Args:
            codes: (H, W) integers.
            wrong: (H, W) bool, where they are unknown.
            path: Where they come from.
            fix: What to do.
        """
        row, column = (int(indices[0]) for indices in np.nonzero(wrong))
        strange, counts = np.unique(codes[wrong], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        shown = [
            f"{self._name(code)} ({n} px)"
            for code, n in zip(strange[order][:_SHOWN], counts[order][:_SHOWN], strict=True)
        ]
        more = f", and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
        known_labels = [self._name(code) for code in self._sorted[0][:_SHOWN]]
        known_labels += ["..."] if len(self.ids) > _SHOWN else []
        return UnknownLabelsError(
            f"{path} must hold known labels ({', '.join(known_labels)}). Got {', '.join(shown)}{more}: {len(order)} "
            f"unknown in {100 * wrong.mean():.2g} % of the pixels, first at row {row}, column {column}. {fix}"
        )

    def _name(self, code: int | np.integer[Any]) -> str:
        return f"#{int(code):06x}" if self.colours else str(int(code))


def require_same_frame(image: Path, image_size: Size, mask: Path, mask_size: Size) -> None:
    """Refuse an image and a mask that do not lie on each other.

    An orientation tag was obeyed when its file was read. Whether the other file, without it, was drawn on the pixels as
    they are shown or as they are stored can be told by its size; a pair of which it cannot be told is refused.

    Args:
        image: The image's file.
        image_size: Its height and width as shown, px.
        mask: The mask's file.
        mask_size: Likewise.

    Raises:
        UserError: The sizes differ, or the orientations do and the sizes do not tell.
    """
    of_image, of_mask = _orientation(image), _orientation(mask)
    if image_size != mask_size:
        sizes = [f"{height} x {width}" for height, width in (image_size, mask_size)]
        fix = "Replace one of them."
        turned, tag = (image, of_image) if of_image != 1 else (mask, of_mask)
        if tag != 1:
            fix = (
                f"{turned} was turned as its orientation tag {tag} says: save it upright and without the tag, in the "
                "position that the other has."
            )
        raise UserError(f"{mask} must have the size of {image}, {sizes[0]} px (height x width). Got {sizes[1]}. {fix}")
    if of_image != of_mask and upright_size(*image_size, of_image) == upright_size(*mask_size, of_mask):
        raise UserError(
            f"{mask} must have the orientation tag of {image}, {of_image} (1: upright, or no tag). Got {of_mask}, and "
            "their sizes do not tell which way up the mask was drawn. Save both upright and without a tag."
        )


def _orientation(path: Path) -> int:
    """Return the orientation tag of a picture; 1 of a file that is none (arrays, MATLAB)."""
    try:
        with open_picture(path) as picture:
            return picture.facts.orientation
    except UserError:
        return 1
