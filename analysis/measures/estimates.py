"""Measures of a survey with bootstrap intervals over groups."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.columns import table
from analysis.intervals import multinomial_weights
from analysis.measures import PRIMARY, boundary, frequency
from analysis.measures.morphology import FEWEST_INSTANCES, STANDARDISED, weighted_mad, weighted_median
from analysis.measures.survey import Survey
from imbalance_bench.seeding import generator

MOST_RESAMPLES = 2000  # an interval's ends then move by about 2 % of its width
_CHUNK = 250


@dataclass(frozen=True)
class Measure:
    """One measure.

    Args:
        construct: frequency, boundary or morphology.
        name: Name.
        unit: Unit of the value.
        evaluate: (B, G) weights of groups -> (B, K) values.
        n: (K,) what each value rests on.
    """

    construct: str
    name: str
    unit: str
    evaluate: Callable[[np.ndarray], np.ndarray]
    n: np.ndarray


def measure_table(found: Survey, class_names: tuple[str, ...], *, resamples: int, seed: int) -> pd.DataFrame:
    """Compute every measure with its interval; over folds, the mean of the folds' values. Table `measures`.

    Args:
        found: The survey of the training images.
        class_names: K names.
        resamples: Bootstrap resamples of groups, at most 2000 are used; percentile intervals.
        seed: Of the resampling.
    """
    n_groups = len(found.groups)
    weights = multinomial_weights(n_groups, min(resamples, MOST_RESAMPLES), generator(seed, "bootstrap", "measures"))
    rows = []
    for measure in measures_of(found, len(class_names)):
        values = _over_folds(measure, found, np.ones((1, n_groups)))[0]
        chunks = [weights[start : start + _CHUNK] for start in range(0, len(weights), _CHUNK)]
        resampled = np.concatenate([_over_folds(measure, found, chunk) for chunk in chunks])
        for c, name in enumerate(class_names):
            low, high = _percentiles(values[c], resampled[:, c], n_groups)
            row = {"class_id": c, "class": name, "construct": measure.construct, "measure": measure.name}
            row |= {"primary": PRIMARY[measure.construct] == measure.name, "value": values[c], "low": low, "high": high}
            rows.append(row | {"n": int(measure.n[c]), "unit": measure.unit})
    return table("measures", rows)


def measures_of(found: Survey, n_classes: int) -> list[Measure]:
    """Return every measure of a survey; the primary ones are named in `analysis.measures.PRIMARY`."""
    return [*_frequency(found), *_boundary(found), *_morphology(found, n_classes)]


def _frequency(found: Survey) -> list[Measure]:
    images = found.images.sum(axis=0)
    kinds: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = [
        ("pixel_share", "share of labelled pixels", lambda w: frequency.pixel_share(w, found.pixels)),
        ("image_share", "share of images", lambda w: frequency.image_share(w, found.images, found.n_images)),
        ("group_share", "share of groups", lambda w: frequency.group_share(w, found.images)),
        (
            "components_per_image",
            "components per image",
            lambda w: frequency.components_per_image(w, found.components, found.n_images),
        ),
    ]
    return [Measure("frequency", name, unit, evaluate, images) for name, unit, evaluate in kinds]


def _boundary(found: Survey) -> list[Measure]:
    inside, outside = (found.border[:, side].astype(np.float64) for side in (0, 1))  # (G, K, bins)
    n = found.border[:, 0].sum(axis=(0, 2))
    scale = f"{found.band_px * found.mpp_um:g} um" if found.mpp_um else f"{found.band_px:g} px"
    unit = f"1 - JS distance, band {scale}"

    def of(histograms: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        first, second = histograms(inside), histograms(outside)
        return lambda w: boundary.overlap(np.tensordot(w, first, 1), np.tensordot(w, second, 1))

    def exposure(w: np.ndarray) -> np.ndarray:
        pixels = w @ found.pixels
        return np.where(pixels > 0, w @ inside.sum(axis=2) / np.maximum(pixels, 1), np.nan)

    return [
        Measure("boundary", "border_stain_overlap", f"{unit}, H and E jointly", of(lambda h: h), n),
        Measure("boundary", "border_haematoxylin_overlap", unit, of(lambda h: boundary.marginal(h, "haematoxylin")), n),
        Measure("boundary", "border_eosin_overlap", unit, of(lambda h: boundary.marginal(h, "eosin")), n),
        Measure("boundary", "border_exposure", f"share of the class within {scale} of a border", exposure, n),
    ]


def _morphology(found: Survey, n_classes: int) -> list[Measure]:
    n = np.bincount(found.instances["class_id"], minlength=n_classes)
    scales = {name: _scale(found, name) for name in STANDARDISED}

    def per_class(statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], name: str) -> Callable:
        columns = [_sorted_instances(found, c, name) for c in range(n_classes)]

        def evaluate(w: np.ndarray) -> np.ndarray:
            values = np.full((len(w), n_classes), np.nan)
            for c, (x, group) in enumerate(columns):
                if len(x) >= FEWEST_INSTANCES:
                    values[:, c] = statistic(x, w[:, group])
            return values

        return evaluate

    spreads = {name: per_class(weighted_mad, name) for name in STANDARDISED}

    def dispersion(w: np.ndarray) -> np.ndarray:
        return np.sum([(spreads[name](w) / scales[name]) ** 2 for name in STANDARDISED], axis=0)

    area_unit = 1.0 if found.mpp_um is None else found.mpp_um**2
    median_area = per_class(weighted_median, "area_px")
    return [
        Measure("morphology", "shape_dispersion", "sum of 4 robust variances, standardised", dispersion, n),
        *(
            Measure("morphology", f"{name}_spread", "robust standard deviation", spreads[name], n)
            for name in STANDARDISED
        ),
        Measure(
            "morphology",
            "median_area",
            "px" if found.mpp_um is None else "um^2",
            lambda w: median_area(w) * area_unit,
            n,
        ),
    ]


def _sorted_instances(found: Survey, class_id: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = found.instances[found.instances["class_id"] == class_id].sort_values(name, kind="stable")
    return rows[name].to_numpy(dtype=np.float64), rows["group"].to_numpy()


def _scale(found: Survey, name: str) -> float:
    """Return the median over classes of a feature's robust spread: what a typical class varies by."""
    spreads = []
    for _, part in found.instances.groupby("class_id"):
        if len(part) >= FEWEST_INSTANCES:
            x = np.sort(part[name].to_numpy(dtype=np.float64))
            spreads.append(weighted_mad(x, np.ones((1, len(x))))[0])
    typical = float(np.median(spreads)) if spreads else 1.0
    return typical if typical > 0 else 1.0


def _over_folds(measure: Measure, found: Survey, weights: np.ndarray) -> np.ndarray:
    return np.mean([measure.evaluate(weights * members) for members in found.in_fold], axis=0)


def _percentiles(value: float, resampled: np.ndarray, n_groups: int) -> tuple[float, float]:
    known = resampled[np.isfinite(resampled)]
    if n_groups < 2 or not np.isfinite(value) or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
