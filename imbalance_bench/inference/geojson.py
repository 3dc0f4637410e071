"""Outlines as GeoJSON that QuPath opens: one annotation per connected area, in pixels of the image.

Source: `PathObjectTypeAdapter` of QuPath, version 0.5: `id` is a UUID, `isLocked` is written where it is true only.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from imbalance_bench.inference.outlines import Area

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "imbalance-bench/annotation")
VERTICES_PER_PIECE = 2**15  # an outline may go round a whole slide
Scale = tuple[float, float]  # image pixels per mask pixel, x and y


def write_annotations(
    file: IO[bytes], areas: Iterable[Area], names: Sequence[str], colours: Sequence[str], *, scale: Scale = (1.0, 1.0)
) -> None:
    """Write areas one by one as an RFC 7946 FeatureCollection that QuPath reads.

    Args:
        file: Open for writing.
        areas: In mask pixels.
        names: Of the K classes.
        colours: "#rrggbb" of each.
        scale: Image pixels per mask pixel.
    """
    file.write(b'{"type": "FeatureCollection", "features": [')
    separator = "\n"
    for area in areas:
        file.write(separator.encode())
        for text in _texts(area, names[area.class_id], colours[area.class_id], scale):
            file.write(text.encode())
        separator = ",\n"
    file.write(b"\n]}\n")


def _texts(area: Area, name: str, colour: str, scale: Scale) -> Iterator[str]:
    """Yield the text of one annotation in pieces, of which none holds more than VERTICES_PER_PIECE vertices.

    It is locked, as the annotations that QuPath's own pixel classifiers make, so that no click moves it. Its id depends
    on nothing but class and outline: the same prediction gives the same bytes.
    """
    # as `uuid.uuid5` of the JSON of name and rings, which would be held as a whole
    digest = hashlib.sha1(_SPACE.bytes, usedforsecurity=False)
    digest.update(f"[{json.dumps(name)}, ".encode())
    for text in _rings(area, scale, ", "):
        digest.update(text.encode())
    digest.update(b"]")
    identity = uuid.UUID(bytes=digest.digest()[:16], version=5)
    yield f'{{"type":"Feature","id":"{identity}","geometry":{{"type":"Polygon","coordinates":'
    yield from _rings(area, scale, ",")
    rgb = list(bytes.fromhex(colour.removeprefix("#")))
    properties = {"objectType": "annotation", "classification": {"name": name, "color": rgb}, "isLocked": True}
    yield f'}},"properties":{json.dumps(properties, ensure_ascii=False, separators=(",", ":"))}}}'


def _rings(area: Area, scale: Scale, comma: str) -> Iterator[str]:
    """Yield the JSON of the rings of an area in pieces."""
    before = "[["
    for ring in (area.exterior, *area.holes):
        for start in range(0, len(ring), VERTICES_PER_PIECE):
            part = ring[start : start + VERTICES_PER_PIECE]
            scaled = part if scale == (1.0, 1.0) else (part * np.array(scale)).round(2)
            yield before + json.dumps(scaled.tolist(), separators=(comma, ": "))[1:-1]
            before = comma
        before = f"]{comma}["
    yield "]]"
