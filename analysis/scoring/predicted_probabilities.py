"""Calibration of predicted probabilities from integer sums over bins of the probability, with intervals.

Sums are pooled over images before anything is divided; units are left out in turn, and seeds averaged, as for every
score. Bins are fixed and equally wide, so sums over images are exact. A calibration error is a sum of absolute values:
even that of a perfectly calibrated model is above 0 on few units.

Sources:
    Naeini, Cooper and Hauskrecht 2015 and Guo, Pleiss, Sun and Weinberger 2017 (expected calibration error); Kull et
    al. 2019 and Nixon et al. 2019 (class by class over all pixels); Gupta and Ramdas 2022 (class by class over the
    pixels predicted as the class, "top label"); Brier 1950.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema.names import MACRO
from analysis.scoring.estimates import estimate_rows, interval_rows
from analysis.scoring.image_rows import Folds, ids_apart
from analysis.scoring.influence import Influence
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.units import Ratios, UnitCounts, effective_units, scores_by_seed, with_apart, without_each
from imbalance_bench.table_schemas import PROBABILITY_BINS, PROBABILITY_UNIT

ALL = "all"  # every pixel by its predicted class
CALIBRATION_ERROR, TOP_LABEL_ERROR = "calibration_error", "top_label_error"
PREVALENCE_ERROR, OVERCONFIDENCE, BRIER = "prevalence_error", "overconfidence", "brier"
_COLUMNS = ("pixels", "true_pixels", "p_millionths", "true_p_millionths", "p_squared_millionths")
_PREDICTED = 1  # place on the axis "predicted as the class"


@dataclass(frozen=True)
class ProbabilitySums:
    """Sums of one method over the pixels of each unit; (S, U, K, 2, B) float64 each.

    The axes are seeds, units, the class whose probability is considered, whether pixels are predicted as it, and bins.

    Args:
        pixels: Labelled pixels.
        true_pixels: Pixels labelled as the class.
        p: Sum of the probability.
        true_p: Sum of the probability over the pixels labelled as the class.
        p_squared: Sum of its square.
        occurs: (U, K) number of images of the unit in which the class occurs.
        folds: The folds that tested the units; None with one fold.
        apart: The same where each test of `folds` is a unit of its own; None where no folds share units.
    """

    pixels: np.ndarray
    true_pixels: np.ndarray
    p: np.ndarray
    true_p: np.ndarray
    p_squared: np.ndarray
    occurs: np.ndarray
    folds: Folds | None = None
    apart: "ProbabilitySums | None" = None

    @classmethod
    def of_rows(cls, rows: pd.DataFrame, units: UnitCounts) -> "ProbabilitySums":
        """Arrange the rows of one method.

        Args:
            rows: Columns of table_schemas.PROBABILITIES of the scored split and the seeds of `units`, `seed` and, where
                folds share units, `fold`.
            units: The method's images and units, with the counts that say which class occurs where.
        """
        shape = (len(units.seeds), len(units.units), units.counts.shape[-1], 2, PROBABILITY_BINS)
        image = pd.Index(units.images).get_indexer(pd.Index(rows["image_id"]))
        seed = np.searchsorted(units.seeds, rows["seed"].to_numpy())
        indices = (rows[name].to_numpy().astype(np.int64) for name in ("class_id", "predicted", "bin"))
        cell = np.ravel_multi_index((seed, units.unit_of_image[image], *indices), shape)
        sums = (np.bincount(cell, rows[name].to_numpy(), int(np.prod(shape))).reshape(shape) for name in _COLUMNS)
        pixels, true_pixels, p, true_p, p_squared = sums
        tp, _, fn = units.counts[:, 0]
        occurs = np.zeros(shape[1:3], dtype=np.int64)
        np.add.at(occurs, units.unit_of_image, (tp + fn > 0).astype(np.int64))
        unit = PROBABILITY_UNIT
        apart = None
        if units.apart is not None:
            apart = cls.of_rows(rows.assign(image_id=ids_apart(rows["image_id"], rows["fold"])), units.apart)
        return cls(pixels, true_pixels, p / unit, true_p / unit, p_squared / unit, occurs, units.folds, apart)


@dataclass(frozen=True)
class BinnedErrors:
    """The terms of an expected calibration error.

    Args:
        difference: (S, U, C, B) float64, sum of probabilities minus pixels of the class, per bin.
        pixels: (S, U, C) float64.
        occurs: (U, C) int64, > 0 where the unit counts.
    """

    difference: np.ndarray
    pixels: np.ndarray
    occurs: np.ndarray

    def by_seed(self, weights: np.ndarray) -> np.ndarray:
        """Return the error of each seed under (R, U) weights of units, (R, S, C); NaN where no unit counts.

        It is sum_b |sum of p - pixels of the class| / pixels, the expected calibration error of fixed bins.
        """
        seeds, units, classes, bins = self.difference.shape
        errors = np.empty((len(weights), seeds, classes))
        for seed in range(seeds):  # one at a time, to save memory
            gaps = np.abs(weights @ self.difference[seed].reshape(units, classes * bins))
            denominators = weights @ self.pixels[seed]
            errors[:, seed] = gaps.reshape(-1, classes, bins).sum(axis=2) / np.where(denominators > 0, denominators, 1)
        return np.where((weights @ self.occurs > 0)[:, None], errors, np.nan)


def classwise_errors(sums: ProbabilitySums) -> BinnedErrors:
    """Gather the calibration errors of each class over all labelled pixels, C = K.

    Source: Kull et al. 2019, section 2, "classwise-ECE" before averaging; Nixon et al. 2019, "SCE".
    """
    difference = (sums.p - sums.true_pixels).sum(axis=3)
    return BinnedErrors(difference, sums.pixels.sum(axis=(3, 4)), sums.occurs)


def top_label_errors(sums: ProbabilitySums) -> BinnedErrors:
    """Gather the calibration errors of each class over the pixels predicted as it, and over all pixels, C = K + 1.

    Source: Gupta and Ramdas 2022 (per class); Guo et al. 2017, equation 3 (all pixels: `ALL`, the last one).
    """
    difference = (sums.p - sums.true_pixels)[:, :, :, _PREDICTED]
    pixels = sums.pixels[:, :, :, _PREDICTED].sum(axis=-1)
    difference, pixels = _with_total(difference), _with_total(pixels)
    return BinnedErrors(difference, pixels, _counting(sums, pixels))


def overconfidence(sums: ProbabilitySums) -> Ratios:
    """Return mean probability minus share of right pixels: over the pixels predicted as each class, and over all."""
    predicted = [values[:, :, :, _PREDICTED].sum(axis=-1) for values in (sums.p, sums.true_pixels, sums.pixels)]
    p, right, pixels = (_with_total(part) for part in predicted)
    return Ratios(p - right, pixels, _counting(sums, pixels))


def prevalence_error(sums: ProbabilitySums) -> Ratios:
    """Return mean probability of each class over all labelled pixels minus the share of the class.

    Source: Cox 1958, "calibration in the large".
    """
    difference = (sums.p - sums.true_pixels).sum(axis=(3, 4))
    return Ratios(difference, sums.pixels.sum(axis=(3, 4)), sums.occurs)


def brier(sums: ProbabilitySums) -> Ratios:
    """Return the mean squared difference of probability and truth, per class, and summed over classes (0 to 2).

    Source: Brier 1950. Exact: sum (p - y)^2 = sum p^2 - 2 sum of p where y is 1 + pixels where y is 1.
    """
    squares = (sums.p_squared - 2 * sums.true_p + sums.true_pixels).sum(axis=(3, 4))
    pixels = sums.pixels.sum(axis=(3, 4))
    total = squares.sum(axis=-1, keepdims=True), pixels[..., :1]
    everywhere = (sums.occurs.sum(axis=-1, keepdims=True) > 0).astype(np.int64)
    numerators, denominators = (
        np.concatenate(arrays, axis=-1) for arrays in zip((squares, pixels), total, strict=True)
    )
    return Ratios(numerators, denominators, np.concatenate([sums.occurs, everywhere], axis=-1))


def calibration_rows(method: str, sums: ProbabilitySums, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Estimate the calibration of one method; rows of table `calibration`.

    Args:
        method: Label of the method.
        sums: Its sums.
        class_names: K names.
    """
    measures: dict[str, tuple[Callable[[ProbabilitySums], BinnedErrors | Ratios], float, float]] = {
        CALIBRATION_ERROR: (classwise_errors, 0, 1),
        TOP_LABEL_ERROR: (top_label_errors, 0, 1),
        OVERCONFIDENCE: (overconfidence, -1, 1),
        PREVALENCE_ERROR: (prevalence_error, -1, 1),
        BRIER: (brier, 0, 2),
    }
    rows = []
    for measure, (measured, lowest, highest) in measures.items():
        parts = measured(sums)
        class_influence, column_influence = influences = _influences(parts, len(class_names))
        if sums.folds is not None:
            apart = (None, None) if sums.apart is None else _influences(measured(sums.apart), len(class_names))
            class_influence, column_influence = (
                influence.over(sums.folds, of_tests) for influence, of_tests in zip(influences, apart, strict=True)
            )
        n_units = (parts.occurs > 0).sum(axis=0)
        of_macro = np.append(n_units[: len(class_names)], len(sums.occurs))
        class_rows = estimate_rows(class_influence, (*class_names, MACRO), of_macro, lowest=lowest, highest=highest)
        names = (*class_names, ALL)[: len(n_units)]
        column_rows = estimate_rows(column_influence, names, n_units, lowest=lowest, highest=highest)
        rows += [{"method": method, "measure": measure} | _renamed(row) for row in (class_rows[-1], *column_rows)]
    return rows


