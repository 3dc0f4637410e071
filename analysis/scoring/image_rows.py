"""Scored rows of one method as numbers, and their places in arrays over seeds x images x classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.study.runs import RunData


@dataclass(frozen=True)
class Units:
    """The images on which one method is scored, and the independent units that they belong to.

    Args:
        seeds: S seeds, each with every fold finished; the images of all folds are scored together.
        units: U group or image ids, sorted; these are resampled.
        images: I image ids, sorted.
        unit_of_image: (I,) index into `units`.
        group_of_image: (I,) index of the image's group, 0..G-1.
        fold_of_unit: (U,) fold that tested the unit; None with one fold, or where folds share units.
    """

    seeds: tuple[int, ...]
    units: tuple[str, ...]
    images: tuple[str, ...]
    unit_of_image: np.ndarray
    group_of_image: np.ndarray
    fold_of_unit: np.ndarray | None = field(default=None, kw_only=True)


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
        fold_of_unit = single_fold(unit_of_image[image], self.fold)
        names = groups if by_group else images
        return Units(self.seeds, names, images, unit_of_image, group, fold_of_unit=fold_of_unit), cell


def single_fold(unit: np.ndarray, fold: np.ndarray) -> np.ndarray | None:
    """Return the fold that tested each unit, (U,) int; None with one fold, or where a unit was tested by several.

    Args:
        unit: (N,) int, unit of each row, 0..U-1.
        fold: (N,) int, fold of each row.
    """
    pairs = np.unique(np.column_stack([unit, fold]), axis=0)
    if len(np.unique(fold)) < 2 or len(pairs) != len(np.unique(unit)):
        return None
    return pairs[:, 1]


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
