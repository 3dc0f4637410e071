"""The plan of a whole data set: which slide and split an image belongs to, and which regions it must hold.

Every image has a *matrix* class that fills it, and *regions* of the other classes laid into the matrix. The common
classes take turns as the matrix, so that each of them also appears as regions, and it is on regions that ambiguity and
morphology are planted. Areas are fixed here, for the data set as a whole; images then only have to realise them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imbalance_bench.data.phantom.spec import PhantomSpec

PLAN_STREAM, IMAGE_STREAM, SLIDE_STREAM = 0, 1, 2
MAX_COVER = 0.5
ISLAND_SHARE = 0.12
MAX_REGION_COVER = 0.2
BALANCE_STEPS = 6
MEAN_LOBULATION = 0.16
MEAN_LOG_ASPECT = 0.45


@dataclass(frozen=True)
class RegionPlan:
    """One region to place: class, area in pixels, elongation (>= 1), lobulation, and whether the border cuts it."""

    class_id: int
    area_px: int
    aspect: float
    lobulation: float
    cut: bool


@dataclass
class ImagePlan:
    """One image to draw."""

    index: int
    image_id: str
    group_index: int
    group_id: str
    split: str
    matrix: int
    unlabelled_px: int
    capacity_px: float = 0.0
    regions: list[RegionPlan] = field(default_factory=list)


def stream(spec: PhantomSpec, *key: int) -> np.random.Generator:
    """Return the generator that belongs to `key`, whatever has been drawn elsewhere."""
    return np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=key))


def plan_images(spec: PhantomSpec) -> list[ImagePlan]:
    """Decide slides, matrix classes, unlabelled areas and regions of every image of a data set."""
    rng = stream(spec, PLAN_STREAM)
    matrix_weights, island_share = _matrix_roles(spec)
    images = _blank_images(spec, rng, matrix_weights)
    labelled = np.array([spec.size_px**2 - i.unlabelled_px for i in images], float)
    matrix = np.array([i.matrix for i in images])
    wanted = np.array([c.share for c in spec.classes]) * labelled.sum()

    region_area, cover = _region_areas(wanted, island_share, matrix_weights > 0, labelled, matrix)
    for c in np.unique(matrix):
        weight = (labelled * rng.uniform(0.8, 1.2, len(images)))[matrix == c]
        for i, capacity in zip(np.flatnonzero(matrix == c), cover[c] * weight / weight.sum(), strict=True):
            images[i].capacity_px = float(capacity)
    islands_first = sorted(range(len(wanted)), key=lambda c: matrix_weights[c] == 0)
    regions = [list(_shape_regions(spec, rng, c, region_area[c])) for c in islands_first]
    _fill_splits(images, regions)
    n_island_classes = int(np.count_nonzero(matrix_weights))
    for batch in (regions[:n_island_classes], regions[n_island_classes:]):
        for region in sorted((r for of_class in batch for r in of_class), key=lambda r: -r.area_px):
            _give(images, region)
    _balance(images, wanted, spec.size_px**2)
    return images


def _matrix_roles(spec: PhantomSpec) -> tuple[NDArray[np.float64], float]:
    """Return the share of images in which each class is the matrix, (K,), and the share of each such class in islands.

    With candidates C, rare share R = 1 - sum of their shares, and island share r for each, an image's matrix covers
    m = 1 - R - (|C| - 1) r, and the share of class c is w_c m + (1 - w_c) r, which is solved for w_c.
    """
    shares = np.array([c.share for c in spec.classes])
    order = np.argsort(-shares, kind="stable")
    n, islands, cover = 2, 0.0, 0.0
    for n in range(2, len(shares) + 1):
        islands = min(ISLAND_SHARE, float(shares[order[n - 1]]) / 2)
        cover = 1 - float(shares[order[:n]].sum()) + (n - 1) * islands
        if cover <= MAX_COVER:
            break
    weights = np.zeros(len(shares))
    weights[order[:n]] = (shares[order[:n]] - islands) / (1 - cover - islands)
    return weights, islands


def _region_areas(
    wanted: NDArray[np.float64],
    island_share: float,
    takes_turns: NDArray[np.bool_],
    labelled: NDArray[np.float64],
    matrix: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fix the area that every class has in regions, so that regions and matrix together give its share.

    Args:
        wanted: (K,) labelled pixels that each class must have in the data set.
        island_share: Share of all labelled pixels that a matrix class should have as islands in other matrices.
        takes_turns: (K,) whether the class serves as a matrix.
        labelled: (N,) labelled pixels of each image.
        matrix: (N,) matrix class of each image.

    Returns:
        (K,) area of each class in regions, and (K,) area that regions must cover in the images where it is the matrix.
    """
    own = np.bincount(matrix, weights=labelled, minlength=len(wanted))
    foreign = labelled.sum() - own
    area = np.where(takes_turns, np.minimum(island_share * labelled.sum(), MAX_COVER * foreign), wanted)
    area = np.where(own == 0, wanted, area)
    for _ in range(len(wanted)):
        # Few images round the turns coarsely: make room in each matrix for the islands of the others.
        islands = np.where(own > 0, area, 0) / np.maximum(foreign, 1)
        room_needed = own * (islands.sum() - islands)
        area = np.where(own > 0, np.maximum(area, wanted - own + room_needed), area)
        area = np.where(foreign == 0, 0, area)
    return area, np.where(own > 0, np.maximum(own + area - wanted, 0), 0)