def diagram_rows(method: str, sums: ProbabilitySums, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Compare probability and frequency bin by bin; rows of table `reliability_diagram`, one per bin with a pixel.

    Args:
        method: Label of the method.
        sums: Its sums.
        class_names: K names. Each class has rows over all pixels; `ALL` bins pixels by the probability of their
            predicted class.
    """
    names, rows = (*class_names, ALL), []
    pixels, p = (_diagram_parts(values) for values in (sums.pixels, sums.p))
    for bin_index in range(PROBABILITY_BINS):
        denominators = pixels[..., bin_index]
        if not denominators.any():
            continue
        observed = {row["class"]: row for row in interval_rows(with_apart(partial(_in_bin, bin_index), sums), names)}
        for column, name in enumerate(names):
            n = int(denominators[..., column].sum())
            if not n:
                continue
            row = _renamed(observed[name])
            keys = {"method": method, "class": name, "bin_low": bin_index / PROBABILITY_BINS}
            keys |= {
                "bin_high": (bin_index + 1) / PROBABILITY_BINS,
                "probability": float(p[..., column, bin_index].sum() / n),
            }
            rows.append(keys | {key: row[key] for key in ("value", "low", "high", "n_units")} | {"pixels": n})
    return rows


def _in_bin(bin_index: int, sums: ProbabilitySums) -> Ratios:
    """Return the share of each class in one bin; a unit counts where every seed has a pixel in it."""
    true, pixels = (_diagram_parts(each[..., [bin_index]])[..., 0] for each in (sums.true_pixels, sums.pixels))
    return Ratios(true, pixels, np.all(pixels > 0, axis=0).astype(np.int64), sums.folds)


def _diagram_parts(values: np.ndarray) -> np.ndarray:
    """Return sums per class over all pixels, then over the predicted classes, (S, U, K, 2, B) -> (S, U, K + 1, B)."""
    predicted = values[:, :, :, _PREDICTED].sum(axis=2, keepdims=True)
    return np.concatenate([values.sum(axis=3), predicted], axis=2)


def _with_total(values: np.ndarray) -> np.ndarray:
    """Append the sum over classes, the third axis, as one more class."""
    return np.concatenate([values, values.sum(axis=2, keepdims=True)], axis=2)


def _counting(sums: ProbabilitySums, pixels: np.ndarray) -> np.ndarray:
    """Return in which units every seed predicts the class, if it occurs at all; then all units, (U, K + 1) int64."""
    counting = np.all(pixels > 0, axis=0)
    occurs = np.append(sums.occurs.any(axis=0), True)
    return (counting & occurs).astype(np.int64)


def _influences(parts: BinnedErrors | Ratios, classes: int) -> tuple[Influence, Influence]:
    """Return the influence of each unit on the K classes and their macro mean, and on every column, `ALL` included.

    A calibration error is not a smooth function of its sums, so no jackknife bias is subtracted.
    """
    if isinstance(parts, BinnedErrors):
        n_units = len(parts.occurs)
        by_seed = parts.by_seed(np.ones((1, n_units)))[0]
        without, estimate = np.moveaxis(parts.by_seed(1.0 - np.eye(n_units)), 1, 0), None
        as_ratios = Ratios(parts.pixels, parts.pixels, parts.occurs)
    else:
        by_seed, without, as_ratios = scores_by_seed(parts)[:, :-1], without_each(parts), parts
        estimate = by_seed.mean(axis=0)
    effective, counted = effective_units(as_ratios)[:-1], as_ratios.counted
    macro = mean_over_occurring(by_seed[:, :classes])
    of_classes = Influence.of_scores(
        np.column_stack([by_seed[:, :classes], macro]),
        without[..., :classes],
        counted[:, :classes],
        None if estimate is None else estimate[:classes],
        effective[:classes],
    )
    return of_classes, Influence.of_scores(by_seed, without, counted, estimate, effective)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {"value" if key == "mean" else key: value for key, value in row.items()}
