"""The `splits` section of a study: drawn, repeated and read splits become runs, and a wrong file is one line."""

from pathlib import Path
from typing import Any

import pytest

from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.errors import UserError
from imbalance_bench.planning import prepare_study
from imbalance_bench.study import Study
from tests.small_study import small_config, study_content


def plan(config: StudyConfig, root: Path) -> Study:
    """Plan a study without writing it."""
    return prepare_study(config, root, lambda *_progress: None, write=False)


def with_splits(dataset: Path, **section: Any) -> StudyConfig:
    return small_config(dataset, splits=section)


def test_repeats_times_folds_are_planned(dataset: Path, tmp_path: Path) -> None:
    study = plan(with_splits(dataset, kind="grouped", folds=3, repeats=2, validation_fraction=0.2), tmp_path / "out")
    folds = study.splits.folds
    assert len(folds) == 6
    every = sorted(entry.image_id for entry in study.dataset.entries)
    for repeat in (folds[:3], folds[3:]):
        assert sorted(image_id for fold in repeat for image_id in fold.test) == every
    assert {fold.test for fold in folds[:3]} != {fold.test for fold in folds[3:]}
    assert sorted((run.method.label, run.fold) for run in study.runs) == sorted(
        (label, fold) for label in ("cross_entropy", "dfa") for fold in range(6)
    )
    assert len({run.run_id for run in study.runs}) == 12


def test_one_fold_with_a_test_fraction(dataset: Path, tmp_path: Path) -> None:
    (fold,) = plan(with_splits(dataset, kind="grouped", test_fraction=0.25), tmp_path / "out").splits.folds
    assert (len(fold.test), len(fold.train) + len(fold.val)) == (2, 6)


def test_grouped_alone_tests_a_quarter(dataset: Path, tmp_path: Path) -> None:
    alone = plan(with_splits(dataset, kind="grouped"), tmp_path / "out").splits
    assert alone == plan(with_splits(dataset, kind="grouped", test_fraction=0.25), tmp_path / "out").splits
    assert with_splits(dataset, kind="grouped", folds=2).splits.test_fraction is None


def test_tiles_lie_side_by_side_unless_a_stride_is_given(dataset: Path) -> None:
    section = {"path": str(dataset), "tile_px": 64}
    content = study_content(dataset) | {"dataset": section}
    assert parse_study(content, source="test").dataset.stride_px == 64
    content |= {"dataset": section | {"stride_px": 48}}
    assert parse_study(content, source="test").dataset.stride_px == 48


def test_a_file_of_splits_plans_the_runs_of_the_splits_it_holds(dataset: Path, tmp_path: Path) -> None:
    drawn = plan(with_splits(dataset, kind="grouped", folds=2, validation_fraction=0.2, seed=3), tmp_path / "out")
    ids = []
    for name in ("one.json", "two.json"):
        drawn.splits.save(tmp_path / name)
        study = plan(with_splits(dataset, kind="file", path=str(tmp_path / name)), tmp_path / "out")
        assert study.splits == drawn.splits
        ids.append([run.run_id for run in study.runs])
    assert ids[0] == ids[1] == [run.run_id for run in drawn.runs]  # the place of the file is no part of a run


def test_a_cross_validation_file_is_read(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "cv.csv"
    path.write_text("img_id,fold\n" + "".join(f"im_{n},{f}\n" for n, f in enumerate((1, 2, 1, 2, 0, 0, -1, -1))))
    splits = plan(with_splits(dataset, kind="file", path=str(path), rotate=True), tmp_path / "out").splits
    assert [fold.val for fold in splits.folds] == [("im_4", "im_5"), ("im_0", "im_2"), ("im_1", "im_3")]
    path.write_text(path.read_text().replace("im_7", "im_70"))
    with pytest.raises(UserError, match=r"cv.csv lists 'im_70', which .* lacks"):
        plan(with_splits(dataset, kind="file", path=str(path)), tmp_path / "out")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "file"}, "`splits.path` is required by `splits.kind: file`"),
        ({"kind": "published", "repeats": 2}, "`splits.repeats` does not apply to `splits.kind: published`. Got 2"),
        ({"kind": "grouped", "path": "a.json"}, "`splits.path` does not apply to `splits.kind: grouped`"),
        ({"kind": "file", "path": "a.json", "folds": 3}, "`splits.folds` does not apply to `splits.kind: file`"),
        ({"kind": "grouped", "fold": 3}, "unknown key `splits.fold`. Did you mean 'folds'"),
    ],
)
def test_keys_that_mean_nothing_are_refused(section: dict[str, Any], message: str, dataset: Path) -> None:
    with pytest.raises(UserError, match=message):
        with_splits(dataset, **section)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.json", None, r"absent.json must be a split file in JSON. Got: .*No such file"),
        ("broken.json", "{", r"broken.json must be a split file in JSON"),
        ("other.json", "{}", r"other.json must hold kind, seed, folds"),
        ("absent.csv", None, r"absent.csv must exist. Got no such file"),
        ("cv.csv", "name,part\na,b\n", r"cv.csv must have a column"),
        ("notes.txt", "x", r"notes.txt must be a JSON file of splits or a cv.csv"),
    ],
)
def test_a_wrong_file_is_one_line(name: str, text: str | None, message: str, dataset: Path, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        plan(with_splits(dataset, kind="file", path=str(tmp_path / name)), tmp_path / "out")
    assert "\n" not in str(caught.value)
