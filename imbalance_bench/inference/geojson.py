"""Outlines as GeoJSON that QuPath opens: one annotation per connected area, in pixels of the image.

Source: `PathObjectTypeAdapter` of QuPath, version 0.5: `id` is a UUID, `isLocked` is written where it is true only.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np

from imbalance_bench.inference.outlines import Area

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "imbalance-bench/annotation")
Scale = tuple[float, float]  # image pixels per mask pixel, x and y


def write_feature_collection(file: IO[bytes], features: Iterable[dict[str, object]]) -> int:
    """Write features one by one as an RFC 7946 FeatureCollection and return their number."""
    file.write(b'{"type": "FeatureCollection", "features": [')
    count = 0
    for feature in features:
        text = json.dumps(feature, ensure_ascii=False, separators=(",", ":"))
        file.write(("," if count else "").encode() + b"\n" + text.encode())
        count += 1
    file.write(b"\n]}\n")
    return count


def annotation(
    area: Area, name: str, colour: str, *, origin: tuple[int, int] = (0, 0), scale: Scale = (1.0, 1.0)
) -> dict[str, object]:
    """Return one area as a feature that QuPath reads as an annotation with its class.

    It is locked, as the annotations that QuPath's own pixel classifiers make, so that no click moves it. Its id depends
    on nothing but class and outline: the same prediction gives the same bytes.

    Args:
        area: The area, in mask pixels.
        name: Class name.
        colour: "#rrggbb".
        origin: x and y of the traced part within the mask, px.
        scale: Image pixels per mask pixel.
    """
    rings = [_coordinates(ring, origin, scale) for ring in (area.exterior, *area.holes)]
    rgb = list(bytes.fromhex(colour.removeprefix("#")))
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_SPACE, json.dumps([name, rings]))),
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": rgb},
            "isLocked": True,
        },
    }


def _coordinates(ring: np.ndarray, origin: tuple[int, int], scale: Scale) -> Sequence[Sequence[float]]:
    shifted = ring + np.array(origin)
    if scale == (1.0, 1.0):
        return shifted.tolist()
    return (shifted * np.array(scale)).round(2).tolist()
