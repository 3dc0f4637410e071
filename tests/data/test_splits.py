"""Splits never divide a group, use every image once, depend on the seed alone, and share classes out evenly."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_bench.data.prepared import ClassInfo, DatasetInfo, ImageEntry, PreparedDataset
from imbalance_bench.data.split_balance import split_balance
from imbalance_bench.data.splits import Fold, Splits, check_splits, grouped_splits, published_splits
from imbalance_bench.errors import UserError

PARTS = ("train", "val", "test")


def dataset_of(groups: list[str], splits: list[str] | None = None, n_classes: int = 3) -> PreparedDataset:
    """Return a data set without files, which splits never read."""
    classes = tuple(ClassInfo(k, f"class_{k}", f"#0000{k:02x}") for k in range(n_classes))
    info = DatasetInfo("made_up", "", None, 255, True, classes, "", "")
    entries = [
        ImageEntry(f"im_{row}", group, splits[row] if splits else "", 10, 10) for row, group in enumerate(groups)
    ]
    return PreparedDataset(Path("made_up"), info, tuple(entries), {}, {})


def group_of(dataset: PreparedDataset, ids: tuple[str, ...]) -> set[str]:
    return {dataset.entry(image_id).group_id for image_id in ids}


@st.composite
def drawn_datasets(draw: st.DrawFn) -> tuple[PreparedDataset, np.ndarray]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=6, max_size=14))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    rng.shuffle(groups)
    presence = rng.integers(0, 100, (len(groups), 3)) * rng.integers(0, 2, (len(groups), 3))
    presence[:, 0] += 1
    return dataset_of(groups), presence


@settings(max_examples=10, deadline=None)
@given(drawn_datasets(), st.integers(2, 4), st.sampled_from([0.0, 0.2]), st.integers(0, 5))
def test_groups_stay_whole_and_every_image_is_used_once(
    drawn: tuple[PreparedDataset, np.ndarray], folds: int, validation_fraction: float, seed: int
) -> None:
    dataset, presence = drawn
    presence = presence[:, :1]  # a class that is everywhere, so that no draw is refused

    def draw() -> Splits:
        return grouped_splits(
            dataset, presence, folds=folds, validation_fraction=validation_fraction, seed=seed, names=["all"]
        )

    splits = draw()
    assert splits == draw()
    everything = sorted(entry.image_id for entry in dataset.entries)
    assert sorted(image_id for fold in splits.folds for image_id in fold.test) == everything
    for fold in splits.folds:
        assert sorted(fold.train + fold.val + fold.test) == everything
        owners = [group_of(dataset, getattr(fold, part)) for part in PARTS]
        assert sum(map(len, owners)) == len(set().union(*owners))
        assert fold.train
        assert bool(fold.val) == (validation_fraction > 0)


@settings(max_examples=10, deadline=None)
@given(drawn_datasets(), st.integers(0, 5))
def test_a_class_of_two_groups_is_always_in_training(drawn: tuple[PreparedDataset, np.ndarray], seed: int) -> None:
    dataset, presence = drawn
    presence[:, 2] = 0
    for group in ("g0", "g3"):
        presence[[row for row, entry in enumerate(dataset.entries) if entry.group_id == group], 2] = 5
    presence[:, 1] = 1
    splits = grouped_splits(dataset, presence, folds=3, validation_fraction=0.25, seed=seed)
    for fold in splits.folds:
        assert group_of(dataset, fold.train) & {"g0", "g3"}


@pytest.mark.parametrize("seed", range(3))
def test_a_large_validation_part_leaves_the_only_group_with_a_class_in_training(seed: int) -> None:
    dataset = dataset_of([f"g{row}" for row in range(10)])
    presence = np.ones((10, 3), dtype=int)
    presence[1:, 2] = 0
    (fold,) = grouped_splits(dataset, presence, folds=1, test_fraction=0.2, validation_fraction=0.85, seed=seed).folds
    assert "im_0" in fold.train


def test_a_tiny_fraction_still_takes_one_group() -> None:
    dataset = dataset_of(["a", "b", "c", "d"], ["train", "train", "train", "test"])
    (fold,) = published_splits(dataset, validation_fraction=0.01, seed=0, presence=np.ones((4, 3), dtype=int)).folds
    assert (len(fold.train), len(fold.val)) == (2, 1)


def test_where_every_group_has_a_class_of_its_own_the_absent_class_is_named() -> None:
    dataset = dataset_of(["a", "b", "c"])
    with pytest.raises(UserError, match="Got no pixel of 'class_"):
        grouped_splits(dataset, np.eye(3, dtype=int), folds=1, test_fraction=0.3, validation_fraction=0, seed=0)


def test_seeds_give_different_splits() -> None:
    dataset = dataset_of([f"g{row}" for row in range(30)])
    presence = np.random.default_rng(0).integers(1, 100, (30, 3))
    hashes = {grouped_splits(dataset, presence, folds=3, validation_fraction=0, seed=seed).folds for seed in range(4)}
    assert len(hashes) == 4


def test_classes_are_shared_out_better_than_by_any_of_many_blind_deals() -> None:
    rng = np.random.default_rng(1)
    presence = (rng.lognormal(0, 1, (80, 4)) * 1000 * (rng.random((80, 4)) < [1, 0.6, 0.3, 0.1])).astype(int)
    dataset = dataset_of([f"g{row // 2}" for row in range(80)], n_classes=4)
    splits = grouped_splits(dataset, presence, folds=4, validation_fraction=0, seed=0)
    fold_of = {image_id: number for number, fold in enumerate(splits.folds) for image_id in fold.test}
    drawn = np.array([fold_of[f"im_{2 * group}"] for group in range(40)])
    by_group = presence.reshape(40, 2, 4).sum(axis=1)

    def shares(folds: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(4, K) share of each class that each fold received."""
        return np.array([counts[folds == fold].sum(axis=0) for fold in range(4)]) / counts.sum(axis=0)

    # no division of whole groups can go below the largest group (here 61 % of the rarest class)
    attainable = np.maximum((by_group / by_group.sum(axis=0)).max(axis=0), 1 / 4)
    assert (shares(drawn, by_group).max(axis=0) - attainable).max() < 0.1
    blind = min(((shares(rng.permutation(40) % 4, by_group) - 1 / 4) ** 2).sum() for _ in range(200))
    assert ((shares(drawn, by_group) - 1 / 4) ** 2).sum() < blind
    groups_with_class = np.array([(by_group[drawn == fold] > 0).sum(axis=0) for fold in range(4)])
    assert np.ptp(groups_with_class, axis=0).max() == 1  # as even as 31, 17 and 10 groups over 4 folds can be
    assert np.bincount(drawn).tolist() == [10, 10, 10, 10]


