"""Splits: grouped by patient or slide, stratified by class, hashed, saved."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from imbalance_bench.data.balanced_partition import partition_groups
from imbalance_bench.data.class_statistics import per_image_pixels, require_every_class
from imbalance_bench.data.prepared import SPLITS, PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_json
from imbalance_bench.seeding import generator

_REDRAWS = 50  # of a repeat that equals an earlier one


@dataclass(frozen=True)
class Fold:
    """Image ids of one fold, each part in the order of the index."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """The folds of a study.

    Args:
        kind: "published", "grouped" or "imported".
        seed: What the drawn parts depend on.
        folds: One or more.
    """

    kind: str
    seed: int
    folds: tuple[Fold, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of kind, seed and folds."""
        return canonical_hash(asdict(self))

    def save(self, path: Path) -> None:
        """Write the splits and their hash as JSON, atomically."""
        write_json(path, {**asdict(self), "hash": self.hash})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read splits.

        Raises:
            UserError: The file is missing or not a split file, or its content does not match its hash.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} must be a split file in JSON. Got: {error}. Draw the splits again.") from None
        try:
            splits = cls(content["kind"], content["seed"], tuple(_read_fold(fold) for fold in content["folds"]))
            expected = content["hash"]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path} must hold kind, seed, folds (train, val, test) and hash. Got a problem with {error}. "
                "Draw the splits again."
            ) from None
        if splits.hash != expected:
            raise UserError(
                f"{path} must match its hash {str(expected)[:12]}. Got {splits.hash[:12]}: it was edited after it was "
                "drawn. Restore it, or draw the splits again."
            )
        return splits


def published_splits(
    dataset: PreparedDataset,
    *,
    validation_fraction: float,
    seed: int,
    presence: np.ndarray | None = None,
    names: Sequence[str] | None = None,
) -> Splits:
    """Use the `split` column of the index as a single fold.

    Where it names no validation images, whole groups are taken from the training images, stratified by class.

    Args:
        dataset: The data set; every image must have a split.
        validation_fraction: Share of the training images to take, 0..1. Ignored where validation is published.
        seed: What the drawn part depends on.
        presence: (n_images, K) int pixels per class, in the order of the index. None counts the unmerged classes, and
            then leaves it to `training_counts` to refuse a class that is absent from training.
        names: K class names for messages; default: the data set's own.

    Raises:
        UserError: Images without a split, no training or test images, too few groups, a class absent from training.
    """
    _check_fraction("validation_fraction", validation_fraction)
    parts = {name: _rows(dataset, name) for name in SPLITS}
    path = dataset.root / "index.csv"
    missing = len(dataset.entries) - sum(map(len, parts.values()))
    if missing:
        raise UserError(
            f"{path}: published splits need a split for every image. Got {missing} of {len(dataset.entries)} without. "
            "Fill the column, or use grouped splits."
        )
    for name in ("train", "test"):
        if not len(parts[name]):
            raise UserError(
                f"{path}: published splits need {name} images. Got none. Fill the column, or use grouped splits."
            )
    train, val = parts["train"], parts["val"]
    counts = presence
    if not len(val) and validation_fraction > 0:
        if counts is None:
            counts = per_image_pixels(dataset, Taxonomy(dataset.info))
        train, val = _take(
            dataset, counts, train, validation_fraction, "validation", generator(seed, "splits", "validation")
        )
    splits = Splits("published", seed, (_fold(dataset, train, val, parts["test"]),))
    if presence is not None:
        check_splits(splits, dataset, presence, names)
    return splits


