"""Classes of one or several data sets as points: what a method learned of each, and how rare and how hard each is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import pandas as pd

from analysis.statistics.measurement_error import reliability_of_errors
from analysis.statistics.shared_names import SharedNames
from analysis.statistics.starting_point import MeanOverRuns, Movement, movement, retained_share
from analysis.statistics.strata import centred, labels, within_ranks
from analysis.study.class_frames import FREQUENCY
from imbalance_bench.preregistration import CONSTRUCTS

StartKind = Literal["unknown", "cold", "one", "several"]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Starts:
    """Where the runs of a method started, and what is left of it.

    Args:
        kind: unknown; cold: the same for all classes; one: all runs start alike; several: starts of different names.
        values: (N, R) start of each class and run, centred in each data set and run; NaN where unknown.
        names: (R,) name of the start of each run.
        kept: Of one start the slope of the end on it; of several, the share of their difference that is left.
        way: Of one start, how the quantity moved.
        agreement: Of several, the correlation of what is learned from one start with that from the others, the least.
    """

    kind: StartKind
    values: np.ndarray
    names: tuple[str, ...]
    kept: MeanOverRuns | None = None
    way: Movement | None = None
    agreement: float = float("nan")


@dataclass(frozen=True)
class MeasureGrid:
    """Measures of the classes of all data sets.

    Args:
        rows: (data set, class) -> row of the arrays.
        values: (C, M) float; NaN: not measured.
        errors: (C, M) standard errors; NaN: unknown.
        reliability: (C, M) what was said of the reliability; NaN: nothing.
        constructs: Measure -> construct, in the order of the columns.
        primary: Measures that were fixed in advance, one per construct, in the order of constructs.
    """

    rows: dict[tuple[str, str], int]
    values: np.ndarray
    errors: np.ndarray
    reliability: np.ndarray
    constructs: dict[str, str]
    primary: tuple[str, ...]

    @classmethod
    def of(cls, measures: pd.DataFrame) -> "MeasureGrid":
        """Arrange a frame of `measures_frame`."""
        keys = list(zip(measures["data_set"], measures["class"], strict=True))
        rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        constructs = dict(zip(measures["measure"], measures["construct"], strict=True))
        column = {name: place for place, name in enumerate(constructs)}
        places = [rows[key] for key in keys], [column[name] for name in measures["measure"]]
        grids = []
        for name in ("value", "standard_error", "reliability"):
            grid = np.full((len(rows), len(constructs)), np.nan)
            grid[places] = measures[name].to_numpy(dtype=np.float64)
            grids.append(grid)
        primary = dict.fromkeys(measures.loc[measures["primary"], "measure"])
        ordered = sorted(primary, key=lambda name: CONSTRUCTS.index(constructs[name]))
        return cls(rows, grids[0], grids[1], grids[2], constructs, tuple(ordered))

    def of_classes(self, data_sets: Sequence[str], names: Sequence[str]) -> "MeasureGrid":
        """Return the same for some classes, in their order; those that were not measured get NaN."""
        places = np.array([self.rows.get(key, -1) for key in zip(data_sets, names, strict=True)], dtype=int)
        picked = [
            np.where(places[:, None] < 0, np.nan, each[places] if len(each) else np.nan)
            for each in (self.values, self.errors, self.reliability)
        ]
        keys = {key: row for row, key in enumerate(zip(data_sets, names, strict=True))}
        return MeasureGrid(keys, picked[0], picked[1], picked[2], self.constructs, self.primary)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return the columns of some measures."""
        order = list(self.constructs)
        return [order.index(name) for name in names]


