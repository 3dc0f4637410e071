"""Measures from the runs of the control: how fast and how well it learns each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from analysis.geometry.nearest_border import pixels_near_borders
from analysis.measures.construct import pooled_ratio
from analysis.measures.scale import Scale
from analysis.scoring.boundary_scores import BoundaryCounts, gap_rows
from analysis.statistics.intervals import multinomial_weights
from imbalance_bench.damage import is_whole
from imbalance_bench.data.pictures import read_class_ids
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.records import RunRecord
from imbalance_bench.seeding import generator
from imbalance_bench.table_schemas import BoundaryMeasure

LEARNED_DICE = 0.5
_COUNTED = ("tp", "fp", "fn")
_RESAMPLES = 2000


@dataclass(frozen=True)
class ControlMeasure:
    """One measure over the classes.

    Args:
        construct: "learnability" or "model".
        measure: Name of the measure.
        unit: (K,) unit of each value.
        value: (K,) values.
        low: (K,) lower end of the interval.
        high: (K,) upper end.
        n: (K,) sample sizes.
    """

    construct: str
    measure: str
    unit: tuple[str, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray

    def rows(self, class_names: Sequence[str]) -> list[dict[str, object]]:
        """Return rows of table `measures`."""
        keys: dict[str, object] = {"construct": self.construct, "measure": self.measure, "primary": False}
        return [
            keys
            | {"class_id": c, "class": name, "value": self.value[c], "low": self.low[c], "high": self.high[c]}
            | {"standard_error": float("nan"), "reliability": float("nan"), "n": int(self.n[c]), "unit": self.unit[c]}
            for c, name in enumerate(class_names)
        ]


def first_steps(epochs: pd.DataFrame, n_classes: int, threshold: float) -> tuple[np.ndarray, float]:
    """Return the first step at which each class's validation Dice reaches the threshold, and the last evaluated step.

    Args:
        epochs: One run's epochs table (table_schemas.EPOCHS).
        n_classes: K.
        threshold: Dice, pooled over the validation images.

    Returns:
        (K,) float64: infinite where it never does (censored), NaN where validation lacks the class; and the last step.
    """
    split, quantity = (epochs[name].to_numpy(object) for name in ("split", "quantity"))
    stage, step, class_id, value = (epochs[name].to_numpy() for name in ("stage", "step", "class_id", "value"))
    kind = np.select([quantity == name for name in _COUNTED], range(len(_COUNTED)), -1)
    rows = np.flatnonzero((kind >= 0) & (split == "val"))
    evaluations, index = np.unique(np.column_stack([stage[rows], step[rows]]), axis=0, return_inverse=True)
    is_class = class_id[rows] < n_classes
    tp, fp, fn = counts = np.full((3, len(evaluations), n_classes), np.nan)
    counts[kind[rows][is_class], index.ravel()[is_class], class_id[rows][is_class]] = value[rows][is_class]
    occurs = np.nan_to_num(tp + fn).max(axis=0, initial=0) > 0
    size = 2 * tp + fp + fn
    reached = np.nan_to_num(2 * tp / np.where(size > 0, size, np.nan)) >= threshold
    first = np.where(reached, evaluations[:, 1:], np.inf).min(axis=0, initial=np.inf)
    return np.where(occurs, first, np.nan), float(evaluations[:, 1].max()) if len(evaluations) else float("nan")


def time_to_learn(runs: Sequence[RunRecord], n_classes: int) -> ControlMeasure:
    """Return the median over runs of the first step with validation Dice >= 0.5, right-censored.

    Where the median run never reaches it, the value is the last evaluated step and the unit says so: such classes tie
    as the slowest. The interval rests on order statistics and needs six runs.
    """
    results = [first_steps(run.epochs(), n_classes, LEARNED_DICE) for run in runs]
    steps = np.stack([first for first, _ in results])  # (R, K)
    last = float(np.nanmax([last_step for _, last_step in results]))
    value, low, high = np.full((3, n_classes), np.nan)
    units, n = [], (~np.isnan(steps)).sum(axis=0)
    for c in range(n_classes):
        ordered = np.sort(steps[~np.isnan(steps[:, c]), c])
        middle = _median(ordered)
        value[c] = min(middle, last)
        units.append(f"steps to Dice {LEARNED_DICE:g}" + (", at least (censored)" if np.isinf(middle) else ""))
        rank = int(binom.ppf(0.025, len(ordered), 0.5)) if len(ordered) else 0
        if rank >= 1:
            low[c], high[c] = np.minimum(ordered[[rank - 1, -rank]], last)
    return ControlMeasure("learnability", "time_to_learn", tuple(units), value, low, high, n)


def baseline_difficulty(method_scores: pd.DataFrame, control: str, class_names: Sequence[str]) -> ControlMeasure:
    """Return 1 - pooled Dice of the control, with the interval of its Dice.

    Args:
        method_scores: Table `method_scores`.
        control: Label of the control.
        class_names: K names.
    """
    dice = method_scores[(method_scores["metric"] == "dice") & (method_scores["aggregation"] == "pooled")]
    dice = dice[dice["method"] == control].set_index("class").reindex(list(class_names))
    mean, low, high = (1 - dice[name].to_numpy(dtype=float) for name in ("mean", "low", "high"))
    n = dice["n_units"].fillna(0).to_numpy(dtype=np.int64)
    unit = (f"1 - pooled Dice of {control}",) * len(class_names)
    return ControlMeasure("model", "baseline_difficulty", unit, mean, high, low, n)


def boundary_gap(counts: BoundaryCounts, control: str, class_names: Sequence[str]) -> ControlMeasure | None:
    """Return pooled IoU minus boundary IoU of the control, with the interval of the difference.

    None where boundary IoU was not recorded: a data set without a resolution has no distances in um, and a study may
    ask for none.

    Args:
        counts: The control's boundary counts.
        control: Its label.
        class_names: K names.
    """
    if not counts.recorded(BoundaryMeasure.BOUNDARY_IOU):
        return None
    distance_um, rows = gap_rows(counts, class_names)
    value, low, high, n = (np.array([row[name] for row in rows]) for name in ("mean", "low", "high", "n_units"))
    unit = (f"IoU - boundary IoU at {distance_um:g} um, of {control}",) * len(class_names)
    return ControlMeasure("model", "boundary_iou_gap", unit, value, low, high, n)


def ensemble_disagreement(
    runs: Sequence[RunRecord], dataset: PreparedDataset, taxonomy: Taxonomy, *, band_um: float, seed: int
) -> ControlMeasure | None:
    """Return the entropy of the seeds' votes in the band inside each class's border, in the images with predictions.

    Args:
        runs: Runs that differ only in their seeds.
        dataset: The data set.
        taxonomy: The study's classes.
        band_um: Width of the band, um.
        seed: Seed of the bootstrap over images.

    Returns:
        The measure, or None with fewer than two runs or without an image that all of them predicted.
    """
    images = [
        entry.image_id
        for entry in dataset.entries
        if all(is_whole(run.prediction_path(entry.image_id)) for run in runs)
    ]
    if len(runs) < 2 or not images:
        return None
    k, scale = len(taxonomy), Scale(dataset.info.mpp_um, band_um)
    pixels, entropy = np.zeros((2, len(images), k))
    for row, image_id in enumerate(images):
        near = pixels_near_borders(taxonomy.apply(dataset.read_mask(image_id)), scale.band_px + 0.5)
        votes = np.stack([read_class_ids(run.prediction_path(image_id)).ravel()[near.index] for run in runs])
        pixels[row] = np.bincount(near.own, minlength=k)
        entropy[row] = np.bincount(near.own, vote_entropy(votes, k), minlength=k)
    weights = multinomial_weights(len(images), _RESAMPLES, generator(seed, "bootstrap", "disagreement"))
    value, low, high = pooled_ratio(entropy, pixels, weights)
    unit = (f"bits, of {len(runs)} seeds in the band {scale.written(band_um)} inside the border",) * k
    n = pixels.sum(axis=0).astype(np.int64)
    return ControlMeasure("model", "ensemble_disagreement", unit, value, low, high, n)


def vote_entropy(votes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the entropy in bits of the classes that S voters chose for each pixel, (P,) from (S, P)."""
    shares = np.stack([(votes == c).mean(axis=0) for c in range(n_classes)])
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=0)


def _median(ascending: np.ndarray) -> float:
    """Return the median of sorted numbers, which may be infinite; NaN for an empty array."""
    if not len(ascending):
        return float("nan")
    return float((ascending[(len(ascending) - 1) // 2] + ascending[len(ascending) // 2]) / 2)
