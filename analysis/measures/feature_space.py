"""How alike classes look to a frozen encoder: Gaussian fits, their overlap, and silhouettes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from analysis.measures.cached_features import CachedFeatures
from analysis.measures.survey import Survey
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy

COMPONENTS = 16  # principal components of the standardised channels, every class weighing the same
FEWEST_CELLS = 2 * COMPONENTS  # below, a class has no Gaussian
SILHOUETTE_CELLS = 300  # per class

Batches = Callable[[], Iterator[tuple[int, np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class FeatureSums:
    """Sums over the cells of each unit, in the space of the first principal components.

    Args:
        encoder: Name of the encoder.
        count: (U, K) cells.
        centre: (K, D) mean of each class; what is summed is measured from there.
        first: (U, K, D) sums.
        second: (U, K, D, D) sums of outer products.
        shrinkage: (K,) Ledoit and Wolf's intensity, from all cells; not resampled.
        silhouettes: (U, K, 2) cells of the silhouette's sample, and the sum of their silhouettes.
    """

    encoder: str
    count: np.ndarray
    centre: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shrinkage: np.ndarray
    silhouettes: np.ndarray


def feature_sums(cached: CachedFeatures, dataset: PreparedDataset, taxonomy: Taxonomy, found: Survey) -> FeatureSums:
    """Reduce the cached features of the surveyed images; two passes, one tile in memory at a time."""

    def batches() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for image_id, classes, values in cached.cells(dataset, taxonomy, list(found.unit_of)):
            yield found.unit_of[image_id], classes, values

    return sum_features(cached.encoder, batches, n_units=len(found.n_groups), n_classes=found.n_classes)


def sum_features(encoder: str, batches: Batches, *, n_units: int, n_classes: int) -> FeatureSums:
    """Reduce features; `batches()` yields (unit, (n,) classes, (n, C) features), the same at each of its two calls."""
    centre, basis = _principal_axes(batches, n_classes)
    centre = centre @ basis
    k, d = n_classes, basis.shape[1]
    count, first, second = np.zeros((n_units, k)), np.zeros((n_units, k, d)), np.zeros((n_units, k, d, d))
    fourth, sample = np.zeros(k), _CellSample(k)
    rng = np.random.default_rng(0)
    for unit, classes, values in batches():
        projected = values.astype(np.float64) @ basis
        sample.add(unit, classes, projected, rng.random(len(classes)))
        for c in np.unique(classes):
            own = projected[classes == c] - centre[c]
            count[unit, c] += len(own)
            first[unit, c] += own.sum(axis=0)
            second[unit, c] += own.T @ own
            fourth[c] += ((own**2).sum(axis=1) ** 2).sum()
    shrinkage = _ledoit_wolf(count.sum(axis=0), second.sum(axis=0), fourth)
    return FeatureSums(encoder, count, centre, first, second, shrinkage, sample.silhouettes(n_units))


def class_overlaps(w: np.ndarray, features: FeatureSums) -> np.ndarray:
    """Return the Bhattacharyya coefficient of the Gaussians of each pair of classes, (B, K, K); NaN with itself.

    Args:
        w: (B, U) weights of units.
        features: The sums.

    Source:
        Kailath 1967; covariances shrunk after Ledoit and Wolf 2004.
    """
    n = w @ features.count  # (B, K)
    size = np.maximum(n, 1)[..., None]
    mean = np.tensordot(w, features.first, 1) / size
    covariance = np.tensordot(w, features.second, 1) / size[..., None] - mean[..., :, None] * mean[..., None, :]
    covariance = shrunk(covariance, features.shrinkage[None])
    mean = mean + features.centre
    known = n >= FEWEST_CELLS
    k = n.shape[1]
    found = np.full((len(w), k, k), np.nan)
    for i in range(k):
        for j in range(i):
            rows = np.flatnonzero(known[:, i] & known[:, j])
            value = bhattacharyya(mean[rows, i], mean[rows, j], covariance[rows, i], covariance[rows, j])
            found[rows, i, j] = found[rows, j, i] = value
    return found


def bhattacharyya(
    mean_a: np.ndarray, mean_b: np.ndarray, covariance_a: np.ndarray, covariance_b: np.ndarray
) -> np.ndarray:
    """Return the Bhattacharyya coefficient of two Gaussians, (...); means (..., D), covariances (..., D, D)."""
    middle = (covariance_a + covariance_b) / 2
    apart = (mean_a - mean_b)[..., None]
    reach = (apart * np.linalg.solve(middle, apart)).sum(axis=(-2, -1)) / 8
    logs = [np.linalg.slogdet(each)[1] for each in (middle, covariance_a, covariance_b)]
    return np.exp(-(reach + (logs[0] - (logs[1] + logs[2]) / 2) / 2))


def shrunk(covariance: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Draw covariances (..., D, D) towards the sphere of the same mean variance by intensities (...)."""
    d = covariance.shape[-1]
    mean_variance = np.trace(covariance, axis1=-2, axis2=-1) / d
    share = intensity[..., None, None]
    return (1 - share) * covariance + (share[..., 0, 0] * mean_variance)[..., None, None] * np.eye(d)


