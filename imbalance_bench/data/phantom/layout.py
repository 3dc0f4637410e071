"""From the plan of one image to its label map: regions of exact area placed without overlap."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from imbalance_bench.data.phantom.fields import Field, smooth_noise
from imbalance_bench.data.phantom.plan import ImagePlan, RegionPlan
from imbalance_bench.data.phantom.spec import PhantomSpec

UNLABELLED_ID = 255
GAPS_UM = (7.0, 3.0, 1.0)
SEARCH_STEP_UM = 3.0
MIN_GAP_PX = 2
CUT_DEPTH = 0.45
# The second harmonic is left out: it would elongate, which `aspect` does.
HARMONICS = (3, 4, 5)
OUTLINE_STEPS = 720
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Where everything lies in one image.

    Attributes:
        labels: (H, W) uint8 class ids as annotated, `UNLABELLED_ID` where not annotated.
        region: (H, W) int32, 0 in the matrix, 1 + position in `region_class` in a region.
        matrix: Class id of the matrix.
        region_class: (n,) class id of each region.
        region_radius_px: (n,) radius of the disk of equal area.
    """

    labels: NDArray[np.uint8]
    region: NDArray[np.int32]
    matrix: int
    region_class: NDArray[np.int64]
    region_radius_px: Field


def lay_out(spec: PhantomSpec, plan: ImagePlan, rng: np.random.Generator) -> Layout:
    """Place the planned regions of one image."""
    size = spec.size_px
    unlabelled = _unlabelled_area(spec, plan.unlabelled_px, rng)
    board = _Board(spec, blocked=unlabelled.copy())
    regions = sorted(plan.regions, key=lambda r: -r.area_px)
    region_map = np.zeros((size, size), np.int32)
    for number, region in enumerate(regions, start=1):
        window, inside = board.place(region, rng)
        region_map[window][inside] = number
    classes = np.array([r.class_id for r in regions], np.int64)
    labels = np.concatenate([[plan.matrix], classes]).astype(np.uint8)[region_map]
    labels[unlabelled] = UNLABELLED_ID
    if spec.label_noise_px > 0:
        labels = _wander(labels, spec.label_noise_px, rng)
    radius = np.sqrt(np.array([r.area_px for r in regions], np.float32) / np.float32(np.pi))
    return Layout(labels, region_map, plan.matrix, classes, radius)


def _unlabelled_area(spec: PhantomSpec, n_pixels: int, rng: np.random.Generator) -> Mask:
    """Leave `n_pixels` outside the annotated region: everything beyond a wavy line across one corner or side."""
    size = spec.size_px
    angle = rng.uniform(0, 2 * math.pi)
    axis = np.arange(size, dtype=np.float32)
    height = math.sin(angle) * axis[:, None] + math.cos(angle) * axis[None, :]
    height += 0.03 * size * smooth_noise(rng, (size, size), size / 4)
    if n_pixels == 0:
        return np.zeros((size, size), bool)
    return height <= np.partition(height.ravel(), n_pixels - 1)[n_pixels - 1]


