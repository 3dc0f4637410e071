"""Scores of images, as ratios or plain values, computed by any program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from analysis.scoring.comparisons import PairedScores
from analysis.scoring.image_rows import ImageRows, Units, complete_block
from analysis.scoring.metrics import Aggregation, Metric, fraction
from analysis.scoring.units import Ratios, UnitCounts, aggregate


@dataclass(frozen=True)
class ScoredImages(Units):
    """One score of one method on images.

    Args:
        numerators: (S, I, K) float64, numerators; for plain values the values.
        denominators: (S, I, K) float64, denominators; for plain values 1.
        occurs: (I, K) bool, the class is scored in the image.
    """

    numerators: np.ndarray
    denominators: np.ndarray
    occurs: np.ndarray

    @classmethod
    def of_counts(cls, counts: UnitCounts, metric: Metric = "dice") -> "ScoredImages":
        """Return a metric of the counts of a method."""
        tp, fp, fn = counts.counts
        unit_fields = {name: getattr(counts, name) for name in Units.__dataclass_fields__}
        numerators, denominators = fraction(metric, tp, fp, fn)
        return cls(**unit_fields, numerators=numerators, denominators=denominators, occurs=tp[0] + fn[0] > 0)

    @property
    def by_unit(self) -> np.ndarray:
        """The score of each unit's sums, (S, U, K) float64; NaN where the class does not occur in the unit."""
        sums = self.ratios("pooled")
        values = sums.numerator / np.where(sums.denominator > 0, sums.denominator, 1)
        return np.where(sums.occurs > 0, values, np.nan)

    def ratios(self, aggregation: Aggregation) -> Ratios:
        """Return the score as ratios of sums over units."""
        return aggregate(self, self.numerators, self.denominators, self.occurs, aggregation)


class ScoreRows:
    """Scored rows of several methods, arranged for any choice of folds and seeds.

    Args:
        rows: method, fold, seed, group_id, image_id, class_id, numerator, denominator.
        occurs: (image_id, class_id) pairs that are scored; the same for every method.
        unit: "group" or "image".
        n_classes: K.
    """

    def __init__(self, rows: pd.DataFrame, occurs: pd.MultiIndex, unit: str, n_classes: int) -> None:
        self._rows = {str(method): part for method, part in rows.groupby("method", sort=False)}
        self._occurs, self._unit, self._n_classes = occurs, unit, n_classes
        self.finished: Mapping[str, frozenset[tuple[int, int]]] = {
            method: frozenset(zip(part["fold"].tolist(), part["seed"].tolist(), strict=True))
            for method, part in self._rows.items()
        }

    @property
    def methods(self) -> Sequence[str]:
        """Methods, in the order of the rows."""
        return list(self._rows)

    def scored(self, method: str, pairs: frozenset[tuple[int, int]] | None = None) -> ScoredImages:
        """Arrange the rows of a method in the complete block of the chosen (fold, seed) pairs; None: of all."""
        folds, seeds = complete_block(self.finished[method] if pairs is None else pairs)
        rows = self._rows[method]
        rows = rows[rows["fold"].isin(folds) & rows["seed"].isin(seeds)]
        units, cell = ImageRows.of(rows, seeds).arranged(self._unit, self._n_classes)
        shape = (len(seeds), len(units.images), self._n_classes)
        size = int(np.prod(shape))
        numerators, denominators = (
            np.bincount(cell, rows[name].to_numpy(), size).reshape(shape) for name in ("numerator", "denominator")
        )
        occurs = np.zeros(shape[1:], dtype=bool)
        image_rows = pd.Index(units.images).get_indexer(self._occurs.get_level_values(0))
        class_id = self._occurs.get_level_values(1).to_numpy()
        occurs[image_rows[image_rows >= 0], class_id[image_rows >= 0]] = True
        return ScoredImages(**vars(units), numerators=numerators, denominators=denominators, occurs=occurs)


class Pairing:
    """Pairs methods on the folds and seeds that both have finished; every arrangement of scores is cached.

    Args:
        finished: Method -> (fold, seed) of its finished runs.
        arrange: Returns the scores of a method on some of these runs.
    """

    def __init__(
        self,
        finished: Mapping[str, frozenset[tuple[int, int]]],
        arrange: Callable[[str, frozenset[tuple[int, int]]], ScoredImages],
    ) -> None:
        self._finished = finished

        @cache
        def by_unit(method: str, pairs: frozenset[tuple[int, int]]) -> tuple[ScoredImages, np.ndarray]:
            scored = arrange(method, pairs)
            return scored, scored.by_unit

        self._by_unit = by_unit

    def pair(self, method: str, control: str) -> PairedScores | None:
        """Pair two methods; None if they share no run, or were not scored on the same images."""
        shared = self._finished[method] & self._finished[control]
        if not shared:
            return None
        (scored, of_method), (other, of_control) = self._by_unit(method, shared), self._by_unit(control, shared)
        if scored.images != other.images:
            return None
        return PairedScores(of_method, of_control, scored.units, scored.fold_of_unit)

    def together(self, methods: Sequence[str]) -> list[np.ndarray] | None:
        """Return the scores of several methods, (S, U, K) each, on the runs that all share; None as for pairs."""
        shared = frozenset.intersection(*(self._finished[method] for method in methods))
        if not shared:
            return None
        scored = [self._by_unit(method, shared) for method in methods]
        if any(member.images != scored[0][0].images for member, _ in scored):
            return None
        return [values for _, values in scored]

    def pair_effects(self, effect: tuple[str, str], other: tuple[str, str]) -> PairedScores | None:
        """Pair two effects, each a method's score minus its control's, on the runs that all four share.

        Args:
            effect: Method and control.
            other: Method and control of the other effect.

        Returns:
            The effects; None if they share no run, or were not scored on the same images.
        """
        names = (*effect, *other)
        shared = frozenset.intersection(*(self._finished[name] for name in names))
        if not shared:
            return None
        scored_methods = [self._by_unit(name, shared) for name in names]
        scored = scored_methods[0][0]
        if any(member.images != scored.images for member, _ in scored_methods):
            return None
        of_method, of_control, of_other, of_its_control = (values for _, values in scored_methods)
        return PairedScores(of_method - of_control, of_other - of_its_control, scored.units, scored.fold_of_unit)
