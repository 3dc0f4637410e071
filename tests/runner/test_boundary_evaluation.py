"""Boundary counts: reference implementations, closed forms, invariances, unlabelled pixels, pixels that are no squares.

The oracle of the golden numbers, and the script that ran it, is named in boundary_golden/generate.py.
"""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.evaluation.boundary import (
    boundary_iou_counts,
    diagonal_radius_px,
    radius_px,
    trimap_counts,
)
from imbalance_bench.evaluation.surface import BorderDistances, MaskBorders, border_distances, element_lengths_um

GOLDEN = Path(__file__).with_name("boundary_golden")
U = 255


def _masks():
    spec = importlib.util.spec_from_file_location("boundary_golden_masks", GOLDEN / "masks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MASKS = _masks()
CASES = MASKS.cases()
EXPECTED = json.loads((GOLDEN / "golden.json").read_text())


def _distances(
    true: np.ndarray, predicted: np.ndarray, mpp_um: tuple[float, float], class_id: int = 1
) -> BorderDistances:
    seen = np.where(true == U, U, predicted)
    return border_distances(MaskBorders(seen).of_class(class_id), MaskBorders(true).of_class(class_id), mpp_um)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_counts_are_those_of_the_reference_implementations(name: str) -> None:
    true, predicted = (mask.astype(np.uint8) for mask in CASES[name])
    for expected in EXPECTED[name]["boundary_iou"]:
        radius = diagonal_radius_px(true.shape[0], true.shape[1], expected["share"])
        shared, either = boundary_iou_counts(predicted, true, 2, [radius])
        assert (shared[0, 1], either[0, 1]) == (expected["intersection"], expected["union"])
    for expected in EXPECTED[name]["surface"]:
        found = _distances(true, predicted, tuple(expected["spacing_um"]))
        whole = found.length_um()
        assert whole == pytest.approx(expected["length_um"], rel=1e-9)
        for tolerance, dice in zip(expected["tolerance_um"], expected["dice"], strict=True):
            assert found.length_um(tolerance) / whole == pytest.approx(dice, rel=1e-9)
        far = expected["hausdorff_95_um"]
        assert found.hausdorff_um() == (None if far is None else pytest.approx(far, rel=1e-9))


def _zeros(shape: tuple[int, int]) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def test_a_shifted_half_plane_has_known_counts() -> None:
    target, predicted = _zeros((40, 60)), _zeros((40, 60))
    target[:, 30:], predicted[:, 33:] = 1, 1
    shared, either = boundary_iou_counts(predicted, target, 2, [(2, 2), (5, 5)], image_edge=False)
    # bands of class 1 are 2 and 5 columns from 30 and from 33 on; of class 0 those before
    assert shared.tolist() == [[0, 0], [40 * 2, 40 * 2]]
    assert either.tolist() == [[40 * 4, 40 * 4], [40 * 8, 40 * 8]]
    wrong, pixels = trimap_counts(predicted, target, 2, [(1, 1), (2, 2), (10, 10)])
    assert pixels[:, 1].tolist() == [40, 40, 320, 800]  # columns 30, 31, 32..39, 40..59: the image's edge is no border
    assert pixels[:, 0].tolist() == [40, 40, 320, 800]
    assert wrong[:, 1].tolist() == [40, 40, 40, 0]  # columns 30, 31, 32
    assert wrong[:, 0].tolist() == [0, 0, 0, 0]
    found = _distances(target, predicted, (0.25, 0.25))
    assert found.length_um(0.74) < found.length_um()
    assert found.length_um(0.75) == found.length_um()  # 3 px


def test_concentric_squares_have_known_borders() -> None:
    target, predicted = _zeros((64, 64)), _zeros((64, 64))
    target[10:50, 10:50], predicted[14:46, 14:46] = 1, 1
    shared, either = boundary_iou_counts(predicted, target, 2, [(3, 3), (8, 8)])
    ring = [40**2 - 34**2, 32**2 - 26**2]
    assert (shared[0, 1], either[0, 1]) == (0, sum(ring))
    ring = [40**2 - 24**2, 32**2 - 16**2]
    assert (shared[1, 1], either[1, 1]) == (32**2 - 24**2, sum(ring) - (32**2 - 24**2))
    found = _distances(target, predicted, (0.5, 0.5))
    # each side loses half a pixel at both corners, each corner is half a diagonal
    perimeters = [4 * (edge - 1) * 0.5 + 4 * math.sqrt(0.5) / 2 for edge in (40, 32)]
    assert found.length_um() == pytest.approx(sum(perimeters))
    assert found.hausdorff_um(1.0) == pytest.approx(math.hypot(4, 4) * 0.5)  # corner to corner
    # 5 % are 3.97 um: the corners (1.41 um), then eight elements of 0.5 um that are 4 and 3 px from an inner corner
    assert found.hausdorff_um() == pytest.approx(math.hypot(4, 3) * 0.5)
    assert found.length_um(1.99) == 0
    inside = found.length_um(2.0)  # all of the inner border, and the outer one where it faces the inner one
    assert inside == pytest.approx(perimeters[1] + 4 * 33 * 0.5)


def test_the_border_of_a_disc_is_its_circumference_with_the_documented_excess() -> None:
    radius_in_px = 60
    disc = MASKS.disc((130, 130), (64.5, 64.5), radius_in_px).astype(np.uint8)
    length = float(element_lengths_um((0.5, 0.5))[MaskBorders(disc).of_class(1).code].sum())
    # a border of slope t is cos t + (sqrt 2 - 1) sin t times too long: 1 along the axes, 1.082 at most, this on average
    excess = 4 / math.pi * (math.sin(math.pi / 4) + (math.sqrt(2) - 1) * (1 - math.cos(math.pi / 4)))
    assert length / (2 * math.pi * radius_in_px * 0.5) == pytest.approx(excess, abs=0.005)


def test_pixels_that_are_no_squares_count_in_um() -> None:
    target, predicted = _zeros((40, 40)), _zeros((40, 40))
    target[10:30, 10:30], predicted[12:30, 10:30] = 1, 1  # two rows lower
    for mpp_um in ((2.0, 0.5), (0.5, 2.0)):
        found = _distances(target, predicted, mpp_um)
        assert found.hausdorff_um() == pytest.approx(2 * mpp_um[0])
        height, width = mpp_um
        sides = [2 * 19 * width + 2 * (rows - 1) * height + 2 * math.hypot(height, width) for rows in (20, 18)]
        assert found.length_um() == pytest.approx(sum(sides))
    assert radius_px(2.0, (2.0, 0.5)) == (1, 4)
    assert radius_px(1.0, (0.6, 3.0)) == (2, 1)  # the nearest, at least one
    narrow, _ = boundary_iou_counts(target, target, 2, [(1, 4)])
    assert narrow[0, 1] == 20 * 20 - 18 * 12
    with pytest.raises(ValueError, match="Radii must grow along both axes"):
        boundary_iou_counts(target, target, 2, [(1, 4), (2, 2)])


def test_bands_agree_with_eroding_each_class_by_itself() -> None:
    from scipy.ndimage import binary_erosion

    rng = np.random.default_rng(5)
    target = rng.integers(0, 4, (7, 9)).repeat(6, 0).repeat(5, 1).astype(np.uint8)
    predicted = np.where(rng.random(target.shape) < 0.02, 3, target).astype(np.uint8)
    radii = [(1, 1), (3, 2), (4, 7)]
    shared, either = boundary_iou_counts(predicted, target, 4, radii)
    for row, (rows, columns) in enumerate(radii):
        square = np.ones((2 * rows + 1, 2 * columns + 1), bool)
        for k in range(4):
            a, b = (mask > np.asarray(binary_erosion(mask, square)) for mask in (predicted == k, target == k))
            assert (shared[row, k], either[row, k]) == ((a & b).sum(), (a | b).sum())


def test_distances_agree_with_a_distance_transform() -> None:
    from scipy.ndimage import distance_transform_edt

    true, predicted = MASKS.blobs((80, 90), 5, 0.3, 7).astype(np.uint8), MASKS.blobs((80, 90), 5, 0.3, 8)
    first, second = MaskBorders(predicted.astype(np.uint8)).of_class(1), MaskBorders(true).of_class(1)
    for mpp_um in ((0.25, 0.25), (0.3, 1.1)):
        found = border_distances(first, second, mpp_um).distances_um
        for places, others, far in ((first.place, second.place, found[0]), (second.place, first.place, found[1])):
            grid = np.ones((81, 91), bool)
            grid[tuple(others.T)] = False
            expected = distance_transform_edt(grid, sampling=mpp_um)
            assert np.allclose(far, np.asarray(expected)[tuple(places.T)], rtol=1e-12, atol=0)


def _everything(predicted: np.ndarray, target: np.ndarray) -> list:
    shared, either = boundary_iou_counts(predicted, target, 3, [(1, 1), (3, 3)])
    wrong, pixels = trimap_counts(predicted, target, 3, [(1, 1), (4, 4)])
    numbers = [*shared.ravel(), *either.ravel(), *wrong.ravel(), *pixels.ravel()]
    for class_id in range(3):
        found = _distances(target, predicted, (0.5, 0.5), class_id)
        numbers += [round(found.length_um(), 9), round(found.length_um(1.0), 9), found.hausdorff_um()]
    return numbers


def _three_classes() -> tuple[np.ndarray, np.ndarray]:
    target, predicted = (_zeros((70, 70)) for _ in range(2))
    for mask, shift in ((target, 0), (predicted, 2)):
        mask[MASKS.disc((70, 70), (30 + shift, 30), 14)] = 1
        mask[20 : 30 + shift, 40:52] = 2
    target[33:37, 20:26] = U
    return predicted, target


def test_counts_do_not_depend_on_place_or_quarter_turns() -> None:
    predicted, target = _three_classes()
    expected = _everything(predicted, target)
    for turns in (1, 2, 3):
        assert _everything(np.rot90(predicted, turns), np.rot90(target, turns)) == expected
    assert _everything(predicted.T, target.T) == expected
    for rows, columns in ((5, 0), (-4, 9)):
        moved = (np.roll(mask, (rows, columns), (0, 1)) for mask in (predicted, target))
        assert _everything(*moved) == expected


def test_what_was_predicted_on_unlabelled_pixels_never_counts() -> None:
    predicted, target = _three_classes()
    expected = _everything(predicted, target)
    rng = np.random.default_rng(0)
    for _ in range(3):
        noisy = np.where(target == U, rng.integers(0, 3, target.shape), predicted).astype(np.uint8)
        assert _everything(noisy, target) == expected


def test_no_border_is_known_next_to_unlabelled_pixels() -> None:
    target = _zeros((30, 30))
    target[:, 15:] = 1
    target[:, 14:18] = U
    shared, either = boundary_iou_counts(np.zeros_like(target), target, 2, [(3, 3)], image_edge=False)
    assert not shared.any()
    assert not either.any()
    wrong, pixels = trimap_counts(target, target, 2, [(5, 5)])
    assert pixels.tolist() == [[0, 0], [30 * 14, 30 * 12]]
    assert not wrong.any()
    assert not np.isin(MaskBorders(target).of_class(1).place[:, 1], [14, 15, 16, 17, 18]).any()
    margin = _zeros((30, 30))
    margin[:4] = U  # the image's upper edge is not seen either: only the three others are borders
    shared, either = boundary_iou_counts(_zeros((30, 30)), margin, 1, [(6, 6)])
    assert shared[0, 0] == either[0, 0] == 26 * 30 - 20 * 18


def test_an_image_without_labels_or_classes_that_are_absent_leave_nothing() -> None:
    blank = np.full((20, 20), U, np.uint8)
    shared, either = boundary_iou_counts(_zeros((20, 20)), blank, 2, [(2, 2)])
    assert not shared.any()
    assert not either.any()
    assert not np.any(trimap_counts(_zeros((20, 20)), blank, 2, [(2, 2)]))
    for class_id in (0, 1):
        found = _distances(blank, _zeros((20, 20)), (0.5, 0.5), class_id)
        assert found.length_um() == 0
        assert found.hausdorff_um() is None
    lonely = _zeros((20, 20))
    lonely[5:9, 5:9] = 1
    missed = _distances(lonely, _zeros((20, 20)), (0.5, 0.5))
    assert missed.length_um() > 0
    assert missed.length_um(1000.0) == 0  # however tolerant: there is nothing to agree with
    assert missed.hausdorff_um() is None