def grouped_splits(
    dataset: PreparedDataset,
    presence: np.ndarray,
    *,
    folds: int,
    validation_fraction: float,
    seed: int,
    test_fraction: float | None = None,
    repeats: int = 1,
    names: Sequence[str] | None = None,
) -> Splits:
    """Draw splits of whole groups, stratified by class: k folds with each group once in test, or one fold.

    Repeats draw other divisions of the same kind, one after the other; the first is the one without repeats.

    Args:
        dataset: The data set.
        presence: (n_images, K) int pixels per class, in the order of the index.
        folds: 2 or more for cross-validation; 1 for a single division, which needs `test_fraction`.
        validation_fraction: Share of the images outside the test part that become validation, 0..1.
        seed: What the splits depend on.
        test_fraction: Share of all images that are tested, between 0 and 1; only for `folds` = 1.
        repeats: Divisions to draw, at least 1; there are `folds` x `repeats` folds.
        names: K class names for messages; default: the data set's own.

    Raises:
        UserError: Contradictory numbers, too few groups, or a class absent from the training part of a fold.
    """
    _check_fraction("validation_fraction", validation_fraction)
    every = np.arange(len(dataset.entries))
    if repeats < 1:
        raise UserError(f"`repeats` must be at least 1. Got {repeats}. Use 1 for a single division.")
    streams = [generator(seed, "splits", "test", *([repeat] if repeat else [])) for repeat in range(repeats)]
    if folds > 1 and test_fraction is None:
        divisions = _different(lambda seen, rng: _cross_validation_tests(dataset, seen, folds, rng), presence, streams)
    elif folds == 1 and test_fraction:
        _check_fraction("test_fraction", test_fraction)
        divisions = _different(
            lambda seen, rng: [_take(dataset, seen, every, test_fraction, "test", rng)[1]], presence, streams
        )
    else:
        raise UserError(
            f"Grouped splits must have `folds` >= 2, or `folds` = 1 with a `test_fraction`. "
            f"Got folds = {folds}, test_fraction = {test_fraction}. Set one of them."
        )
    drawn = []
    for number, test in enumerate(test for division in divisions for test in division):
        train, val = np.setdiff1d(every, test), every[:0]
        if validation_fraction > 0:
            rng = generator(seed, "splits", "validation", number)
            train, val = _take(dataset, presence, train, validation_fraction, "validation", rng)
        drawn.append(_fold(dataset, train, val, test))
    splits = Splits("grouped", seed, tuple(drawn))
    check_splits(splits, dataset, presence, names)
    return splits


def check_splits(
    splits: Splits, dataset: PreparedDataset, presence: np.ndarray, names: Sequence[str] | None = None
) -> None:
    """Check splits, drawn or loaded, against a data set.

    Raises:
        UserError: An unknown image, an empty training part, an image twice in a part, a group in two parts, a class
            absent from training.
    """
    labels = class_names(dataset, presence, names)
    row_of = {entry.image_id: row for row, entry in enumerate(dataset.entries)}
    for number, fold in enumerate(splits.folds):
        if not fold.train:
            raise UserError(f"Fold {number} must have training images. Got none. Lower the other fractions.")
        owner: dict[str, str] = {}
        for part in SPLITS:
            for image_id, times in Counter(getattr(fold, part)).items():
                if times > 1:
                    raise UserError(
                        f"Fold {number}: a part must list each image once. Got '{image_id}' {times} times in {part}. "
                        "Remove the repeats."
                    )
                group = dataset.entry(image_id).group_id
                if owner.setdefault(group, part) != part:
                    raise UserError(
                        f"Fold {number}: a group must lie in one part. Got group '{group}' in {owner[group]} and "
                        f"{part}. Draw the splits again."
                    )
        train = presence[[row_of[image_id] for image_id in fold.train]]
        require_every_class(train.sum(axis=0), labels, f"the training part of fold {number}")