def test_one_fold_takes_the_fractions_that_were_asked_for() -> None:
    dataset = dataset_of([f"g{row}" for row in range(40)])
    presence = np.ones((40, 3), dtype=int)
    (fold,) = grouped_splits(dataset, presence, folds=1, test_fraction=0.25, validation_fraction=0.2, seed=0).folds
    assert (len(fold.train), len(fold.val), len(fold.test)) == (24, 6, 10)


def test_published_splits_are_taken_as_they_are(tiny: Path) -> None:
    dataset = PreparedDataset.open(tiny)
    (fold,) = published_splits(dataset, validation_fraction=0, seed=0).folds
    assert fold == Fold(("im_0", "im_1", "im_2", "im_3"), (), ("im_4", "im_5"))


def test_published_splits_without_validation_give_some_training_groups_away(tiny: Path) -> None:
    (fold,) = published_splits(PreparedDataset.open(tiny), validation_fraction=0.25, seed=0).folds
    assert (len(fold.train), len(fold.val), fold.test) == (3, 1, ("im_4", "im_5"))


def test_published_validation_is_kept() -> None:
    dataset = dataset_of(["a", "b", "c"], ["train", "val", "test"])
    (fold,) = published_splits(dataset, validation_fraction=0.3, seed=0).folds
    assert fold == Fold(("im_0",), ("im_1",), ("im_2",))


ONES = np.ones((3, 3), dtype=int)


