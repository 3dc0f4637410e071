"""Score tables: of each run, of each method with intervals, and of each unit."""

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.schema.names import LEFT_OUT, MACRO, ZERO_IF_PREDICTED
from analysis.scoring.estimates import interval_rows
from analysis.scoring.metrics import AGGREGATIONS, METRICS, headline, mean_over_occurring
from analysis.scoring.pairs import unit_dice
from analysis.scoring.units import (
    UnitCounts,
    ratios,
    scores_by_seed,
    unit_counts,
)
from analysis.study.runs import RunData, StudyTables
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from analysis.topics.unit_weights import weights_verdict

_SCORE_KEYS = ("aggregation", "metric", "class_id")


def class_scores(tables: StudyTables) -> pd.DataFrame:
    """Score every run by class, aggregation and metric; table `class_scores`."""
    runs_of: dict[tuple[str, int], list[RunData]] = {}  # runs of one method and fold are scored on the same images
    for run in tables.data:
        runs_of.setdefault((run.method, run.fold), []).append(run)
    frames = []
    keys = pd.MultiIndex.from_product([AGGREGATIONS, METRICS, range(len(tables.class_names))])
    for runs in runs_of.values():
        counts = unit_counts(runs, split=tables.split, unit="image", n_classes=len(tables.class_names))
        parts = [ratios(counts, metric, aggregation) for aggregation in AGGREGATIONS for metric in METRICS]
        by_seed = np.stack([scores_by_seed(part)[:, :-1] for part in parts], axis=1)  # (S, A M, K)
        present = np.stack([(part.occurs > 0).sum(axis=0) for part in parts])  # (A M, K)
        of_run = by_seed[[counts.seeds.index(run.seed) for run in runs]].reshape(len(runs), -1)
        run_columns = {
            name: np.repeat([getattr(run, name) for run in runs], len(keys)) for name in ("run_id", "method")
        }
        run_columns |= {name: np.repeat([getattr(run, name) for run in runs], len(keys)) for name in ("fold", "seed")}
        score_columns = {
            name: np.tile(keys.get_level_values(level), len(runs)) for level, name in enumerate(_SCORE_KEYS)
        }
        values = {"value": of_run.ravel(), "n_present": np.tile(present.ravel(), len(runs))}
        frames.append(pd.DataFrame(run_columns | score_columns | values))
    order = {run.run_id: index for index, run in enumerate(tables.data)}
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.iloc[np.argsort(rows["run_id"].map(order).to_numpy(), kind="stable")]
    return table("class_scores", rows.assign(**{"class": np.asarray(tables.class_names, object)[rows["class_id"]]}))


def method_scores(tables: StudyTables, units: dict[str, UnitCounts]) -> pd.DataFrame:
    """Score every method with intervals over units, seeds and folds; table `method_scores`."""
    rows = []
    for method, counts in units.items():
        for aggregation in AGGREGATIONS:
            for metric in METRICS:
                keys = {"method": method, "aggregation": aggregation, "metric": metric}
                parts = ratios(counts, metric, aggregation)
                rows += [keys | row for row in interval_rows(parts, tables.class_names)]
    return table("method_scores", rows)


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
    """Compare leaving out units without a class with scoring them 0 where it was predicted; table `sensitivity`."""
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
            for rule, macro in ((LEFT_OUT, usual), (ZERO_IF_PREDICTED, mean_over_occurring(strict))):
                keys = {"method": method, "aggregation": aggregation, "absent_class": rule}
                rows.append(keys | {"macro_dice": float(macro.mean())})
    return table("sensitivity", rows)


def analyze(context: Context) -> TopicResult:
    """Score everything; judge independence, missing runs and absent classes."""
    context.report("scores", 0, 1)
    sensitivity = absent_class_sensitivity(context.units)
    tables = {
        "runs": context.study.runs,
        "class_scores": class_scores(context.study),
        "method_scores": method_scores(context.study, context.units),
        "unit_scores": unit_scores(context.study, context.units),
        "sensitivity": sensitivity,
    }
    context.report("scores", 1, 1)
    written, first = context.records.plan(), next(iter(context.units.values()))
    verdicts = (
        study_limits.plan_verdict(written["analysis"], written.get("analysis_hash")),
        *study_limits.data_verdicts(context.study, context.units, context.plan),
        study_limits.sensitivity_verdict(sensitivity, context.plan.control, headline(context.unit)),
        weights_verdict(ratios(first, "dice", "pooled"), first.units, context.study.class_names, context.unit),
    )
    return TopicResult(tables, tuple(verdict for verdict in verdicts if verdict is not None))
