"""What a figure in SVG says of its parts: the method to which they belong, and values shown under the pointer.

Matplotlib writes the `gid` of an artist as the id of its group. `part` puts the description there, and `described`
turns it into what a page understands: the attribute `data-method`, by which `page.js` hides a method, and titles.
"""

import html
import json
import re
from collections.abc import Sequence

_PREFIX = "part "
_TAGS = re.compile(r"(<[^>]+>)")
_PART = re.compile(rf"""^<g id=(["']){_PREFIX}(.*?)\1""", re.DOTALL)


def part(method: str = "", values: Sequence[str] = ()) -> str:
    """Return the `gid` of an artist.

    Args:
        method: Its method; empty if it belongs to none.
        values: Text for each of its marks, in the order in which they are drawn.
    """
    return _PREFIX + json.dumps([method, *values])


def described(svg: str) -> str:
    """Return an SVG file of Matplotlib with the descriptions of `part` as attributes and titles.

    Marks whose number is not that of their values, such as those outside the axes, have no titles.
    """
    pieces = _TAGS.split(svg)
    is_open: list[str] = []  # names of the elements around a piece
    values: list[str] = []
    marks: list[int] = []
    depth = 0
    for place, piece in enumerate(pieces):
        if piece.startswith("</"):
            is_open.pop()
            if values and len(is_open) < depth:
                _title(pieces, marks, values)
                values = []
        elif piece.startswith("<") and piece[1] not in "?!":
            name = piece[1:].split(maxsplit=1)[0].rstrip("/>")
            if found := _PART.match(piece):
                method, *values = json.loads(html.unescape(found[2]))
                attribute = f' data-method="{html.escape(method)}"' if method else ""
                pieces[place] = f"<g{attribute}{piece[found.end() :]}"
                marks, depth = [], len(is_open) + 1
            elif values and name in ("use", "path") and "defs" not in is_open:
                marks.append(place)
            if not piece.endswith("/>"):
                is_open.append(name)
    return "".join(pieces)


def _title(pieces: list[str], marks: Sequence[int], values: Sequence[str]) -> None:
    if len(marks) != len(values):
        return
    for place, text in zip(marks, values, strict=True):
        name = pieces[place][1:].split(maxsplit=1)[0]
        pieces[place] = f"{pieces[place][:-2]}><title>{html.escape(text)}</title></{name}>"
