"""Morphological variability: how much do instances of a class differ in shape, and how intricate are they?"""

from collections.abc import Sequence

import numpy as np

from analysis.geometry.box_counts import fractal_dimension
from analysis.geometry.instances import HU_MOMENTS, STANDARDISED
from analysis.measures.construct import RAREFIED_RESAMPLES, Construct, ratio
from analysis.measures.instances import FEWEST_INSTANCES, ClassInstances, class_instances, instance_counts
from analysis.measures.rarefaction import rarefied_places
from analysis.measures.survey import Survey
from analysis.statistics.pair_differences import NORMAL_SD, PairDifferences
from analysis.statistics.robust import weighted_quantiles
from imbalance_bench.seeding import generator


def dispersion_measure(found: Survey, fold: int = 0) -> Construct:
    """Return how much the instances of each class differ, the same number of instances of every class.

    The dispersion is the mean over four features of Gini's mean difference, in units of the median class's, which are
    not resampled: 1 is as varied as the median class. Every resample draws its instances anew.

    Args:
        found: The survey.
        fold: Whose units give.
    """
    members, classes = found.in_fold[fold], class_instances(found, STANDARDISED)
    units = len(members)
    everything = _spreads(_pairs(classes, STANDARDISED, units), np.ones((1, units)))
    typical = np.array([_median_of_known(each) for each in everything[:, 0]])
    here = [class_.at(np.flatnonzero(members[class_.unit])) for class_ in classes]

    def evaluate(w: np.ndarray) -> np.ndarray:
        rng = generator(0, "rarefaction", "instances")
        samples = [_pairs(_rarefied(here, row.astype(np.int64), rng), STANDARDISED, units) for row in w]
        spreads = np.concatenate([_spreads(sample, np.ones((1, units))) for sample in samples], axis=1)
        return (spreads / typical[:, None, None]).mean(axis=0)[None]

    drawn = _rarefied(here, np.ones(units, np.int64), generator(0, "rarefaction", "instances"))
    return Construct(
        "morphology",
        {"shape_dispersion": "mean of 4 Gini mean differences, each over that of the median class"},
        evaluate,
        np.array([len(each) for each in drawn]),
        alone=np.array([len(np.unique(each.unit)) < 2 for each in here]),
        most_resamples=RAREFIED_RESAMPLES,
    )


def morphology_measures(found: Survey) -> Construct:
    """Return how much instances of each class differ in single features, and what the typical one is like."""
    names = (*STANDARDISED, *HU_MOMENTS)
    classes = class_instances(found, names)
    units = len(found.n_groups)
    shapes, moments = (_pairs(classes, each, units) for each in (STANDARDISED, HU_MOMENTS))
    typical = np.array([_median_of_known(each) for each in _spreads(moments, np.ones((1, units)))[:, 0]])

    def evaluate(w: np.ndarray) -> np.ndarray:
        medians = [_medians(classes, name, w) for name in ("eccentricity", "solidity")]
        return np.stack(
            [
                *_spreads(shapes, w),
                (_spreads(moments, w) / typical[:, None, None]).mean(axis=0),
                _fourier_variance(w, found),
                *medians,
            ]
        )

    spread = "Gini mean difference, as the SD of a normal distribution"
    texts = {f"{name}_spread": spread for name in STANDARDISED}
    texts |= {
        "hu_dispersion": "as shape_dispersion, of 7 log |Hu|; not comparable between resolutions",
        "fourier_variance": "trace of the covariance of normalised elliptic Fourier descriptors, order 10",
        "median_eccentricity": "of whole instances, 0 for a disk",
        "median_solidity": "area over that of the convex hull",
    }
    return Construct("morphology", texts, evaluate, instance_counts(found))


def fractal_measures(found: Survey) -> Construct:
    """Return the fractal dimension of the area that each class covers."""

    def evaluate(w: np.ndarray) -> np.ndarray:
        return fractal_dimension(np.tensordot(w, found.sums.boxes.astype(np.float64), 1))[None]

    units = {"fractal_dimension": "box counting; 2 for a filled region, 1 for a line"}
    return Construct("morphology", units, evaluate, found.sums.pixels.sum(axis=0))


def _rarefied(classes: Sequence[ClassInstances], copies: np.ndarray, rng: np.random.Generator) -> list[ClassInstances]:
    """Draw as many instances of every class, from as many units; `copies` (U,) is how often each unit is there."""
    sizes = [len(class_) for class_ in classes]
    chosen = rarefied_places(
        np.repeat(np.arange(len(classes)), sizes),
        [np.concatenate([class_.unit for class_ in classes])],
        len(classes),
        fewest=FEWEST_INSTANCES,
        copies=copies,
        rng=rng,
    )
    firsts = np.cumsum(sizes) - sizes
    return [each.at(places - first) for each, places, first in zip(classes, chosen, firsts, strict=True)]


def _pairs(classes: Sequence[ClassInstances], names: Sequence[str], units: int) -> list[list[PairDifferences | None]]:
    """Return the values of each feature and class, ready for many weightings; None of a class with too few."""
    return [
        [
            PairDifferences.of(own.features[name], own.mass, own.unit, units) if len(own) >= FEWEST_INSTANCES else None
            for own in classes
        ]
        for name in names
    ]


def _spreads(pairs: list[list[PairDifferences | None]], w: np.ndarray) -> np.ndarray:
    """Return Gini's mean difference of each feature and class in units of a normal SD, (F, B, K)."""
    unknown = np.full(len(w), np.nan)
    found = [[unknown if each is None else NORMAL_SD * each.mean(w) for each in row] for row in pairs]
    return np.array(found).swapaxes(1, 2)


def _medians(classes: Sequence[ClassInstances], name: str, w: np.ndarray) -> np.ndarray:
    """Return the median of a feature, (B, K)."""
    found = np.full((len(w), len(classes)), np.nan)
    for c, own in enumerate(classes):
        if len(own) >= FEWEST_INSTANCES:
            ordered = own.at(np.argsort(own.features[name], kind="stable"))
            weights = w[:, ordered.unit] * ordered.mass
            found[:, c] = weighted_quantiles(ordered.features[name], weights, (0.5,))[0]
    return found


def _fourier_variance(w: np.ndarray, found: Survey) -> np.ndarray:
    """Return half the mean squared distance of two descriptors, over pairs as in `PairDifferences`, (B, K)."""
    sums, count = found.sums.fourier, found.sums.outline[..., 0]  # (U, K, 2 + C), (U, K)
    total = np.tensordot(w, sums, 1)
    apart = total[..., 0] * total[..., 1] - (total[..., 2:] ** 2).sum(axis=-1)
    within = sums[..., 0] * sums[..., 1] - (sums[..., 2:] ** 2).sum(axis=-1)  # (U, K)
    weight = total[..., 0] ** 2 - w**2 @ sums[..., 0] ** 2
    alone = sums[..., 0] ** 2 * (1 - 1 / np.maximum(count, 1))  # the pairs of one unit, of nearly equal weights
    several = (w > 0).astype(float) @ (count > 0) > 1
    part, whole = np.where(several, apart - w**2 @ within, w @ within), np.where(several, weight, w @ alone)
    return np.where(w @ count >= FEWEST_INSTANCES, ratio(part, whole), np.nan)


def _median_of_known(spread: np.ndarray) -> float:
    """Return the median over classes of a feature's spread; 1 where there is none or it is 0."""
    known = spread[np.isfinite(spread)]
    typical = float(np.median(known)) if len(known) else 1.0
    return typical if typical > 0 else 1.0
