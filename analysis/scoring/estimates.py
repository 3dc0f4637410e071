"""Rows of score tables: the mean over seeds with its interval over units, seeds and folds."""

from collections.abc import Sequence

import numpy as np

from analysis.schema.names import MACRO
from analysis.scoring.influence import Influence
from analysis.scoring.units import Ratios
from analysis.statistics.intervals import Uncertainty

LEVEL = 0.95  # of intervals in tables


def with_interval(name: str, uncertainty: Uncertainty) -> dict[str, float]:
    """Return an estimate as column `name`, and its interval as `name_low` and `name_high`."""
    low, high = uncertainty.interval(LEVEL)
    return {name: uncertainty.estimate, f"{name}_low": low, f"{name}_high": high}


def estimate_rows(
    influence: Influence,
    names: Sequence[str],
    n_units: np.ndarray,
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> list[dict[str, object]]:
    """Return mean over seeds, interval, standard deviation over seeds, and numbers of units and seeds of each column.

    Args:
        influence: The scores and the influence of each unit on them.
        names: C names.
        n_units: (C,) int, units behind each score.
        lowest: Smallest value that the score can take.
        highest: Largest value.
    """
    rows = []
    for column, name in enumerate(names):
        uncertainty = influence.uncertainty(column)
        low, high = np.clip(uncertainty.interval(LEVEL), lowest, highest)
        sd = uncertainty.seed_error * np.sqrt(uncertainty.n_seeds) if uncertainty.n_seeds > 1 else np.nan
        row = {"class": name, "mean": uncertainty.estimate, "low": low, "high": high, "sd_over_seeds": sd}
        rows.append(row | {"n_units": int(n_units[column]), "n_seeds": uncertainty.n_seeds})
    return rows


def interval_rows(parts: Ratios, class_names: Sequence[str], *, highest: float = 1.0) -> list[dict[str, object]]:
    """Return the rows of `estimate_rows` for macro and each class.

    Args:
        parts: A score as ratios of sums over units.
        class_names: K names.
        highest: Largest value that the score can take; the smallest is 0.
    """
    n_units = np.append((parts.occurs > 0).sum(axis=0), (parts.occurs > 0).any(axis=1).sum())
    influence, names = Influence.of(parts), (*class_names, MACRO)
    *classes, macro = estimate_rows(influence, names, n_units, highest=highest)
    return [macro, *classes]
