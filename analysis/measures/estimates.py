"""Measures of a survey with bootstrap intervals over groups."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.columns import table
from analysis.intervals import multinomial_weights
from analysis.measures import PRIMARY, boundary, frequency
from analysis.measures.morphology import STANDARDISED
from analysis.measures.robust import weighted_median_and_mad
from analysis.measures.survey import Survey
from imbalance_bench.seeding import generator

MOST_RESAMPLES = 2000  # an interval's ends then move by about 2 % of its width
FEWEST_INSTANCES = 5  # below, a class has no shape measure
_CHUNK = 250


@dataclass(frozen=True)
class Construct:
    """The measures of one construct, computed together.

    Args:
        name: frequency, boundary or morphology.
        units: Measure -> unit of its value, M of them.
        evaluate: (B, G) weights of groups -> (M, B, K) values.
        n: (K,) what each value rests on.
    """

    name: str
    units: dict[str, str]
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
    for construct in (frequency_measures(found), boundary_measures(found), morphology_measures(found)):
        values = _over_folds(construct, found, np.ones((1, n_groups)))[:, 0]  # (M, K)
        chunks = [weights[start : start + _CHUNK] for start in range(0, len(weights), _CHUNK)]
        resampled = np.concatenate([_over_folds(construct, found, chunk) for chunk in chunks], axis=1)
        for m, (measure, unit) in enumerate(construct.units.items()):
            keys = {"construct": construct.name, "measure": measure, "primary": PRIMARY[construct.name] == measure}
            for c, name in enumerate(class_names):
                low, high = _percentiles(values[m, c], resampled[m, :, c], n_groups)
                row = {"class_id": c, "class": name, "value": values[m, c], "low": low, "high": high}
                rows.append(keys | row | {"n": int(construct.n[c]), "unit": unit})
    return table("measures", rows)


def frequency_measures(found: Survey) -> Construct:
    """Return how much of each class there is."""
    units = {
        "pixel_share": "share of labelled pixels",
        "image_share": "share of images",
        "group_share": "share of groups",
        "components_per_image": "components per image",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                frequency.pixel_share(w, found.pixels),
                frequency.image_share(w, found.images, found.n_images),
                frequency.group_share(w, found.images),
                frequency.components_per_image(w, found.components, found.n_images),
            ]
        )

    return Construct("frequency", units, evaluate, found.images.sum(axis=0))


def boundary_measures(found: Survey) -> Construct:
    """Return how alike the stains on both sides of each class's border are; 1 is indistinguishable."""
    inside, outside = (found.border[:, side].astype(np.float64) for side in (0, 1))  # (G, K, bins)
    pixels = inside.sum(axis=2)  # (G, K)
    scale = f"{found.band_px * found.mpp_um:g} um" if found.mpp_um else f"{found.band_px:g} px"
    unit = f"1 - JS distance, band {scale}"
    units = {
        "border_stain_overlap": f"{unit}, H and E jointly",
        "border_haematoxylin_overlap": unit,
        "border_eosin_overlap": unit,
        "border_exposure": f"share of the class within {scale} of its border",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        first, second = np.tensordot(w, inside, 1), np.tensordot(w, outside, 1)  # (B, K, bins)
        stains = [
            boundary.overlap(*(boundary.marginal(each, stain) for each in (first, second)))
            for stain in ("haematoxylin", "eosin")
        ]
        total = w @ found.pixels
        exposure = np.where(total > 0, w @ pixels / np.maximum(total, 1), np.nan)
        return np.stack([boundary.overlap(first, second), *stains, exposure])

    return Construct("boundary", units, evaluate, pixels.sum(axis=0).astype(np.int64))


def morphology_measures(found: Survey) -> Construct:
    """Return how much whole instances of each class differ.

    The dispersion is a robust total variation: the sum over four features of the squared robust standard deviation, in
    units of the median class's, which are not resampled.
    """
    n_classes = found.pixels.shape[1]
    features = ("area_px", *STANDARDISED)
    columns = {(c, name): _sorted_instances(found, c, name) for c in range(n_classes) for name in features}
    area = 1.0 if found.mpp_um is None else found.mpp_um**2

    def spreads(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return median area (B, K) and the features' spreads (F, B, K)."""
        medians, mads = np.full((2, len(features), len(w), n_classes), np.nan)
        for (c, name), (x, group) in columns.items():
            if len(x) >= FEWEST_INSTANCES:
                row = features.index(name)
                medians[row, :, c], mads[row, :, c] = weighted_median_and_mad(x, w[:, group])
        return medians[0] * area, mads[1:]

    typical = np.array([_median_of_known(each) for each in spreads(np.ones((1, len(found.groups))))[1]])

    def evaluate(w: np.ndarray) -> np.ndarray:
        median_area, mads = spreads(w)
        dispersion = ((mads / typical[:, None, None]) ** 2).sum(axis=0)
        return np.stack([dispersion, *mads, median_area])

    units = {"shape_dispersion": "sum of 4 robust variances, each over that of the median class"}
    units |= {f"{name}_spread": "robust standard deviation" for name in STANDARDISED}
    units |= {"median_area": "px" if found.mpp_um is None else "um^2"}
    n = np.bincount(found.instances["class_id"], minlength=n_classes)
    return Construct("morphology", units, evaluate, n)


def _sorted_instances(found: Survey, class_id: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = found.instances[found.instances["class_id"] == class_id].sort_values(name, kind="stable")
    return rows[name].to_numpy(dtype=np.float64), rows["group"].to_numpy()


def _median_of_known(spread: np.ndarray) -> float:
    """Return the median over classes of a feature's spread; 1 where there is none or it is 0."""
    known = spread[np.isfinite(spread)]
    typical = float(np.median(known)) if len(known) else 1.0
    return typical if typical > 0 else 1.0


def _over_folds(construct: Construct, found: Survey, weights: np.ndarray) -> np.ndarray:
    return np.mean([construct.evaluate(weights * members) for members in found.in_fold], axis=0)


def _percentiles(value: float, resampled: np.ndarray, n_groups: int) -> tuple[float, float]:
    known = resampled[np.isfinite(resampled)]
    if n_groups < 2 or not np.isfinite(value) or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
