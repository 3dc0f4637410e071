"""Counts of one method as arrays over seeds x images x classes, and scores that are ratios of sums over units.

Every aggregate is, per class, sum_u N_u / sum_u D_u over units u. The estimate uses all units, the jackknife all but
one (`without_each`), and the crossed bootstrap of ranks weighted units (`crossed_scores`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, Self, TypeVar

import numpy as np

from analysis.scoring.image_rows import Folds, ImageRows, Units, complete_block, rows_of_runs
from analysis.scoring.metrics import Aggregation, Metric, fraction, mean_over_occurring
from analysis.study.runs import RunData, StudyTables


@dataclass(frozen=True)
class UnitCounts(Units):
    """Test counts of one method.

    Args:
        counts: (3, S, I, K) int64: tp, fp, fn.
        apart: The same where what each fold tested of a unit is a unit of its own; None where no folds share units.
    """

    counts: np.ndarray
    apart: "UnitCounts | None" = field(default=None, kw_only=True)

    @cached_property
    def of_units(self) -> np.ndarray:
        """Counts per unit, (3, S, U, K) int64."""
        return self._summed(self.unit_of_image, len(self.units))

    @cached_property
    def of_groups(self) -> np.ndarray:
        """Counts per group, (3, S, G, K) int64."""
        return self._summed(self.group_of_image, int(self.group_of_image.max()) + 1)

    def at_seeds(self, indices: Sequence[int]) -> "UnitCounts":
        """Return the counts of some of the seeds, by their indices."""
        seeds = tuple(self.seeds[index] for index in indices)
        apart = None if self.apart is None else self.apart.at_seeds(indices)
        return replace(self, seeds=seeds, counts=self.counts[:, list(indices)], apart=apart)

    def _summed(self, index: np.ndarray, n: int) -> np.ndarray:
        """Sum counts over images with the same index, (3, S, n, K)."""
        return np.moveaxis(_sum_by(index, np.moveaxis(self.counts, 2, 0), n), 0, 2)


def unit_counts(runs: Sequence[RunData], *, split: str, unit: str, n_classes: int) -> UnitCounts:
    """Arrange the counts of one method's runs.

    Args:
        runs: Finished runs of one method.
        split: Scored split.
        unit: "group" or "image".
        n_classes: K.

    Raises:
        ValueError: There is no run.
    """
    folds, seeds = complete_block((run.fold, run.seed) for run in runs)
    scored_runs = [run for run in runs if run.fold in folds and run.seed in seeds]
    if not scored_runs:
        raise ValueError("unit_counts needs at least one run.")
    rows = rows_of_runs(scored_runs, [run.counts for run in scored_runs])
    rows = rows[rows["split"] == split]
    return count_units(ImageRows.of(rows, seeds), rows[["tp", "fp", "fn"]].to_numpy(), unit, n_classes)


def count_units(rows: ImageRows, counts: np.ndarray, unit: str, n_classes: int) -> UnitCounts:
    """Arrange the counts of rows, (N, 3) int64: tp, fp, fn; an image that several folds test is summed over them."""
    units, cell = rows.arranged(unit, n_classes)
    shape = (len(units.seeds), len(units.images), n_classes)
    flat = _sum_by(cell, counts, int(np.prod(shape)))
    apart = count_units(rows.apart(), counts, unit, n_classes) if units.shared_by_folds else None
    return UnitCounts(**vars(units), counts=flat.T.reshape(3, *shape), apart=apart)


def shared_seeds(units: Mapping[str, UnitCounts]) -> dict[str, UnitCounts]:
    """Keep the seeds that every method has finished.

    Returns:
        Method -> counts on the same seeds; empty if no seed is shared or the methods were scored on different images.
    """
    if not units or len({unit.images for unit in units.values()}) > 1:
        return {}
    common = set.intersection(*(set(unit.seeds) for unit in units.values()))
    if not common:
        return {}
    return {
        name: counts.at_seeds([seed_index for seed_index, seed in enumerate(counts.seeds) if seed in common])
        for name, counts in units.items()
    }


@dataclass(frozen=True)
class Ratios:
    """A score as ratios of sums over units.

    Args:
        numerator: (S, U, K) float64.
        denominator: (S, U, K) float64, or (1, U, K) where all seeds share it.
        occurs: (U, K) int64, number of images or groups of the unit in which the class occurs.
        folds: The folds that tested the units; None with one fold.
        apart: The same score where each test of `folds` is a unit of its own; None where no folds share units.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    occurs: np.ndarray
    folds: Folds | None = None
    apart: "Ratios | None" = None

    @property
    def counted(self) -> np.ndarray:
        """Units that contribute to the score of a class that occurs, (U, K) bool."""
        contributes = np.any(self.denominator > 0, axis=0) | (self.occurs > 0)
        return contributes & (self.occurs > 0).any(axis=0)


