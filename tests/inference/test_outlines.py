"""Outlines tile the mask exactly, and every one is a valid polygon (oracle: shapely, GEOS)."""

import numpy as np
import pytest
from scipy import ndimage
from shapely import Polygon, contains_xy

from imbalance_bench.inference.outlines import Area, trace_areas


def polygon(area: Area) -> Polygon:
    return Polygon(area.exterior, area.holes)


def random_mask(seed: int) -> np.ndarray:
    """Noise of several coarseness: corners that touch, areas in areas, single pixels."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(30, 41)), 0.4 * (seed % 4))
    return np.digitize(noise, np.quantile(noise, [0.3, 0.7])).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_areas_are_valid_and_cover_each_pixel_once(seed: int) -> None:
    mask = random_mask(seed)
    areas = trace_areas(mask)
    polygons = [polygon(area) for area in areas]
    assert all(each.is_valid for each in polygons)
    painted = np.full(mask.shape, -1)
    height, width = mask.shape
    y, x = (places + 0.5 for places in np.indices((height, width)))
    for area, shape in zip(areas, polygons, strict=True):
        inside = contains_xy(shape, x, y)
        assert (painted[inside] == -1).all()
        painted[inside] = area.class_id
    assert np.array_equal(painted, mask)
    labelled = [ndimage.label(mask == value)[0] for value in range(3)]  # pyright: ignore[reportIndexIssue]
    assert len(areas) == sum(int(each.max()) for each in labelled)  # 4-connected by default


def test_a_ring_has_its_hole_and_the_hole_its_own_area() -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[1:4, 1:5] = 1
    mask[2, 2] = 0
    frame, ring, middle = trace_areas(mask)
    assert [frame.class_id, ring.class_id, middle.class_id] == [0, 1, 0]
    assert middle.exterior.tolist() == [[2, 2], [3, 2], [3, 3], [2, 3], [2, 2]]
    assert polygon(ring).area == 11
    assert len(frame.holes) == len(ring.holes) == 1
    assert polygon(ring).exterior.is_ccw
    assert not polygon(ring).interiors[0].is_ccw


def test_corners_that_touch_split_other_areas_and_join_no_rings() -> None:
    apart = trace_areas(np.array([[1, 0], [0, 1]], np.uint8))
    assert [polygon(area).area for area in apart] == [1, 1, 1, 1]
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)  # the hole touches the outside at a corner
    around = trace_areas(mask)[0]
    assert polygon(around).is_valid
    assert polygon(around).area == 7
    assert len(around.holes) == 1
