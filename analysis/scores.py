"""Score tables: of each run, of each method with intervals, of each unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.columns import table
from analysis.comparison import MACRO, unit_dice
from analysis.intervals import uncertainty, unit_weights
from analysis.metrics import AGGREGATIONS, METRICS, mean_over_occurring
from analysis.tables import AnalysisPlan, RunData, StudyTables
from analysis.units import (
    Ratios,
    UnitCounts,
    effective_units,
    leave_one_out,
    ratios,
    scores_by_seed,
    unit_counts,
    weighted_scores,
)


def class_scores(tables: StudyTables) -> pd.DataFrame:
    """Score every run by class, aggregation and metric; table `class_scores`."""
    alike: dict[tuple[str, int], list[RunData]] = {}  # runs of one method and fold are scored on the same images
    for run in tables.data:
        alike.setdefault((run.method, run.fold), []).append(run)
    rows: dict[str, list[dict[str, object]]] = {}
    for runs in alike.values():
        counts = unit_counts(runs, split=tables.split, unit="image", n_classes=len(tables.class_names))
        for aggregation in AGGREGATIONS:
            for metric in METRICS:
                parts = ratios(counts, metric, aggregation)
                by_seed, present = scores_by_seed(parts), (parts.occurs > 0).sum(axis=0)
                for run in runs:
                    values = by_seed[counts.seeds.index(run.seed)]
                    rows.setdefault(run.run_id, []).extend(
                        {"run_id": run.run_id, "method": run.method, "fold": run.fold, "seed": run.seed}
                        | {"class_id": c, "class": name, "aggregation": aggregation, "metric": metric}
                        | {"value": values[c], "n_present": int(present[c])}
                        for c, name in enumerate(tables.class_names)
                    )
    return table("class_scores", [row for run in tables.data for row in rows[run.run_id]])


def method_units(tables: StudyTables, unit: str) -> dict[str, UnitCounts]:
    """Arrange the counts of every method."""
    return {
        method: unit_counts(tables.runs_of(method), split=tables.split, unit=unit, n_classes=len(tables.class_names))
        for method in tables.methods
    }


def method_scores(tables: StudyTables, units: dict[str, UnitCounts], plan: AnalysisPlan) -> pd.DataFrame:
    """Score every method with intervals over units and seeds; table `method_scores`."""
    rows = []
    for method, counts in units.items():
        weights = unit_weights(len(counts.units), plan.resamples, plan.seed)
        for aggregation in AGGREGATIONS:
            for metric in METRICS:
                keys = {"method": method, "aggregation": aggregation, "metric": metric}
                parts = ratios(counts, metric, aggregation)
                rows += [keys | row for row in interval_rows(parts, weights, tables.class_names)]
    return table("method_scores", rows)


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


def unit_scores(tables: StudyTables, units: dict[str, UnitCounts]) -> pd.DataFrame:
    """Score every unit, seeds averaged; table `unit_scores`."""
    rows = []
    for method, counts in units.items():
        dice = unit_dice(counts).mean(axis=0)  # (U, K)
        values = np.column_stack([mean_over_occurring(dice), dice])
        for row, unit in enumerate(counts.units):
            for name, value in zip((MACRO, *tables.class_names), values[row], strict=True):
                rows.append({"method": method, "unit": unit, "class": name, "dice": value})
    return table("unit_scores", rows)


def absent_class_sensitivity(units: dict[str, UnitCounts]) -> pd.DataFrame:
    """Compare leaving out units without a class with counting them 0 where it was predicted; table `sensitivity`."""
    rows = []
    for method, counts in units.items():
        for aggregation in ("per_image", "per_group"):
            parts = ratios(counts, "dice", aggregation)
            tp, fp, fn = counts.counts if aggregation == "per_image" else counts.of_groups
            invented = ((tp + fn == 0) & (fp > 0)).sum(axis=1)  # (S, K)
            total = parts.numerator.sum(axis=1)
            n = parts.denominator.sum(axis=1)  # (1, K)
            strict = np.where(n > 0, total / np.maximum(n + invented, 1), np.nan)
            usual = scores_by_seed(parts)[:, -1]
            for rule, macro in (("nan", usual), ("zero_if_predicted", mean_over_occurring(strict))):
                keys = {"method": method, "aggregation": aggregation, "absent_class": rule}
                rows.append(keys | {"macro_dice": float(macro.mean())})
    return table("sensitivity", rows)
