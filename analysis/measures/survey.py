"""One pass over the training images: each is decoded once and reduced to the sums that the measures need.

Sums are kept per unit, the unit of the bootstrap, and a limited number of instances per class is sampled, so a cohort
of any size is streamed: memory grows neither with images nor with pixels.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from analysis.geometry.box_counts import box_counts, smallest_box_px
from analysis.geometry.contours import COEFFICIENTS, fourier_descriptors, outer_contours
from analysis.geometry.instances import FEATURES, smallest_instance_px, whole_instances
from analysis.geometry.nearest_border import (
    EDGE_REACH,
    EDGE_SIGMA_UM,
    PROFILE_STEP_UM,
    PROFILE_STEPS,
    border_lengths,
    edge_sums,
    pixels_near_borders,
    stain_profiles,
)
from analysis.geometry.runs import find_runs
from analysis.geometry.touching import Instances, find_instances
from analysis.measures.construct import ByRow
from analysis.measures.scale import Scale
from analysis.measures.stains import (
    border_histograms,
    class_overlaps,
    stain_codes,
    stain_densities,
    stain_histograms,
)
from analysis.measures.sums import ClassSums
from imbalance_bench.data.image_bands import image_bands
from imbalance_bench.data.prepared import PreparedDataset, usable_cores
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.seeding import generator
from imbalance_bench.worker_pool import worker_pool

OnProgress = Callable[[str, int, int], None]

MOST_UNITS = 256  # more groups are merged at random: sums then stay small, and intervals hardly change
MOST_INSTANCES = 10_000  # per class; a seeded sample of more: a median then moves by about 1 % of the spread
_WAITING_PER_WORKER = 4
_COMPARED = 16  # resamples whose histograms are compared at a time
_PIXELS_OF_ONE = 8_000_000  # one process finishes fewer before others have started


@dataclass(frozen=True)
class ImageSummary:
    """The contribution of one image.

    Args:
        sums: Sums without the axis of units.
        instances: One row per whole instance: class_id, weight, FEATURES and `draw`, a random number that decides
            which instances are sampled.
    """

    sums: ClassSums
    instances: pd.DataFrame


@dataclass(frozen=True)
class Survey:
    """The training images, reduced to what the measures need.

    Args:
        unit_of: Training image id -> unit.
        in_fold: (F, U) bool, whether the unit trains in the fold.
        n_groups: (U,) int64, number of groups in each unit; 1 unless there are more than MOST_UNITS.
        group_presence: (U, K) int64, number of groups that contain the class.
        sums: Sums over the images of each unit.
        instances: One row per sampled instance: unit, class_id, weight and FEATURES; areas in px.
        scale: Size of a pixel, and lengths.
    """

    unit_of: dict[str, int]
    in_fold: np.ndarray
    n_groups: np.ndarray
    group_presence: np.ndarray
    sums: ClassSums
    instances: pd.DataFrame
    scale: Scale

    @property
    def n_classes(self) -> int:
        """K."""
        return self.group_presence.shape[1]

    @cached_property
    def stain_overlaps(self) -> ByRow:
        """1 - JS distance of the stain histograms of each pair of classes, corrected for chance.

        (B, K, K) float64 under (B, U) weights of units; NaN on the diagonal.
        """
        used = self.sums.stains.any(axis=(0, 1))
        return ByRow(partial(class_overlaps, stains=self.sums.stains[..., used].astype(np.float64)), _COMPARED)


def summarise_image(image: np.ndarray, mask: np.ndarray, n_classes: int, scale: Scale, name: str = "") -> ImageSummary:
    """Reduce one image.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, class indices or UNLABELLED.
        n_classes: K.
        scale: Size of a pixel, and lengths.
        name: Name of the image, which seeds the sample of instances.
    """
    runs = find_runs(mask)
    smallest_px = smallest_instance_px(scale.px(1.0))
    instances = find_instances(runs, whole_instances(runs, mask == UNLABELLED, smallest_px), smallest_px)
    shapes = instances.shapes
    pixels = np.bincount(mask.ravel(), minlength=256)[:n_classes]
    sums = ClassSums(
        n_images=np.array(1),
        pixels=pixels,
        images=(pixels > 0).astype(np.int64),
        components=np.bincount(runs.class_of[1:], minlength=n_classes),
        lengths=border_lengths(mask, n_classes),
        boxes=box_counts(runs, n_classes, smallest_box_px(scale.px(1.0))),
        outline=_outlines(shapes, n_classes),
        fourier=_fourier_sums(instances, n_classes),
        **_stain_sums(image, mask, n_classes, scale),
    )
    draw = generator(0, "instances", name).random(len(shapes))
    return ImageSummary(sums, shapes.assign(draw=draw))


def _stain_sums(image: np.ndarray, mask: np.ndarray, n_classes: int, scale: Scale) -> dict[str, np.ndarray]:
    """Return the fields of `ClassSums` that are summed over pixels with their stains."""
    step_px, sigma_px = scale.px(PROFILE_STEP_UM), scale.px(EDGE_SIGMA_UM)
    reach_px = max(PROFILE_STEPS * step_px, scale.band_px + 0.5)
    around_px = math.ceil(max(reach_px, EDGE_REACH * sigma_px)) + 2  # a border has two sides, a gradient two neighbours
    found: list[dict[str, np.ndarray]] = []
    for band in image_bands(mask.shape, around_px):
        classes, rows = mask[band.rows], band.inner
        stains = stain_densities(image[band.rows])
        codes = stain_codes(stains)
        near = pixels_near_borders(classes, reach_px, rows)
        sums = {
            "border": border_histograms(codes, classes, n_classes, scale.band_px, rows),
            "stains": stain_histograms(codes[rows], classes[rows], n_classes),
            "profile": stain_profiles(near, stains, n_classes, step_px),
            "edge": edge_sums(classes, near, stains, n_classes, sigma_px=sigma_px, band_px=scale.band_px, rows=rows),
        }
        found.append(sums)
    return {name: np.sum([sums[name] for sums in found], axis=0) for name in found[0]}


def survey(
    dataset: PreparedDataset,
    taxonomy: Taxonomy,
    folds: Sequence[Sequence[str]],
    *,
    band_um: float,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> Survey:
    """Decode every training image of the folds once; the result does not depend on the number of workers.

    Args:
        dataset: The prepared data set.
        taxonomy: The study's classes.
        folds: Training image ids of each fold; a group lies wholly inside or outside a fold's training part.
        band_um: Width of the border band on each side, um; an unknown resolution counts as 0.25 um per pixel.
        workers: Number of processes; by default every core, or this process alone for less than 8 megapixels.
        on_progress: Called with ("measures", images completed, images in all).

    Raises:
        UserError: An image or mask is missing or invalid.
    """
    ids = sorted(set().union(*folds))
    group_of = {image_id: dataset.entry(image_id).group_id for image_id in ids}
    groups = sorted(set(group_of.values()))
    trains = np.array([np.isin(groups, _groups(fold, group_of)) for fold in folds])  # (F, G)
    unit_of_group = _units(trains)
    unit_of = dict(zip(groups, unit_of_group, strict=True))
    number = {group: index for index, group in enumerate(groups)}
    k, units = len(taxonomy), int(unit_of_group.max()) + 1
    scale = Scale(dataset.info.mpp_um, band_um)
    sums, sample = ClassSums.zeros(units, k), _InstanceSample()
    seen = np.zeros((len(groups), k), dtype=bool)
    workers = workers or _worthwhile_workers(dataset, ids)
    summaries = _summaries(_Reader(dataset, taxonomy, scale), ids, workers)
    for completed, (image_id, summary) in enumerate(zip(ids, summaries, strict=True), start=1):
        unit = unit_of[group_of[image_id]]
        sums.add(unit, summary.sums)
        seen[number[group_of[image_id]]] |= summary.sums.images > 0
        sample.add(summary.instances.assign(unit=unit))
        if on_progress is not None:
            on_progress("measures", completed, len(ids))
    in_fold = np.zeros((len(folds), units), dtype=bool)
    in_fold[:, unit_of_group] = trains
    presence = np.zeros((units, k), np.int64)
    np.add.at(presence, unit_of_group, seen)
    return Survey(
        unit_of={image_id: int(unit_of[group]) for image_id, group in group_of.items()},
        in_fold=in_fold,
        n_groups=np.bincount(unit_of_group),
        group_presence=presence,
        sums=sums,
        instances=sample.frame(),
        scale=scale,
    )


@dataclass(frozen=True)
class _Reader:
    """Decode and reduce one image, in any process."""

    dataset: PreparedDataset
    taxonomy: Taxonomy
    scale: Scale

    def __call__(self, image_id: str) -> ImageSummary:
        mask = self.taxonomy.apply(self.dataset.read_mask(image_id))
        return summarise_image(self.dataset.read_image(image_id), mask, len(self.taxonomy), self.scale, image_id)


def _summaries(read: _Reader, ids: Sequence[str], workers: int) -> Iterator[ImageSummary]:
    """Yield the summaries in order; with several processes a few images ahead of the reader, never all of them."""
    if workers == 1 or len(ids) < 2 * workers:
        yield from map(read, ids)
        return
    with worker_pool(workers, _start_worker, read) as pool:
        waiting: deque[Future[ImageSummary]] = deque()
        try:
            for image_id in ids:
                waiting.append(pool.submit(_read_in_worker, image_id))
                if len(waiting) >= _WAITING_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _worthwhile_workers(dataset: PreparedDataset, ids: Sequence[str]) -> int:
    entries = [dataset.entry(image_id) for image_id in ids]
    return usable_cores() if sum(entry.height_px * entry.width_px for entry in entries) > _PIXELS_OF_ONE else 1


_reader_of_worker: list[_Reader] = []  # set once per worker process, so that only image ids are sent to it


def _start_worker(read: _Reader) -> None:
    _reader_of_worker[:] = [read]


def _read_in_worker(image_id: str) -> ImageSummary:
    return _reader_of_worker[0](image_id)


class _InstanceSample:
    """The instances of each class with the smallest draws, whatever the order in which they are added."""

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []
        self._rows = 0

    def add(self, instances: pd.DataFrame) -> None:
        self._parts.append(instances)
        self._rows += len(instances)
        if self._rows > 8 * MOST_INSTANCES:
            self._parts = [self._trimmed()]
            self._rows = 0  # counts the rows added since

    def frame(self) -> pd.DataFrame:
        """Return the sampled rows: unit, class_id, weight and FEATURES."""
        return self._trimmed()[["unit", "class_id", "weight", *FEATURES]].reset_index(drop=True)

    def _trimmed(self) -> pd.DataFrame:
        rows = pd.concat(self._parts, ignore_index=True)
        rank = rows.groupby("class_id")["draw"].rank(method="first")
        return rows[rank <= MOST_INSTANCES]


def _outlines(shapes: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Count whole instances, and sum their weighted areas, perimeters and the perimeters of equal disks, (K, 4)."""
    area, class_id = shapes["area_px"].to_numpy(), shapes["class_id"].to_numpy(dtype=np.int64)
    disk = 2 * np.sqrt(np.pi * area)
    perimeter = disk / np.sqrt(shapes["compactness"].to_numpy())
    columns = (np.ones_like(area), *(shapes["weight"].to_numpy() * quantity for quantity in (area, perimeter, disk)))
    return np.stack([np.bincount(class_id, column, minlength=n_classes) for column in columns], axis=1)


