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
    stain_overlaps,
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

HALVINGS = 100  # for the reliability
_MOST_CELLS = 8_000_000  # resamples x instances or histogram bins at a time

Evaluate = Callable[[np.ndarray], np.ndarray]


def measure_table(
    found: Survey,
    class_names: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
    features: FeatureSums | None = None,
    primary: Mapping[str, str] = PRIMARY_MEASURES,
) -> pd.DataFrame:
    """Compute every model-free measure with its interval; over folds, the mean of the folds' values. Table `measures`.

    Args:
        found: The survey of the training images.
        class_names: K names.
        resamples: Bootstrap resamples of groups, at most 2000 are used; percentile intervals.
        seed: Of the resampling.
        features: Of a frozen encoder; without them the feature overlap is missing.
        primary: Construct -> its primary measure.
    """
    rows = []
    by_fold = [constructs(found, features, fold) for fold in range(len(found.in_fold))]
    for construct in zip(*by_fold, strict=True):
        evaluates, n = [each.evaluate for each in construct], np.min([each.n for each in construct], axis=0)
        values, *spread = _with_interval(evaluates, found, min(resamples, construct[0].most_resamples), seed)
        if construct[0].alone is not None:
            spread = [np.where(construct[0].alone, np.nan, part) for part in spread]
        errors, low, high = spread
        reliable = split_half_reliability(evaluates, found, seed)
        for m, (measure, unit) in enumerate(construct[0].units.items()):
            keys = {"construct": construct[0].name, "measure": measure, "primary": measure in primary.values()}
            for c, name in enumerate(class_names):
                row = {"class_id": c, "class": name, "value": values[m, c], "low": low[m, c], "high": high[m, c]}
                row |= {"standard_error": errors[m, c], "reliability": reliable[m], "n": int(n[c]), "unit": unit}
                rows.append(keys | row)
    return table("measures", rows)


def constructs(found: Survey, features: FeatureSums | None, fold: int) -> Sequence[Construct]:
    """Return the measures by construct, those that are rarefied from the units of one fold."""
    return (
        frequency_measures(found),
        size_measures(found),
        border_measure(found, fold),
        boundary_measures(found),
        outline_measures(found),
        dispersion_measure(found, fold),
        morphology_measures(found),
        fractal_measures(found),
        feature_measures(found, features, fold),
        stain_measures(found),
        adjacency_measures(found),
    )


