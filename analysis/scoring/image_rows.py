"""Scored rows of one method as numbers, and their places in arrays over seeds x images x classes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.study.runs import RunData


@dataclass(frozen=True)
class Folds:
    """Which folds tested which units: a test is what one fold scored of one unit.

    Args:
        unit: (V,) int, the unit of each test, 0..U-1; ascending, and by fold within a unit.
        fold: (V,) int, the fold of each test.
    """

    unit: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, unit: np.ndarray, fold: np.ndarray) -> "Folds | None":
        """Gather the tests of N rows, each of one unit and fold; None with a single fold."""
        tests = np.unique(np.column_stack([unit, fold]), axis=0)
        return cls(tests[:, 0], tests[:, 1]) if len(np.unique(fold)) > 1 else None

    @property
    def n_folds(self) -> int:
        """The number of folds."""
        return len(np.unique(self.fold))

    @property
    def share_units(self) -> bool:
        """Whether several folds tested the same unit, as in repeated cross-validation or on one fixed test set."""
        return bool((np.diff(self.unit) == 0).any())

    @property
    def test_same_units(self) -> bool:
        """Whether every fold tested every unit, so that folds differ in their training alone."""
        return len(self.unit) == len(np.unique(self.unit)) * self.n_folds

    @property
    def of_units(self) -> np.ndarray | None:
        """The fold that tested each unit, (U,) int; None where several folds tested the same one."""
        return None if self.share_units else self.fold

    @property
    def of_one_division(self) -> int:
        """Number of folds that together test each unit once, rounded up; all folds where each tests every unit.

        This is the number of folds of one cross-validation, however often it was repeated. Where all folds test the
        same units, each of them leaves another part of the remaining images out of training.
        """
        if self.test_same_units:
            return self.n_folds
        return math.ceil(self.n_folds * len(np.unique(self.unit)) / len(self.unit))

    @property
    def test_to_train(self) -> float:
        """Ratio of the test units of a fold to its training units, as if those that validate trained, too."""
        return 1 / (self.of_one_division - 1)

    @property
    def overlap(self) -> float:
        """The share of units that two folds have in common, mean over pairs of folds: 0 if each is tested once."""
        if not self.share_units:
            return 0.0
        (units, unit), (folds, fold) = (np.unique(ids, return_inverse=True) for ids in (self.unit, self.fold))
        tested = np.zeros((len(units), len(folds)))
        tested[unit, fold] = 1 / np.sqrt(np.bincount(fold))[fold]
        return float((tested.T @ tested)[np.triu_indices(len(folds), 1)].mean())

    def at(self, tests: np.ndarray) -> "Folds":
        """Return some of the tests, by their indices or (V,) bool, with the same numbers of units."""
        return Folds(self.unit[tests], self.fold[tests])

    def without(self, unit: int) -> "Folds":
        """Return the tests of all units but one; units are numbered without it."""
        others = self.at(self.unit != unit)
        return Folds(np.where(others.unit > unit, others.unit - 1, others.unit), others.fold)


@dataclass(frozen=True)
class Units:
    """The images on which one method is scored, and the independent units that they belong to.

    Args:
        seeds: S seeds, each with every fold finished; the images of all folds are scored together.
        units: U group or image ids, sorted; these are resampled.
        images: I image ids, sorted.
        unit_of_image: (I,) index into `units`.
        group_of_image: (I,) index of the image's group, 0..G-1.
        folds: The folds that tested the units; None with one fold.
    """

    seeds: tuple[int, ...]
    units: tuple[str, ...]
    images: tuple[str, ...]
    unit_of_image: np.ndarray
    group_of_image: np.ndarray
    folds: Folds | None = field(default=None, kw_only=True)

    @property
    def shared_by_folds(self) -> bool:
        """Whether several folds tested the same unit."""
        return self.folds is not None and self.folds.share_units


@dataclass(frozen=True)
class ImageRows:
    """Scored rows, one per image, class, seed and fold, as numbers, so that any of them can be arranged in arrays.

    Args:
        image: (N,) int, index into `images`.
        class_id: (N,) int.
        seed: (N,) int, index into `seeds`.
        fold: (N,) int.
        images: I image ids, sorted.
        groups: G group ids, sorted.
        group_of_image: (I,) int, index into `groups`.
        seeds: S seeds, ascending.
    """

    image: np.ndarray
    class_id: np.ndarray
    seed: np.ndarray
    fold: np.ndarray
    images: np.ndarray
    groups: np.ndarray
    group_of_image: np.ndarray
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame, seeds: Sequence[int]) -> "ImageRows":
        """Number the rows of a frame: image_id, group_id, class_id, seed, fold."""
        image, images = pd.factorize(rows["image_id"], sort=True)
        first_row = np.unique(image, return_index=True)[1]
        group, groups = pd.factorize(rows["group_id"].iloc[first_row], sort=True)
        class_id, seed, fold = (rows[name].to_numpy() for name in ("class_id", "seed", "fold"))
        images, groups = (np.array(list(map(str, ids)), dtype=object) for ids in (images, groups))
        return cls(image, class_id, np.searchsorted(seeds, seed), fold, images, groups, group, tuple(seeds))

    def at(self, indices: np.ndarray) -> "ImageRows":
        """Return some of the rows."""
        image, class_id, seed, fold = (each[indices] for each in (self.image, self.class_id, self.seed, self.fold))
        return replace(self, image=image, class_id=class_id, seed=seed, fold=fold)

    def arranged(self, unit: str, n_classes: int) -> tuple[Units, np.ndarray]:
        """Find the images, groups and folds of the rows, and the place of each row in an (S, I, K) array.

        Args:
            unit: "group" or "image".
            n_classes: K.
        """
        present = np.flatnonzero(np.bincount(self.image, minlength=len(self.images)))
        place_of = np.zeros(len(self.images), dtype=np.int64)
        place_of[present] = np.arange(len(present))
        image = place_of[self.image]
        present_groups, group = np.unique(self.group_of_image[present], return_inverse=True)
        cell = (self.seed * len(present) + image) * n_classes + self.class_id
        images, groups = tuple(self.images[present]), tuple(self.groups[present_groups])
        by_group = unit == "group"
        unit_of_image = group if by_group else np.arange(len(images))
        folds = Folds.of(unit_of_image[image], self.fold)
        names = groups if by_group else images
        return Units(self.seeds, names, images, unit_of_image, group, folds=folds), cell

    def apart(self) -> "ImageRows":
        """Return the same rows where what each fold tested of an image, and of a group, is one of its own.

        Images and groups keep their order, folds ascend within them, and `ids_apart` names them.
        """
        tests, image = np.unique(np.column_stack([self.image, self.fold]), axis=0, return_inverse=True)
        by_group = np.column_stack([self.group_of_image[tests[:, 0]], tests[:, 1]])
        group_tests, group = np.unique(by_group, axis=0, return_inverse=True)
        images, groups = (
            np.array(ids_apart(ids[each[:, 0]], each[:, 1]), dtype=object)
            for ids, each in ((self.images, tests), (self.groups, group_tests))
        )
        return replace(self, image=image.ravel(), images=images, groups=groups, group_of_image=group.ravel())


def ids_apart(ids: Iterable[object], folds: Iterable[int]) -> list[str]:
    """Return the ids of images, or groups, where what each fold tested of one is one of its own."""
    return [f"{each} in fold {fold}" for each, fold in zip(ids, folds, strict=True)]


def complete_block(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return folds and seeds of which every combination is finished: as many folds as any seed has, then seeds.

    A fold that is left out takes its images with it, and what is true of the others need not be true of them; a seed
    that is left out makes an interval wider.

    Args:
        pairs: (fold, seed) of finished runs.

    Returns:
        Folds and seeds, sorted.
    """
    folds_of: dict[int, set[int]] = {}
    for fold, seed in pairs:
        folds_of.setdefault(seed, set()).add(fold)
    blocks = []
    for folds in folds_of.values():
        seeds = tuple(sorted(seed for seed, finished in folds_of.items() if folds <= finished))
        blocks.append((len(folds), len(seeds), tuple(sorted(folds)), seeds))
    return max(blocks)[2:] if blocks else ((), ())


def rows_of_runs(runs: Sequence[RunData], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of runs, and add `seed`, `fold` and `run`, the index of the run."""
    lengths = [len(frame) for frame in frames]
    keys = {name: np.repeat([getattr(run, name) for run in runs], lengths) for name in ("seed", "fold")}
    return pd.concat(frames, ignore_index=True).assign(**keys, run=np.repeat(np.arange(len(runs)), lengths))