def silhouettes(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the silhouette of each row, (n,), Euclidean; NaN in a class with one row or where there is one class.

    Source:
        Rousseeuw 1987.
    """
    labels = np.unique(classes)
    found = np.full(len(classes), np.nan)
    if len(labels) < 2:
        return found
    distance = cdist(values, values)
    total = np.stack([distance[:, classes == label].sum(axis=1) for label in labels], axis=1)
    size = np.array([(classes == label).sum() for label in labels])
    own = np.searchsorted(labels, classes)
    rows = np.arange(len(classes))
    inside = total[rows, own] / np.maximum(size[own] - 1, 1)
    others = total / size
    others[rows, own] = np.inf
    outside = others.min(axis=1)
    value = (outside - inside) / np.maximum(np.maximum(inside, outside), np.finfo(float).tiny)
    return np.where(size[own] > 1, value, np.nan)


def _principal_axes(batches: Batches, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the class means (K, C) and the axes (C, D) of the standardised channels; every class weighs the same."""
    sums: list[np.ndarray] = []
    for _, classes, values in batches():
        if not sums:
            channels = values.shape[1]
            sums = [np.zeros(n_classes), np.zeros((n_classes, channels)), np.zeros((n_classes, channels, channels))]
        for c in np.unique(classes):
            own = values[classes == c].astype(np.float64)
            sums[0][c] += len(own)
            sums[1][c] += own.sum(axis=0)
            sums[2][c] += own.T @ own
    if not sums:
        return np.zeros((n_classes, 1)), np.ones((1, 1))
    n, first, second = sums
    present = n > 0
    means = first / np.maximum(n, 1)[:, None]
    middle = means[present].mean(axis=0)
    total = (second[present] / n[present, None, None]).mean(axis=0) - np.outer(middle, middle)
    deviation = np.sqrt(np.maximum(np.diag(total), 0))
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    _, axes = np.linalg.eigh(total * scale[:, None] * scale[None])
    return means, scale[:, None] * axes[:, ::-1][:, : min(COMPONENTS, len(scale))]


def _ledoit_wolf(n: np.ndarray, second: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    """Return the shrinkage intensity of each class, (K,) in 0..1.

    Args:
        n: (K,) cells.
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


class _CellSample:
    """Keeps the cells of each class with the smallest draws."""

    def __init__(self, n_classes: int) -> None:
        self._kept: list[list[tuple[float, int, np.ndarray]]] = [[] for _ in range(n_classes)]

    def add(self, unit: int, classes: np.ndarray, values: np.ndarray, draws: np.ndarray) -> None:
        for c, value, draw in zip(classes, values, draws, strict=True):
            self._kept[c].append((float(draw), unit, value))
        for c, kept in enumerate(self._kept):
            if len(kept) > 4 * SILHOUETTE_CELLS:
                self._kept[c] = _smallest(kept)

    def silhouettes(self, n_units: int) -> np.ndarray:
        """Return (U, K, 2): cells with a silhouette, and its sum."""
        kept = [_smallest(each) for each in self._kept]
        classes = np.repeat(np.arange(len(kept)), [len(each) for each in kept])
        found = np.zeros((n_units, len(kept), 2))
        rows = [row for each in kept for row in each]
        if rows:
            values = silhouettes(np.stack([value for _, _, value in rows]), classes)
            units = np.array([unit for _, unit, _ in rows])
            known = np.isfinite(values)
            np.add.at(found[..., 0], (units[known], classes[known]), 1)
            np.add.at(found[..., 1], (units[known], classes[known]), values[known])
        return found


def _smallest(cells: Sequence[tuple[float, int, np.ndarray]]) -> list[tuple[float, int, np.ndarray]]:
    return sorted(cells, key=lambda cell: cell[:2])[:SILHOUETTE_CELLS]
