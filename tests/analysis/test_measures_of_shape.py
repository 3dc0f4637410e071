"""Contours, Fourier descriptors, Hu's moments and box counts. Oracles: scikit-image, quadrature, closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull
from skimage.draw import ellipse
from skimage.measure import find_contours, label, regionprops

from analysis.geometry.box_counts import BOX_SIZES, box_counts, fractal_dimension, smallest_box_px
from analysis.geometry.contours import HARMONICS, fourier_descriptors, outer_contours
from analysis.geometry.hulls import hull_areas
from analysis.geometry.instances import HU_MOMENTS, instance_shapes, smallest_instance_px, whole_instances
from analysis.geometry.runs import find_runs
from analysis.geometry.touching import Instances, find_instances
from imbalance_bench.data.taxonomy import UNLABELLED


def components_of(mask: np.ndarray) -> np.ndarray:
    """Number the 8-connected components."""
    return np.asarray(label(mask, connectivity=2), dtype=np.int32)


def blob(seed: int = 0) -> np.ndarray:
    """Draw one instance without symmetry."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(60, 60)), 6)
    components = components_of(noise > noise.mean())
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.pad(components == sizes.argmax(), 10)


@settings(deadline=None, max_examples=60)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outer_contours_equal_find_contours(mask):
    components = components_of(mask)
    found = outer_contours(components)
    assert list(found.component) == list(range(1, components.max() + 1))
    ends = np.append(found.starts, len(found.x))[1:]
    for number, first, last in zip(found.component, found.starts, ends, strict=True):
        drawn = find_contours(np.pad(components == number, 1).astype(float), 0.5, fully_connected="high")
        areas = [abs(np.sum(each[:-1, 0] * each[1:, 1] - each[1:, 0] * each[:-1, 1])) for each in drawn]
        oracle = drawn[int(np.argmax(areas))][:-1] - 1
        assert {tuple(point) for point in oracle} == set(zip(found.y[first:last], found.x[first:last], strict=True))
        assert len(oracle) == last - first


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, UNLABELLED])))
def test_runs_number_components_as_skimage_does(mask):
    runs = find_runs(mask)
    oracle = label(mask.astype(np.int16), background=UNLABELLED, connectivity=2)
    np.testing.assert_array_equal(runs.image(np.arange(len(runs.class_of))), oracle)
    assert runs.length.sum() == (mask != UNLABELLED).sum()
    np.testing.assert_array_equal(runs.image(runs.class_of)[mask != UNLABELLED], mask[mask != UNLABELLED])


POINT_SETS = arrays(
    np.float64, st.tuples(st.integers(3, 40), st.just(2)), elements=st.integers(-20, 20).map(lambda each: each / 4)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(POINT_SETS, min_size=1, max_size=4), st.integers(0, 9))
def test_hull_areas_equal_qhull(sets, seed):
    own = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    points, order = np.concatenate(sets), np.random.default_rng(seed).permutation(len(own))
    found = hull_areas(points[order, 0], points[order, 1], own[order], len(sets) + 1)
    for number, each in enumerate(sets):
        flat = np.linalg.matrix_rank(each - each[0], tol=1e-9) < 2
        assert found[number] == pytest.approx(0 if flat else ConvexHull(each).volume, abs=1e-9)
    assert found[-1] == 0


def test_the_hull_of_a_long_bow_whose_end_lies_far_out_is_found():
    t = np.linspace(0, 1, 2000)
    points = np.stack([t, t**2], axis=1)
    points[-1] = (1.5, -3)  # every other point of the curve is convex beside its neighbours
    found = hull_areas(points[:, 0], points[:, 1], np.zeros(2000, dtype=int), 1)
    assert found[0] == pytest.approx(ConvexHull(points).volume, abs=1e-9)


def test_fourier_coefficients_equal_quadrature():
    contour = outer_contours(components_of(blob()))
    x, y = (np.append(each, each[0]) for each in (contour.x, contour.y))
    t = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    fine = np.linspace(0, t[-1], 200_001)[:-1]
    curve = np.interp(fine, t, x) + 1j * np.interp(fine, t, y)
    spectrum = np.fft.fft(curve) / len(fine)
    size = {n: (abs(spectrum[n]), abs(spectrum[-n])) for n in range(1, HARMONICS + 1)}  # free of start and turn
    found = np.concatenate([[1, 0, 0], fourier_descriptors(contour)[0]]).reshape(HARMONICS, 4)
    a, b, c, d = found.T
    forward, backward = np.hypot(a + d, c - b) / 2, np.hypot(a - d, c + b) / 2
    scale = forward[0] / max(size[1])
    for n in range(1, HARMONICS + 1):
        assert sorted((forward[n - 1], backward[n - 1])) == pytest.approx(sorted(np.array(size[n]) * scale), abs=1e-4)


