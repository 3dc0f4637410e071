"""Images that are too large for one array: what is counted of them in bands is what is counted at once."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imbalance_bench.data import image_bands, pixel_values
from imbalance_bench.data.pixel_values import value_counts
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.data.tiling import Stitcher, tile_image
from imbalance_bench.evaluation import kept_logits, surface
from imbalance_bench.evaluation.boundary import boundary_iou_counts, trimap_counts
from imbalance_bench.evaluation.counts import confusion_matrix
from imbalance_bench.evaluation.kept_logits import KeptLogits, nth_smallest
from imbalance_bench.evaluation.path_controls import ShiftedLogits
from imbalance_bench.evaluation.surface import MaskBorders, border_distances
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.training import image_evaluation
from tests.small_study import small_config, write_dataset

RECORDS = ("*.parquet", "*.png", "*.safetensors")


@pytest.fixture
def bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be large."""
    monkeypatch.setattr(pixel_values, "_BAND_PX", 70)
    monkeypatch.setattr(image_bands, "WHOLE_PX", 0)
    monkeypatch.setattr(surface, "_AT_ONCE", 7)
    monkeypatch.setattr(kept_logits, "KEPT_BYTES", 0)
    monkeypatch.setattr(image_evaluation, "PREPARED_PX", 0)


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (2, 9, 8)).repeat(5, axis=1).repeat(4, axis=2).astype(np.uint8)
    predicted, target = coarse[:, : 45 - seed, : 32 - seed]
    target = np.where(rng.random(target.shape) < 0.03, np.uint8(UNLABELLED), target)
    return predicted, target


def counted(predicted: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Everything that is counted of two masks."""
    radii = [(1, 1), (2, 3), (6, 5)]
    found = [confusion_matrix(predicted, target, 3), value_counts(target), *trimap_counts(predicted, target, 3, radii)]
    for image_edge in (True, False):
        found += boundary_iou_counts(predicted, target, 3, radii, image_edge=image_edge)
    seen, true = MaskBorders.seen(predicted, target), MaskBorders(target)
    for class_id in range(3):
        distances = border_distances(seen.of_class(class_id), true.of_class(class_id), (0.5, 0.4))
        found += [*distances.codes, *distances.distances_um]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_counts_of_bands_are_those_of_the_whole(seed: int, request: pytest.FixtureRequest) -> None:
    predicted, target = masks(seed)
    whole = counted(predicted, target)
    request.getfixturevalue("bands")
    assert len(list(image_bands.image_bands(target.shape, 7))) > 3
    for one, other in zip(whole, counted(predicted, target), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.tuples(*[st.integers(1, 30)] * 2), st.integers(1, 8))
def test_rows_that_are_taken_early_are_those_of_the_whole(size: tuple[int, int], tile_px: int) -> None:
    rng = np.random.default_rng(0)
    whole, rolling = Stitcher(2, *size), Stitcher(2, *size)
    taken = []
    for top, left in tile_image(*size, tile_px, max(1, tile_px - 2)):
        tile = rng.normal(size=(2, tile_px, tile_px)).astype(np.float32)
        whole.add(top, left, tile)
        taken.append(rolling.take(top))
        rolling.add(top, left, tile)
    np.testing.assert_array_equal(np.concatenate([*taken, rolling.result()], axis=1), whole.result())
    with pytest.raises(ValueError, match="were taken"):
        rolling.add(0, 0, np.zeros((2, tile_px, tile_px)))


@given(arrays(np.float32, 40, elements=st.floats(-(2.0**20), 2.0**20, width=32)), st.data())
def test_the_nth_smallest_is_that_of_sorted_numbers(values: np.ndarray, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    found = nth_smallest(lambda: np.split(values.reshape(10, 4), [3, 4]), n)
    assert found == np.sort(values)[n - 1]


def test_logits_in_a_file_are_the_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).integers(-3, 4, (4, 20, 6)).astype(np.float32)  # with ties
    predicted = []
    for limit in (2**28, 300):
        monkeypatch.setattr(kept_logits, "KEPT_BYTES", limit)
        with KeptLogits(tmp_path) as kept:
            for band in np.split(logits, [1, 7, 18], axis=1):
                kept.append(band)
            assert kept.in_memory == (limit > 300)
            assert np.array_equal(np.concatenate(list(kept), axis=1), logits)
            shifted = ShiftedLogits(kept, 2)
            predicted.append([shifted.predict(1.0), *(shifted.predict_pixels(n) for n in (0, 1, 31, 120))])
    for one, other in zip(*predicted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (predicted[0][-1] == 2).all()


def test_a_run_is_recorded_the_same_in_bands(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Images of 3 x 3 tiles that overlap, with doses, interventions and attention maps."""
    data = write_dataset(tmp_path / "data", size_px=152)
    config = small_config(data, dataset={"stride_px": 44}, methods=["dfa"], evaluation={"path_controls": 1})
    for name in ("whole", "bands"):
        if name == "bands":
            request.getfixturevalue("bands")
        execute_study(config, tmp_path / name, Execution(cache=tmp_path / "cache", engine="serial"))
    files = [path for pattern in RECORDS for path in sorted((tmp_path / "whole" / "runs").rglob(pattern))]
    assert {"path_controls.parquet", "boundary.parquet", "im_6.safetensors"} <= {path.name for path in files}
    for path in files:
        assert (tmp_path / "bands" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes(), path
