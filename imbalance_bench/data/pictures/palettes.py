"""Masks whose codes are indices of a palette: each file has its own, and an index must mean the same in all of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures.facts import PALETTE
from imbalance_bench.data.pictures.opening import open_picture
from imbalance_bench.data.pixel_values import bands
from imbalance_bench.errors import UserError


@dataclass(frozen=True)
class Palette:
    """The palette of one mask.

    Attributes:
        colours: Of each index from 0, 0xrrggbb.
        used: Indices that some pixel holds, rising.
    """

    colours: tuple[int, ...]
    used: tuple[int, ...]


def read_palette(path: Path) -> Palette | None:
    """Return the palette of a mask that is read by index.

    Returns:
        None where codes have no colours: a file without a palette, one that is no picture (an array), and a palette
        that is the ramp of grey values, index i being grey i.
    """
    try:
        with open_picture(path) as picture:
            if picture.facts.colour != PALETTE or picture.facts.sample != "unsigned":
                return None
            red, green, blue = picture.palette()[:, :3].astype(int).T
            samples = picture.samples()
    except UserError:
        return None
    colours = red << 16 | green << 8 | blue
    if len(colours) > 1 and (colours == np.arange(len(colours)) * 0x010101).all():
        return None
    used = np.zeros(len(colours), dtype=bool)
    for rows in bands(*samples.shape):
        used |= np.bincount(samples[rows].ravel(), minlength=len(used))[: len(used)] > 0
    return Palette(tuple(colours.tolist()), tuple(np.flatnonzero(used).tolist()))


class IndexColours:
    """Whether palettes contradict the indices of masks: whether a pixel is of one class by index, of another by colour.

    Masks are compared one after the other; one that contradicts those before is not compared with those after it.

    - An index of a class has the colour that it has in the first mask, or that of another index of the same class.
    - A colour belongs to the class that it shows in the first mask. Where a palette has it for several classes, as
      padding does, it says nothing of them.
    - The colour of an index that stands for no class is free otherwise.

    Args:
        classes: Index -> class. Other indices stand for none.
    """

    def __init__(self, classes: Mapping[int, int]) -> None:
        self._classes = classes
        self._colour_of: dict[int, tuple[int, Path]] = {}  # used index -> its colour
        self._index_of: dict[int, tuple[int, Path]] = {}  # colour of used pixels of one class -> their index
        self._holders: defaultdict[int, set[int]] = defaultdict(set)  # colour -> indices of classes, used or not

    def difference(self, path: Path, palette: Palette | None) -> str | None:
        """Compare a mask with those before; a sentence on the first index that contradicts them, if any does."""
        if palette is None:
            return None
        shown = defaultdict[int, set[int | None]](set)
        for index in {*palette.used, *(index for index in self._classes if index < len(palette.colours))}:
            shown[palette.colours[index]].add(self._classes.get(index))
        told = {index: palette.colours[index] for index in palette.used if len(shown[palette.colours[index]]) == 1}
        for index in palette.used:
            own, class_ = palette.colours[index], self._classes.get(index)
            colour, other = self._colour_of.get(index, (own, path))
            if class_ is not None and colour != own and not self._has_sibling(index, own):
                return (
                    f"{path} must give index {index} of its palette the colour that it has in {other}, #{colour:06x}. "
                    f"Got #{own:06x}."
                )
            place, other = self._index_of.get(own, (index, path))
            if index in told and self._classes.get(place) != class_:
                return (
                    f"{path} must have #{own:06x} at index {place} of its palette, as {other} has. Got index {index}."
                )
        for index in palette.used:
            self._colour_of.setdefault(index, (palette.colours[index], path))
        for index, colour in told.items():
            self._index_of.setdefault(colour, (index, path))
        for index, colour in enumerate(palette.colours):
            if index in self._classes:
                self._holders[colour].add(index)
        return None

    def _has_sibling(self, index: int, colour: int) -> bool:
        """Return whether a colour belongs to another index of the same class in a mask before."""
        class_ = self._classes[index]
        return any(other != index and self._classes[other] == class_ for other in self._holders.get(colour, ()))


def misplaced(palette: Palette, places: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the used indices whose colour belongs to another index, with that index.

    A colour that the palette has at its own place, too, says nothing: palettes are padded.

    Args:
        palette: Of a mask.
        places: Colour 0xrrggbb -> the index that it belongs to.
    """
    for index in palette.used:
        colour = palette.colours[index]
        place = places.get(colour, index)
        if place != index and palette.colours[place : place + 1] != (colour,):
            yield index, place
