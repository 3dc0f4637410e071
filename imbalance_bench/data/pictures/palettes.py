"""Masks whose codes are indices of a palette: each file has its own, and an index must mean the same in all of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures.facts import PALETTE
from imbalance_bench.data.pictures.opening import open_picture
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
    used = np.flatnonzero(np.bincount(samples.ravel()))
    return Palette(tuple(colours.tolist()), tuple(used[used < len(colours)].tolist()))


class IndexColours:
    """What indices stand for in a set of masks: each has the colour that the first mask that uses it gives it."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[int, Path]] = {}

    def difference(self, path: Path, palette: Palette | None) -> str | None:
        """Compare a mask with those before; a sentence on the first index that has another colour, if any has."""
        if palette is None:
            return None
        for index in palette.used:
            own = palette.colours[index]
            colour, other = self._first.setdefault(index, (own, path))
            if colour != own:
                return (
                    f"{path} must give index {index} of its palette the colour that it has in {other}, #{colour:06x}. "
                    f"Got #{own:06x}."
                )
        return None


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
