"""The model-free measures of a survey, with bootstrap intervals over groups."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.geometry.nearest_border import PROFILE_STEP_UM, PROFILE_STEPS
from analysis.measures import PRIMARY
from analysis.measures.boundary import boundary_measures, outline_measures
from analysis.measures.construct import Construct, ratio
from analysis.measures.context import (
    adjacency_measures,
    border_shares,
    feature_measures,
    stain_measures,
    stain_overlaps,
)
from analysis.measures.feature_space import FeatureSums, class_overlaps
from analysis.measures.frequency import frequency_measures
from analysis.measures.morphology import fractal_measures, morphology_measures
from analysis.measures.size import size_measures
from analysis.measures.stains import STAIN_BINS
from analysis.measures.survey import Survey
from analysis.schema import table
from analysis.statistics.intervals import multinomial_weights
from imbalance_bench.seeding import generator

MOST_RESAMPLES = 2000  # an interval's ends then move by about 2 % of its width
_MOST_CELLS = 8_000_000  # resamples x instances or histogram bins at a time

Evaluate = Callable[[np.ndarray], np.ndarray]


def measure_table(
    found: Survey,
    class_names: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
    features: FeatureSums | None = None,
) -> pd.DataFrame:
    """Compute every model-free measure with its interval; over folds, the mean of the folds' values. Table `measures`.

    Args:
        found: The survey of the training images.
        class_names: K names.
        resamples: Bootstrap resamples of groups, at most 2000 are used; percentile intervals.
        seed: Of the resampling.
        features: Of a frozen encoder; without them the feature overlap is missing.
    """
    rows = []
    for construct in constructs(found, features):
        values, low, high = _with_interval(construct.evaluate, found, resamples, seed)
        for m, (measure, unit) in enumerate(construct.units.items()):
            keys = {"construct": construct.name, "measure": measure, "primary": measure in PRIMARY.values()}
            for c, name in enumerate(class_names):
                row = {"class_id": c, "class": name, "value": values[m, c], "low": low[m, c], "high": high[m, c]}
                rows.append(keys | row | {"n": int(construct.n[c]), "unit": unit})
    return table("measures", rows)


def constructs(found: Survey, features: FeatureSums | None) -> Sequence[Construct]:
    """Return the measures by construct."""
    return (
        frequency_measures(found),
        size_measures(found),
        boundary_measures(found),
        outline_measures(found),
        morphology_measures(found),
        fractal_measures(found),
        feature_measures(found, features),
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

    values, low, high = (
        each.reshape(k, 2 * PROFILE_STEPS, 2) for each in _with_interval(evaluate, found, resamples, seed)
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

    def evaluate(w: np.ndarray) -> np.ndarray:
        nothing = np.full((len(w), k, k), np.nan)
        alike = nothing if features is None else class_overlaps(w, features)
        return np.stack(
            [each.reshape(len(w), -1) for each in (border_shares(w, found), stain_overlaps(w, found), alike)]
        )

    found_here = [each.reshape(3, k, k) for each in _with_interval(evaluate, found, resamples, seed)]
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


def _with_interval(
    evaluate: Evaluate, found: Survey, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values and the ends of their 95 % percentile intervals, each of the shape of `evaluate` for one row."""
    n_units = len(found.n_groups)

    def over_folds(weights: np.ndarray) -> np.ndarray:
        return np.mean([evaluate(weights * members) for members in found.in_fold], axis=0)

    values = over_folds(np.ones((1, n_units)))[:, 0]  # (M, K)
    if n_units < 2:
        return values, np.full_like(values, np.nan), np.full_like(values, np.nan)
    draws = multinomial_weights(n_units, min(resamples, MOST_RESAMPLES), generator(seed, "bootstrap", "measures"))
    chunk = max(10, _MOST_CELLS // max(len(found.instances), found.n_classes * STAIN_BINS))
    chunks = [draws[start : start + chunk] for start in range(0, len(draws), chunk)]
    resampled = np.concatenate([over_folds(each) for each in chunks], axis=1)  # (M, B, K)
    low, high = np.full_like(values, np.nan), np.full_like(values, np.nan)
    for place in np.argwhere(np.isfinite(values)):
        kept = resampled[place[0], :, place[1]]
        kept = kept[np.isfinite(kept)]
        if len(kept):
            low[tuple(place)], high[tuple(place)] = np.quantile(kept, [0.025, 0.975])
    return values, low, high