def ratios(counts: UnitCounts, metric: Metric, aggregation: Aggregation) -> Ratios:
    """Return the per-unit numerators and denominators of an aggregate."""

    def of(counts: UnitCounts) -> Ratios:
        tp, fp, fn = counts.counts
        occurs = tp[0] + fn[0] > 0  # the truth is the same for every seed
        return aggregate(counts, *fraction(metric, tp, fp, fn), occurs, aggregation)

    return with_apart(of, counts)


class _Tested(Protocol):
    """What was tested: scores or counts, with those of each fold apart where folds share units."""

    @property
    def apart(self) -> Self | None: ...


_T = TypeVar("_T", bound=_Tested)


def with_apart(ratios_of: Callable[[_T], Ratios], tested: _T) -> Ratios:
    """Return the ratios of what was tested, with those of each fold apart where folds share units."""
    parts, apart = ratios_of(tested), tested.apart
    return parts if apart is None else replace(parts, apart=ratios_of(apart))


def aggregate(
    units: Units, numerators: np.ndarray, denominators: np.ndarray, occurs: np.ndarray, aggregation: Aggregation
) -> Ratios:
    """Return a score of images as ratios of sums over units, under an aggregation.

    Args:
        units: The images, their units and groups.
        numerators: (S, I, K) numerators of the images, integer or float.
        denominators: (S, I, K) denominators.
        occurs: (I, K) bool, the class is scored in the image.
        aggregation: pooled: numerators and denominators are summed over all images; per_image, per_group: mean of the
            ratios of images, or of the sums of a group's images; a ratio over 0 is 0 where the class is scored.
    """
    of_image = units.unit_of_image
    if aggregation == "pooled":
        n_units = len(units.units)
        numerator, denominator = (
            _sum_images(of_image, values, n_units).astype(np.float64) for values in (numerators, denominators)
        )
        return Ratios(numerator, denominator, _sum_by(of_image, occurs.astype(np.int64), n_units), units.folds)
    unit_of_member, n_units = of_image, len(units.units)
    if aggregation == "per_group":
        of_group, n_groups = units.group_of_image, int(units.group_of_image.max()) + 1
        numerators, denominators = (_sum_images(of_group, values, n_groups) for values in (numerators, denominators))
        occurs = _sum_by(of_group, occurs.astype(np.int64), n_groups) > 0
        unit_of_member = np.arange(n_groups)
        if n_units != n_groups:  # images are units: a group's score belongs to the unit of its first image
            unit_of_member = of_image[np.unique(of_group, return_index=True)[1]]
    values = np.where(occurs, numerators / np.where(denominators > 0, denominators, 1), 0.0)  # (S, members, K)
    n_scored = _sum_by(unit_of_member, occurs.astype(np.int64), n_units)
    numerator, denominator = _sum_images(unit_of_member, values, n_units), n_scored[None].astype(np.float64)
    return Ratios(numerator, denominator, n_scored, units.folds)


