"""Every table that `analyze` writes: its columns, in order, and what each of them means."""

from pathlib import Path
from typing import Any

import pandas as pd

from imbalance_bench.manifest import write_atomically

_RUN = {"method": "label of the method", "fold": "fold, from 0", "seed": "seed of the run"}
_CLASS = {"class_id": "class index after merging, from 0", "class": "class name"}
_INTERVAL = {"low": "lower end of the 95 % interval", "high": "upper end of the 95 % interval"}

COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "run_id": "first 12 hex digits of the run's hash",
        **_RUN,
        "state": "done, running, failed, missing (planned, no folder) or damaged (records unreadable)",
        "seconds": "wall time of the training, s",
        "steps": "optimiser steps done",
        "steps_per_second": "throughput",
        "error": "why the run failed, empty otherwise",
    },
    "class_scores": {
        "run_id": "the run",
        **_RUN,
        **_CLASS,
        "aggregation": "pooled: one ratio of counts summed over all images; per_image, per_group: mean of the ratios "
        "of the images or groups in which the class occurs",
        "metric": "dice, iou, recall or precision",
        "value": "score of this run, 0 to 1; NaN if the class does not occur in the scored images",
        "n_present": "images (pooled, per_image) or groups (per_group) in which the class occurs",
    },
    "method_scores": {
        "method": "label of the method",
        "aggregation": "as in class_scores.csv",
        "metric": "as in class_scores.csv",
        "class": "class name, or macro: mean over the classes that occur, each class weighing the same",
        "mean": "mean over seeds; over folds, the images of all folds are scored together",
        "low": "lower end of the 95 % interval (units resampled: BCa, expanded for few units; seeds: t; joined)",
        "high": "upper end of that interval",
        "sd_over_seeds": "standard deviation over seeds; NaN with one seed",
        "n_units": "units (images or groups) in which the class occurs; for macro, all units",
        "n_seeds": "seeds with every fold finished",
    },
    "unit_scores": {
        "method": "label of the method",
        "unit": "group id, or image id where groups are unknown",
        "class": "class name, or macro: mean over the classes that occur in this unit (comparisons.csv weighs "
        "classes equally instead, so that rare classes count fully)",
        "dice": "Dice of the unit's summed counts, mean over seeds; NaN if the class does not occur in the unit",
    },
    "comparisons": {
        "method": "label of the method",
        "control": "label of the method it is compared with",
        "class": "class name, or macro: mean over classes of the class's mean over units",
        "metric": "always dice, of each unit's summed counts",
        "unit": "what is resampled and sign-flipped: group or image",
        "n_units": "units in which the class occurs; for macro, all units",
        "difference": "method minus control: mean over units of the difference, seeds averaged first",
        "low": "lower end of the 95 % interval (units resampled: BCa, expanded for few units; seeds: t; joined)",
        "high": "upper end of that interval",
        "p": "two-sided sign-flip permutation p over units, exact up to 20 units, else Monte Carlo",
        "p_seeds": "1 minus the level at which the interval, which knows the variation over seeds, touches 0",
        "p_holm": "the larger of p and p_seeds after Holm: macro rows over methods; class rows over methods x classes",
        "wilcoxon_p": "two-sided Wilcoxon signed-rank p, secondary, not corrected",
        "cliffs_delta": "P(method > control) - P(method < control) over all pairs of units, -1 to 1",
        "verdict": "better, worse, equivalent, undecided or not_testable",
    },
    "measures": {
        **_CLASS,
        "construct": "frequency, boundary, morphology or context",
        "measure": "name of the measure",
        "primary": "True for the one measure per construct that was fixed in advance; the others are exploratory",
        "value": "from images and truth of the training split; NaN if the class has too little to measure",
        "low": "lower end of the 95 % percentile interval, training groups resampled",
        "high": "upper end of that interval",
        "n": "what the value rests on: images, band pixels inside the border, or instances",
        "unit": "unit of the value",
    },
    "learned_bias": {
        **_RUN,
        **_CLASS,
        "estimand": "learned: final attention bias; change: final minus initial; effective_offset; attention_mass",
        "value": "at the last step; all but attention_mass centred over the classes that occur in training",
    },
    "bias_trajectories": {
        **_RUN,
        "stage": "training stage, from 0",
        "step": "optimiser steps done",
        **_CLASS,
        "parameter": "name in the class-parameter ledger",
        "value": "as recorded, not centred",
    },
    "associations": {
        "method": "label of the method",
        "estimand": "as in learned_bias.csv; change and effective_offset are primary",
        "construct": "frequency, boundary, morphology or context",
        "measure": "name of the measure",
        "primary": "True for the primary measure of its construct with a primary estimand",
        "n_classes": "classes with both a bias and a measure",
        "spearman": "Spearman's rho over classes, seeds and folds averaged first",
        "kendall": "Kendall's tau-b",
        "p_spearman": "two-sided permutation p, exact over all pairings up to 10 classes, else Monte Carlo",
        "p_kendall": "the same for tau-b",
        "min_p": "smallest p_spearman that these numbers could have given in any order",
        "rho_needed": "smallest |rho| with p below alpha before correction; NaN: none reaches it",
        "p_holm": "p_spearman after Holm over the primary measures of this method and estimand; NaN if exploratory",
        "p_bh": "p_spearman after Benjamini-Hochberg over all exploratory rows; NaN if primary",
        "verdict": "supported, not_supported, not_testable or unreliable",
    },
    "reliability": {
        "method": "label of the method",
        "estimand": "as in learned_bias.csv",
        "icc": "ICC(3,k): consistency of the average over k runs (folds x seeds), classes as targets",
        **_INTERVAL,
        "n_seeds": "runs averaged, k",
        "n_classes": "classes",
    },
    "sensitivity": {
        "method": "label of the method",
        "aggregation": "per_image or per_group",
        "absent_class": "nan: units without the class are left out (used everywhere else); zero_if_predicted: they "
        "count 0 where the class was predicted",
        "macro_dice": "macro Dice, mean over seeds",
    },
}


def table(name: str, rows: list[dict[str, object]] | pd.DataFrame) -> pd.DataFrame:
    """Return rows as the table called `name`: its columns, in order, also when there are no rows.

    Raises:
        ValueError: A column is missing or unknown.
    """
    columns = list(COLUMNS[name])
    frame = pd.DataFrame(rows) if len(rows) else pd.DataFrame(columns=columns)
    if set(frame.columns) != set(columns):
        raise ValueError(f"{name} must have the columns {columns}. Got {list(frame.columns)}.")
    return frame[columns].reset_index(drop=True)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def write_csv(path: Path, name: str, frame: pd.DataFrame) -> None:
    """Write one table as CSV, atomically; missing numbers are empty fields."""
    text = table(name, frame).to_csv(index=False, lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode()))


def readme() -> str:
    """Return the Markdown page that names every column of every table."""
    parts = [
        "# Tables of this analysis\n",
        "Written by `imbalance-bench analyze`; an empty field is a missing number.\n",
    ]
    for name, columns in COLUMNS.items():
        rows = "\n".join(f"| {column} | {meaning} |" for column, meaning in columns.items())
        parts.append(f"## {name}.csv\n\n| column | meaning |\n|---|---|\n{rows}\n")
    parts.append(
        "## verdicts.json\n\n`plan_hash` is the hash of the analysis plan fixed before the runs. Each verdict has an "
        "`id`, a `topic`, a `subject`, the `verdict` word, a `sentence` in plain English, the `numbers` behind it and "
        "the `rule` that turned numbers into the word.\n"
    )
    return "\n".join(parts)