@dataclass(frozen=True)
class ClassPoints:
    """One quantity of one method over the classes of all data sets, classes with every value only.

    Args:
        data_sets: (N,) name of the data set.
        names: (N,) class name.
        families: (N,) family of the class, or "".
        values: (N, R) float, one column per run; NaN where a data set has fewer runs.
        folds: (R,) fold of each run.
        starts: Where they started.
        measures: (N, P) float, the primary measure of each construct; frequency as its logarithm.
        reliability: (P,) share of true variation of each; NaN: unknown.
        constructs: P constructs; frequency first where it is known.
        measure_names: P names.
    """

    data_sets: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    values: np.ndarray
    folds: tuple[str, ...]
    starts: Starts
    measures: np.ndarray
    reliability: np.ndarray
    constructs: tuple[str, ...]
    measure_names: tuple[str, ...]

    def with_measures(self, grid: MeasureGrid, names: Sequence[str]) -> "ClassPoints":
        """Add measures that every data set has; classes that lack a value of one are left out.

        A data set of which fewer than two classes remain is left out too.

        Args:
            grid: All measures.
            names: Those that are wanted.
        """
        own = grid.of_classes(self.data_sets, self.names)
        strata = self.strata
        sets = np.unique(strata)
        known = np.isfinite(own.values)
        there = [
            name for name in names if all(known[strata == set_, own.columns([name])[0]].sum() >= 2 for set_ in sets)
        ]
        columns = own.columns(there)
        kept = known[:, columns].all(axis=1)
        enough = np.bincount(strata[kept], minlength=len(sets)) >= 2
        rows = np.flatnonzero(kept & enough[strata])
        reliability = [_reliability(own, column, rows, strata[rows]) for column in columns]
        pick = partial(_picked, rows=rows)
        return replace(
            self,
            data_sets=pick(self.data_sets),
            names=pick(self.names),
            families=pick(self.families),
            values=self.values[rows],
            starts=replace(self.starts, values=self.starts.values[rows]),
            measures=own.values[rows][:, columns],
            reliability=np.array(reliability, dtype=np.float64),
            constructs=tuple(grid.constructs[name] for name in there),
            measure_names=tuple(there),
        )

    @property
    def strata(self) -> np.ndarray:
        """Data set of each class, (N,) int."""
        return labels(self.data_sets, len(self.data_sets))

    @property
    def n_data_sets(self) -> int:
        """Data sets with a class."""
        return len(set(self.data_sets))

    @cached_property
    def blocks(self) -> list[str]:
        """Data set and family of each class: what has an intercept of its own."""
        return [f"{data_set}\0{family}" for data_set, family in zip(self.data_sets, self.families, strict=True)]

    @cached_property
    def shared(self) -> SharedNames:
        """Which classes are one, because they bear the same name."""
        return SharedNames.of(self.names, self.blocks)

    @property
    def difficulty(self) -> tuple[str, ...]:
        """Constructs that say how hard a class is: all but frequency."""
        return tuple(name for name in self.constructs if name != FREQUENCY)

    def complete_runs(self) -> tuple[np.ndarray, list[str]]:
        """Return what the runs that every class has learned, (N, R'), centred within each data set, and their folds."""
        whole = np.atleast_1d(np.isfinite(self.values).all(axis=0))
        learned = self.learned()[:, whole]
        return centred(learned, self.strata), [fold for fold, kept in zip(self.folds, whole, strict=True) if kept]

    def learned(self, kept: float | None = None) -> np.ndarray:
        """Return the values given the start, (N, R): what the start does not tell of the end.

        From one start, the residuals of the end on the start over the classes of each data set, the slope shared by its
        runs; from several, the end without the share of the start that is left; else the end.

        Args:
            kept: Share of several starts that is left; None: as estimated.
        """
        start = self.starts
        if start.kind == "several":
            share = (start.kept.mean if start.kept else 0.0) if kept is None else kept
            return self.values - share * start.values
        if start.kind != "one":
            return self.values
        left = self.values.copy()
        for stratum in np.unique(self.strata):
            rows = self.strata == stratum
            first, last = (centred(_mean(part[rows]), np.zeros(rows.sum())) for part in (start.values, self.values))
            size = float(first @ first)
            left[rows] -= (float(first @ last) / size if size > 0 else 0.0) * start.values[rows]
        return left

    def by_name(self, kept: float | None = None) -> "NamedPoints":
        """Return ranks of distinct names: rows of one name averaged, data sets and families taken off."""
        shared = self.shared
        strata = list(shared.stratum)

        def ranked(columns: np.ndarray) -> np.ndarray:
            within = np.column_stack([within_ranks(column, self.blocks) for column in columns.T])
            effects = shared.effects(within)
            return np.column_stack([within_ranks(column, strata) for column in effects.T])

        parts = np.column_stack([_mean(self.learned(kept)), self.measures])
        start = np.zeros((shared.n_names, 0))
        if self.starts.kind == "one":
            start = ranked(_mean(self.starts.values)[:, None])
        ranks = ranked(parts)
        return NamedPoints(shared.stratum, ranks[:, 0], start, ranks[:, 1:], self._of_names(), self.constructs)

    def _of_names(self) -> np.ndarray:
        """Return the reliability of the means over the rows of a name: errors of data sets are independent."""
        per_name = float(np.mean(1 / self.shared.rows_of_name)) if len(self.names) else 1.0
        noise = (1 - self.reliability) * per_name
        return self.reliability / np.where(self.reliability + noise > 0, self.reliability + noise, 1)