def test_fourier_descriptors_are_free_of_place_turn_size_and_start():
    one = blob()
    reference = fourier_descriptors(outer_contours(components_of(one)))[0]
    for other in (np.pad(one, ((5, 0), (0, 9))), np.rot90(one), np.rot90(one, 2)):
        np.testing.assert_allclose(fourier_descriptors(outer_contours(components_of(other)))[0], reference, atol=1e-9)
    larger = np.kron(one, np.ones((4, 4), dtype=bool))
    np.testing.assert_allclose(fourier_descriptors(outer_contours(components_of(larger)))[0], reference, atol=0.03)


def test_a_disk_is_its_first_harmonic():
    y, x = np.mgrid[:121, :121]
    found = fourier_descriptors(outer_contours(components_of((y - 60) ** 2 + (x - 60) ** 2 <= 50**2)))[0]
    assert found[0] == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(found[1:], 0, atol=0.01)


def test_no_instance_has_no_contour():
    assert fourier_descriptors(outer_contours(np.zeros((5, 5), dtype=np.int32))).shape == (0, 4 * HARMONICS - 3)


def test_hu_moments_equal_skimage():
    components = components_of(blob(3))
    row, column = ellipse(150, 150, 40, 15, rotation=0.4)
    components = np.pad(components, ((0, 150), (0, 150)))
    components[row, column] = 2
    runs = find_runs(components.astype(np.uint8))
    whole = whole_instances(runs, np.zeros(components.shape, dtype=bool), 16)
    found = instance_shapes(runs, runs.image(np.where(whole, np.arange(len(whole)), 0)), whole)
    found = found.sort_values("class_id")[list(HU_MOMENTS)]
    for region, values in zip(regionprops(components), found.to_numpy(), strict=True):
        oracle = np.log(np.maximum(np.abs(region.moments_hu), 1e-30))
        large = np.abs(region.moments_hu) > 1e-12  # smaller ones are rounding
        np.testing.assert_allclose(values[large], oracle[large], rtol=1e-6)
        assert large.sum() >= 2


def test_box_counts_are_those_of_a_plain_loop():
    mask = np.random.default_rng(0).integers(0, 3, (37, 50)).astype(np.uint8)
    mask[:9] = UNLABELLED
    mask[np.random.default_rng(1).random(mask.shape) < 0.8] = 0
    found = box_counts(find_runs(mask), 4, 3.0)
    for level in range(BOX_SIZES):
        edge = 3 * 2**level
        for c in range(4):
            boxes = [mask[y : y + edge, x : x + edge] for y in range(0, 37, edge) for x in range(0, 50, edge)]
            assert found[c, level] == sum((box == c).any() for box in boxes)


def test_fractal_dimension_of_region_line_and_nothing():
    mask = np.zeros((256, 256), dtype=np.uint8)
    mask[:, 7] = 1
    found = fractal_dimension(box_counts(find_runs(mask), 3, 4.0).astype(float))
    assert found[0] == pytest.approx(2, abs=0.01)
    assert found[1] == pytest.approx(1, abs=1e-12)
    assert np.isnan(found[2])


def test_boxes_are_fixed_in_micrometres_and_never_below_two_pixels():
    assert smallest_box_px(4.0) == 4
    assert smallest_box_px(2.0) == 2
    assert smallest_box_px(1.0) == 2
    assert smallest_box_px(0.5) == 2


def test_the_smallest_instance_is_fixed_in_micrometres_and_never_below_16_px():
    assert smallest_instance_px(4.0) == 96
    assert smallest_instance_px(2.0) == 24
    assert smallest_instance_px(1.0) == 16
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[4:12, 4:12], mask[20:30, 20:30] = 1, 2  # 64 and 100 px
    runs = find_runs(mask)
    for px_per_um, classes in ((4.0, [2]), (2.0, [1, 2])):
        whole = whole_instances(runs, np.zeros(mask.shape, dtype=bool), smallest_instance_px(px_per_um))
        assert list(runs.class_of[whole]) == classes


def test_the_sign_of_a_symmetric_contour_is_not_left_to_rounding():
    rows = np.arange(12)[:, None]
    trapezoid = np.pad(np.abs(np.arange(81) - 40) <= 40 - 2 * rows, 3)  # its own mirror image, left to right
    reference = fourier_descriptors(outer_contours(components_of(trapezoid)))[0]
    for other in (np.rot90(trapezoid, 2), np.rot90(trapezoid), np.rot90(trapezoid, 3)):
        np.testing.assert_allclose(fourier_descriptors(outer_contours(components_of(other)))[0], reference, atol=1e-9)


# instances that touch


