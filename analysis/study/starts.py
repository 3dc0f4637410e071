"""Where the runs of a method started, and how much of the start is left at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from analysis.statistics.starting_point import MeanOverRuns, Movement, movement, retained_share

StartKind = Literal["unknown", "incomplete", "cold", "one", "drawn", "several"]
_ROUNDING = 1e-9
_FEWEST_DRAWS = 3  # seeds from which starts can be called drawn anew
_AGREEMENT_ALPHA = 0.05
_NEGLIGIBLE = 0.1  # spread of the mean start, as a share of that of the mean end: a hundredth of its variance


@dataclass(frozen=True)
class Starts:
    """Where the runs of a method started, and what is left of it.

    Args:
        kind: unknown; incomplete: known of some runs and classes, between which it differs; cold: the same for all
            classes; one: all runs start alike; drawn: each seed draws its start anew, so that runs have none in
            common; several: starts of different names.
        values: (N, R) start of each class and run, centred in each data set and run; NaN where unknown.
        names: (R,) name of the start of each run.
        share_left: With several starts, the share of their difference that is left at the end.
        movement: With one start, how the quantity moved away from it.
        agreement: With several starts, the least correlation, over starts, of what is learned from one with what is
            learned from the others.
        n_shared: With several starts, the seeds that every one of them has.
    """

    kind: StartKind
    values: np.ndarray
    names: tuple[str, ...]
    share_left: MeanOverRuns | None = None
    movement: Movement | None = None
    agreement: float = float("nan")
    n_shared: int = 0


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
        known = _centred_runs(np.where(finite, initial, np.nan), strata)
        differs = float(np.max(np.abs(known[np.isfinite(known)]), initial=0)) > _ROUNDING
        return Starts("incomplete" if differs else "unknown", np.full(initial.shape, np.nan), names)
    start = _centred_runs(initial, strata)
    if float(np.nanmax(np.abs(start), initial=0)) <= _ROUNDING:
        return Starts("cold", start, names)
    complete = np.flatnonzero(finite.all(axis=0))
    end = _centred_runs(final, strata)
    if len(set(names)) < 2:
        kind = "drawn" if _drawn_anew(start, end, runs, strata) else "one"
        return Starts(kind, start, names, movement=movement(start[:, complete].T, end[:, complete].T))
    by_start = _arrange_by_start(start, end, runs, complete)
    share_left = None if by_start is None else retained_share(*by_start)
    n_shared = 0 if by_start is None else by_start[0].shape[1]
    agreement = _agreement(by_start, share_left)
    return Starts("several", start, names, share_left=share_left, agreement=agreement, n_shared=n_shared)


def _drawn_anew(start: np.ndarray, end: np.ndarray, runs: Sequence[tuple[str, str, str]], strata: np.ndarray) -> bool:
    """Whether the seeds of every data set have no start in common, as far as they can show.

    Folds of one seed are one draw. What seeds have in common is judged by the F test of classes over seeds: it must
    not be significant, and either estimated as nothing (F <= 1) or too small to matter for the end even if all of it
    were left. A start that is the same by design, or that the classes determine in part, is not called drawn.
    """
    seeds = np.array([seed for _, seed, _ in runs])
    for stratum in np.unique(strata):
        rows = strata == stratum
        has_run = np.isfinite(end[rows]).all(axis=0)
        drawn_by = [has_run & (seeds == seed) for seed in np.unique(seeds[has_run])]
        draws, ends = (
            np.array([values[rows][:, columns].mean(axis=1) for columns in drawn_by]) for values in (start, end)
        )
        if float(np.abs(draws).max(initial=0)) > _ROUNDING and not _independent(draws, ends):
            return False
    return True


def _independent(draws: np.ndarray, ends: np.ndarray) -> bool:
    """Whether starts (S, K), centred over classes, share nothing that could matter for the ends (S, K)."""
    n_seeds, n_classes = draws.shape
    if n_seeds < _FEWEST_DRAWS:
        return False
    mean, df = draws.mean(axis=0), (n_seeds - 1) * (n_classes - 1)
    between, within = n_seeds * float(mean @ mean) / (n_classes - 1), float(((draws - mean) ** 2).sum()) / df
    if between <= within:
        return True
    if within <= 0 or stats.f.sf(between / within, n_classes - 1, df) < _AGREEMENT_ALPHA:
        return False
    return float(np.std(mean)) <= _NEGLIGIBLE * float(np.std(ends.mean(axis=0)))


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
