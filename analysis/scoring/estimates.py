"""Rows of score tables: the mean over seeds with its interval over units and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.schema.names import MACRO
from analysis.scoring.units import (
    Ratios,
    effective_units,
    leave_one_out,
    scores_by_seed,
    weighted_scores,
)
from analysis.statistics.intervals import uncertainty


@dataclass(frozen=True)
class Estimates:
    """Scores in columns, with what their intervals need.

    Args:
        by_seed: (S, C) float64, of each seed.
        resampled: (B, C) float64, seeds averaged, of each resample of units.
        jackknife: (U, C) float64, seeds averaged, without each unit.
        n_units: (C,) int, units behind each score.
        effective_units: (C,) float64, as many equally heavy ones; None: all weigh the same.
    """

    by_seed: np.ndarray
    resampled: np.ndarray
    jackknife: np.ndarray
    n_units: np.ndarray
    effective_units: np.ndarray | None = None


def estimate_rows(
    found: Estimates, names: Sequence[str], *, lowest: float = 0.0, highest: float = 1.0
) -> list[dict[str, object]]:
    """Return mean over seeds, interval, spread over seeds and n of each column.

    Args:
        found: The scores.
        names: C names.
        lowest: Smallest value that the score can take.
        highest: Largest value.
    """
    seeds = len(found.by_seed)
    effective = found.n_units if found.effective_units is None else found.effective_units
    rows = []
    for column, name in enumerate(names):
        by_seed, n = found.by_seed[:, column], int(found.n_units[column])
        mean = float(by_seed.mean())
        units = float(effective[column])
        known = uncertainty(mean, found.resampled[:, column], found.jackknife[:, column], by_seed, units)
        low, high = np.clip(known.interval(0.95), lowest, highest)
        sd = float(by_seed.std(ddof=1)) if seeds > 1 else np.nan
        row = {"class": name, "mean": mean, "low": low, "high": high, "sd_over_seeds": sd}
        rows.append(row | {"n_units": n, "n_seeds": seeds})
    return rows


def interval_rows(
    parts: Ratios, weights: np.ndarray, class_names: tuple[str, ...], *, highest: float = 1.0
) -> list[dict[str, object]]:
    """Return mean over seeds, interval, spread over seeds and n of macro and each class.

    Args:
        parts: A score as ratios of sums over units.
        weights: (B, U) bootstrap weights of the units.
        class_names: K names.
        highest: Largest value that the score can take; the smallest is 0.
    """
    n_units = np.append((parts.occurs > 0).sum(axis=0), parts.numerator.shape[1])
    resampled, effective = weighted_scores(parts, weights), effective_units(parts)
    found = Estimates(scores_by_seed(parts), resampled, leave_one_out(parts), n_units, effective)
    *classes, macro = estimate_rows(found, (*class_names, MACRO), highest=highest)
    return [macro, *classes]
