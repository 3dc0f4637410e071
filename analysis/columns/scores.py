"""Tables of runs, scores and comparisons."""

from analysis.columns.shared import CLASS, RUN

TABLES: dict[str, dict[str, str]] = {
    "runs": {
        "run_id": "first 12 hex digits of the run's hash",
        **RUN,
        "state": "done, running, failed, missing (planned, no folder) or damaged (records unreadable)",
        "seconds": "wall time of the training, s",
        "steps": "optimiser steps done",
        "steps_per_second": "throughput",
        "error": "why the run failed, empty otherwise",
    },
    "class_scores": {
        "run_id": "the run",
        **RUN,
        **CLASS,
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
    "sensitivity": {
        "method": "label of the method",
        "aggregation": "per_image or per_group",
        "absent_class": "nan: units without the class are left out (used everywhere else); zero_if_predicted: they "
        "count 0 where the class was predicted",
        "macro_dice": "macro Dice, mean over seeds",
    },
}
