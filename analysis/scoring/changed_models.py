"""Dice after something was changed in trained models, compared with Dice as trained on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.scoring.comparisons import PairedScores
from analysis.scoring.image_rows import ImageRows, complete_block, rows_of_runs
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.pairs import unit_dice
from analysis.scoring.units import UnitCounts, count_units
from analysis.study.runs import RunData

Change = tuple[object, ...]


@dataclass(frozen=True)
class ChangedCounts:
    """Counts after some changes, and as trained on the same images.

    Args:
        changed: The counts after each change.
        trained: The counts as trained.
    """

    changed: Sequence[UnitCounts]
    trained: UnitCounts

    @property
    def scores(self) -> PairedScores:
        """The mean Dice over the changes, paired with Dice as trained."""
        trained, changed = self.trained, np.mean([unit_dice(counts) for counts in self.changed], axis=0)
        of_folds = [counts.apart for counts in self.changed if counts.apart is not None]
        apart = None if trained.apart is None else ChangedCounts(of_folds, trained.apart).scores
        return PairedScores(changed, unit_dice(trained), trained.units, trained.folds, apart)

    @property
    def predicted_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The shares of `predicted_shares`, mean over the changes, and as trained, (K,) float64 each."""
        return np.mean([predicted_shares(counts) for counts in self.changed], axis=0), predicted_shares(self.trained)


@dataclass(frozen=True)
class ChangedModels:
    """What the trained models of one method predicted after every change; models are runs of a complete block.

    Args:
        rows: N scored rows of all models and changes.
        run: (N,) int, the model of each row.
        counts: (N, 3) int64: tp, fp, fn.
        rows_of: Change -> indices of its rows, ascending.
        changes: The changes that were made to every model.
        unit: `group` or `image`.
        n_classes: K.
    """

    rows: ImageRows
    run: np.ndarray
    counts: np.ndarray
    rows_of: Mapping[Change, np.ndarray]
    changes: tuple[Change, ...]
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
        """Arrange the rows of each run: changes differ in the values of some columns.

        Args:
            pairs: Runs and their rows of counts: image_id, group_id, split, class_id, tp, fp, fn and `columns`.
            columns: The columns that tell changes apart.
            split: The split that is scored.
            unit: `group` or `image`.
            n_classes: K.
        """
        folds, seeds = complete_block((run.fold, run.seed) for run, _ in pairs)
        rows = rows_of_runs([run for run, _ in pairs], [rows for _, rows in pairs])
        n_models = rows.groupby(list(columns))["run"].nunique()
        rows = rows[(rows["split"] == split) & rows["fold"].isin(folds) & rows["seed"].isin(seeds)]
        return cls(
            ImageRows.of(rows, seeds),
            rows["run"].to_numpy(),
            rows[["tp", "fp", "fn"]].to_numpy(),
            {_change(key): np.asarray(indices) for key, indices in rows.groupby(list(columns)).indices.items()},
            tuple(_change(key) for key in n_models.index[n_models == len(pairs)]),
            unit,
            n_classes,
        )

    def against(self, changes: Sequence[Change], trained: Change, *, like: Sequence[Change] = ()) -> ChangedCounts:
        """Return the counts after some changes and after `trained`, on the same images.

        Args:
            changes: The changes.
            trained: The change that is none.
            like: Only images that were predicted after these other changes too.
        """
        return ChangedCounts(
            [self._counts(change, like) for change in changes], self._counts(trained, (changes[0], *like))
        )

    def _counts(self, change: Change, like: Sequence[Change]) -> UnitCounts:
        """Return the counts after a change, on the images that each model also predicted after other changes."""
        indices = self.rows_of[change]
        for other in like:
            predicted = np.zeros((self.run.max() + 1, len(self.rows.images)), dtype=bool)
            predicted[self.run[self.rows_of[other]], self.rows.image[self.rows_of[other]]] = True
            indices = indices[predicted[self.run[indices], self.rows.image[indices]]]
        return count_units(self.rows.at(indices), self.counts[indices], self.unit, self.n_classes)


def magnitudes(pairs: PairedScores) -> tuple[np.ndarray, int]:
    """Return the mean over models of |difference|, so that signs that differ between models do not cancel.

    Args:
        pairs: Changed and trained; models are seeds x folds.

    Returns:
        (K + 1,) float64, each class and then macro, NaN where a class does not occur; and the number of models. The
        values are above 0 by chance alone, because units are few and the difference of each model has an error.
    """
    difference = (pairs if pairs.apart is None else pairs.apart).difference  # (S, V, K), each test of a fold
    folds = np.zeros(difference.shape[1], int) if pairs.folds is None else pairs.folds.fold
    of_models = []
    for fold in np.unique(folds):
        of_class = mean_over_occurring(np.moveaxis(difference[:, folds == fold], 1, -1))  # (S, K)
        of_models.append(np.column_stack([of_class, mean_over_occurring(of_class)]))
    absolute = np.abs(np.concatenate(of_models))
    return mean_over_occurring(absolute, axis=0), len(absolute)


def predicted_shares(counts: UnitCounts) -> np.ndarray:
    """Return the share of labelled pixels that is predicted as each class, mean over seeds, (K,) float64."""
    tp, fp, _ = counts.counts.sum(axis=2)  # (S, K)
    predicted = tp + fp
    return (predicted / predicted.sum(axis=1, keepdims=True)).mean(axis=0)


def _change(key: object) -> Change:
    """Return a key of `groupby`, which is a tuple unless there is one column."""
    return key if isinstance(key, tuple) else (key,)