def _different(
    draw: Callable[[np.ndarray, np.random.Generator], list[np.ndarray]],
    presence: np.ndarray,
    streams: Sequence[np.random.Generator],
) -> list[list[np.ndarray]]:
    """Draw one division from each stream.

    Few groups have one best division, which every stream would find: where a division came before, it is drawn again
    for pixel counts that are blurred more and more, which gives up a little balance.
    """
    divisions: list[list[np.ndarray]] = []
    drawn: set[frozenset[bytes]] = set()
    for number, rng in enumerate(streams):
        for redraw in range(_REDRAWS):
            blur = redraw / _REDRAWS
            seen = np.rint(presence * rng.uniform(1 - blur, 1 + blur, presence.shape)) if redraw else presence
            division = draw(seen.astype(np.int64), rng)
            key = frozenset(np.sort(test).tobytes() for test in division)
            if key not in drawn:
                break
        else:
            raise UserError(
                f"`repeats` must not exceed the divisions there are. Got {len(streams)}, and found {number}. Lower it."
            )
        drawn.add(key)
        divisions.append(division)
    return divisions


def _cross_validation_tests(
    dataset: PreparedDataset, presence: np.ndarray, folds: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the image rows of each fold's test part; every group is in exactly one."""
    every = np.arange(len(dataset.entries))
    groups, images, counts, group_of = _by_group(dataset, presence, every)
    if len(groups) < folds:
        raise UserError(
            f"`folds` must not exceed the number of groups. Got {folds} for {len(groups)}. Use fewer folds."
        )
    parts = partition_groups(images, counts, [1 / folds] * folds, [True] * folds, rng)
    return [every[parts[group_of] == fold] for fold in range(folds)]


def _take(
    dataset: PreparedDataset,
    presence: np.ndarray,
    rows: np.ndarray,
    fraction: float,
    purpose: str,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Divide image rows into what stays and what is taken, by whole groups."""
    groups, images, counts, group_of = _by_group(dataset, presence, rows)
    if len(groups) < 2:
        raise UserError(
            f"{dataset.root / 'index.csv'}: taking a {purpose} part needs at least 2 groups. Got {len(groups)} "
            f"('{groups[0]}'). Set {purpose}_fraction to 0, use fewer folds, or add groups."
        )
    parts = partition_groups(images, counts, [1 - fraction, fraction], [False, True], rng)
    return rows[parts[group_of] == 0], rows[parts[group_of] == 1]


def _by_group(
    dataset: PreparedDataset, presence: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (G,) group ids, (G,) images, (G, 2, K) pixels and images per class, and the group of each row."""
    if len(presence) != len(dataset.entries):
        raise ValueError(f"presence must have a row per image. Got {len(presence)} for {len(dataset.entries)}.")
    groups, group_of = np.unique([dataset.entries[row].group_id for row in rows], return_inverse=True)
    counts = np.zeros((len(groups), 2, presence.shape[1]), dtype=np.int64)
    np.add.at(counts, group_of, np.stack([presence[rows], presence[rows] > 0], axis=1))
    return groups, np.bincount(group_of), counts, group_of


def _rows(dataset: PreparedDataset, split: str) -> np.ndarray:
    return np.array([row for row, entry in enumerate(dataset.entries) if entry.split == split], dtype=np.int64)


def _fold(dataset: PreparedDataset, train: np.ndarray, val: np.ndarray, test: np.ndarray) -> Fold:
    ids = [entry.image_id for entry in dataset.entries]
    return Fold(*(tuple(ids[row] for row in rows) for rows in (train, val, test)))


def _read_fold(content: dict[str, Any]) -> Fold:
    return Fold(tuple(content["train"]), tuple(content["val"]), tuple(content["test"]))


def class_names(dataset: PreparedDataset, presence: np.ndarray, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the K names of the columns of `presence`: those given, or the data set's own."""
    labels = tuple(names) if names is not None else tuple(class_.name for class_ in dataset.info.classes)
    if len(labels) != presence.shape[1]:
        raise ValueError(f"names must have one name per column of presence. Got {labels} for {presence.shape[1]}.")
    return labels


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise UserError(f"`{name}` must be at least 0 and below 1. Got {value}. Use for instance 0.2.")
