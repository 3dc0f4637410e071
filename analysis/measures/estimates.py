"""The model-free measures of a survey, with bootstrap intervals over groups."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.geometry.nearest_border import PROFILE_STEP_UM, PROFILE_STEPS
from analysis.measures.boundary import border_measure, boundary_measures, outline_measures
from analysis.measures.construct import MOST_RESAMPLES, Construct, ratio
from analysis.measures.context import (
    adjacency_measures,
    border_shares,
    feature_measures,
    stain_measures,
)
from analysis.measures.feature_space import FeatureSums, class_overlaps
from analysis.measures.frequency import frequency_measures
from analysis.measures.morphology import dispersion_measure, fractal_measures, morphology_measures
from analysis.measures.size import size_measures
from analysis.measures.stains import STAIN_BINS
from analysis.measures.survey import Survey
from analysis.schema import table
from analysis.statistics.intervals import multinomial_weights
from imbalance_bench.preregistration import PRIMARY_MEASURES
from imbalance_bench.seeding import generator

HALVINGS = 100  # random splits for the reliability
_MOST_CELLS = 8_000_000  # resamples x instances or histogram bins at a time

Evaluate = Callable[[np.ndarray], np.ndarray]


def measure_table(
    survey: Survey,
    class_names: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
    features: FeatureSums | None = None,
    primary: Mapping[str, str] = PRIMARY_MEASURES,
) -> pd.DataFrame:
    """Compute every model-free measure with its interval, averaged over folds. Table `measures`.

    Args:
        survey: The survey of the training images.
        class_names: K names.
        resamples: Number of bootstrap resamples of groups for percentile intervals; at most 2000 are used.
        seed: Seed of the resampling.
        features: Features of a frozen encoder; without them the feature overlap is missing.
        primary: Construct -> its primary measure.
    """
    rows = []
    by_fold = [constructs(survey, features, fold) for fold in range(len(survey.in_fold))]
    for per_fold in zip(*by_fold, strict=True):
        evaluates = [construct.evaluate for construct in per_fold]
        n = np.min([construct.n for construct in per_fold], axis=0)
        values, *spread = _with_interval(evaluates, survey, min(resamples, per_fold[0].most_resamples), seed)
        if per_fold[0].single_unit is not None:
            spread = [np.where(per_fold[0].single_unit, np.nan, estimate) for estimate in spread]
        errors, low, high = spread
        reliable = split_half_reliability(evaluates, survey, seed)
        for m, (measure, unit) in enumerate(per_fold[0].units.items()):
            keys = {"construct": per_fold[0].name, "measure": measure, "primary": measure in primary.values()}
            for c, name in enumerate(class_names):
                row = {"class_id": c, "class": name, "value": values[m, c], "low": low[m, c], "high": high[m, c]}
                row |= {"standard_error": errors[m, c], "reliability": reliable[m], "n": int(n[c]), "unit": unit}
                rows.append(keys | row)
    return table("measures", rows)


def constructs(survey: Survey, features: FeatureSums | None, fold: int) -> Sequence[Construct]:
    """Return the measures by construct; rarefied ones are sampled from the training units of one fold."""
    return (
        frequency_measures(survey),
        size_measures(survey),
        border_measure(survey, fold),
        boundary_measures(survey),
        outline_measures(survey),
        dispersion_measure(survey, fold),
        morphology_measures(survey),
        fractal_measures(survey),
        feature_measures(survey, features, fold),
        stain_measures(survey),
        adjacency_measures(survey),
    )


def border_profile_table(survey: Survey, class_names: tuple[str, ...], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean H and E by signed distance to the border of each class. Table `border_profiles`."""
    k = len(class_names)

    def evaluate(w: np.ndarray) -> np.ndarray:
        sums = np.tensordot(w, survey.sums.profile, 1)  # (B, 2, K, steps, 3)
        sums = np.concatenate([sums[:, 1, :, ::-1], sums[:, 0]], axis=2)  # outside, far to near; inside, near to far
        return ratio(sums[..., 1:], sums[..., :1]).reshape(len(w), -1)[None]

    values, _, low, high = (
        estimate.reshape(k, 2 * PROFILE_STEPS, 2)
        for estimate in _with_interval([evaluate] * len(survey.in_fold), survey, resamples, seed)
    )
    profile = survey.sums.profile[..., 0].sum(axis=0)  # (2, K, steps)
    pixels = np.concatenate([profile[1, :, ::-1], profile[0]], axis=1)
    step = survey.scale.px(PROFILE_STEP_UM) * survey.scale.pixel
    rows = []
    for c, name in enumerate(class_names):
        for stain, channel in (("haematoxylin", 0), ("eosin", 1)):
            for position in range(2 * PROFILE_STEPS):
                row = {
                    "class_id": c,
                    "class": name,
                    "stain": stain,
                    "distance": (position - PROFILE_STEPS + 0.5) * step,
                }
                row |= {
                    "value": values[c, position, channel],
                    "low": low[c, position, channel],
                    "high": high[c, position, channel],
                }
                rows.append(row | {"n": int(pixels[c, position]), "unit": survey.scale.length_unit})
    return table("border_profiles", rows)