def _wander(labels: NDArray[np.uint8], noise_px: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Displace the annotated borders by a smooth random field of standard deviation `noise_px`."""
    shape = labels.shape
    axis = np.arange(shape[0])
    moved = []
    for base in (axis[:, None], axis[None, :]):
        shift = noise_px * smooth_noise(rng, (shape[0], shape[1]), max(6 * noise_px, 8.0))
        moved.append(np.clip(np.round(base + shift).astype(np.int64), 0, shape[0] - 1))
    return labels[moved[0], moved[1]]


class _Board:
    """The image while regions are being placed: what is taken, at full and at search resolution."""

    def __init__(self, spec: PhantomSpec, blocked: Mask) -> None:
        self.mpp_um = spec.mpp_um
        self.blocked = blocked
        self.step = max(round(SEARCH_STEP_UM / spec.mpp_um), 1)

    def place(self, region: RegionPlan, rng: np.random.Generator) -> tuple[tuple[slice, slice], Mask]:
        """Find room for a region, take it, and return its window and its pixels in that window."""
        distance = _outline_distance(region, rng)
        threshold = np.partition(distance.ravel(), region.area_px - 1)[region.area_px - 1]
        radius_um = math.sqrt(region.area_px / math.pi) * self.mpp_um
        taken = _pool(self.blocked, self.step).astype(np.float32)
        allowed = self._allowed_centres(distance <= threshold, region.cut)
        centre = (0, 0)
        for gap_um in GAPS_UM:
            grown = _pool(distance <= threshold * np.float32(1 + gap_um / radius_um), self.step).astype(np.float32)
            crowding = np.round(signal.fftconvolve(taken, grown[::-1, ::-1], mode="same")).astype(np.int64)
            crowding[~allowed] = np.iinfo(np.int64).max
            least = crowding.min()
            options = np.argwhere(crowding == least)
            cell = options[rng.integers(len(options))]
            centre = (int(cell[0]) * self.step + self.step // 2, int(cell[1]) * self.step + self.step // 2)
            if least == 0:
                break
        return self._take(distance, region.area_px, centre)

    def _allowed_centres(self, mask: Mask, cut: bool) -> Mask:
        """Return the search cells where the border cuts the region (`cut`) or else leaves it whole."""
        size = self.blocked.shape[0]
        half = mask.shape[0] // 2
        centres = np.arange(-(-size // self.step)) * self.step + self.step // 2
        reach = [np.flatnonzero(mask.any(axis=axis)) - half for axis in (1, 0)]
        fits = [(centres + extent[0] > 1) & (centres + extent[-1] < size - 2) for extent in reach]
        whole = fits[0][:, None] & fits[1][None, :]
        if not cut and whole.any():
            return whole
        from_edge = np.minimum(centres, size - 1 - centres)
        return np.minimum(from_edge[:, None], from_edge[None, :]) < CUT_DEPTH * reach[0][-1]

    def _take(self, distance: Field, area_px: int, centre: tuple[int, int]) -> tuple[tuple[slice, slice], Mask]:
        """Claim the `area_px` free pixels that lie innermost in the outline around `centre`."""
        half = distance.shape[0] // 2
        size = self.blocked.shape[0]
        low = [max(c - half, 0) for c in centre]
        high = [min(c + half + 1, size) for c in centre]
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        shape = tuple(slice(lo - c + half, hi - c + half) for lo, hi, c in zip(low, high, centre, strict=True))
        free = np.where(self.blocked[window], np.float32(np.inf), distance[shape])
        rank = min(area_px, int(np.isfinite(free).sum())) - 1
        outermost = np.partition(free.ravel(), rank)[rank] if rank >= 0 else -np.inf
        inside = _largest_part(np.asarray(free <= outermost))
        self.blocked[window] |= np.asarray(ndimage.binary_dilation(inside, iterations=MIN_GAP_PX), bool)
        return window, inside


def _outline_distance(region: RegionPlan, rng: np.random.Generator) -> Field:
    """Return a field on a square window that grows outwards; its level sets are the region's outline, scaled."""
    radius = math.sqrt(region.area_px / math.pi)
    room = 1.7 if region.cut else 1.2
    half = int(radius * math.sqrt(region.aspect) * (1 + 1.4 * region.lobulation) * room) + 3
    axis = np.arange(-half, half + 1, dtype=np.float32)
    angle = rng.uniform(0, math.pi)
    u = math.cos(angle) * axis[None, :] + math.sin(angle) * axis[:, None]
    v = region.aspect * math.cos(angle) * axis[:, None] - region.aspect * math.sin(angle) * axis[None, :]
    weights = rng.uniform(0.5, 1.0, len(HARMONICS)) / np.sqrt(HARMONICS)
    weights *= 1.6 * region.lobulation / np.linalg.norm(weights)
    phases = rng.uniform(0, 2 * math.pi, len(HARMONICS))
    theta = np.arange(OUTLINE_STEPS + 1)[:, None] * (2 * math.pi / OUTLINE_STEPS)
    outline = 1 + (weights * np.cos(np.array(HARMONICS) * theta + phases)).sum(axis=1)
    inverse = (1 / np.maximum(outline, 0.25)).astype(np.float32)
    direction = (np.arctan2(v, u) + math.pi) * (OUTLINE_STEPS / (2 * math.pi))
    return np.hypot(u, v) * inverse[direction.astype(np.int32)]


def _largest_part(mask: Mask) -> Mask:
    """Keep the largest component of a mask: a region squeezed between others must not leave specks behind them."""
    parts = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=parts)
    if parts.max() <= 1:
        return mask
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def _pool(mask: Mask, step: int) -> Mask:
    """Shrink a mask by `step`, keeping a cell when any of its pixels is set."""
    rows, columns = (-(-n // step) * step for n in mask.shape)
    padded = np.zeros((rows, columns), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    lines = padded.reshape(rows // step, step, columns).any(axis=1)
    return np.asarray(lines.reshape(rows // step, columns // step, step).any(axis=2))
