"""Scores of images, as ratios or plain values, computed by any program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import pandas as pd

from analysis.scoring.comparisons import PairedScores
from analysis.scoring.image_rows import ImageRows, Units, complete_block
from analysis.scoring.metrics import Aggregation, Metric, fraction
from analysis.scoring.units import Ratios, UnitCounts, aggregate, with_apart


@dataclass(frozen=True)
class ScoredImages(Units):
    """One score of one method on images.

    Args:
        numerators: (S, I, K) float64, numerators; for plain values the values.
        denominators: (S, I, K) float64, denominators; for plain values 1.
        occurs: (I, K) bool, the class is scored in the image.
        apart: The same where what each fold tested of a unit is a unit of its own; None where no folds share units.
    """

    numerators: np.ndarray
    denominators: np.ndarray
    occurs: np.ndarray
    apart: "ScoredImages | None" = field(default=None, kw_only=True)

    @classmethod
    def of_counts(cls, counts: UnitCounts, metric: Metric = "dice") -> "ScoredImages":
        """Return a metric of the counts of a method."""
        tp, fp, fn = counts.counts
        unit_fields = {name: getattr(counts, name) for name in Units.__dataclass_fields__}
        numerators, denominators = fraction(metric, tp, fp, fn)
        apart = None if counts.apart is None else cls.of_counts(counts.apart, metric)
        scores = {"numerators": numerators, "denominators": denominators, "occurs": tp[0] + fn[0] > 0}
        return cls(**unit_fields, **scores, apart=apart)

    @cached_property
    def by_unit(self) -> np.ndarray:
        """The score of each unit's sums, (S, U, K) float64; NaN where the class does not occur in the unit."""
        sums = _ratios(self, "pooled")
        values = sums.numerator / np.where(sums.denominator > 0, sums.denominator, 1)
        return np.where(sums.occurs > 0, values, np.nan)

    def ratios(self, aggregation: Aggregation) -> Ratios:
        """Return the score as ratios of sums over units."""
        return with_apart(lambda scored: _ratios(scored, aggregation), self)


def _ratios(scored: ScoredImages, aggregation: Aggregation) -> Ratios:
    return aggregate(scored, scored.numerators, scored.denominators, scored.occurs, aggregation)


def _paired(scored: Sequence[ScoredImages]) -> PairedScores:
    """Pair a method with its control, or two such effects with each other, on the same images."""
    units, scores = scored[0], [each.by_unit for each in scored]
    method, control = scores if len(scores) == 2 else (scores[0] - scores[1], scores[2] - scores[3])
    apart = [each.apart for each in scored if each.apart is not None]
    return PairedScores(method, control, units.units, units.folds, _paired(apart) if apart else None)


class ScoreRows:
    """Scored rows of several methods, arranged for any choice of folds and seeds.

    Args:
        rows: method, fold, seed, group_id, image_id, class_id, numerator, denominator.
        occurs: (image_id, class_id) pairs that are scored; the same for every method.
        unit: "group" or "image".
        n_classes: K.
    """

    def __init__(self, rows: pd.DataFrame, occurs: pd.MultiIndex, unit: str, n_classes: int) -> None:
        occurring = pd.MultiIndex.from_frame(rows[["image_id", "class_id"]]).isin(occurs)
        by_method = rows.assign(occurs=occurring).groupby("method", sort=False)
        self._rows = {str(method): part for method, part in by_method}
        self._unit, self._n_classes = unit, n_classes
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
        return self._arranged(rows, ImageRows.of(rows, seeds))

    def _arranged(self, rows: pd.DataFrame, places: ImageRows) -> ScoredImages:
        units, cell = places.arranged(self._unit, self._n_classes)
        shape = (len(units.seeds), len(units.images), self._n_classes)
        size = int(np.prod(shape))
        sums = (np.bincount(cell, rows[name].to_numpy(), size) for name in ("numerator", "denominator", "occurs"))
        numerators, denominators, occurring = (of_cells.reshape(shape) for of_cells in sums)
        apart = self._arranged(rows, places.apart()) if units.shared_by_folds else None
        occurs = occurring.sum(axis=0) > 0
        return ScoredImages(**vars(units), numerators=numerators, denominators=denominators, occurs=occurs, apart=apart)


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
        self._finished, self._scored = finished, cache(arrange)

    def pair(self, method: str, control: str) -> PairedScores | None:
        """Pair two methods; None if they share no run, or were not scored on the same images."""
        return self._pair(method, control)

    def together(self, methods: Sequence[str]) -> list[np.ndarray] | None:
        """Return the scores of several methods, (S, U, K) each, on the runs that all share; None as for pairs."""
        scored = self._on_shared_runs(methods)
        return None if scored is None else [each.by_unit for each in scored]

    def pair_effects(self, effect: tuple[str, str], other: tuple[str, str]) -> PairedScores | None:
        """Pair two effects, each a method's score minus its control's, on the runs that all four share.

        Args:
            effect: Method and control.
            other: Method and control of the other effect.

        Returns:
            The effects; None if they share no run, or were not scored on the same images.
        """
        return self._pair(*effect, *other)

    def _pair(self, *names: str) -> PairedScores | None:
        scored = self._on_shared_runs(names)
        return None if scored is None else _paired(scored)

    def _on_shared_runs(self, names: Sequence[str]) -> list[ScoredImages] | None:
        shared = frozenset.intersection(*(self._finished[name] for name in names))
        if not shared:
            return None
        scored = [self._scored(name, shared) for name in names]
        return scored if len({each.images for each in scored}) == 1 else None
