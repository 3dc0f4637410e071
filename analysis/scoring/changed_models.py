"""Dice after something was changed in trained models, compared with Dice as trained on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.scoring.comparisons import PairedScores
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.pairs import unit_dice
from analysis.scoring.units import UnitCounts, unit_counts
from analysis.study.runs import RunData

Change = tuple[object, ...]


@dataclass(frozen=True)
class ChangedModels:
    """The trained models of one method, and what each of them predicted after every change.

    Args:
        runs: One per model.
        predicted: Per run: change -> rows of counts (image_id, group_id, split, class_id, tp, fp, fn).
        split: The split that is scored.
        unit: `group` or `image`.
        n_classes: K.
    """

    runs: Sequence[RunData]
    predicted: Sequence[Mapping[Change, pd.DataFrame]]
    split: str
    unit: str
    n_classes: int

    @classmethod
    def of(
        cls,
        pairs: Sequence[tuple[RunData, pd.DataFrame]],
        columns: Sequence[str],
        split: str,
        unit: str,
        n_classes: int,
    ) -> "ChangedModels":
        """Group the rows of each run by change: changes differ in the values of some columns."""
        predicted = [
            {tuple(np.atleast_1d(np.asarray(key, dtype=object))): part for key, part in rows.groupby(list(columns))}
            for _, rows in pairs
        ]
        return cls([run for run, _ in pairs], predicted, split, unit, n_classes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were made to every model, in the order of the first model."""
        shared = set.intersection(*(set(frames) for frames in self.predicted))
        return tuple(change for change in self.predicted[0] if change in shared)

    def counts(self, change: Change, like: Change | None = None) -> UnitCounts:
        """Return the counts after a change.

        Args:
            change: The change.
            like: Keep only the images that were predicted after this other change; None: all.
        """
        frames = [by_change[change] for by_change in self.predicted]
        if like is not None:
            images_of_runs = [set(by_change[like]["image_id"]) for by_change in self.predicted]
            frames = [rows[rows["image_id"].isin(images)] for rows, images in zip(frames, images_of_runs, strict=True)]
        runs = [replace(run, counts=rows) for run, rows in zip(self.runs, frames, strict=True)]
        return unit_counts(runs, split=self.split, unit=self.unit, n_classes=self.n_classes)

    def against(self, changes: Sequence[Change], trained: Change) -> PairedScores:
        """Pair the mean Dice over some changes with Dice after `trained`, on the same images."""
        base = self.counts(trained, like=changes[0])
        changed = np.mean([unit_dice(self.counts(change)) for change in changes], axis=0)
        return PairedScores(changed, unit_dice(base), base.units, base.fold_of_unit)


def magnitudes(pairs: PairedScores) -> tuple[np.ndarray, int]:
    """Return the mean over models of |difference|, so that signs that differ between models do not cancel.

    Args:
        pairs: Changed and trained; models are seeds, or seeds x folds where each unit was tested in one fold.

    Returns:
        (K + 1,) float64, each class and then macro, NaN where a class does not occur; and the number of models. The
        values are above 0 by chance alone, because units are few and the difference of each model has an error.
    """
    folds = np.zeros(len(pairs.units), int) if pairs.fold_of_unit is None else pairs.fold_of_unit
    of_models = []
    for fold in np.unique(folds):
        of_class = mean_over_occurring(np.moveaxis(pairs.difference[:, folds == fold], 1, -1))  # (S, K)
        of_models.append(np.column_stack([of_class, mean_over_occurring(of_class)]))
    absolute = np.abs(np.concatenate(of_models))
    return mean_over_occurring(absolute, axis=0), len(absolute)


def predicted_shares(counts: UnitCounts) -> np.ndarray:
    """Return the share of labelled pixels that is predicted as each class, mean over seeds, (K,) float64."""
    tp, fp, _ = counts.counts.sum(axis=2)  # (S, K)
    predicted = tp + fp
    return (predicted / predicted.sum(axis=1, keepdims=True)).mean(axis=0)
