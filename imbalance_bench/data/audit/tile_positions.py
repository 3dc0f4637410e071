"""Where tiles lie on their slide, as far as their names tell."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

# "slide_x1024_y512", "slide_1024_512", "slide-1024-512": the last two numbers of a name
_TRAILING = re.compile(r"^(?P<area>.+?)[_-]x?(?P<x>\d+)[_-]y?(?P<y>\d+)$", re.IGNORECASE)
# "slide_xmin45749_ymin25055_MPP-0.2500": a region of a TCGA slide
_CORNER = re.compile(r"^(?P<area>.+?)_xmin(?P<x>\d+)_ymin(?P<y>\d+)(?:_|$)", re.IGNORECASE)
_SMALLEST_TILE_PX = 64  # for names whose tile size is unknown


class Position(NamedTuple):
    """Upper left corner of a tile, px, within an area (slide or region) of that name."""

    area: str
    x: int
    y: int


def parse_positions(
    names: Sequence[str], groups: Sequence[str | None], *, tile_px: int | None = None
) -> list[Position | None]:
    """Read positions from names, or None for each where they are only numbering.

    "case_3_12" names a tile of a case, not a place. So an area's numbers are places only if the largest of all reaches
    the size of a tile, and if no area holds two known groups.

    Args:
        names: N image ids.
        groups: N groups, None where unknown.
        tile_px: Smallest edge of an image, px, where known.
    """
    positions = [_parse(name) for name in names]
    farthest = max((max(place.x, place.y) for place in positions if place), default=0)
    if farthest < (tile_px or _SMALLEST_TILE_PX):
        return [None] * len(positions)
    owners: dict[str, set[str]] = defaultdict(set)
    for place, group in zip(positions, groups, strict=True):
        if place and group is not None:
            owners[place.area].add(group)
    return [place if place and len(owners[place.area]) < 2 else None for place in positions]


def _parse(name: str) -> Position | None:
    for pattern in (_TRAILING, _CORNER):
        match = pattern.match(name)
        if match:
            return Position(match["area"], int(match["x"]), int(match["y"]))
    return None
