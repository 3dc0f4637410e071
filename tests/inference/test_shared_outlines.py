"""Outlines traced block by block against those of the whole mask, ring for ring."""

import io
import json
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.inference import geojson
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.outlines import Area, trace_areas
from imbalance_bench.inference.shared_outlines import trace_in_blocks
from tests.inference.test_outlines import random_mask

NAMES, COLOURS = ("a", 'b"ä', "c"), ("#010203", "#040506", "#070809")


def comparable(areas: Iterable[Area]) -> list:
    return sorted((area.class_id, area.exterior.tolist(), [hole.tolist() for hole in area.holes]) for area in areas)


def traced(mask: np.ndarray, folder: Path, block_px: int) -> list[Area]:
    with IdsFile(folder / f"ids_{block_px}", *mask.shape) as ids:
        ids.write(0, 0, mask)
        return list(trace_in_blocks(ids, folder, block_px=block_px))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("glass", [False, True])
def test_blocks_give_the_rings_of_the_whole(seed: int, glass: bool, tmp_path: Path) -> None:
    mask = random_mask(seed)
    if glass:
        mask[4:20, 8:33][random_mask(seed + 1)[4:20, 8:33] == 1] = UNLABELLED
    expected = comparable(trace_areas(mask))
    for block_px in (1, 5, 7, 16, 30, 64):
        assert comparable(traced(mask, tmp_path, block_px)) == expected
    assert not (tmp_path / "outlines").exists()


def test_an_area_round_all_blocks_keeps_its_hole(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[3:37, 3:37] = 1
    mask[9:31, 9:31] = 0
    outside, ring, inside = traced(mask, tmp_path, 8)
    assert [len(area.holes) for area in (outside, ring, inside)] == [1, 1, 0]
    assert ring.exterior.tolist() == [[3, 3], [37, 3], [37, 37], [3, 37], [3, 3]]  # no vertex at borders of blocks


def test_annotations_are_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = trace_areas(random_mask(3))

    def written() -> bytes:
        file = io.BytesIO()
        geojson.write_annotations(file, areas, NAMES, COLOURS, scale=(2.5, 1.0))
        return file.getvalue()

    whole = written()
    for feature, area in zip(json.loads(whole)["features"], areas, strict=True):
        rings = [(ring * np.array([2.5, 1.0])).round(2).tolist() for ring in (area.exterior, *area.holes)]
        name = NAMES[area.class_id]
        assert feature["geometry"]["coordinates"] == rings
        assert feature["properties"]["classification"]["name"] == name
        space = uuid.uuid5(uuid.NAMESPACE_URL, "imbalance-bench/annotation")
        assert feature["id"] == str(uuid.uuid5(space, json.dumps([name, rings])))
    monkeypatch.setattr(geojson, "VERTICES_PER_PIECE", 3)
    assert written() == whole
