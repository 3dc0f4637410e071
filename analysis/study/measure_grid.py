"""Measures of how rare and how hard each class is, over the classes of one or several data sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.measurement_error import reliability_of_errors
from imbalance_bench.preregistration import CONSTRUCTS


@dataclass(frozen=True)
class MeasureGrid:
    """Measures of the classes of all data sets.

    Args:
        rows: (data set, class) -> row of the arrays.
        values: (C, M) float; NaN: not measured.
        errors: (C, M) standard errors; NaN: unknown.
        reliabilities: (C, M) reliability as stated in the table of measures; NaN: not stated.
        constructs: Measure -> construct, in the order of the columns.
        primary: Measures that were fixed in advance, one per construct, in the order of constructs.
    """

    rows: dict[tuple[str, str], int]
    values: np.ndarray
    errors: np.ndarray
    reliabilities: np.ndarray
    constructs: dict[str, str]
    primary: tuple[str, ...]

    @classmethod
    def of(cls, measures: pd.DataFrame) -> "MeasureGrid":
        """Arrange a frame of `measures_frame`."""
        keys = list(zip(measures["data_set"], measures["class"], strict=True))
        rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        constructs = dict(zip(measures["measure"], measures["construct"], strict=True))
        columns = {name: column for column, name in enumerate(constructs)}
        cells = [rows[key] for key in keys], [columns[name] for name in measures["measure"]]
        grids = []
        for name in ("value", "standard_error", "reliability"):
            grid = np.full((len(rows), len(constructs)), np.nan)
            grid[cells] = measures[name].to_numpy(dtype=np.float64)
            grids.append(grid)
        primary = dict.fromkeys(measures.loc[measures["primary"], "measure"])
        ordered = sorted(primary, key=lambda name: CONSTRUCTS.index(constructs[name]))
        return cls(rows, grids[0], grids[1], grids[2], constructs, tuple(ordered))

    def of_classes(self, data_sets: Sequence[str], names: Sequence[str]) -> "MeasureGrid":
        """Return the grid of some classes, in their order; classes that were not measured get NaN."""
        keys = list(zip(data_sets, names, strict=True))
        source_rows = np.array([self.rows.get(key, -1) for key in keys], dtype=int)
        grids = [
            np.append(grid, np.full((1, grid.shape[1]), np.nan), axis=0)[source_rows]  # -1: the row of NaN
            for grid in (self.values, self.errors, self.reliabilities)
        ]
        rows = {key: row for row, key in enumerate(keys)}
        return MeasureGrid(rows, grids[0], grids[1], grids[2], self.constructs, self.primary)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return the columns of some measures."""
        order = list(self.constructs)
        return [order.index(name) for name in names]

    def reliability(self, column: int, rows: np.ndarray, strata: np.ndarray) -> float:
        """Return the reliability of one measure over some classes: the stated one, else that of its standard errors.

        Args:
            column: Column of the measure.
            rows: (n,) int, rows of the classes.
            strata: (n,) int, data set of each of these classes.

        Returns:
            0 to 1, of stated reliabilities the mean over data sets; NaN where nothing is known.
        """
        stated = self.reliabilities[rows, column]
        if np.isfinite(stated).any():
            of_data_sets = [
                np.nanmean(stated[strata == stratum])
                for stratum in np.unique(strata)
                if np.isfinite(stated[strata == stratum]).any()
            ]
            return float(np.clip(np.mean(of_data_sets), 0, 1))
        values, errors = self.values[rows, column].copy(), self.errors[rows, column].copy()
        if not len(rows) or not np.isfinite(errors).all():
            return float("nan")
        for stratum in np.unique(strata):
            spread = float(np.std(values[strata == stratum]))
            for numbers in (values, errors):
                numbers[strata == stratum] /= spread if spread > 0 else 1.0
        return reliability_of_errors(values, errors, strata)
