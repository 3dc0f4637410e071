"""Morphological variability: how much do the instances of a class differ in shape, and how complex is their outline?"""

from collections.abc import Sequence

import numpy as np

from analysis.geometry.box_counts import fractal_dimension
from analysis.geometry.instances import HU_MOMENTS, STANDARDISED
from analysis.measures.construct import RAREFIED_RESAMPLES, Construct, ratio
from analysis.measures.instances import FEWEST_INSTANCES, ClassInstances, class_instances, instance_counts
from analysis.measures.rarefaction import rarefied_indices
from analysis.measures.survey import Survey
from analysis.statistics.pair_differences import NORMAL_SD, PairDifferences
from analysis.statistics.robust import weighted_quantiles
from imbalance_bench.seeding import generator


def dispersion_measure(survey: Survey, fold: int = 0) -> Construct:
    """Return how much the instances of each class differ, from the same number of instances of every class.

    The dispersion is the mean over four features of Gini's mean difference, relative to that of the median class,
    which is not resampled: 1 is as varied as the median class. Every resample draws its instances anew.

    Args:
        survey: The survey.
        fold: Fold whose training units are sampled.
    """
    members, classes = survey.in_fold[fold], class_instances(survey, STANDARDISED)
    units = len(members)
    all_spreads = _spreads(_pair_differences(classes, STANDARDISED, units), STANDARDISED, np.ones((1, units)))
    typical = np.array([_median_of_valid(spread) for spread in all_spreads[:, 0]])
    fold_classes = [class_.at(np.flatnonzero(members[class_.unit])) for class_ in classes]

    def evaluate(w: np.ndarray) -> np.ndarray:
        rng = generator(0, "rarefaction", "instances")
        samples = [
            _pair_differences(_rarefied(fold_classes, row.astype(np.int64), rng), STANDARDISED, units) for row in w
        ]
        spreads = np.concatenate([_spreads(sample, STANDARDISED, np.ones((1, units))) for sample in samples], axis=1)
        return (spreads / typical[:, None, None]).mean(axis=0)[None]

    drawn = _rarefied(fold_classes, np.ones(units, np.int64), generator(0, "rarefaction", "instances"))
    return Construct(
        "morphology",
        {"shape_dispersion": "mean of 4 Gini mean differences, each over that of the median class"},
        evaluate,
        np.array([len(class_) for class_ in drawn]),
        single_unit=np.array([len(np.unique(class_.unit)) < 2 for class_ in fold_classes]),
        most_resamples=RAREFIED_RESAMPLES,
    )


def morphology_measures(survey: Survey) -> Construct:
    """Return how much the instances of each class differ in single features, and the shape of the typical one."""
    names = (*STANDARDISED, *HU_MOMENTS)
    classes = class_instances(survey, names)
    units = len(survey.n_groups)
    shapes, moments = (_pair_differences(classes, features, units) for features in (STANDARDISED, HU_MOMENTS))
    typical = np.array(
        [_median_of_valid(spread) for spread in _spreads(moments, HU_MOMENTS, np.ones((1, units)))[:, 0]]
    )

    def evaluate(w: np.ndarray) -> np.ndarray:
        medians = [_medians(classes, name, w) for name in ("eccentricity", "solidity")]
        return np.stack(
            [
                *_spreads(shapes, STANDARDISED, w),
                (_spreads(moments, HU_MOMENTS, w) / typical[:, None, None]).mean(axis=0),
                _fourier_variance(w, survey),
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
    return Construct("morphology", texts, evaluate, instance_counts(survey))


def fractal_measures(survey: Survey) -> Construct:
    """Return the fractal dimension of the area that each class covers."""

    def evaluate(w: np.ndarray) -> np.ndarray:
        return fractal_dimension(np.tensordot(w, survey.sums.boxes.astype(np.float64), 1))[None]

    units = {"fractal_dimension": "box counting; 2 for a filled region, 1 for a line"}
    return Construct("morphology", units, evaluate, survey.sums.pixels.sum(axis=0))


def _rarefied(classes: Sequence[ClassInstances], copies: np.ndarray, rng: np.random.Generator) -> list[ClassInstances]:
    """Draw equally many instances per class from equally many units; `copies` (U,) is how often each unit occurs."""
    sizes = [len(class_) for class_ in classes]
    chosen = rarefied_indices(
        np.repeat(np.arange(len(classes)), sizes),
        [np.concatenate([class_.unit for class_ in classes])],
        len(classes),
        fewest=FEWEST_INSTANCES,
        copies=copies,
        rng=rng,
    )
    offsets = np.cumsum(sizes) - sizes
    return [class_.at(indices - offset) for class_, indices, offset in zip(classes, chosen, offsets, strict=True)]


def _pair_differences(
    classes: Sequence[ClassInstances], names: Sequence[str], units: int
) -> list[PairDifferences | None]:
    """Return the pair differences of the features of each class; None for a class with too few instances."""
    return [
        PairDifferences.of(np.stack([class_.features[name] for name in names]), class_.mass, class_.unit, units)
        if len(class_) >= FEWEST_INSTANCES
        else None
        for class_ in classes
    ]


def _spreads(pairs: Sequence[PairDifferences | None], names: Sequence[str], w: np.ndarray) -> np.ndarray:
    """Return Gini's mean difference of each feature and class in units of a normal SD, (F, B, K)."""
    spreads = np.full((len(names), len(w), len(pairs)), np.nan)
    for c, differences in enumerate(pairs):
        if differences is not None:
            spreads[..., c] = NORMAL_SD * differences.mean(w)
    return spreads


def _medians(classes: Sequence[ClassInstances], name: str, w: np.ndarray) -> np.ndarray:
    """Return the median of a feature, (B, K)."""
    survey = np.full((len(w), len(classes)), np.nan)
    for c, class_ in enumerate(classes):
        if len(class_) >= FEWEST_INSTANCES:
            ordered = class_.at(np.argsort(class_.features[name], kind="stable"))
            weights = w[:, ordered.unit] * ordered.mass
            survey[:, c] = weighted_quantiles(ordered.features[name], weights, (0.5,))[0]
    return survey


def _fourier_variance(w: np.ndarray, survey: Survey) -> np.ndarray:
    """Return half the mean squared distance between two descriptors, over pairs as in `PairDifferences`, (B, K)."""
    sums, count = survey.sums.fourier, survey.sums.outline[..., 0]  # (U, K, 2 + C), (U, K)
    total = np.tensordot(w, sums, 1)
    apart = total[..., 0] * total[..., 1] - (total[..., 2:] ** 2).sum(axis=-1)
    within = sums[..., 0] * sums[..., 1] - (sums[..., 2:] ** 2).sum(axis=-1)  # (U, K)
    weight = total[..., 0] ** 2 - w**2 @ sums[..., 0] ** 2
    single = sums[..., 0] ** 2 * (1 - 1 / np.maximum(count, 1))  # the pairs within one unit, of nearly equal weights
    several = (w > 0).astype(float) @ (count > 0) > 1
    part, whole = np.where(several, apart - w**2 @ within, w @ within), np.where(several, weight, w @ single)
    return np.where(w @ count >= FEWEST_INSTANCES, ratio(part, whole), np.nan)


def _median_of_valid(spread: np.ndarray) -> float:
    """Return the median of valid spreads over classes; 1 where there is none or the median is 0."""
    valid = spread[np.isfinite(spread)]
    typical = float(np.median(valid)) if len(valid) else 1.0
    return typical if typical > 0 else 1.0