def adjacency_table(
    survey: Survey,
    class_names: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
    features: FeatureSums | None = None,
) -> pd.DataFrame:
    """Return the classes that each class borders, and how similar the two look. Table `adjacency`."""
    k = len(class_names)

    def evaluate(w: np.ndarray, fold: int) -> np.ndarray:
        missing = np.full((len(w), k, k), np.nan)
        overlaps = missing if features is None else class_overlaps(w, features, fold)
        return np.stack(
            [
                quantity.reshape(len(w), -1)
                for quantity in (border_shares(w, survey), survey.stain_overlaps(w), overlaps)
            ]
        )

    evaluates = [partial(evaluate, fold=fold) for fold in range(len(survey.in_fold))]
    values, _, low, high = _with_interval(evaluates, survey, resamples, seed)
    estimates = [estimate.reshape(3, k, k) for estimate in (values, low, high)]
    rival_overlaps = estimates[0][2] if features is not None else estimates[0][1]
    lengths = survey.sums.lengths.sum(axis=0) * survey.scale.pixel
    rows = []
    for i, name in enumerate(class_names):
        valid = np.isfinite(rival_overlaps[i])
        rival = int(np.argmax(np.where(valid, rival_overlaps[i], -np.inf))) if valid.any() else -1
        for j, other in enumerate(class_names):
            if i == j:
                continue
            row = {"class_id": i, "class": name, "other_id": j, "other": other, "border_length": lengths[i, j]}
            for m, measure in enumerate(("border_share", "stain_overlap", "feature_overlap")):
                ends = ("", "_low", "_high")
                row |= {f"{measure}{end}": estimate[m, i, j] for end, estimate in zip(ends, estimates, strict=True)}
            rows.append(row | {"nearest_rival": j == rival, "unit": survey.scale.length_unit})
    return table("adjacency", rows)


def split_half_reliability(evaluates: Sequence[Evaluate], survey: Survey, seed: int) -> np.ndarray:
    """Return the split-half reliability of the ranking of classes, (M,) in 0..1; NaN where it cannot be computed.

    The groups are split in halves at random, repeatedly; the Spearman correlation of the classes' values in both
    halves, averaged over splits, is stepped up to all groups. A negative correlation counts as 0.

    Args:
        evaluates: One function for each fold, as `Construct.evaluate`.
        survey: The survey.
        seed: Seed of the splits.

    Source:
        Spearman 1910 and Brown 1910 (the step up); a class that is missing from a half is left out of that split.
    """
    n_units, rng = len(survey.n_groups), generator(seed, "halves", "measures")
    halves = np.array([rng.permutation(n_units) < n_units // 2 for _ in range(HALVINGS)], dtype=float)
    first, second = (_over_folds(evaluates, survey, half) for half in (halves, 1 - halves))  # (M, halvings, K)
    whole = _over_folds(evaluates, survey, np.ones((1, n_units)))
    valid = np.isfinite(first) & np.isfinite(second) & np.isfinite(whole)
    correlation = _rank_correlations(first, second, valid)
    mean = ratio(np.where(np.isfinite(correlation), correlation, 0).sum(axis=1), np.isfinite(correlation).sum(axis=1))
    return np.where(np.isnan(mean), np.nan, 2 * np.maximum(mean, 0) / (1 + np.maximum(mean, 0)))


def _rank_correlations(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return Spearman correlations of valid pairs along the last axis; NaN for fewer than three or for ties only."""
    ranks = [rankdata(np.where(valid, values, np.nan), axis=-1, nan_policy="omit") for values in (first, second)]
    count = valid.sum(axis=-1)
    x, y = (np.where(valid, rank - (count[..., None] + 1) / 2, 0) for rank in ranks)
    spread = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.where((count > 2) & (spread > 0), (x * y).sum(axis=-1) / np.where(spread > 0, spread, 1), np.nan)


def _over_folds(evaluates: Sequence[Evaluate], survey: Survey, weights: np.ndarray) -> np.ndarray:
    """Return the mean of the folds' values, (M, B, K)."""
    folds = zip(evaluates, survey.in_fold, strict=True)
    return np.mean([evaluate(weights * members) for evaluate, members in folds], axis=0)


def _with_interval(
    evaluates: Sequence[Evaluate], survey: Survey, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return values, their standard errors and the ends of their 95 % percentile intervals, (M, K) each."""
    n_units = len(survey.n_groups)
    values = _over_folds(evaluates, survey, np.ones((1, n_units)))[:, 0]  # (M, K)
    error, low, high = np.full((3, *values.shape), np.nan)
    if n_units < 2:
        return values, error, low, high
    draws = multinomial_weights(n_units, min(resamples, MOST_RESAMPLES), generator(seed, "bootstrap", "measures"))
    chunk = max(10, _MOST_CELLS // max(len(survey.instances), survey.n_classes * STAIN_BINS))
    chunks = [draws[start : start + chunk] for start in range(0, len(draws), chunk)]
    resampled = np.concatenate([_over_folds(evaluates, survey, part) for part in chunks], axis=1)  # (M, B, K)
    for index in np.argwhere(np.isfinite(values)):
        sample = resampled[index[0], :, index[1]]
        sample = sample[np.isfinite(sample)]
        if len(sample) > 1:
            error[tuple(index)] = sample.std(ddof=1)
            low[tuple(index)], high[tuple(index)] = np.quantile(sample, [0.025, 0.975])
    return values, error, low, high