def _fourier_sums(instances: Instances, n_classes: int) -> np.ndarray:
    """Sum the weighted Fourier descriptors of whole instances, (K, 2 + COEFFICIENTS)."""
    descriptors = fourier_descriptors(outer_contours(instances.components))  # one row for each number, ascending
    weight = instances.shapes["weight"].to_numpy()[:, None]
    rows = weight * np.concatenate(
        [np.ones((len(descriptors), 1)), (descriptors**2).sum(axis=1, keepdims=True), descriptors], axis=1
    )
    total = np.zeros((n_classes, 2 + COEFFICIENTS))
    np.add.at(total, instances.shapes["class_id"].to_numpy(dtype=np.int64), rows)
    return total


def _units(trains: np.ndarray) -> np.ndarray:
    """Return the unit of each group, (G,): the group itself, or one of about 256 units that do not cross folds.

    Args:
        trains: (F, G) bool, whether the group trains in the fold.
    """
    n_groups = trains.shape[1]
    if n_groups <= MOST_UNITS:
        return np.arange(n_groups)
    _, pattern = np.unique(trains, axis=1, return_inverse=True)
    unit, first = np.empty(n_groups, np.int64), 0
    for number in range(int(pattern.max()) + 1):
        members = generator(0, "units", number).permutation(np.flatnonzero(pattern.ravel() == number))
        n_units = max(2, round(MOST_UNITS * len(members) / n_groups))
        unit[members] = first + np.arange(len(members)) % n_units
        first = int(unit[members].max()) + 1
    return unit


def _groups(fold: Iterable[str], group_of: dict[str, str]) -> list[str]:
    return sorted({group_of[image_id] for image_id in fold})
