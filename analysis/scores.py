"""Score tables: of each run, of each method with intervals, of each unit."""

import numpy as np
import pandas as pd

from analysis.columns import table
from analysis.comparison import MACRO, unit_dice
from analysis.intervals import uncertainty, unit_weights
from analysis.metrics import AGGREGATIONS, METRICS, mean_over_occurring
from analysis.tables import AnalysisPlan, StudyTables
from analysis.units import Ratios, UnitCounts, leave_one_out, ratios, scores_by_seed, unit_counts, weighted_scores


def class_scores(tables: StudyTables) -> pd.DataFrame:
    """Score every run by class, aggregation and metric; table `class_scores`."""
    rows = []
    for run in tables.data:
        counts = unit_counts([run], split=tables.split, unit="image", n_classes=len(tables.class_names))
        grouped = unit_counts([run], split=tables.split, unit="group", n_classes=len(tables.class_names))
        keys = {"run_id": run.run_id, "method": run.method, "fold": run.fold, "seed": run.seed}
        for aggregation in AGGREGATIONS:
            members = grouped if aggregation == "per_group" else counts
            for metric in METRICS:
                parts = ratios(members, metric, aggregation)
                values, present = scores_by_seed(parts)[0], (parts.occurs > 0).sum(axis=0)
                rows += [
                    keys
                    | {"class_id": c, "class": name, "aggregation": aggregation, "metric": metric}
                    | {"value": values[c], "n_present": int(present[c])}
                    for c, name in enumerate(tables.class_names)
                ]
    return table("class_scores", rows)


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
    seeds, n_units, classes = parts.numerator.shape
    by_seed = scores_by_seed(parts)  # (S, K + 1)
    resampled = weighted_scores(parts, weights)
    jackknife = leave_one_out(parts)
    rows = []
    for column, name in [(classes, MACRO), *enumerate(class_names)]:
        n = n_units if column == classes else int((parts.occurs[:, column] > 0).sum())
        mean = float(by_seed[:, column].mean())
        known = uncertainty(mean, resampled[:, column], jackknife[:, column], by_seed[:, column], n)
        low, high = np.clip(known.interval(0.95), 0, highest)
        sd = float(by_seed[:, column].std(ddof=1)) if seeds > 1 else np.nan
        row = {"class": name, "mean": mean, "low": low, "high": high, "sd_over_seeds": sd}
        rows.append(row | {"n_units": n, "n_seeds": seeds})
    return rows


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
            if aggregation == "per_image":
                members = counts.counts
            else:
                members = counts.summed(counts.group_of_image, int(counts.group_of_image.max()) + 1)
            tp, fp, fn = members
            invented = ((tp + fn == 0) & (fp > 0)).sum(axis=1)  # (S, K)
            total = parts.numerator.sum(axis=1)
            n = parts.denominator.sum(axis=1)  # (1, K)
            strict = np.where(n > 0, total / np.maximum(n + invented, 1), np.nan)
            usual = scores_by_seed(parts)[:, -1]
            for rule, macro in (("nan", usual), ("zero_if_predicted", mean_over_occurring(strict))):
                keys = {"method": method, "aggregation": aggregation, "absent_class": rule}
                rows.append(keys | {"macro_dice": float(macro.mean())})
    return table("sensitivity", rows)
