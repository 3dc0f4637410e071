"""How similar classes look to a frozen encoder: overlap of Gaussian fits and silhouettes, from equal samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from analysis.measures.cached_features import CachedFeatures
from analysis.measures.construct import ByRow, ratio
from analysis.measures.feature_draws import Batches, CellDraw, draw_cells
from analysis.measures.survey import Survey
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.seeding import generator

COMPONENTS = 16  # principal components of the standardised channels, with equal weights of classes
FEWEST_CELLS = 2 * COMPONENTS  # a class with fewer has no Gaussian
MOST_CELLS = 1000  # per class and draw; bounds memory
DRAWS = 8  # equal samples over which values are averaged
SILHOUETTE_CELLS = 300  # per class
_CELLS = 2048  # cells whose products are added at a time
_ROWS = 128  # resamples whose covariances are compared at a time


@dataclass(frozen=True)
class SampleSums:
    """Sums over the cells of each unit of one sample, in the space of its first principal components.

    Args:
        count: (U, K) number of cells.
        centre: (K, D) mean of each class, which is subtracted before summing.
        first: (U, K, D) sums of features.
        second: (U, K, D, D) sums of outer products.
        shrinkage: (K,) Ledoit and Wolf's intensity, from all cells; not resampled.
        silhouettes: (U, K, 2) number of cells that have a silhouette, and the sum of their silhouettes.
    """

    count: np.ndarray
    centre: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shrinkage: np.ndarray
    silhouettes: np.ndarray

    @cached_property
    def overlaps(self) -> ByRow:
        """Bhattacharyya coefficient of the Gaussians of each pair of classes.

        (B, K, K) float64 under (B, U) weights of units; NaN on the diagonal, and for a class with too few cells.

        Source:
            Kailath 1967; covariances shrunk after Ledoit and Wolf 2004.
        """
        return ByRow(partial(_sample_overlaps, sample=self), _ROWS)


@dataclass(frozen=True)
class FeatureSums:
    """Equal samples of every class, several for each fold.

    Args:
        encoder: Name of the encoder.
        samples: The samples of each of F folds.
        permuted: Mean overlap with the nearest rival when the labels of tiles are permuted, the value for equal
            classes.
    """

    encoder: str
    samples: Sequence[Sequence[SampleSums]]
    permuted: float

    @property
    def single_unit(self) -> np.ndarray:
        """(K,) bool, classes of which all samples contain one unit only."""
        cells = np.sum([sample.count for fold in self.samples for sample in fold], axis=0)
        return (cells > 0).sum(axis=0) < 2

    def cells(self, fold: int) -> np.ndarray:
        """Return the number of cells of each class in a sample, (K,) int64."""
        return self.samples[fold][0].count.sum(axis=0).astype(np.int64)


def feature_sums(cached: CachedFeatures, dataset: PreparedDataset, taxonomy: Taxonomy, survey: Survey) -> FeatureSums:
    """Sample the cached features of the surveyed images, in two passes with one tile in memory at a time."""

    def batches() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for image_id, classes, values in cached.cells(dataset, taxonomy, list(survey.unit_of)):
            yield survey.unit_of[image_id], classes, values

    return sum_features(
        cached.encoder, batches, n_units=len(survey.n_groups), n_classes=survey.n_classes, in_fold=survey.in_fold
    )


def sum_features(
    encoder: str, batches: Batches, *, n_units: int, n_classes: int, in_fold: np.ndarray | None = None
) -> FeatureSums:
    """Draw equal samples of features and reduce them to sums.

    Args:
        encoder: Name of the encoder.
        batches: `batches()` yields (unit, (n,) classes, (n, C) features) of each tile, the same at each of two calls.
        n_units: U.
        n_classes: K.
        in_fold: (F, U) bool, training units of each fold; by default one fold of all units.
    """
    in_fold = np.ones((1, n_units), bool) if in_fold is None else in_fold
    rngs = [generator(0, "rarefaction", "cells", number) for number in range(-(-DRAWS // len(in_fold)))]
    drawn = draw_cells(batches, in_fold, n_classes, fewest=FEWEST_CELLS, most=MOST_CELLS, rngs=rngs)
    samples, permuted = [], []
    for draws in drawn:
        samples.append([sum_sample(sample, n_units, n_classes) for sample in draws])
        for draw, rng in zip(draws, rngs, strict=True):
            equal = sum_sample(_permuted(draw, rng), n_units, n_classes, silhouettes_too=False)
            permuted.append(largest(equal.overlaps(np.ones((1, n_units))))[0])
    valid = np.array(permuted)[np.isfinite(permuted)]
    return FeatureSums(encoder, samples, float(valid.mean()) if len(valid) else float("nan"))


def sum_sample(draw: CellDraw, n_units: int, n_classes: int, *, silhouettes_too: bool = True) -> SampleSums:
    """Reduce one sample to its sums over units."""
    basis = _principal_axes(draw.values, draw.class_id, n_classes)
    projected = draw.values @ basis
    k, d = n_classes, basis.shape[1]
    centre, fourth = np.zeros((k, d)), np.zeros(k)
    count, first, second = np.zeros((n_units, k)), np.zeros((n_units, k, d)), np.zeros((n_units, k, d, d))
    for c in np.unique(draw.class_id):
        centre[c] = projected[draw.class_id == c].mean(axis=0)
        for unit in np.unique(draw.unit[draw.class_id == c]):
            cells = projected[(draw.class_id == c) & (draw.unit == unit)] - centre[c]
            count[unit, c] = len(cells)
            first[unit, c] = cells.sum(axis=0)
            second[unit, c] = cells.T @ cells
            fourth[c] += ((cells**2).sum(axis=1) ** 2).sum()
    shrinkage = _ledoit_wolf(count.sum(axis=0), second.sum(axis=0), fourth)
    silhouette_sums = np.zeros((n_units, k, 2))
    if silhouettes_too:
        _add_silhouettes(silhouette_sums, draw, projected)
    return SampleSums(count, centre, first, second, shrinkage, silhouette_sums)


@dataclass(frozen=True)
class Gaussians:
    """Gaussians of any number of dimensions.

    Args:
        mean: (..., D) float64.
        covariance: (..., D, D) float64; the identity where there is no Gaussian.
        log_det: (...) float64, logarithm of the determinant of the covariance; NaN where there is no Gaussian.
    """

    mean: np.ndarray
    covariance: np.ndarray
    log_det: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray, valid: np.ndarray) -> "Gaussians":
        """Return the Gaussians of `mean` and `covariance` where `valid`, (...) bool."""
        covariance = np.where(valid[..., None, None], covariance, np.eye(covariance.shape[-1]))
        return cls(mean, covariance, np.where(valid, np.linalg.slogdet(covariance)[1], np.nan))

    def __getitem__(self, index: Any) -> "Gaussians":
        """Return some of them, by any index of the axes before D."""
        return Gaussians(self.mean[index], self.covariance[index], self.log_det[index])


def class_overlaps(w: np.ndarray, features: FeatureSums, fold: int = 0) -> np.ndarray:
    """Return the Bhattacharyya coefficient of the Gaussians of each pair of classes, (B, K, K); NaN on the diagonal.

    Args:
        w: (B, U) weights of units.
        features: The samples, over which values are averaged.
        fold: Fold of the samples.
    """
    return _mean_of_valid([sample.overlaps(w) for sample in features.samples[fold]])


def nearest_rivals(w: np.ndarray, features: FeatureSums, fold: int = 0) -> np.ndarray:
    """Return the largest overlap of each class with another one, averaged over samples, (B, K).

    The largest is taken within each sample, where every class and its rivals are equally noisy.
    """
    return _mean_of_valid([largest(sample.overlaps(w)) for sample in features.samples[fold]])


def mean_silhouettes(w: np.ndarray, features: FeatureSums, fold: int = 0) -> np.ndarray:
    """Return the mean silhouette of each class, averaged over samples, (B, K)."""
    sums = [np.tensordot(w, sample.silhouettes, 1) for sample in features.samples[fold]]
    return _mean_of_valid([ratio(total[..., 1], total[..., 0]) for total in sums])


def largest(overlaps: np.ndarray) -> np.ndarray:
    """Return the largest overlap of each class with another one, (B, K) from (B, K, K); NaN where there is none."""
    maximum = np.where(np.isnan(overlaps), -np.inf, overlaps).max(axis=-1)
    return np.where(np.isfinite(maximum), maximum, np.nan)


def _sample_overlaps(w: np.ndarray, sample: SampleSums) -> np.ndarray:
    """Return the overlaps of one sample under (B, U) weights, as `SampleSums.overlaps`."""
    gaussians = class_gaussians(w, sample)
    k = gaussians.log_det.shape[1]
    overlaps = np.full((len(w), k, k), np.nan)
    for i in range(k):
        for j in range(i):
            overlaps[:, i, j] = overlaps[:, j, i] = bhattacharyya(gaussians[:, i], gaussians[:, j])
    return overlaps


def class_gaussians(w: np.ndarray, sample: SampleSums) -> Gaussians:
    """Return the Gaussian of each class in one sample, (B, K), under (B, U) weights of units."""
    n = w @ sample.count  # (B, K)
    size = np.maximum(n, 1)[..., None]
    mean = np.tensordot(w, sample.first, 1) / size
    covariance = np.tensordot(w, sample.second, 1) / size[..., None] - mean[..., :, None] * mean[..., None, :]
    return Gaussians.of(mean + sample.centre, shrunk(covariance, sample.shrinkage[None]), n >= COMPONENTS)


def bhattacharyya(one: Gaussians, other: Gaussians) -> np.ndarray:
    """Return the Bhattacharyya coefficient of two Gaussians, (...) float64; NaN where one is missing."""
    middle = (one.covariance + other.covariance) / 2
    difference = (one.mean - other.mean)[..., None]
    distance = (difference * np.linalg.solve(middle, difference)).sum(axis=(-2, -1)) / 8
    log_det = np.linalg.slogdet(middle)[1]
    return np.exp(-(distance + (log_det - (one.log_det + other.log_det) / 2) / 2))


def shrunk(covariance: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Shrink covariances (..., D, D) towards the sphere of the same mean variance, by intensities (...)."""
    d = covariance.shape[-1]
    mean_variance = np.trace(covariance, axis1=-2, axis2=-1) / d
    share = intensity[..., None, None]
    return (1 - share) * covariance + (share[..., 0, 0] * mean_variance)[..., None, None] * np.eye(d)


