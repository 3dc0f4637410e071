"""Training dynamics: which pixels are watched, what is counted, and that resuming and watching change nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.training.dynamics import TrainingDynamics, WatchedCrops, draw_cells
from imbalance_bench.training.tile_data import TileData
from tests.small_study import write_study

RIGHT, WRONG = [3.0, 0.0], [0.0, 1.0]  # logits of a pixel of class 0


def dynamics_of(labels: np.ndarray, image_ids: tuple[str, ...], n_classes: int = 2) -> TrainingDynamics:
    """Watch crops of 8 px, of which the 2 x 2 pixels of the grid are given: labels, (N, 2, 2)."""
    crops = np.full((len(labels), 8, 8), 255, dtype=np.uint8)
    crops[:, 2::4, 2::4] = labels
    data = SimpleNamespace(crop_labels=lambda tile, *_: crops[tile])
    rows = np.arange(len(labels))
    watched = WatchedCrops(image_ids, rows, 0 * rows, 0 * rows, 8, n_classes)
    return TrainingDynamics(watched, cast(TileData, data), 1)


def test_forgetting_confidence_and_margin_of_a_known_course():
    dynamics = dynamics_of(np.array([[[0, 0], [0, 255]]]), ("a",))
    for pixels in ([RIGHT, RIGHT, WRONG], [WRONG, RIGHT, WRONG], [RIGHT, RIGHT, WRONG], [WRONG, RIGHT, WRONG]):
        dynamics.add(torch.tensor(pixels))
    ((stage, image, class_id, looks, pixels, learned, forgotten, forgettings, probability, margin),) = dynamics.rows(2)
    assert (stage, image, class_id, looks, pixels) == (2, "a", 0, 4, 3)
    assert (learned, forgotten, forgettings) == (2, 1, 2)  # the third is never right: it cannot be forgotten
    sure, unsure = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(1))
    assert probability == pytest.approx(1e6 * (6 * sure + 6 * unsure), abs=1)
    assert margin == 1_000_000 * (6 * 3 - 6 * 1)


def test_a_tie_is_wrong_and_rows_are_per_image_and_class():
    dynamics = dynamics_of(np.array([[[0, 1], [1, 1]], [[1, 255], [255, 255]], [[0, 0], [0, 0]]]), ("b", "b", "a"))
    dynamics.add(torch.zeros(9, 2))
    rows = dynamics.rows(0)
    assert [row[1:5] for row in rows] == [("a", 0, 1, 4), ("b", 0, 1, 1), ("b", 1, 1, 4)]
    assert all(row[5] == 0 for row in rows)


def test_the_margin_is_to_the_largest_other_logit():
    dynamics = dynamics_of(np.array([[[1, 255], [255, 255]]]), ("a",), n_classes=3)
    dynamics.add(torch.tensor([[-4.0, 1.0, 3.5]]))
    assert dynamics.rows(0)[0][-1] == -2_500_000


def test_the_state_goes_on_where_it_was():
    course = [[RIGHT], [WRONG], [RIGHT], [WRONG]]
    labels = np.array([[[0, 255], [255, 255]]])
    whole, first, second = (dynamics_of(labels, ("a",)) for _ in range(3))
    for pixels in course:
        whole.add(torch.tensor(pixels))
    for pixels in course[:2]:
        first.add(torch.tensor(pixels))
    second.load_state_dict(first.state_dict())
    for pixels in course[2:]:
        second.add(torch.tensor(pixels))
    assert second.rows(0) == whole.rows(0)


def test_cells_hold_every_class_and_come_from_all_images():
    pixels = np.zeros((40, 3), dtype=int)
    pixels[:, 0] = 100
    pixels[[3, 17], 1] = 1  # a rare class in two cells
    pixels[20:, 2] = 5
    image_of = np.arange(40) // 10
    chosen = draw_cells(pixels, image_of, 8, np.random.default_rng(0))
    assert {3, 17} <= set(chosen)
    assert (np.bincount(image_of[chosen], minlength=4) >= 1).all()
    assert len(set(chosen)) == 8
    assert (pixels[chosen, 2] > 0).sum() >= 3


def test_empty_cells_are_never_watched_and_few_cells_are_all_taken():
    pixels = np.array([[0, 0], [1, 0], [0, 2]])
    assert draw_cells(pixels, np.zeros(3, int), 9, np.random.default_rng(0)).tolist() == [1, 2]


def run_study(folder: Path, dataset: Path, cache: Path, **sections: Any) -> list[RunRecord]:
    """Run a study of three methods, one of them with two stages."""
    folder.mkdir(exist_ok=True)
    study = write_study(folder / "study.yaml", dataset, **sections)
    words = ["run", str(study), "--out", str(folder / "out"), "--cache", str(cache), "--engine", "serial"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return StudyRecords.open(folder / "out").finished()


def test_every_method_looks_at_the_same_pixels_in_every_stage(tmp_path: Path, dataset: Path, shared_cache: Path):
    training = {"steps": 6, "validate_every": 3, "ledger_every": 3}
    runs = run_study(tmp_path, dataset, shared_cache, methods=["cross_entropy", "dfa", "crt"], training=training)
    tables = {run.manifest()["method"]["label"]: run.dynamics() for run in runs}
    assert set(tables) == {"cross_entropy", "dfa", "crt"}
    keys = ["image_id", "group_id", "class_id", "pixels"]
    control = tables["cross_entropy"]
    assert control is not None
    assert set(control["looks"]) == {2}
    assert set(control["image_id"]) == {f"im_{number}" for number in range(4)}
    assert (control["learned"] <= control["pixels"]).all()
    assert (control["forgotten"] <= control["learned"]).all()
    for label, table in tables.items():
        assert table is not None
        assert set(table["stage"]) == ({0, 1} if label == "crt" else {0})
        for _, stage in table.groupby("stage"):
            assert stage[keys].reset_index(drop=True).equals(control[keys])


def test_watching_changes_no_other_record(tmp_path: Path, dataset: Path, shared_cache: Path):
    watched, unwatched = (
        run_study(tmp_path / str(crops), dataset, shared_cache, evaluation={"dynamics_crops": crops})[0]
        for crops in (32, 0)
    )
    assert watched.dynamics() is not None
    assert unwatched.dynamics() is None
    assert watched.counts().equals(unwatched.counts())
    assert watched.epochs().equals(unwatched.epochs())