def instances_of(mask: np.ndarray) -> Instances:
    runs = find_runs(mask)
    return find_instances(runs, whole_instances(runs, mask == UNLABELLED, 16), 16)


def draw(mask: np.ndarray, *ellipses: tuple[float, float, float, float]) -> np.ndarray:
    """Draw ellipses (row, column, half axes) of class 1."""
    for y, x, a, b in ellipses:
        rows, columns = ellipse(y, x, a, b, mask.shape)
        mask[rows, columns] = 1
    return mask


def test_convex_instances_that_touch_are_measured_apart():
    alone = instances_of(draw(np.zeros((120, 160), np.uint8), (30, 30, 12, 12), (90, 90, 8, 12))).shapes
    alone = alone[alone["class_id"] == 1]
    mask = draw(np.zeros((120, 160), np.uint8), (50, 40, 12, 12), (50, 62, 12, 12), (69, 62, 8, 12))  # 3 that touch
    found = instances_of(mask)
    three = found.shapes[found.shapes["class_id"] == 1]
    assert len(three) == 3
    assert three["area_px"].max() == pytest.approx(alone["area_px"].max(), rel=0.06)
    assert three["area_px"].min() == pytest.approx(alone["area_px"].min(), rel=0.12)
    assert (three["solidity"] > 0.9).all()
    assert three["area_px"].sum() == (mask == 1).sum()
    assert list(np.unique(found.components)) == [0, *found.numbers]
    np.testing.assert_array_equal(np.bincount(found.components.ravel())[found.numbers], found.shapes["area_px"])


def test_what_is_convex_and_what_has_no_convex_parts_stays_whole():
    y, x = np.mgrid[:120, :160]
    bow = ((y - 60) ** 2 + (x - 80) ** 2 < 45**2) & ((y - 60) ** 2 + (x - 80) ** 2 > 35**2) & (x < 100)
    one = draw(np.zeros((120, 160), np.uint8), (60, 80, 40, 20))
    for mask in (one, bow.astype(np.uint8), np.pad(blob().astype(np.uint8), 4)):
        found = instances_of(mask)
        assert (found.shapes["class_id"] == 1).sum() == 1
        np.testing.assert_array_equal(found.shapes["area_px"], [(mask == 1).sum()])


def test_touching_instances_of_two_classes_and_crumbs_are_left_alone():
    mask = draw(np.zeros((80, 80), np.uint8), (30, 30, 12, 12))
    rows, columns = ellipse(30, 53, 12, 12)
    mask[rows, columns] = 2
    assert sorted(instances_of(mask).shapes["class_id"]) == [1, 2]
    crumb = draw(np.zeros((80, 80), np.uint8), (30, 30, 12, 12))
    crumb[42:44, 30:32] = 1  # 4 px beside a disk
    assert (instances_of(crumb).shapes["class_id"] == 1).sum() == 1


def test_dense_and_sparse_scenes_of_the_same_ellipses_measure_alike():
    rng = np.random.default_rng(0)
    spread, whole = [], []
    for n in (60, 600):
        logs, merged = [], []
        for _ in range(600 // n):
            mask, kept = np.zeros((700, 700), np.uint8), 0
            while kept < n:
                a, y, x = rng.uniform(8, 14), *rng.integers(20, 680, 2)
                rows, columns = ellipse(y, x, a, a * rng.uniform(0.6, 1), mask.shape, rotation=rng.uniform(0, np.pi))
                if (mask[rows, columns] > 0).mean() <= 0.05:
                    mask[rows, columns] = 1
                    kept += 1
            found = instances_of(mask).shapes
            logs.append(found.loc[found["class_id"] == 1, "log_area"])
            runs = find_runs(mask)
            inside = whole_instances(runs, np.zeros(mask.shape, bool), 16)
            merged.append(np.bincount(runs.component, runs.length)[inside & (runs.class_of == 1)])
        spread.append(np.concatenate(logs).std())
        whole.append(np.log(np.concatenate(merged)).std())
    assert whole[1] > 1.4 * whole[0]
    assert spread[1] == pytest.approx(spread[0], rel=0.15)


def test_every_number_is_one_piece():
    for seed in range(4, 16):
        rng, mask = np.random.default_rng(seed), np.zeros((300, 300), np.uint8)
        for _ in range(90):
            (first, second), (row, column) = rng.uniform(4, 16, 2), rng.integers(25, 275, 2)
            rows, columns = ellipse(row, column, first, second, mask.shape, rotation=rng.uniform(0, np.pi))
            mask[rows, columns] = 1
        found = instances_of(mask)
        np.testing.assert_array_equal(outer_contours(found.components).component, found.numbers)
        np.testing.assert_array_equal(np.bincount(found.components.ravel())[found.numbers], found.shapes["area_px"])
