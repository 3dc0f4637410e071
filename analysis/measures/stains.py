"""Stains near class borders and within classes, as histograms, and how much two of them overlap."""

import numpy as np
from skimage.color import hed_from_rgb

from imbalance_bench.data.taxonomy import UNLABELLED

# Fixed bins, so that images can be reduced one at a time. Optical densities (natural log) as in skimage's rgb2hed times
# -ln(1e-6); the last bin takes whatever is above. 99.9 % of CoNSeP's pixels lie within.
BINS_PER_STAIN = 24
HAEMATOXYLIN_STEP = 0.10
EOSIN_STEP = 0.04
STAIN_BINS = BINS_PER_STAIN**2

_DARKEST = 1e-6  # rgb2hed's floor
# uint8 -> -ln(intensity), (256,)
_DENSITY = -np.log(np.maximum(np.arange(256) / 255.0, _DARKEST)).astype(np.float32)
_TO_STAINS = hed_from_rgb[:, :2].astype(np.float32)  # (RGB, H and E)


def stain_densities(image: np.ndarray) -> np.ndarray:
    """Unmix haematoxylin and eosin.

    Args:
        image: (..., 3) uint8, RGB.

    Returns:
        (..., 2) float32 optical densities >= 0: skimage's `rgb2hed(image)[..., :2]` times -ln(1e-6).

    Source:
        Ruifrok and Johnston 2001.
    """
    return np.maximum(_DENSITY[image] @ _TO_STAINS, 0)


def within(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """Return the pixels whose centre lies within `radius_px` (Euclidean) of the centre of a pixel of `mask`.

    Args:
        mask: (H, W) bool.
        radius_px: At least 0; intended for bands, time grows with it.

    Returns:
        (H, W) bool; equals `distance_transform_edt(~mask) <= radius_px` at a fraction of the time.
    """
    reach = int(radius_px)
    cap = reach + 1
    along = np.where(mask, 0, cap).astype(np.int16)  # distance along the row, at most cap
    step = 1
    while step <= reach:  # shifts 1, 2, 4 ... reach every distance below 2 * step
        nearer = along.copy()
        np.minimum(nearer[:, step:], along[:, :-step] + step, out=nearer[:, step:])
        np.minimum(nearer[:, :-step], along[:, step:] + step, out=nearer[:, :-step])
        along, step = nearer, 2 * step
    near = along <= radius_px
    for rows in range(1, min(reach, len(mask) - 1) + 1):
        inside = along <= np.sqrt(radius_px**2 - rows**2)
        near[rows:] |= inside[:-rows]
        near[:-rows] |= inside[rows:]
    return near


def stain_codes(stains: np.ndarray) -> np.ndarray:
    """Return the joint bin of each pixel, haematoxylin bin * BINS_PER_STAIN + eosin bin, (...) int64."""
    bins = (stains / np.array([HAEMATOXYLIN_STEP, EOSIN_STEP], np.float32)).astype(np.int64)
    bins = np.minimum(bins, BINS_PER_STAIN - 1)
    return bins[..., 0] * BINS_PER_STAIN + bins[..., 1]


def stain_histograms(codes: np.ndarray, mask: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the stain values of each whole class, (K, STAIN_BINS) int64; arguments as of `border_histograms`."""
    labelled = mask != UNLABELLED
    both = mask[labelled].astype(np.int64) * STAIN_BINS + codes[labelled]
    return np.bincount(both, minlength=n_classes * STAIN_BINS).reshape(n_classes, STAIN_BINS)


def border_histograms(codes: np.ndarray, mask: np.ndarray, n_classes: int, band_px: float) -> np.ndarray:
    """Count stain values in the bands inside and outside the border of each class.

    A border lies between two labelled classes; the edge of the image and of unlabelled areas is none.

    Args:
        codes: (H, W) int64 of `stain_codes`.
        mask: (H, W) uint8, class indices or UNLABELLED.
        n_classes: K.
        band_px: Width of each band, px: along a straight border, that many rows of pixels.

    Returns:
        (2, K, STAIN_BINS) int64: [0] inside, [1] outside.
    """
    radius = band_px + 0.5  # the border runs half a pixel from the nearest centre
    pad = int(radius) + 1
    near_other = np.zeros(mask.shape, dtype=bool)
    counts = np.zeros((2, n_classes, STAIN_BINS), dtype=np.int64)
    for c in range(n_classes):
        box = _bounding_box(mask == c, pad)
        if box is None:
            continue
        part = mask[box]
        outside = within(part == c, radius) & (part != c) & (part != UNLABELLED)
        near_other[box] |= outside
        counts[1, c] = np.bincount(codes[box][outside], minlength=STAIN_BINS)
    both = mask[near_other].astype(np.int64) * STAIN_BINS + codes[near_other]
    counts[0] = np.bincount(both, minlength=n_classes * STAIN_BINS).reshape(n_classes, STAIN_BINS)
    return counts


def overlap(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return 1 - Jensen-Shannon distance (base 2) of histograms along the last axis.

    Args:
        inside: (..., bins) float, >= 0.
        outside: The same shape.

    Returns:
        (...) float64: 1 where the two are indistinguishable, 0 where they do not touch; NaN where one is empty.

    Source:
        Endres and Schindelin 2003 (the distance is the square root of the divergence).
    """
    size = [each.sum(axis=-1) for each in (inside, outside)]
    known = (size[0] > 0) & (size[1] > 0)
    p, q = (
        each / np.where(total > 0, total, 1)[..., None] for each, total in zip((inside, outside), size, strict=True)
    )
    divergence = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    return np.where(known, 1 - np.sqrt(np.clip(divergence, 0, 1)), np.nan)


def marginal(histograms: np.ndarray, stain: str) -> np.ndarray:
    """Sum joint histograms (..., STAIN_BINS) to one stain, (..., BINS_PER_STAIN)."""
    joint = histograms.reshape(*histograms.shape[:-1], BINS_PER_STAIN, BINS_PER_STAIN)
    return joint.sum(axis=-1 if stain == "haematoxylin" else -2)


def entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of distributions along the last axis; NaN where one is unknown."""
    logs = np.zeros_like(p)
    np.log2(p, out=logs, where=p > 0)
    return -np.einsum("...i,...i->...", p, logs)


def _bounding_box(mask: np.ndarray, pad: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return (
        slice(max(rows[0] - pad, 0), rows[-1] + pad + 1),
        slice(max(columns[0] - pad, 0), columns[-1] + pad + 1),
    )
