"""Classes of one or several data sets as points: what a method learned of each, and how rare and how hard each is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.statistics.shared_names import SharedNames
from analysis.statistics.strata import centred, labels, within_ranks
from analysis.study.class_frames import FREQUENCY
from analysis.study.measure_grid import MeasureGrid
from analysis.study.starts import Starts, starts_of_runs

_ROUNDING = 1e-12  # of the largest value: what is left of a value that follows its start exactly


@dataclass(frozen=True)
class ClassPoints:
    """One quantity of one method over the classes of all data sets, as far as they have a value.

    Args:
        data_sets: (N,) name of the data set.
        names: (N,) class name.
        families: (N,) family of the class, or "".
        values: (N, R) float, one column per run; NaN where a data set has fewer runs.
        folds: (R,) fold of each run.
        seeds: (R,) seed of each run.
        starts: Where the runs started.
        measures: (N, P) float, the primary measure of each construct; frequency as its logarithm.
        reliability: (P,) share of the variation of each measure that is true; NaN: unknown.
        constructs: P constructs; frequency first where it was measured.
        measure_names: P names.
    """

    data_sets: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    values: np.ndarray
    folds: tuple[str, ...]
    seeds: tuple[str, ...]
    starts: Starts
    measures: np.ndarray
    reliability: np.ndarray
    constructs: tuple[str, ...]
    measure_names: tuple[str, ...]

    def with_measures(self, grid: MeasureGrid, names: Sequence[str]) -> "ClassPoints":
        """Return the classes that have all of the measures that every data set has, with these measures.

        A data set with fewer than two such classes is left out.

        Args:
            grid: All measures.
            names: Names of the measures to add.
        """
        own = grid.of_classes(self.data_sets, self.names)
        strata = self.strata
        data_sets = np.unique(strata)
        finite = np.isfinite(own.values)
        available = [
            name
            for name, column in zip(names, own.columns(names), strict=True)
            if all(finite[strata == data_set, column].sum() >= 2 for data_set in data_sets)
        ]
        columns = own.columns(available)
        complete = finite[:, columns].all(axis=1)
        enough = np.bincount(strata[complete], minlength=len(data_sets)) >= 2
        rows = np.flatnonzero(complete & enough[strata])
        reliability = [own.reliability(column, rows, strata[rows]) for column in columns]
        return replace(
            self,
            data_sets=_at(self.data_sets, rows),
            names=_at(self.names, rows),
            families=_at(self.families, rows),
            values=self.values[rows],
            starts=replace(self.starts, values=self.starts.values[rows]),
            measures=own.values[rows][:, columns],
            reliability=np.array(reliability, dtype=np.float64),
            constructs=tuple(grid.constructs[name] for name in available),
            measure_names=tuple(available),
        )

    @property
    def strata(self) -> np.ndarray:
        """The data set of each class, (N,) int."""
        return labels(self.data_sets, len(self.data_sets))

    @property
    def n_data_sets(self) -> int:
        """The number of data sets that have a class."""
        return len(set(self.data_sets))

    @cached_property
    def blocks(self) -> list[str]:
        """The data set and family of each class, together: each combination has an intercept of its own."""
        return [f"{data_set}\0{family}" for data_set, family in zip(self.data_sets, self.families, strict=True)]

    @cached_property
    def shared(self) -> SharedNames:
        """The classes that count as one because they have the same name."""
        return SharedNames.of(self.names, self.blocks)

    @property
    def difficulty(self) -> tuple[str, ...]:
        """The constructs that say how hard a class is: all but frequency."""
        return tuple(name for name in self.constructs if name != FREQUENCY)

    def complete_seeds(self) -> tuple[np.ndarray, list[str]]:
        """Return what was learned with the seeds that have a value of every class, and the folds of these seeds.

        Runs of one seed from different starts have the same initial weights and batches, so they are averaged: what
        they share says nothing of other seeds. A seed that lacks one of the starts is left out, since a mean over other
        starts is not comparable.

        Returns:
            (N, S) float, centred within each data set, and (S,) folds; one column per fold and seed.
        """
        complete = np.atleast_1d(np.isfinite(self.values).all(axis=0))
        n_starts = len(set(self.starts.names))
        columns_of: dict[tuple[str, str], list[int]] = {}
        for column in np.flatnonzero(complete):
            columns_of.setdefault((self.folds[column], self.seeds[column]), []).append(int(column))
        whole = {seed: columns for seed, columns in columns_of.items() if len(columns) == n_starts}
        learned = self.learned()
        means = [learned[:, columns].mean(axis=1) for columns in whole.values()]
        of_seeds = np.column_stack(means) if means else learned[:, :0]
        return centred(of_seeds, self.strata), [fold for fold, _ in whole]

    def learned(self, share_left: float | None = None) -> np.ndarray:
        """Return the final values adjusted for the start, (N, R).

        With one start, these are the residuals of the regression of the end on the start over the classes of each data
        set, with one slope for all of its runs; with several starts, the end minus the share of the start that is left;
        otherwise, the end itself.

        Args:
            share_left: Share of several starts that is left at the end; None: as estimated.
        """
        starts = self.starts
        if starts.kind == "several":
            estimated = starts.share_left.mean if starts.share_left else 0.0
            return self.values - (estimated if share_left is None else share_left) * starts.values
        if starts.kind != "one":
            return self.values
        residuals = self.values.copy()
        for stratum in np.unique(self.strata):
            rows = self.strata == stratum
            start, end = (centred(_mean(part[rows]), np.zeros(rows.sum())) for part in (starts.values, self.values))
            size = float(start @ start)
            residuals[rows] -= (float(start @ end) / size if size > 0 else 0.0) * starts.values[rows]
            spread = np.fmax.reduce(residuals[rows]) - np.fmin.reduce(residuals[rows])  # NaN without a warning
            if np.nanmax(spread) <= _ROUNDING * np.nanmax(np.abs(self.values[rows])):
                residuals[rows] = np.where(np.isnan(residuals[rows]), np.nan, 0.0)
        return residuals

    def by_name(self, share_left: float | None = None) -> "NamedPoints":
        """Return the ranks of distinct names, after averaging the rows of one name without the effects of blocks.

        Args:
            share_left: As in `learned`.
        """
        shared = self.shared
        strata = list(shared.stratum)

        def ranked(columns: np.ndarray) -> np.ndarray:
            within = np.column_stack([within_ranks(column, self.blocks) for column in columns.T])
            effects = shared.effects(within)
            return np.column_stack([within_ranks(column, strata) for column in effects.T])

        start = np.zeros((shared.n_names, 0))
        if self.starts.kind == "one":
            start = ranked(_mean(self.starts.values)[:, None])
        ranks = ranked(np.column_stack([_mean(self.learned(share_left)), self.measures]))
        reliability = self._reliability_of_names()
        return NamedPoints(shared.stratum, ranks[:, 0], start, ranks[:, 1:], reliability, self.constructs)

    def _reliability_of_names(self) -> np.ndarray:
        """Return the reliability of the means over the rows of a name: errors of data sets are independent."""
        per_name = float(np.mean(1 / self.shared.rows_of_name)) if len(self.names) else 1.0
        noise = (1 - self.reliability) * per_name
        return self.reliability / np.where(self.reliability + noise > 0, self.reliability + noise, 1)


@dataclass(frozen=True)
class NamedPoints:
    """Distinct classes as ranks, of mean 0 and variance 1 among those they are compared with.

    Args:
        strata: (M,) int; names of the same stratum are compared.
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
        """The number of distinct names."""
        return len(self.response)

    def of_constructs(self, names: Sequence[str]) -> np.ndarray:
        """Return the ranks of the measures of some constructs, (M, len(names))."""
        return self.measures[:, self.columns(names)]

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return the columns of some constructs."""
        return [self.constructs.index(name) for name in names]


def class_points(quantities: pd.DataFrame, method: str, quantity: str) -> ClassPoints:
    """Gather the final values of one method for the classes of all data sets, without measures.

    Args:
        quantities: From `quantities_frame`.
        method: Of `quantities`.
        quantity: Of `quantities`.
    """
    frame = quantities[(quantities["method"] == method) & (quantities["quantity"] == quantity)]
    class_of_row = list(zip(frame["data_set"], frame["class"], strict=True))
    run_of_row = list(zip(frame["fold"], frame["seed"], frame["start_name"], strict=True))
    classes, runs = sorted(set(class_of_row)), sorted(set(run_of_row), key=str)
    row_of = {key: row for row, key in enumerate(classes)}
    column_of = {key: column for column, key in enumerate(runs)}
    cells = [row_of[key] for key in class_of_row], [column_of[key] for key in run_of_row]
    values, initial = np.full((2, len(classes), len(runs)), np.nan)
    values[cells] = frame["value"].to_numpy(dtype=np.float64)
    initial[cells] = frame["start"].to_numpy(dtype=np.float64)
    family_of = dict(zip(class_of_row, frame["family"], strict=True))
    rows, columns = (np.flatnonzero(np.isfinite(values).any(axis=axis)) for axis in (1, 0))
    values, initial = values[np.ix_(rows, columns)], initial[np.ix_(rows, columns)]
    classes = [classes[row] for row in rows]
    runs = [(str(fold), str(seed), str(start)) for fold, seed, start in (runs[column] for column in columns)]
    data_sets = tuple(data_set for data_set, _ in classes)
    return ClassPoints(
        data_sets,
        tuple(name for _, name in classes),
        tuple(family_of[key] for key in classes),
        values,
        tuple(fold for fold, _, _ in runs),
        tuple(seed for _, seed, _ in runs),
        starts_of_runs(initial, values, runs, labels(data_sets, len(data_sets))),
        np.zeros((len(values), 0)),
        np.zeros(0),
        (),
        (),
    )


def _at(values: tuple[str, ...], rows: np.ndarray) -> tuple[str, ...]:
    return tuple(values[int(row)] for row in rows)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over runs, (N,)."""
    return np.nanmean(values, axis=1) if values.size else np.zeros(len(values))