@dataclass(frozen=True)
class NamedPoints:
    """Distinct classes as ranks, of mean 0 and variance 1 among those they are compared with.

    Args:
        strata: (M,) which names are compared.
        response: (M,) what was learned.
        start: (M, 1) the one start that all runs had, or (M, 0).
        measures: (M, P).
        reliability: (P,) NaN: unknown.
        constructs: P names.
    """

    strata: np.ndarray
    response: np.ndarray
    start: np.ndarray
    measures: np.ndarray
    reliability: np.ndarray
    constructs: tuple[str, ...]

    @property
    def n(self) -> int:
        """Distinct names."""
        return len(self.response)

    def of(self, names: Sequence[str]) -> np.ndarray:
        """Ranks of the measures of some constructs, (M, len(names))."""
        return self.measures[:, self.places(names)]

    def places(self, names: Sequence[str]) -> list[int]:
        """Columns of some constructs."""
        return [self.constructs.index(name) for name in names]


def class_points(quantities: pd.DataFrame, method: str, quantity: str) -> ClassPoints:
    """Gather what one method arrived at for the classes of all data sets, without measures.

    Args:
        quantities: From `quantities_frame`.
        method: Of `quantities`.
        quantity: Of `quantities`.
    """
    chosen = quantities[(quantities["method"] == method) & (quantities["quantity"] == quantity)]
    of_class = list(zip(chosen["data_set"], chosen["class"], strict=True))
    of_run = list(zip(chosen["fold"], chosen["seed"], chosen["start_name"], strict=True))
    classes = {key: row for row, key in enumerate(sorted(set(of_class)))}
    runs = {key: column for column, key in enumerate(sorted(set(of_run), key=str))}
    places = [classes[key] for key in of_class], [runs[key] for key in of_run]
    values, begins = np.full((2, len(classes), len(runs)), np.nan)
    values[places] = chosen["value"].to_numpy(dtype=np.float64)
    begins[places] = chosen["start"].to_numpy(dtype=np.float64)
    family = dict(zip(of_class, chosen["family"], strict=True))
    kept, used = np.flatnonzero(np.isfinite(values).any(axis=1)), np.flatnonzero(np.isfinite(values).any(axis=0))
    keys = [key for key, row in classes.items() if row in set(kept)]
    columns = [
        (str(fold), str(seed), str(start)) for (fold, seed, start), column in runs.items() if column in set(used)
    ]
    data_sets = tuple(data_set for data_set, _ in keys)
    values, begins = values[np.ix_(kept, used)], begins[np.ix_(kept, used)]
    return ClassPoints(
        data_sets,
        tuple(name for _, name in keys),
        tuple(family[key] for key in keys),
        values,
        tuple(fold for fold, _, _ in columns),
        _starts(begins, values, columns, labels(data_sets, len(data_sets))),
        np.zeros((len(values), 0)),
        np.zeros(0),
        (),
        (),
    )


