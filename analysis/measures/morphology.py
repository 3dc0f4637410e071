"""Morphological variability: how much do whole instances of a class differ in shape, and how intricate are they?"""

import numpy as np

from analysis.geometry.box_counts import fractal_dimension
from analysis.geometry.instances import HU_MOMENTS
from analysis.measures.construct import Construct, ratio
from analysis.measures.survey import Survey
from analysis.statistics.robust import weighted_median_and_mad

FEWEST_INSTANCES = 5  # below, a class has no shape measure
STANDARDISED = ("log_area", "eccentricity", "solidity", "compactness")


def morphology_measures(found: Survey) -> Construct:
    """Return how much whole instances of each class differ, and what the typical one is like.

    The dispersion is a robust total variation: the sum over four features of the squared robust standard deviation, in
    units of the median class's, which are not resampled. The dispersion of Hu's moments is built alike, over log |Hu|.
    """
    features, n = (*STANDARDISED, *HU_MOMENTS), found.n_classes
    columns = {(c, name): sorted_instances(found, c, name) for c in range(n) for name in features}

    def spreads(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return medians and robust standard deviations, (F, B, K) each."""
        medians, mads = np.full((2, len(features), len(w), n), np.nan)
        for (c, name), (x, rows) in columns.items():
            if len(x) >= FEWEST_INSTANCES:
                row = features.index(name)
                medians[row, :, c], mads[row, :, c] = weighted_median_and_mad(x, w[:, rows])
        return medians, mads

    typical = np.array([_median_of_known(each) for each in spreads(np.ones((1, len(found.n_groups))))[1]])

    def evaluate(w: np.ndarray) -> np.ndarray:
        middles, mads = spreads(w)
        medians = [middles[features.index(name)] for name in ("eccentricity", "solidity")]
        standardised = (mads / typical[:, None, None]) ** 2
        ours = len(STANDARDISED)
        total, squares, first = _fourier(w, found)
        variance = ratio(squares, total) - (ratio(first, total[..., None]) ** 2).sum(axis=-1)
        return np.stack(
            [
                standardised[:ours].sum(axis=0),
                *mads[:ours],
                standardised[ours:].sum(axis=0),
                np.where(total >= FEWEST_INSTANCES, variance, np.nan),
                *medians,
            ]
        )

    units = {"shape_dispersion": "sum of 4 robust variances, each over that of the median class"}
    units |= {f"{name}_spread": "robust standard deviation" for name in STANDARDISED}
    units |= {
        "hu_dispersion": "as shape_dispersion, of 7 log |Hu|; not comparable between resolutions",
        "fourier_variance": "trace of the covariance of normalised elliptic Fourier descriptors, order 10",
        "median_eccentricity": "of whole instances, 0 for a disk",
        "median_solidity": "area over that of the convex hull",
    }
    return Construct("morphology", units, evaluate, instance_counts(found))


def fractal_measures(found: Survey) -> Construct:
    """Return the fractal dimension of the area that each class covers."""

    def evaluate(w: np.ndarray) -> np.ndarray:
        return fractal_dimension(np.tensordot(w, found.sums.boxes.astype(np.float64), 1))[None]

    units = {"fractal_dimension": "box counting; 2 for a filled region, 1 for a line"}
    return Construct("morphology", units, evaluate, found.sums.pixels.sum(axis=0))


def sorted_instances(found: Survey, class_id: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one feature of a class's kept instances, ascending, and the unit of each."""
    rows = found.instances[found.instances["class_id"] == class_id].sort_values(name, kind="stable")
    return rows[name].to_numpy(dtype=np.float64), rows["unit"].to_numpy()


def instance_counts(found: Survey) -> np.ndarray:
    """Return how many instances of each class were kept, (K,)."""
    return np.bincount(found.instances["class_id"], minlength=found.n_classes)


def _fourier(w: np.ndarray, found: Survey) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return instances (B, K), the sum of squared norms (B, K) and of descriptors (B, K, coefficients)."""
    sums = np.tensordot(w, found.sums.fourier, 1)
    return sums[..., 0], sums[..., 1], sums[..., 2:]


def _median_of_known(spread: np.ndarray) -> float:
    """Return the median over classes of a feature's spread; 1 where there is none or it is 0."""
    known = spread[np.isfinite(spread)]
    typical = float(np.median(known)) if len(known) else 1.0
    return typical if typical > 0 else 1.0