def _sum_images(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sum (S, I, K) values over images with the same index, (S, n, K)."""
    return np.moveaxis(_sum_by(index, np.moveaxis(values, 1, 0), n), 0, 1)


def _sum_by(index: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """Sum rows (N, ...) with the same index, (n, ...), exactly for integers."""
    total = np.zeros((n, *rows.shape[1:]), dtype=rows.dtype)
    if not len(index):
        return total
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    alone = len(first) == len(index)  # nothing to add
    total[ordered[first]] = rows[order] if alone else np.add.reduceat(rows[order], first, axis=0)
    return total


def crossed_scores(parts: Ratios, unit: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Score every pair of weights of units and weights of seeds: the crossed bootstrap of Owen 2007.

    Args:
        parts: The score's ratios.
        unit: (B, U) float, >= 0.
        seed: (B, S) float, >= 0, rows sum to S.

    Returns:
        (B, K + 1) float64: each class, then macro over the classes that occur; NaN where a class does not.
    """
    by_seed, occurs = _per_seed_ratios(unit, parts)
    values = np.matmul((seed / seed.shape[1])[:, None], by_seed)[:, 0]  # (B, 1, S) @ (B, S, K)
    values = np.where(occurs, values, np.nan)
    return np.column_stack([values, mean_over_occurring(values)])


def _per_seed_ratios(weights: np.ndarray, parts: Ratios) -> tuple[np.ndarray, np.ndarray]:
    """Return ratios of sums over weighted units, (B, S, K), 0 for a denominator of 0, and which classes occur, (B, K).

    One product with the weights gives all sums: reading (B, U) weights takes longer than a few more columns.
    """
    arrays = (parts.numerator, parts.denominator, parts.occurs[None])
    columns = [np.moveaxis(array, 1, 0).reshape(weights.shape[1], -1) for array in arrays]  # (U, S K) or (U, K)
    sums = weights @ np.concatenate(columns, axis=1)
    ends = np.cumsum([column.shape[1] for column in columns])
    numerators, denominators, occurs = (
        sums[:, end - column.shape[1] : end].reshape(len(weights), *array[:, 0].shape)
        for end, column, array in zip(ends, columns, arrays, strict=True)
    )
    denominators[denominators == 0] = 1
    return numerators / denominators, occurs[:, 0] > 0


def without_each(parts: Ratios) -> np.ndarray:
    """Return (S, U, K) float64: the scores without each unit; NaN where no other unit has the class."""
    numerators, denominators = (sums.sum(axis=1, keepdims=True) - sums for sums in (parts.numerator, parts.denominator))
    occurs = parts.occurs.sum(axis=0) - parts.occurs > 0  # (U, K)
    return np.where(occurs, numerators / np.where(denominators > 0, denominators, 1), np.nan)


def scores_by_seed(parts: Ratios) -> np.ndarray:
    """Return (S, K + 1) float64: the scores of each seed, and macro."""
    numerators, denominators = parts.numerator.sum(axis=1), parts.denominator.sum(axis=1)
    values = np.where(parts.occurs.sum(axis=0) > 0, numerators / np.where(denominators > 0, denominators, 1), np.nan)
    return np.column_stack([values, mean_over_occurring(values)])


def effective_units(parts: Ratios) -> np.ndarray:
    """Return the effective number of units, (K + 1,): each class, then macro.

    This is the number of units of equal weight that would be as informative as these of unequal weight. The weight of a
    unit is its share of the sum of denominators (where that is 0, all units in which the class occurs weigh alike); for
    macro, the mean of its shares over the classes that occur. At most the number of units; NaN where no class occurs.

    Source:
        Kish 1965, section 11.7: (sum of weights)^2 / sum of squared weights.
    """
    denominators = parts.denominator.mean(axis=0)  # (U, K)
    weight = np.where(denominators.sum(axis=0) > 0, denominators, parts.occurs > 0)
    occurs = parts.occurs.sum(axis=0) > 0
    share = np.where(occurs, weight / np.where(occurs, weight.sum(axis=0), 1), np.nan)
    share = np.column_stack([share, mean_over_occurring(share)])
    return share.sum(axis=0) ** 2 / (share**2).sum(axis=0)


def method_units(tables: StudyTables, unit: str) -> dict[str, UnitCounts]:
    """Arrange the counts of every method."""
    return {
        method: unit_counts(tables.runs_of(method), split=tables.split, unit=unit, n_classes=len(tables.class_names))
        for method in tables.methods
    }