def _blank_images(spec: PhantomSpec, rng: np.random.Generator, weights: NDArray[np.float64]) -> list[ImagePlan]:
    """Lay out slides and images; spread the matrix classes evenly and draw the unlabelled areas."""
    n_pixels = spec.size_px**2
    unlabelled = rng.uniform(0, 1, spec.n_images)
    unlabelled *= spec.unlabelled_share / unlabelled.mean()
    n_images = np.zeros(len(weights))
    images: list[ImagePlan] = []
    for group_index, split in enumerate(spec.groups.splits):
        matrices = []
        for _ in range(spec.images_per_group):
            deficit = weights * (n_images.sum() + 1) - n_images
            matrices.append(int(np.argmax(deficit)))
            n_images[matrices[-1]] += 1
        for number, matrix in enumerate(rng.permutation(matrices)):
            index = len(images)
            images.append(
                ImagePlan(
                    index=index,
                    image_id=f"slide{group_index:03d}_{number:03d}",
                    group_index=group_index,
                    group_id=f"slide{group_index:03d}",
                    split=split,
                    matrix=int(matrix),
                    unlabelled_px=round(min(unlabelled[index], 0.7) * n_pixels),
                )
            )
    return images


def _shape_regions(spec: PhantomSpec, rng: np.random.Generator, class_id: int, area_px: float) -> Iterator[RegionPlan]:
    """Yield the regions of a class: stratified draws, so that the planted dispersion holds for few regions too."""
    if area_px < 1:
        return
    morphology = spec.classes[class_id].morphology
    mean_px = np.pi / 4 * (spec.region_um / spec.mpp_um) ** 2
    n = max(round(area_px / mean_px), len(set(spec.groups.splits)))

    def strata() -> NDArray[np.float64]:
        return (rng.permutation(n) + rng.uniform(0.25, 0.75, n)) / n

    log_area = stats.norm.ppf(np.clip(strata(), 0.03, 0.97)) * (0.06 + 0.6 * morphology)
    area = np.exp(log_area)
    area = np.minimum(area * area_px / area.sum(), MAX_REGION_COVER * spec.size_px**2)
    area *= area_px / area.sum()
    spread = 2 * strata() - 1
    aspect = np.exp(MEAN_LOG_ASPECT * (1 + (0.08 + 0.92 * morphology) * spread))
    spread = 2 * strata() - 1
    lobulation = MEAN_LOBULATION * (1 + (0.08 + 0.92 * morphology) * spread)
    cut = strata() < spec.cut_share
    for values in zip(area, aspect, lobulation, cut, strict=True):
        yield RegionPlan(class_id, max(round(values[0]), 4), float(values[1]), float(values[2]), bool(values[3]))


def _fill_splits(images: list[ImagePlan], regions: list[list[RegionPlan]]) -> None:
    """Give each split a region of every class that is not a matrix there; takes them from `regions`."""
    for of_class in regions:
        for split in ("train", "val", "test"):
            here = [i for i in images if i.split == split]
            if of_class and all(i.matrix != of_class[0].class_id for i in here):
                _give(here, of_class.pop())


def _give(images: list[ImagePlan], region: RegionPlan) -> None:
    """Assign a region to the image with most room left whose matrix is another class."""
    open_images = [i for i in images if i.matrix != region.class_id]
    target = max(open_images, key=lambda i: i.capacity_px)
    target.regions.append(region)
    target.capacity_px -= region.area_px


def _balance(images: list[ImagePlan], wanted: NDArray[np.float64], n_pixels: int) -> None:
    """Scale the regions of each class a little, so that the shares hold although regions were dealt out whole."""
    n_classes = len(wanted)
    for _ in range(BALANCE_STEPS):
        area = np.zeros(n_classes)
        regions = np.zeros(n_classes)
        for image in images:
            sizes = np.array([r.area_px for r in image.regions], float)
            ids = np.array([r.class_id for r in image.regions], int)
            regions += np.bincount(ids, weights=sizes, minlength=n_classes)
            area[image.matrix] += n_pixels - image.unlabelled_px - sizes.sum()
        # What one class gains its matrices lose, and both are corrected: half a step each.
        scale = np.clip(1 + (wanted - area - regions) / np.maximum(2 * regions, 1), 0.7, 1.4)
        for image in images:
            image.regions = [replace(r, area_px=max(round(r.area_px * scale[r.class_id]), 4)) for r in image.regions]
