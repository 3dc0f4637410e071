"""Dice, IoU, recall and precision: defined here once, as ratios of integer counts.

A class occurs where the truth has a pixel of it (tp + fn > 0). Where it does not occur, every score is NaN, whatever
was predicted: the truth alone determines which units enter a mean, so all methods are averaged over the same units. A
perfect prediction scores 1 in every aggregate.

Aggregations:
- `pooled`: counts are summed over all images, then divided;
- `per_image`: mean of the ratios of the images in which the class occurs;
- `per_group`: counts are summed within each group, then as per_image with groups.
"""

from typing import Literal, get_args

import numpy as np

Metric = Literal["dice", "iou", "recall", "precision"]
Aggregation = Literal["pooled", "per_image", "per_group"]
METRICS: tuple[Metric, ...] = get_args(Metric)
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)


def headline(unit: str) -> Aggregation:
    """Return the aggregation of the macro Dice that is quoted everywhere: the mean over independent units.

    Args:
        unit: "group" or "image".
    """
    return "per_group" if unit == "group" else "per_image"


def fraction(metric: Metric, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numerator and denominator of a metric, each of the shape of the counts.

    Args:
        metric: The metric.
        tp: Pixels of the class predicted as the class, integer or float of any shape.
        fp: Pixels of other classes predicted as the class.
        fn: Pixels of the class predicted as another.
    """
    if metric == "dice":
        return 2 * tp, 2 * tp + fp + fn
    if metric == "iou":
        return tp, tp + fp + fn
    if metric == "recall":
        return tp, tp + fn
    if metric == "precision":
        return tp, tp + fp
    raise ValueError(f"metric must be one of {METRICS}. Got {metric!r}.")


def score(metric: Metric, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return a metric, float64 of the shape of the counts; NaN where the class does not occur.

    Precision of a class that occurs and is never predicted is 0, not undefined: otherwise a method could raise its mean
    precision by never predicting a hard class.
    """
    tp, fp, fn = (np.asarray(counts, dtype=np.float64) for counts in (tp, fp, fn))
    numerator, denominator = fraction(metric, tp, fp, fn)
    ratio = numerator / np.maximum(denominator, 1)
    return np.where(tp + fn > 0, ratio, np.nan)


def mean_over_occurring(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the mean of the finite values along an axis; NaN, without a warning, where there are none."""
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=axis)
    count = finite.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
