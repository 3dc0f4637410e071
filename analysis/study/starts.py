"""Where the runs of a method started, and how much of the start is left at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.statistics.starting_point import MeanOverRuns, Movement, movement, retained_share

StartKind = Literal["unknown", "cold", "one", "several"]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Starts:
    """Where the runs of a method started, and what is left of it.

    Args:
        kind: unknown; cold: the same for all classes; one: all runs start alike; several: starts of different names.
        values: (N, R) start of each class and run, centred in each data set and run; NaN where unknown.
        names: (R,) name of the start of each run.
        share_left: With several starts, the share of their difference that is left at the end.
        movement: With one start, how the quantity moved away from it.
        agreement: With several starts, the least correlation, over starts, of what is learned from one with what is
            learned from the others.
    """

    kind: StartKind
    values: np.ndarray
    names: tuple[str, ...]
    share_left: MeanOverRuns | None = None
    movement: Movement | None = None
    agreement: float = float("nan")


def starts_of_runs(
    initial: np.ndarray, final: np.ndarray, runs: Sequence[tuple[str, str, str]], strata: np.ndarray
) -> Starts:
    """Classify the starts of the runs of a method, and estimate what is left of them at the end.

    Args:
        initial: (N, R) float, value of each class and run before training; NaN where unknown.
        final: (N, R) float, value at the end; NaN where a data set has fewer runs.
        runs: (R,) fold, seed and name of the start of each run.
        strata: (N,) int, data set of each class.
    """
    names = tuple(start for _, _, start in runs)
    finite = np.isfinite(final)
    if not initial.size or not np.isfinite(initial[finite]).all():
        return Starts("unknown", np.full(initial.shape, np.nan), names)
    start = _centred_runs(initial, strata)
    if float(np.nanmax(np.abs(start), initial=0)) <= _ROUNDING:
        return Starts("cold", start, names)
    complete = np.flatnonzero(finite.all(axis=0))
    end = _centred_runs(final, strata)
    if len(set(names)) < 2:
        return Starts("one", start, names, movement=movement(start[:, complete].T, end[:, complete].T))
    by_start = _arrange_by_start(start, end, runs, complete)
    share_left = None if by_start is None else retained_share(*by_start)
    return Starts("several", start, names, share_left=share_left, agreement=_agreement(by_start, share_left))


def _arrange_by_start(
    start: np.ndarray, end: np.ndarray, runs: Sequence[tuple[str, str, str]], complete: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Arrange start and end as (starts, seeds, classes), with the seeds that every start has; None if there are none.

    Args:
        start: (N, R) float.
        end: (N, R) float.
        runs: (R,) fold, seed and name of the start of each run.
        complete: Columns of the runs that have a value of every class.
    """
    column_of = {runs[column]: column for column in complete}
    names = list(dict.fromkeys(name for _, _, name in runs))
    seeds = dict.fromkeys(run[:2] for run in runs)
    shared = [seed for seed in seeds if all((*seed, name) in column_of for name in names)]
    if not shared:
        return None
    columns = np.array([[column_of[*seed, name] for seed in shared] for name in names])
    return start.T[columns], end.T[columns]


def _agreement(by_start: tuple[np.ndarray, np.ndarray] | None, share_left: MeanOverRuns | None) -> float:
    """Return the least correlation, over starts, of what is learned from one with the mean of the others."""
    if by_start is None or share_left is None:
        return float("nan")
    start, end = by_start
    learned = (end - share_left.mean * start).mean(axis=1)
    total = learned.sum(axis=0)
    return float(min(np.corrcoef(own, total - own)[0, 1] for own in learned))


def _centred_runs(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Subtract from each run its mean over the classes of a data set that have a value."""
    shifted = values.copy()
    for stratum in np.unique(strata):
        rows = shifted[strata == stratum]
        count = np.isfinite(rows).sum(axis=0)
        shifted[strata == stratum] = rows - np.nansum(rows, axis=0) / np.where(count > 0, count, 1)
    return shifted