@pytest.mark.parametrize(
    ("groups", "splits", "fraction", "expected"),
    [
        ("abc", ["val", "val", "test"], 0.0, "need train images. Got none"),
        ("abc", ["train", "train", "train"], 0.0, "need test images. Got none"),
        ("abc", ["train", "", "test"], 0.0, "Got 1 of 3 without"),
        ("aab", ["train", "train", "test"], 0.3, "at least 2 groups. Got 1 ('a')"),
        ("abc", ["train", "train", "test"], 1.0, "`validation_fraction` must be at least 0 and below 1. Got 1.0"),
    ],
)
def test_published_splits_refuse(groups: str, splits: list[str], fraction: float, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        published_splits(dataset_of(list(groups), splits), validation_fraction=fraction, seed=0, presence=ONES)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("folds", "test_fraction", "expected"),
    [
        (4, None, "`folds` must not exceed the number of groups. Got 4 for 3"),
        (1, None, "`folds` = 1 with a `test_fraction`"),
        (0, None, "Got folds = 0"),
        (2, 0.5, "Got folds = 2, test_fraction = 0.5"),
        (1, 1.5, "`test_fraction` must be"),
    ],
)
def test_grouped_splits_refuse(folds: int, test_fraction: float | None, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        grouped_splits(
            dataset_of(list("abc")), ONES, folds=folds, test_fraction=test_fraction, validation_fraction=0, seed=0
        )
    assert expected in str(caught.value)


def test_a_class_absent_from_training_is_named_with_the_fix() -> None:
    presence = ONES.copy()
    presence[:2, 1] = 0
    expected = r"fold 0. Got no pixel of 'class_1'. Merge it \(`groups`\), ignore it \(`ignore`\), or choose another"
    dataset = dataset_of(list("abc"), ["train", "train", "test"])
    with pytest.raises(UserError, match=expected):
        published_splits(dataset, validation_fraction=0, seed=0, presence=presence)
    with pytest.raises(UserError, match="Got no pixel of 'class_1'"):
        grouped_splits(dataset, presence, folds=3, validation_fraction=0, seed=0)


def test_split_files_return_and_tampering_is_seen(tmp_path: Path) -> None:
    splits = Splits("published", 3, (Fold(("a", "b"), (), ("c",)),))
    path = tmp_path / "splits.json"
    splits.save(path)
    assert Splits.load(path) == splits
    content = json.loads(path.read_text())
    assert content["hash"] == splits.hash
    content["folds"][0]["train"] = ["a"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="must match its hash"):
        Splits.load(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "grouped"}', '{"kind": 1, "seed": 0, "folds": [{}]}'])
def test_files_that_hold_no_splits_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(UserError, match=r"splits\.json must"):
        Splits.load(tmp_path / "splits.json")
    with pytest.raises(UserError, match="No such file"):
        Splits.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (Fold((), (), ("im_0",)), "Fold 0 must have training images"),
        (Fold(("im_0",), (), ("im_1",)), "group 'a' in train and test"),
        (Fold(("im_0",), ("im_9",), ()), "'im_9' is not in the index"),
        (Fold(("im_1", "im_0", "im_1"), (), ("im_2",)), "Fold 0: a part must list each image once. Got 'im_1' 2 times"),
        (Fold(("im_0",), (), ("im_2", "im_2", "im_2")), "Got 'im_2' 3 times in test. Remove the repeats"),
    ],
)
def test_loaded_splits_are_checked_against_the_data(fold: Fold, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        check_splits(Splits("grouped", 0, (fold,)), dataset_of(list("aab")), ONES)
    assert expected in str(caught.value)


def test_balance_by_hand() -> None:
    dataset = dataset_of(list("aab"), n_classes=2)
    presence = np.array([[3, 1], [4, 0], [2, 0]])
    rows = split_balance(Splits("x", 0, (Fold(("im_0", "im_1"), (), ("im_2",)),)), presence, dataset=dataset)
    assert [(row.part, row.class_name) for row in rows] == [
        (part, name) for part in ("train", "test") for name in ("class_0", "class_1")
    ]
    rare = asdict(rows[1])
    assert (rare["images"], rare["images_with_class"], rare["groups_with_class"], rare["pixels"]) == (2, 1, 1, 1)
    assert rare["pixel_share"] == pytest.approx(1 / 8)
    assert rare["relative_share"] == pytest.approx((1 / 8) / (1 / 10))
    assert rows[3].relative_share == 0


def test_presence_must_have_a_row_per_image(write_dataset: Callable[..., Path]) -> None:
    dataset = PreparedDataset.open(write_dataset())
    with pytest.raises(ValueError, match=r"a row per image. Got 3 for 6"):
        grouped_splits(dataset, ONES, folds=2, validation_fraction=0, seed=0)
