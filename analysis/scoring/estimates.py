"""Rows of score tables: the mean over seeds with its interval over units, seeds and folds."""

from collections.abc import Sequence

import numpy as np

from analysis.schema.names import MACRO
from analysis.scoring.influence import Influence
from analysis.scoring.units import Ratios
from analysis.statistics.intervals import Uncertainty

LEVEL = 0.95  # of intervals in tables


def with_interval(name: str, known: Uncertainty) -> dict[str, float]:
    """Return an estimate as column `name`, and its interval as `name_low` and `name_high`."""
    low, high = known.interval(LEVEL)
    return {name: known.estimate, f"{name}_low": low, f"{name}_high": high}


def estimate_rows(
    found: Influence,
    names: Sequence[str],
    n_units: np.ndarray,
    *,
    fold_of_unit: np.ndarray | None = None,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> list[dict[str, object]]:
    """Return mean over seeds, interval, spread over seeds and n of each column.

    Args:
        found: The scores and what each unit adds to them.
        names: C names.
        n_units: (C,) int, units behind each score.
        fold_of_unit: (U,) int, the fold that tested each unit; None without folds.
        lowest: Smallest value that the score can take.
        highest: Largest value.
    """
    rows = []
    for column, name in enumerate(names):
        known = found.uncertainty(column, fold_of_unit)
        low, high = np.clip(known.interval(LEVEL), lowest, highest)
        sd = known.seed_error * np.sqrt(known.n_seeds) if known.n_seeds > 1 else np.nan
        row = {"class": name, "mean": known.estimate, "low": low, "high": high, "sd_over_seeds": sd}
        rows.append(row | {"n_units": int(n_units[column]), "n_seeds": known.n_seeds})
    return rows


def interval_rows(
    parts: Ratios, class_names: Sequence[str], *, fold_of_unit: np.ndarray | None = None, highest: float = 1.0
) -> list[dict[str, object]]:
    """Return mean over seeds, interval, spread over seeds and n of macro and each class.

    Args:
        parts: A score as ratios of sums over units.
        class_names: K names.
        fold_of_unit: (U,) int, the fold that tested each unit; None without folds.
        highest: Largest value that the score can take; the smallest is 0.
    """
    n_units = np.append((parts.occurs > 0).sum(axis=0), (parts.occurs > 0).any(axis=1).sum())
    found, names = Influence.of(parts), (*class_names, MACRO)
    *classes, macro = estimate_rows(found, names, n_units, fold_of_unit=fold_of_unit, highest=highest)
    return [macro, *classes]
