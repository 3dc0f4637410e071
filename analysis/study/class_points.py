"""Classes of one or several data sets as points: what a method learned of each, and how rare and how hard each is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import pandas as pd

from analysis.measures import CONSTRUCTS
from analysis.statistics.measurement_error import reliability_of_errors
from analysis.statistics.shared_names import SharedNames
from analysis.statistics.starting_point import MeanOverRuns, Movement, kept_share, movement
from analysis.statistics.strata import centred, labels, within_ranks
from analysis.study.class_frames import FREQUENCY

StartKind = Literal["unknown", "cold", "one", "several"]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Starts:
    """Where the runs of a method started, and what is left of it.

    Args:
        kind: unknown; cold: the same for all classes; one: all runs start alike; several: starts of different names.
        values: (N, R) start of each class and run, centred in each data set and run; NaN where unknown.
        names: (R,) name of the start of each run.
        kept: Of one start the slope of the end on it; of several, the share of a difference between starts that is left.
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
        values: Index (data set, class), one column per measure.
        errors: Standard errors, alike.
        reliability: What was said of the reliability, alike.
        constructs: Measure -> construct, in the order in which they are reported.
        primary: Measures that were fixed in advance, one per construct.
    """

    values: pd.DataFrame
    errors: pd.DataFrame
    reliability: pd.DataFrame
    constructs: dict[str, str]
    primary: tuple[str, ...]

    @classmethod
    def of(cls, measures: pd.DataFrame) -> "MeasureGrid":
        """Arrange a frame of `measures_frame`."""
        keys = {"index": ["data_set", "class"], "columns": "measure"}
        values, errors, reliability = (
            measures.pivot(**keys, values=name).astype(np.float64)
            for name in ("value", "standard_error", "reliability")
        )
        kinds = measures.drop_duplicates("measure").set_index("measure")
        constructs = {str(name): str(construct) for name, construct in kinds["construct"].items()}
        primary = measures.loc[measures["primary"], "measure"].drop_duplicates()
        ordered = sorted(map(str, primary), key=lambda name: CONSTRUCTS.index(constructs[name]))
        return cls(values, errors, reliability, constructs, tuple(ordered))

    def shared(self, names: Sequence[str], data_sets: Sequence[str]) -> tuple[str, ...]:
        """Return those of some measures that every data set has for two or more classes."""
        counts = self.values.groupby(level=0).count().reindex(list(dict.fromkeys(data_sets)), fill_value=0)
        return tuple(name for name in names if len(counts) and (counts[name] >= 2).all())

    def reliability_of(self, name: str, index: pd.MultiIndex) -> float:
        """Return what was said of a measure, the mean over data sets; else what its errors say; NaN: nothing is known."""
        said = self.reliability[name].reindex(index).dropna()
        if len(said):
            return float(np.clip(said.groupby(level=0).mean().mean(), 0, 1))
        values, errors = (frame[name].reindex(index).to_numpy() for frame in (self.values, self.errors))
        if not np.isfinite(errors).all():
            return float("nan")
        spread = pd.Series(values, index).groupby(level=0).transform(lambda own: own.std(ddof=0)).to_numpy()
        spread = np.where(spread > 0, spread, 1.0)
        return reliability_of_errors(values / spread, errors / spread, labels(index.get_level_values(0), len(index)))


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
        names = grid.shared(names, self.data_sets)
        index = pd.MultiIndex.from_arrays([self.data_sets, self.names])
        own = grid.values[list(names)].reindex(index)
        kept = own.notna().all(axis=1)
        kept &= kept.groupby(level=0).transform("sum") >= 2
        rows = np.flatnonzero(kept.to_numpy())
        reliability = np.array([grid.reliability_of(name, index[rows]) for name in names])
        pick = partial(_picked, rows=rows)
        return replace(
            self,
            data_sets=pick(self.data_sets),
            names=pick(self.names),
            families=pick(self.families),
            values=self.values[rows],
            starts=replace(self.starts, values=self.starts.values[rows]),
            measures=own.to_numpy()[rows],
            reliability=reliability,
            constructs=tuple(grid.constructs[name] for name in names),
            measure_names=names,
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
        """Return what was learned in the runs that every class has, (N, R'), centred within each data set; their folds."""
        whole = np.isfinite(self.values).all(axis=0)
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
        for each in np.unique(self.strata):
            rows = self.strata == each
            first, last = (centred(_mean(part[rows]), np.zeros(rows.sum())) for part in (start.values, self.values))
            size = float(first @ first)
            left[rows] -= (float(first @ last) / size if size > 0 else 0.0) * start.values[rows]
        return left

    def by_name(self, kept: float | None = None) -> "NamedPoints":
        """Return ranks of distinct names: rows of one name averaged, data sets and families taken off."""
        shared = self.shared
        strata = list(shared.stratum)

        def ranked(columns: np.ndarray) -> np.ndarray:
            within = np.column_stack([within_ranks(each, self.blocks) for each in columns.T])
            effects = shared.effects(within)
            return np.column_stack([within_ranks(each, strata) for each in effects.T])

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
    by = {"index": ["data_set", "class"], "columns": ["fold", "seed", "start_name"]}
    ends = chosen.pivot(**by, values="value")
    ends = ends[ends.notna().any(axis=1)].dropna(axis=1, how="all")
    begins = chosen.pivot(**by, values="start").reindex(index=ends.index, columns=ends.columns)
    family = (
        chosen.drop_duplicates(["data_set", "class"]).set_index(["data_set", "class"])["family"].reindex(ends.index)
    )
    data_sets = tuple(map(str, ends.index.get_level_values(0)))
    keys = [(str(fold), str(seed), str(start)) for fold, seed, start in ends.columns]
    values = ends.to_numpy(dtype=np.float64)
    return ClassPoints(
        data_sets,
        tuple(map(str, ends.index.get_level_values(1))),
        tuple(map(str, family)),
        values,
        tuple(fold for fold, _, _ in keys),
        _starts(begins.to_numpy(dtype=np.float64), values, keys, labels(data_sets, len(data_sets))),
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
    kept = None if arranged is None else kept_share(*arranged)
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
    for each in np.unique(strata):
        rows = shifted[strata == each]
        count = np.isfinite(rows).sum(axis=0)
        shifted[strata == each] = rows - np.nansum(rows, axis=0) / np.where(count > 0, count, 1)
    return shifted


def _picked(values: Sequence[str], rows: np.ndarray) -> tuple[str, ...]:
    return tuple(values[row] for row in rows)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over runs, (N,)."""
    return np.nanmean(values, axis=1) if values.size else np.zeros(len(values))
