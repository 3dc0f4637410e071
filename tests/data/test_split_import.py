"""Splits read from a cv.csv, repeated splits, and the command that shows their balance."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.data.class_statistics import per_image_pixels
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.split_import import import_splits, read_splits
from imbalance_bench.data.splits import Fold, Splits, grouped_splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError

Opened = tuple[PreparedDataset, np.ndarray]


@pytest.fixture
def opened(tiny: Path) -> Opened:
    """The tiny data set (six images of six patients) and its pixels per class."""
    dataset = PreparedDataset.open(tiny)
    return dataset, per_image_pixels(dataset, Taxonomy(dataset.info))


def write_cv(path: Path, folds: list[int]) -> Path:
    """Give im_0, im_1, ... these folds."""
    path.write_text("img_id,fold\n" + "".join(f"im_{number},{fold}\n" for number, fold in enumerate(folds)))
    return path


def test_folds_become_parts_and_unlisted_images_take_no_part(opened: Opened, tmp_path: Path) -> None:
    splits = import_splits(write_cv(tmp_path / "cv.csv", [1, 2, 0, -1, 1]), *opened)
    assert splits.kind == "imported"
    (fold,) = splits.folds
    assert (fold.train, fold.val, fold.test) == (("im_0", "im_1", "im_4"), ("im_2",), ("im_3",))
    splits.save(tmp_path / "splits.json")
    assert Splits.load(tmp_path / "splits.json") == splits


def test_rotation_lets_every_fold_validate_once_and_never_the_test_set(opened: Opened, tmp_path: Path) -> None:
    splits = import_splits(write_cv(tmp_path / "cv.csv", [1, 2, 0, -1, 1, 2]), *opened, rotate=True)
    assert [fold.val for fold in splits.folds] == [("im_2",), ("im_0", "im_4"), ("im_1", "im_5")]
    assert {fold.test for fold in splits.folds} == {("im_3",)}
    assert splits.folds[1].train == ("im_1", "im_2", "im_5")


def test_a_json_of_splits_is_read_back_and_checked(opened: Opened, tmp_path: Path) -> None:
    dataset, presence = opened
    drawn = grouped_splits(dataset, presence, folds=3, repeats=2, validation_fraction=0.2, seed=5)
    path = tmp_path / "splits.json"
    drawn.save(path)
    assert read_splits(path, *opened) == drawn
    assert read_splits(path, *opened).hash == drawn.hash
    with pytest.raises(UserError, match=r"splits.json holds its own folds"):
        read_splits(path, *opened, rotate=True)
    with pytest.raises(UserError, match=r"must be a JSON file of splits or a cv.csv. Got '.txt'"):
        read_splits(tmp_path / "splits.txt", *opened)
    for fold, message in (
        (Fold(("im_0", "im_9"), (), ("im_1",)), r"splits.json lists 'im_9', which .*tiny lacks"),
        (Fold(("im_0",), ("im_0",), ("im_1",)), r"splits.json: Fold 0: a group must lie in one part"),
        (Fold((), ("im_0",), ("im_1",)), r"splits.json: Fold 0 must have training images"),
    ):
        Splits("grouped", 0, (fold,)).save(path)
        with pytest.raises(UserError, match=message):
            read_splits(path, *opened)
    path.write_text(path.read_text().replace("im_1", "im_2"))
    with pytest.raises(UserError, match="it was edited after it was drawn"):
        read_splits(path, *opened)


def test_the_folds_of_nnunet_test_what_it_calls_validation(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "splits_final.json"
    halves = [["im_0", "im_1", "im_2"], ["im_3", "im_4", "im_5"]]
    path.write_text(json.dumps([{"train": halves[0], "val": halves[1]}, {"train": halves[1], "val": halves[0]}]))
    splits = read_splits(path, *opened)
    assert splits.folds == tuple(Fold(tuple(halves[k]), (), tuple(halves[1 - k])) for k in (0, 1))
    path.write_text(json.dumps([{"train": halves[0]}]))
    with pytest.raises(UserError, match=r"fold 0 must hold lists `train` and `val`"):
        read_splits(path, *opened)
    path.write_text(json.dumps([{"train": [*halves[0], "im_0", "im_0"], "val": halves[1]}]))
    with pytest.raises(UserError, match=r"splits_final.json: Fold 0: .* once. Got 'im_0' 3 times in train. Remove"):
        read_splits(path, *opened)
    path.write_text(json.dumps([{"train": halves[0], "val": ["im_9"]}]))
    with pytest.raises(UserError, match=r"lists 'im_9'"):
        read_splits(path, *opened)


def test_a_divided_group_is_refused(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = write_dataset(groups=["p0", "p0", "p2", "p3", "p4", "p5"])
    dataset = PreparedDataset.open(root)
    presence = per_image_pixels(dataset, Taxonomy(dataset.info))
    path = write_cv(tmp_path / "cv.csv", [1, 2, 0, -1, 1, 2])
    assert len(import_splits(path, dataset, presence).folds) == 1  # both trained on: divided only by rotation
    with pytest.raises(UserError, match="Got 1 of 5 divided, such as 'p0'"):
        import_splits(path, dataset, presence, rotate=True)
    with pytest.raises(UserError, match="divided, such as 'p0'"):
        import_splits(write_cv(path, [1, -1, 0, 1]), dataset, presence)


def test_an_unknown_image_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cv.csv lists 'im_6', which .* lacks. Did you mean"):
        import_splits(write_cv(tmp_path / "cv.csv", [1, 1, 1, 1, 1, 0, -1]), *opened)


def test_repeats_are_other_divisions_and_begin_with_the_single_one(opened: Opened) -> None:
    single = grouped_splits(*opened, folds=2, validation_fraction=0.3, seed=3)
    repeated = grouped_splits(*opened, folds=2, validation_fraction=0.3, seed=3, repeats=4)
    assert len(repeated.folds) == 8
    assert repeated.folds[:2] == single.folds
    assert len({frozenset(fold.test) for fold in repeated.folds}) > 2
    for first, second in zip(repeated.folds[::2], repeated.folds[1::2], strict=True):
        assert sorted(first.test + second.test) == [f"im_{number}" for number in range(6)]
    with pytest.raises(UserError, match=r"`repeats` must be at least 1. Got 0"):
        grouped_splits(*opened, folds=2, validation_fraction=0, seed=0, repeats=0)


def test_the_command_prints_the_balance_and_saves(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "splits.json"
    arguments = ["data", "splits", str(tiny), "--folds", "2", "--repeats", "2", "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "4 folds" in result.output
    assert all(name in result.output for name in ("stroma", "tumour", "necrosis", "fewest groups"))
    assert Splits.load(out).hash[:12] in result.output
    cv = write_cv(tmp_path / "cv.csv", [1, 2, 0, -1, 1])
    result = CliRunner().invoke(main, ["data", "splits", str(tiny), "--from", str(cv)])
    assert result.exit_code == 0, result.output
    assert "1 fold;" in result.output
