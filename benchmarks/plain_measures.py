"""The loop over classes that one writes with scikit-image and SciPy: what `measures_speed` compares the survey with.

It reduces an image to the same sums and shapes. What belongs to the image (unmixing, gradients, stain bins) is computed
once, classes are worked on in full frames, instances in their bounding boxes. Three definitions are those of the
libraries: eccentricity (pixels as points), solidity (pixels of the hull) and the gradient (derivative of a Gaussian);
and a profile has every pixel near a class, also those to which the border of another class is nearer. Everything else
is the same number: `largest_difference` compares them.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_gradient_magnitude
from scipy.spatial import ConvexHull
from skimage.color import rgb2hed
from skimage.measure import find_contours, label, perimeter_crofton, regionprops

from analysis.geometry.box_counts import BOX_SIZES, smallest_box_px
from analysis.geometry.contours import HARMONICS
from analysis.geometry.instances import HU_MOMENTS, MOST_WEIGHT, smallest_instance_px
from analysis.geometry.nearest_border import EDGE_SIGMA_UM, PROFILE_STEP_UM, PROFILE_STEPS
from analysis.geometry.touching import CONVEX, NECKS
from analysis.measures.scale import Scale
from analysis.measures.stains import BINS_PER_STAIN, EOSIN_STEP, HAEMATOXYLIN_STEP, STAIN_BINS
from analysis.measures.survey import ImageSummary
from imbalance_bench.data.taxonomy import UNLABELLED


@dataclass
class PlainClass:
    """What the loop finds of one class; fields as in `analysis.measures.sums.ClassSums`."""

    pixels: int
    components: int
    border: np.ndarray
    stains: np.ndarray
    profile: np.ndarray
    edge: np.ndarray
    lengths: np.ndarray
    boxes: np.ndarray
    shapes: list[np.ndarray] = field(default_factory=list)  # area, eccentricity, solidity, perimeter, Hu's seven
    fourier: list[np.ndarray] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)  # of Miles and Lantuejoul


@dataclass(frozen=True)
class _Picture:
    """What all classes share."""

    mask: np.ndarray
    labelled: np.ndarray
    near_unlabelled: np.ndarray
    stains: np.ndarray
    codes: np.ndarray
    gradients: list[np.ndarray]


def plain_loop(image: np.ndarray, mask: np.ndarray, n_classes: int, scale: Scale) -> dict[int, PlainClass]:
    """Reduce one image, class by class; absent classes are left out."""
    stains = rgb2hed(image)[..., :2] * -np.log(1e-6)
    bins = [
        np.minimum(stains[..., i] / step, BINS_PER_STAIN - 1) for i, step in ((0, HAEMATOXYLIN_STEP), (1, EOSIN_STEP))
    ]
    labelled = mask != UNLABELLED
    picture = _Picture(
        mask=mask,
        labelled=labelled,
        near_unlabelled=binary_dilation(~labelled, np.ones((3, 3))) if not labelled.all() else ~labelled,
        stains=stains,
        codes=bins[0].astype(int) * BINS_PER_STAIN + bins[1].astype(int),
        gradients=[gaussian_gradient_magnitude(stains[..., i], scale.px(EDGE_SIGMA_UM), truncate=3.0) for i in (0, 1)],
    )
    return {c: _one_class(picture, c, n_classes, scale) for c in range(n_classes) if (mask == c).any()}


def largest_difference(plain: dict[int, PlainClass], ours: ImageSummary) -> float:
    """Return the largest relative difference between the two in what they define alike, over classes.

    Counts of pixels, components, stains, border lengths and boxes; areas, perimeters, Hu's first six moments (the
    seventh of a symmetric instance is rounding) and Fourier descriptors of whole instances. Relative to the largest.
    """
    worst, sums = 0.0, ours.sums
    for c, found in plain.items():
        rows = ours.instances[ours.instances["class_id"] == c]
        shapes = np.array(found.shapes).reshape(-1, 11)
        pairs = [
            (found.pixels, sums.pixels[c]),
            (found.components, sums.components[c]),
            (found.border, sums.border[:, c]),
            (found.stains, sums.stains[c]),
            (found.lengths, sums.lengths[c]),
            (found.boxes, sums.boxes[c]),
            (len(shapes), sums.outline[c, 0]),
            (shapes[:, 0], rows["area_px"]),
            (found.weights, rows["weight"]),
            (shapes[:, 3] @ found.weights, sums.outline[c, 2]),
            *((np.abs(shapes[:, 4 + i]), np.exp(rows[HU_MOMENTS[i]])) for i in range(6)),
            (found.weights @ np.array(found.fourier) if found.fourier else 0, sums.fourier[c, 2:]),
        ]
        for one, other in pairs:
            one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
            worst = max(worst, float(np.abs(one - other).max(initial=0) / (np.abs(one).max(initial=0) or 1)))
    return worst


def _one_class(picture: _Picture, c: int, n_classes: int, scale: Scale) -> PlainClass:
    own = picture.mask == c
    others = ~own & picture.labelled
    inside = np.asarray(distance_transform_edt(~others)) if others.any() else np.full(own.shape, np.inf)
    outside = np.asarray(distance_transform_edt(~own))
    radius = scale.band_px + 0.5
    bands = [own & (inside <= radius), others & (outside <= radius)]
    components = np.asarray(label(own, connectivity=2))
    found = PlainClass(
        pixels=int(own.sum()),
        components=int(components.max()),
        border=np.stack([np.bincount(picture.codes[band], minlength=STAIN_BINS) for band in bands]),
        stains=np.bincount(picture.codes[own], minlength=STAIN_BINS),
        profile=_profile(picture, (own, others), (inside, outside), scale.px(PROFILE_STEP_UM)),
        edge=_edge(picture, (own, others), (inside, outside), scale),
        lengths=_lengths(picture.mask, own, n_classes),
        boxes=_boxes(own, smallest_box_px(scale.px(1.0))),
    )
    smallest, (height, width) = smallest_instance_px(scale.px(1.0)), own.shape
    single, apart = [], []
    for region in regionprops(components):
        top, left, bottom, right = region.bbox
        cut = top == 0 or left == 0 or bottom == height or right == width
        if cut or region.area < smallest or picture.near_unlabelled[region.slice][region.image].any():
            continue
        pieces = _taken_apart(region.image) if region.area >= 2 * smallest else None
        (single if pieces is None else apart).extend([region] if pieces is None else regionprops(pieces))
    for region in (*single, *(each for each in apart if each.area >= smallest)):
        top, left, bottom, right = region.bbox
        shape = (region.area, region.eccentricity, region.solidity, perimeter_crofton(region.image, directions=4))
        found.shapes.append(np.array([*shape, *region.moments_hu]))
        found.fourier.append(_descriptors(region.image))
        places = (height - (bottom - top) - 1) * (width - (right - left) - 1)
        found.weights.append(min(height * width / places, MOST_WEIGHT))
    return found


def _taken_apart(own: np.ndarray) -> np.ndarray | None:
    """Return the convex parts of a component, numbered, or None where it has none."""
    if own.sum() >= CONVEX * _hull_area(own):
        return None
    depth = np.asarray(distance_transform_edt(np.pad(own, 1)))[1:-1, 1:-1]
    seeds, n = np.zeros(own.shape, int), 0
    for neck in NECKS:
        for region in regionprops(label(depth > neck * depth.max(), connectivity=2)):
            rows, columns = region.coords.T
            if not seeds[rows, columns].any():
                n += 1
                seeds[rows, columns] = n
    row, column = np.asarray(distance_transform_edt(seeds == 0, return_distances=False, return_indices=True))
    parts = np.where(own, seeds[row, column], 0)
    for part in range(1, n + 1):
        pieces = regionprops(label(parts == part, connectivity=2))
        for crumb in pieces:
            if crumb is not max(pieces, key=lambda each: each.area):
                parts[tuple(crumb.coords.T)] = 0
    hulls = sum(_hull_area(parts == part) for part in range(1, n + 1))
    return parts if n > 1 and (parts > 0).sum() >= CONVEX * hulls else None


def _hull_area(own: np.ndarray) -> float:
    """Return the area of the convex hull of the corners of the pixels."""
    corners = np.argwhere(own)[:, None] + np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    return ConvexHull(corners.reshape(-1, 2)).volume


def _profile(
    picture: _Picture, sides: tuple[np.ndarray, np.ndarray], depths: tuple[np.ndarray, np.ndarray], step_px: float
) -> np.ndarray:
    sums = np.zeros((2, PROFILE_STEPS, 3))
    for row, (side, depth) in enumerate(zip(sides, depths, strict=True)):
        near = side & (depth - 0.5 < PROFILE_STEPS * step_px)
        step = ((depth[near] - 0.5) / step_px).astype(int)
        for column, weights in enumerate((None, picture.stains[..., 0][near], picture.stains[..., 1][near])):
            sums[row, :, column] = np.bincount(step, weights, minlength=PROFILE_STEPS)
    return sums


def _edge(
    picture: _Picture, sides: tuple[np.ndarray, np.ndarray], depths: tuple[np.ndarray, np.ndarray], scale: Scale
) -> np.ndarray:
    own, others = sides
    inside, outside = depths
    sigma = scale.px(EDGE_SIGMA_UM)
    border = (own & (inside - 0.5 <= sigma)) | (others & (outside - 0.5 <= sigma))
    deep = own & (inside > scale.band_px + 0.5)
    return np.array(
        [[area.sum(), *(gradient[area].sum() for gradient in picture.gradients)] for area in (border, deep)]
    )


def _lengths(mask: np.ndarray, own: np.ndarray, n_classes: int) -> np.ndarray:
    count = np.zeros(256, np.int64)
    for axis in (0, 1):
        first, second = (np.take(each, range(0, each.shape[axis] - 1), axis) for each in (mask, own))
        after, also = (np.take(each, range(1, each.shape[axis]), axis) for each in (mask, own))
        count += np.bincount(after[second & ~also], minlength=256) + np.bincount(first[also & ~second], minlength=256)
    return count[:n_classes]


def _boxes(own: np.ndarray, box_px: float) -> np.ndarray:
    counts = []
    for level in range(BOX_SIZES):
        starts = [
            np.unique(np.floor((np.arange(n) + 0.5) / (box_px * 2**level)), return_index=True)[1] for n in own.shape
        ]
        counts.append(np.logical_or.reduceat(np.logical_or.reduceat(own, starts[0], 0), starts[1], 1).sum())
    return np.array(counts)


def _descriptors(image: np.ndarray) -> np.ndarray:
    """Return an instance's normalised elliptic Fourier descriptors, (4 * HARMONICS - 3,); Kuhl and Giardina 1982."""
    contours = find_contours(np.pad(image, 1).astype(float), 0.5, fully_connected="high")
    y, x = max(contours, key=lambda each: abs(np.sum(each[:-1, 0] * each[1:, 1] - each[1:, 0] * each[:-1, 1]))).T
    dx, dy = np.diff(x), np.diff(y)
    if np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) < 0:
        dx, dy = -dx[::-1], -dy[::-1]
    dt = np.hypot(dx, dy)
    t = np.concatenate([[0], np.cumsum(dt)])
    order = np.arange(1, HARMONICS + 1)[:, None]
    phase = 2 * np.pi * order * t / t[-1]
    factor = (t[-1] / (2 * order**2 * np.pi**2))[:, 0]
    waves = [np.diff(np.cos(phase), axis=1) / dt, np.diff(np.sin(phase), axis=1) / dt]
    a, b, c, d = (factor * (wave @ step) for step in (dx, dy) for wave in waves)
    theta = np.arctan2(2 * (a[0] * b[0] + c[0] * d[0]), a[0] ** 2 - b[0] ** 2 + c[0] ** 2 - d[0] ** 2) / 2
    angle = theta * order[:, 0]
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.array([[a * cos + b * sin, b * cos - a * sin], [c * cos + d * sin, d * cos - c * sin]])  # (2, 2, order)
    psi = np.arctan2(turned[1, 0, 0], turned[0, 0, 0])
    turn = np.array([[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]])
    turned = np.einsum("ij,jkn->nik", turn, turned)
    turned /= abs(turned[0, 0, 0])
    if turned[1, 0, 0] < 0:
        turned[1::2] *= -1
    return turned.reshape(-1)[3:]
