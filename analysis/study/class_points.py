"""Classes of one or several data sets as points: what a method learned of each, and how rare and how hard each is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.strata import centred, labels
from imbalance_bench.preregistration import PRIMARY_MEASURES

FREQUENCY = "frequency"


@dataclass(frozen=True)
class StudyFrames:
    """What is needed of one study to explain its learned bias.

    Args:
        dataset: Its name; data sets are strata, within which alone classes are compared.
        bias: Table `learned_bias`.
        measures: Table `measures`.
    """

    dataset: str
    bias: pd.DataFrame
    measures: pd.DataFrame


@dataclass(frozen=True)
class ClassPoints:
    """One method's estimand over the classes of all data sets, classes with every value only.

    Args:
        strata: (N,) index of the data set.
        values: (N, R) float, one column per run; NaN where a data set has fewer runs.
        measures: (N, P) float, the primary measure of each construct; frequency as its logarithm.
        constructs: P names; frequency first where it is known.
    """

    strata: np.ndarray
    values: np.ndarray
    measures: np.ndarray
    constructs: tuple[str, ...]

    @property
    def n_strata(self) -> int:
        """Data sets with a class."""
        return len(np.unique(self.strata))

    @property
    def means(self) -> np.ndarray:
        """Mean over runs, (N,)."""
        return np.nanmean(self.values, axis=1) if self.values.size else np.zeros(len(self.values))

    def of(self, names: Sequence[str]) -> np.ndarray:
        """Measures of some constructs, (N, len(names))."""
        return self.measures[:, [self.constructs.index(name) for name in names]]

    @property
    def difficulty(self) -> tuple[str, ...]:
        """Constructs that say how hard a class is: all but frequency."""
        return tuple(name for name in self.constructs if name != FREQUENCY)

    def complete_runs(self) -> np.ndarray:
        """Return the runs that every class has, (N, R'), centred within each data set."""
        whole = np.isfinite(self.values).all(axis=0)
        return centred(self.values[:, whole], self.strata)


def class_points(studies: Sequence[StudyFrames], method: str, estimand: str) -> ClassPoints:
    """Gather the classes of some studies.

    A construct counts if every study has measured it for two or more classes; classes that lack a value of one are left
    out, and so are data sets of which fewer than two classes remain.
    """
    constructs = _shared_constructs(studies)
    strata, values, measures = [], [], []
    for study in studies:
        chosen = study.bias[(study.bias["method"] == method) & (study.bias["estimand"] == estimand)]
        if chosen.empty:
            continue
        grid = chosen.pivot(index="class_id", columns=["fold", "seed"], values="value").sort_index()
        own = _primary(study.measures).reindex(index=grid.index, columns=list(constructs))
        kept = grid.notna().any(axis=1) & own.notna().all(axis=1)
        if kept.sum() >= 2:
            strata += [study.dataset] * int(kept.sum())
            values.append(grid[kept].to_numpy(dtype=np.float64))
            measures.append(own[kept].to_numpy(dtype=np.float64))
    runs = max((each.shape[1] for each in values), default=0)
    padded = [np.pad(each, ((0, 0), (0, runs - each.shape[1])), constant_values=np.nan) for each in values]
    return ClassPoints(
        labels(strata, len(strata)),
        np.concatenate(padded) if padded else np.zeros((0, 0)),
        np.concatenate(measures) if measures else np.zeros((0, len(constructs))),
        constructs,
    )


def _primary(measures: pd.DataFrame) -> pd.DataFrame:
    """Return primary measures, classes x constructs; frequency as its logarithm, NaN where it is 0."""
    chosen = measures[measures["primary"].astype(bool)]
    chosen = chosen[chosen["measure"] == chosen["construct"].map(PRIMARY_MEASURES)] if len(chosen) else chosen
    grid = chosen.pivot(index="class_id", columns="construct", values="value").astype(np.float64)
    if FREQUENCY in grid:
        share = grid[FREQUENCY].where(grid[FREQUENCY] > 0)
        grid[FREQUENCY] = np.log(share)
    return grid


def _shared_constructs(studies: Sequence[StudyFrames]) -> tuple[str, ...]:
    grids = [_primary(study.measures) for study in studies]
    return tuple(name for name in PRIMARY_MEASURES if all(name in grid and grid[name].count() >= 2 for grid in grids))