def _starts(begin: np.ndarray, end: np.ndarray, runs: Sequence[tuple[str, str, str]], strata: np.ndarray) -> Starts:
    """Say what kind of start the runs had, and what is left of it."""
    names = tuple(start for _, _, start in runs)
    known = np.isfinite(end)
    if not begin.size or not np.isfinite(begin[known]).all():
        return Starts("unknown", np.full(begin.shape, np.nan), names)
    first = _centred_runs(begin, strata)
    if float(np.nanmax(np.abs(first), initial=0)) <= _ROUNDING:
        return Starts("cold", first, names)
    whole = np.flatnonzero(known.all(axis=0))
    last = _centred_runs(end, strata)
    if len(set(names)) < 2:
        return Starts("one", first, names, way=movement(first[:, whole].T, last[:, whole].T))
    arranged = _by_start(first, last, runs, whole)
    kept = None if arranged is None else retained_share(*arranged)
    return Starts("several", first, names, kept=kept, agreement=_agreement(arranged, kept))


def _by_start(
    first: np.ndarray, last: np.ndarray, runs: Sequence[tuple[str, str, str]], whole: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Arrange runs as (starts, seeds, classes), those that every start has; None if there are none."""
    place = {runs[column]: column for column in whole}
    names = list(dict.fromkeys(start for _, _, start in runs))
    shared = [key for key in dict.fromkeys(run[:2] for run in runs) if all((*key, name) in place for name in names)]
    if not shared:
        return None
    columns = np.array([[place[*key, name] for key in shared] for name in names])
    return first.T[columns], last.T[columns]


def _agreement(arranged: tuple[np.ndarray, np.ndarray] | None, kept: MeanOverRuns | None) -> float:
    """Return the least correlation, over starts, of what is learned from one with the mean of the others."""
    if arranged is None or kept is None:
        return float("nan")
    learned = (arranged[1] - kept.mean * arranged[0]).mean(axis=1)
    total = learned.sum(axis=0)
    return float(min(np.corrcoef(own, total - own)[0, 1] for own in learned))


def _centred_runs(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Subtract the mean over the known classes of a data set from each run."""
    shifted = values.copy()
    for stratum in np.unique(strata):
        rows = shifted[strata == stratum]
        count = np.isfinite(rows).sum(axis=0)
        shifted[strata == stratum] = rows - np.nansum(rows, axis=0) / np.where(count > 0, count, 1)
    return shifted


def _reliability(own: MeasureGrid, column: int, rows: np.ndarray, strata: np.ndarray) -> float:
    """Return what was said of a measure, the mean over data sets; else what its errors say; NaN: nothing is known."""
    said = own.reliability[rows, column]
    if np.isfinite(said).any():
        of_sets = [
            np.nanmean(said[strata == stratum])
            for stratum in np.unique(strata)
            if np.isfinite(said[strata == stratum]).any()
        ]
        return float(np.clip(np.mean(of_sets), 0, 1))
    values, errors = own.values[rows, column].copy(), own.errors[rows, column].copy()
    if not len(rows) or not np.isfinite(errors).all():
        return float("nan")
    for stratum in np.unique(strata):
        spread = float(np.std(values[strata == stratum]))
        for column_values in (values, errors):
            column_values[strata == stratum] /= spread if spread > 0 else 1.0
    return reliability_of_errors(values, errors, strata)


def _picked(values: tuple[str, ...], rows: np.ndarray) -> tuple[str, ...]:
    return tuple(values[int(row)] for row in rows)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over runs, (N,)."""
    return np.nanmean(values, axis=1) if values.size else np.zeros(len(values))