def border_profile_table(found: Survey, class_names: tuple[str, ...], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean H and E by signed distance to the border of each class. Table `border_profiles`."""
    k = len(class_names)

    def evaluate(w: np.ndarray) -> np.ndarray:
        sums = np.tensordot(w, found.sums.profile, 1)  # (B, 2, K, steps, 3)
        sums = np.concatenate([sums[:, 1, :, ::-1], sums[:, 0]], axis=2)  # outside, far to near; inside, near to far
        return ratio(sums[..., 1:], sums[..., :1]).reshape(len(w), -1)[None]

    values, _, low, high = (
        each.reshape(k, 2 * PROFILE_STEPS, 2)
        for each in _with_interval([evaluate] * len(found.in_fold), found, resamples, seed)
    )
    profile = found.sums.profile[..., 0].sum(axis=0)  # (2, K, steps)
    pixels = np.concatenate([profile[1, :, ::-1], profile[0]], axis=1)
    step = found.scale.px(PROFILE_STEP_UM) * found.scale.pixel
    rows = []
    for c, name in enumerate(class_names):
        for stain, which in (("haematoxylin", 0), ("eosin", 1)):
            for place in range(2 * PROFILE_STEPS):
                row = {"class_id": c, "class": name, "stain": stain, "distance": (place - PROFILE_STEPS + 0.5) * step}
                row |= {"value": values[c, place, which], "low": low[c, place, which], "high": high[c, place, which]}
                rows.append(row | {"n": int(pixels[c, place]), "unit": found.scale.length_unit})
    return table("border_profiles", rows)


def adjacency_table(
    found: Survey,
    class_names: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
    features: FeatureSums | None = None,
) -> pd.DataFrame:
    """Return what each class borders on, and how alike the two look. Table `adjacency`."""
    k = len(class_names)

    def evaluate(w: np.ndarray, fold: int) -> np.ndarray:
        nothing = np.full((len(w), k, k), np.nan)
        alike = nothing if features is None else class_overlaps(w, features, fold)
        return np.stack(
            [each.reshape(len(w), -1) for each in (border_shares(w, found), stain_overlaps(w, found), alike)]
        )

    evaluates = [partial(evaluate, fold=fold) for fold in range(len(found.in_fold))]
    values, _, low, high = _with_interval(evaluates, found, resamples, seed)
    found_here = [each.reshape(3, k, k) for each in (values, low, high)]
    rival_by = found_here[0][2] if features is not None else found_here[0][1]
    lengths = found.sums.lengths.sum(axis=0) * found.scale.pixel
    rows = []
    for i, name in enumerate(class_names):
        known = np.isfinite(rival_by[i])
        rival = int(np.argmax(np.where(known, rival_by[i], -np.inf))) if known.any() else -1
        for j, other in enumerate(class_names):
            if i == j:
                continue
            row = {"class_id": i, "class": name, "other_id": j, "other": other, "border_length": lengths[i, j]}
            for m, measure in enumerate(("border_share", "stain_overlap", "feature_overlap")):
                ends = ("", "_low", "_high")
                row |= {f"{measure}{end}": each[m, i, j] for end, each in zip(ends, found_here, strict=True)}
            rows.append(row | {"nearest_rival": j == rival, "unit": found.scale.length_unit})
    return table("adjacency", rows)


def split_half_reliability(evaluates: Sequence[Evaluate], found: Survey, seed: int) -> np.ndarray:
    """Return how reliably the groups at hand rank the classes, (M,) in 0..1; NaN where halves cannot tell.

    The groups are halved at random again and again; the Spearman correlation of the classes' values in both halves,
    averaged over halvings, is stepped up to the whole. A correlation below 0 counts as 0.

    Args:
        evaluates: Of the folds.
        found: The survey.
        seed: Of the halvings.

    Source:
        Spearman 1910 and Brown 1910 (the step up); classes missing in a half are left out of that halving.
    """
    n_units, rng = len(found.n_groups), generator(seed, "halves", "measures")
    halves = np.array([rng.permutation(n_units) < n_units // 2 for _ in range(HALVINGS)], dtype=float)
    one, other = (_over_folds(evaluates, found, each) for each in (halves, 1 - halves))  # (M, halvings, K)
    whole = _over_folds(evaluates, found, np.ones((1, n_units)))
    known = np.isfinite(one) & np.isfinite(other) & np.isfinite(whole)
    correlation = _rank_correlations(one, other, known)
    mean = ratio(np.where(np.isfinite(correlation), correlation, 0).sum(axis=1), np.isfinite(correlation).sum(axis=1))
    return np.where(np.isnan(mean), np.nan, 2 * np.maximum(mean, 0) / (1 + np.maximum(mean, 0)))


def _rank_correlations(one: np.ndarray, other: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return Spearman correlations along the last axis over what is known; NaN with fewer than three or all tied."""
    ranks = [rankdata(np.where(known, each, np.nan), axis=-1, nan_policy="omit") for each in (one, other)]
    count = known.sum(axis=-1)
    x, y = (np.where(known, rank - (count[..., None] + 1) / 2, 0) for rank in ranks)
    spread = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.where((count > 2) & (spread > 0), (x * y).sum(axis=-1) / np.where(spread > 0, spread, 1), np.nan)


def _over_folds(evaluates: Sequence[Evaluate], found: Survey, weights: np.ndarray) -> np.ndarray:
    """Return the mean of the folds' values, (M, B, K)."""
    folds = zip(evaluates, found.in_fold, strict=True)
    return np.mean([evaluate(weights * members) for evaluate, members in folds], axis=0)


def _with_interval(
    evaluates: Sequence[Evaluate], found: Survey, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return values, their standard errors and the ends of their 95 % percentile intervals, (M, K) each."""
    n_units = len(found.n_groups)
    values = _over_folds(evaluates, found, np.ones((1, n_units)))[:, 0]  # (M, K)
    error, low, high = np.full((3, *values.shape), np.nan)
    if n_units < 2:
        return values, error, low, high
    draws = multinomial_weights(n_units, min(resamples, MOST_RESAMPLES), generator(seed, "bootstrap", "measures"))
    chunk = max(10, _MOST_CELLS // max(len(found.instances), found.n_classes * STAIN_BINS))
    chunks = [draws[start : start + chunk] for start in range(0, len(draws), chunk)]
    resampled = np.concatenate([_over_folds(evaluates, found, part) for part in chunks], axis=1)  # (M, B, K)
    for place in np.argwhere(np.isfinite(values)):
        kept = resampled[place[0], :, place[1]]
        kept = kept[np.isfinite(kept)]
        if len(kept) > 1:
            error[tuple(place)] = kept.std(ddof=1)
            low[tuple(place)], high[tuple(place)] = np.quantile(kept, [0.025, 0.975])
    return values, error, low, high
