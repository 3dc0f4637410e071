"""The distribution of scores over units, which a mean hides.

Sources:
    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (performance profiles,
    interquartile mean). Deviation: independent units are left out in turn, instead of resampling runs as if every run
    of every task were independent.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from scipy import stats

from analysis.schema import table
from analysis.schema.names import MACRO
from analysis.scoring.estimates import estimate_rows, interval_rows
from analysis.scoring.influence import Influence
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.pairs import unit_dice
from analysis.scoring.units import Ratios, UnitCounts, with_apart
from analysis.topics.context import Context, TopicResult

THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
TRIMMED = 0.25  # on each side


def analyze(context: Context) -> TopicResult:
    """Describe the units of every method; nothing is tested."""
    names = context.study.class_names
    rows = {
        name: rows_of(context.units, names) for name, rows_of in (("profiles", profiles), ("iqm", interquartile_means))
    }
    return TopicResult({name: table(name, rows_of_table) for name, rows_of_table in rows.items()})


def profiles(units: Mapping[str, UnitCounts], class_names: tuple[str, ...]) -> list[dict[str, object]]:
    """Return the share of units whose Dice reaches each threshold, seeds averaged; table `profiles`."""
    rows = []
    for method, counts in units.items():
        for threshold in THRESHOLDS:
            parts = with_apart(partial(_reaching, threshold), counts)
            threshold_rows = interval_rows(parts, (*class_names, MACRO))[1:]
            keys = ("class", "mean", "low", "high", "n_units")
            for row in threshold_rows:
                share = {("share" if key == "mean" else key): row[key] for key in keys}
                rows.append({"method": method, "threshold": threshold, **share})
    return rows


def interquartile_means(units: Mapping[str, UnitCounts], class_names: tuple[str, ...]) -> list[dict[str, object]]:
    """Return the mean of the middle half of the units' Dice, seeds averaged; table `iqm`."""
    rows = []
    for method, counts in units.items():
        influence = _of_middle(counts)
        influence = influence.over(counts.folds, None if counts.apart is None else _of_middle(counts.apart))
        class_rows = estimate_rows(influence, (*class_names, MACRO), influence.n)
        for row in class_rows:
            columns = {key: row[key] for key in ("class", "low", "high", "n_units", "n_seeds")}
            rows.append({"method": method, "iqm": row["mean"], **columns})
    return rows


def with_unit_macro(dice: np.ndarray) -> np.ndarray:
    """Append the mean over the classes of each unit, (S, U, K) -> (S, U, K + 1)."""
    return np.concatenate([dice, mean_over_occurring(dice)[..., None]], axis=2)


def _reaching(threshold: float, counts: UnitCounts) -> Ratios:
    """Return the share of units whose Dice reaches a threshold."""
    dice = with_unit_macro(unit_dice(counts))
    occurs = np.isfinite(dice[0])
    reached = np.where(occurs, dice >= threshold, 0.0)
    return Ratios(reached, occurs[None].astype(np.float64), occurs.astype(np.int64), counts.folds)


def _of_middle(counts: UnitCounts) -> Influence:
    """Return the influence of each unit on the mean of the middle half of the units' Dice."""
    dice = with_unit_macro(unit_dice(counts))
    occurs = np.isfinite(dice[0])
    without = np.stack([_middle(np.delete(dice, u, axis=1)) for u in range(dice.shape[1])], axis=1)
    return Influence.of_scores(_middle(dice), without, occurs, None, occurs.sum(axis=0).astype(np.float64))


def _middle(dice: np.ndarray) -> np.ndarray:
    """Return the interquartile mean over units, (S, U, C) -> (S, C); NaN without one."""
    means = np.full((dice.shape[0], dice.shape[2]), np.nan)
    for c in range(dice.shape[2]):
        values = dice[:, np.isfinite(dice[0, :, c]), c]
        if values.shape[1]:
            means[:, c] = stats.trim_mean(values, TRIMMED, axis=1)
    return means
