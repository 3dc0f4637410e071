"""Dice after something was changed in trained models, beside Dice as they were trained, on the same images."""

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
        """Tell changes apart by the values of some columns of each run's rows."""
        of_runs = [
            {tuple(np.atleast_1d(np.asarray(key, dtype=object))): part for key, part in rows.groupby(list(columns))}
            for _, rows in pairs
        ]
        return cls([run for run, _ in pairs], of_runs, split, unit, n_classes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Changes that every model went through, in the order of the first."""
        shared = set.intersection(*(set(each) for each in self.predicted))
        return tuple(each for each in self.predicted[0] if each in shared)

    def counts(self, change: Change, like: Change | None = None) -> UnitCounts:
        """Return the counts after a change.

        Args:
            change: The change.
            like: Keep the images that this other change was tried on; None: all.
        """
        frames = [each[change] for each in self.predicted]
        if like is not None:
            tried = [set(each[like]["image_id"]) for each in self.predicted]
            frames = [rows[rows["image_id"].isin(kept)] for rows, kept in zip(frames, tried, strict=True)]
        runs = [replace(run, counts=rows) for run, rows in zip(self.runs, frames, strict=True)]
        return unit_counts(runs, split=self.split, unit=self.unit, n_classes=self.n_classes)

    def against(self, changes: Sequence[Change], trained: Change) -> PairedScores:
        """Pair Dice after changes, the mean over them, with Dice after `trained` on the same images."""
        base = self.counts(trained, like=changes[0])
        changed = np.mean([unit_dice(self.counts(change)) for change in changes], axis=0)
        return PairedScores(changed, unit_dice(base), base.units, base.fold_of_unit)


def magnitudes(pairs: PairedScores) -> tuple[np.ndarray, int]:
    """Return the mean over models of |difference|, each model's over its own units: signs do not cancel.

    Args:
        pairs: Changed and trained; models are seeds, or seeds x folds where each unit was tested in one fold.

    Returns:
        (K + 1,) float64, each class and then macro, NaN where a class does not occur; and the number of models. It is
        above 0 by chance alone: units are few and each model's difference has an error.
    """
    folds = np.zeros(len(pairs.units), int) if pairs.fold_of_unit is None else pairs.fold_of_unit
    of_models = []
    for fold in np.unique(folds):
        of_class = mean_over_occurring(np.moveaxis(pairs.difference[:, folds == fold], 1, -1))  # (S, K)
        of_models.append(np.column_stack([of_class, mean_over_occurring(of_class)]))
    every = np.abs(np.concatenate(of_models))
    return mean_over_occurring(every, axis=0), len(every)


def predicted_shares(counts: UnitCounts) -> np.ndarray:
    """Return the share of labelled pixels that is predicted as each class, mean over seeds, (K,) float64."""
    tp, fp, _ = counts.counts.sum(axis=2)  # (S, K)
    predicted = tp + fp
    return (predicted / predicted.sum(axis=1, keepdims=True)).mean(axis=0)