def silhouettes(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the Euclidean silhouette of each row, (n,); NaN for a class of one row or if there is only one class.

    Source:
        Rousseeuw 1987.
    """
    labels = np.unique(classes)
    missing = np.full(len(classes), np.nan)
    if len(labels) < 2:
        return missing
    distance = cdist(values, values)
    total = np.stack([distance[:, classes == label].sum(axis=1) for label in labels], axis=1)
    size = np.array([(classes == label).sum() for label in labels])
    label_index = np.searchsorted(labels, classes)
    rows = np.arange(len(classes))
    inside = total[rows, label_index] / np.maximum(size[label_index] - 1, 1)
    others = total / size
    others[rows, label_index] = np.inf
    outside = others.min(axis=1)
    value = (outside - inside) / np.maximum(np.maximum(inside, outside), np.finfo(float).tiny)
    return np.where(size[label_index] > 1, value, np.nan)


def _principal_axes(values: np.ndarray, class_id: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the principal axes (C, D) of the standardised channels, with equal weights of classes.

    Args:
        values: (N, C) float32.
        class_id: (N,) classes.
        n_classes: K.
    """
    channels = values.shape[1]
    size = np.bincount(class_id, minlength=n_classes)
    if not len(class_id):
        return np.ones((channels, 1))
    weight = 1 / (size[class_id] * (size > 0).sum())
    blocks = [slice(start, start + _CELLS) for start in range(0, len(values), _CELLS)]
    mean = np.sum([weight[rows] @ values[rows] for rows in blocks], axis=0)
    total = np.zeros((channels, channels))
    for rows in blocks:
        scaled = (values[rows] - mean) * np.sqrt(weight[rows])[:, None]
        total += scaled.T @ scaled
    deviation = np.sqrt(np.maximum(np.diag(total), 0))
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    largest = [max(0, channels - COMPONENTS), channels - 1]
    _, axes = eigh(total * scale[:, None] * scale[None], subset_by_index=largest)
    return scale[:, None] * axes[:, ::-1]


def _ledoit_wolf(n: np.ndarray, second: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    """Return the shrinkage intensity of each class, (K,) in 0..1.

    Args:
        n: (K,) number of cells.
        second: (K, D, D) sums of outer products about the class mean.
        fourth: (K,) sums of the fourth power of the distance from the class mean.

    Source:
        Ledoit and Wolf 2004, lemmas 3.2 to 3.4.
    """
    size = np.maximum(n, 1)
    d = second.shape[-1]
    covariance = second / size[:, None, None]
    mean_variance = np.trace(covariance, axis1=1, axis2=2) / d
    spread = ((covariance - mean_variance[:, None, None] * np.eye(d)) ** 2).sum(axis=(1, 2))
    error = (fourth / size - (covariance**2).sum(axis=(1, 2))) / size
    return np.where(spread > 0, np.clip(error / np.where(spread > 0, spread, 1), 0, 1), 1.0)


def _add_silhouettes(sums: np.ndarray, draw: CellDraw, projected: np.ndarray) -> None:
    """Add the number of evenly thinned cells that have a silhouette, and the sum of these, to (U, K, 2)."""
    parts = [np.flatnonzero(draw.class_id == c) for c in np.unique(draw.class_id)]
    chosen = [
        part[np.linspace(0, len(part) - 1, min(len(part), SILHOUETTE_CELLS)).round().astype(int)] for part in parts
    ]
    if chosen:
        indices = np.concatenate(chosen)
        values = silhouettes(projected[indices], draw.class_id[indices])
        valid = np.isfinite(values)
        class_id, unit = draw.class_id[indices][valid], draw.unit[indices][valid]
        np.add.at(sums[..., 0], (unit, class_id), 1)
        np.add.at(sums[..., 1], (unit, class_id), values[valid])


def _permuted(draw: CellDraw, rng: np.random.Generator) -> CellDraw:
    """Permute the class labels of tiles, so that every class keeps its number of tiles."""
    _, first, group = np.unique(
        np.stack([draw.class_id, draw.tile], axis=1), axis=0, return_index=True, return_inverse=True
    )
    return replace(draw, class_id=rng.permutation(draw.class_id[first])[group.ravel()])


def _mean_of_valid(values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of valid values over samples; NaN where there are none."""
    stacked = np.stack(values)
    valid = np.isfinite(stacked)
    return ratio(np.where(valid, stacked, 0).sum(axis=0), valid.sum(axis=0))
