"""Stains near class borders and within classes, as histograms, and how much two of them overlap."""

import numpy as np
from scipy.stats import binom
from skimage.color import hed_from_rgb

from analysis.measures.construct import distinct
from imbalance_bench.data.image_bands import EVERY_ROW
from imbalance_bench.data.taxonomy import UNLABELLED

# Fixed bins, so that images can be reduced one at a time. Optical densities (natural log) as in skimage's rgb2hed times
# -ln(1e-6); the last bin also takes everything above it. 99.9 % of CoNSeP's pixels lie within the range.
BINS_PER_STAIN = 24
HAEMATOXYLIN_STEP = 0.10
EOSIN_STEP = 0.04
STAIN_BINS = BINS_PER_STAIN**2

_MOST_FLAGS = 64  # bits of the widest integer
_LEAST_EXPECTED = 1e-9  # bits; less is rounding
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
    stains = np.moveaxis(np.take(_DENSITY, image, mode="clip") @ _TO_STAINS, -1, 0)
    return np.moveaxis(np.maximum(stains, 0, order="C"), 0, -1)  # each stain is contiguous in memory


def within(flags: np.ndarray, radius_px: float) -> np.ndarray:
    """Return for each pixel the flags of all pixels whose centre lies within `radius_px` (Euclidean) of its own.

    Args:
        flags: (H, W) bool, or unsigned integers, each bit of which is a separate flag.
        radius_px: At least 0. Intended for narrow bands: time grows with the radius.

    Returns:
        (H, W) of the dtype of `flags`, combined by or; for a bool mask `distance_transform_edt(~mask) <= radius_px`.
    """
    reach = min(int(radius_px), len(flags) - 1)
    along = flags.copy()  # within `width` along the row
    near, width = np.zeros_like(flags), 0
    for rows in range(reach, -1, -1):  # the farther the row, the narrower the disk
        while width + 1 <= np.sqrt(radius_px**2 - rows**2):
            width += 1
            along[:, width:] |= flags[:, :-width]
            along[:, :-width] |= flags[:, width:]
        near[rows:] |= along[: len(along) - rows]
        near[: len(near) - rows] |= along[rows:]
    return near


def stain_codes(stains: np.ndarray) -> np.ndarray:
    """Return the joint bin of each pixel, haematoxylin bin * BINS_PER_STAIN + eosin bin, (...) int64."""
    last = np.float32(BINS_PER_STAIN - 1)
    haematoxylin, eosin = (
        np.minimum(stains[..., channel] / np.float32(step), last).astype(np.int64)
        for channel, step in ((0, HAEMATOXYLIN_STEP), (1, EOSIN_STEP))
    )
    return haematoxylin * BINS_PER_STAIN + eosin


def stain_histograms(codes: np.ndarray, mask: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the stain values of each whole class, (K, STAIN_BINS) int64; arguments as for `border_histograms`."""
    class_id = np.where(mask == UNLABELLED, n_classes, mask)  # one more class, which is dropped
    both = class_id * np.int64(STAIN_BINS) + codes
    return np.bincount(both.ravel(), minlength=(n_classes + 1) * STAIN_BINS).reshape(-1, STAIN_BINS)[:n_classes]


def border_histograms(
    codes: np.ndarray, mask: np.ndarray, n_classes: int, band_px: float, rows: slice = EVERY_ROW
) -> np.ndarray:
    """Count stain values in the bands inside and outside the border of each class.

    A border lies between two labelled classes; the edges of the image and of unlabelled areas are not borders.

    Args:
        codes: (H, W) int64, from `stain_codes`.
        mask: (H, W) uint8, class indices or UNLABELLED.
        n_classes: K.
        band_px: Width of each band, px: the number of rows of pixels along a straight border.
        rows: Those of which pixels are counted; the others only say what is near.

    Returns:
        (2, K, STAIN_BINS) int64: [0] inside, [1] outside.
    """
    radius = band_px + 0.5  # the border runs half a pixel from the nearest centre
    counted = np.zeros(mask.shape, dtype=bool)
    counted[rows] = mask[rows] != UNLABELLED
    near_other = np.zeros(mask.shape, dtype=bool)
    counts = np.zeros((2, n_classes, STAIN_BINS), dtype=np.int64)
    for first in range(0, n_classes, _MOST_FLAGS):
        last = min(first + _MOST_FLAGS, n_classes)
        dtype = np.min_scalar_type(2 ** (last - first) - 1)
        flag_of = np.zeros(256, dtype)  # a bit for each of up to 64 classes, so that one search serves them all
        flag_of[first:last] = 2 ** np.arange(last - first, dtype=np.uint64)
        flags = flag_of[mask]
        others = within(flags, radius) & ~flags
        others[~counted] = 0
        index = np.flatnonzero(others)
        near_other.ravel()[index] = True
        neighbours, code = others.ravel()[index], codes.ravel()[index]
        for c in np.flatnonzero(flag_of):
            counts[1, c] = np.bincount(code[(neighbours & flag_of[c]) > 0], minlength=STAIN_BINS)
    both = mask[near_other].astype(np.int64) * STAIN_BINS + codes[near_other]
    counts[0] = np.bincount(both, minlength=n_classes * STAIN_BINS).reshape(n_classes, STAIN_BINS)
    return counts


def overlap(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return 1 - Jensen-Shannon distance (base 2) of histograms along the last axis.

    Args:
        inside: (..., bins) float, >= 0.
        outside: The same shape.

    Returns:
        (...) float64: 1 where the two are identical, 0 where they share no bin; NaN where one is empty.

    Source:
        Endres and Schindelin 2003 (the distance is the square root of the divergence).
    """
    valid, p, q = _shares(inside, outside)
    return np.where(valid, _overlap(p, q, (p + q) / 2), np.nan)


def corrected_overlap(
    inside: np.ndarray, outside: np.ndarray, sizes: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Return `overlap` without the part of the divergence that arises by chance in histograms of few pixels.

    The divergence is the information in a pixel's bin about the side that it is from. The remaining uncertainty is
    compared with its expectation under permuted sides. The corrected divergence, (observed - expected) /
    (1 - expected), is 0 for indistinguishable sides and 1 for sides that share no bin, at any number of pixels.

    Args:
        inside: (..., bins) float, >= 0, counts or weighted counts.
        outside: The same shape.
        sizes: (...) number of distinct pixels in each histogram; by default the sums.

    Returns:
        (...) float64 in 0..1; NaN where one is empty, or where no bin contains two pixels to compare.

    Source:
        Adjusted mutual information (Vinh, Epps and Bailey 2010) of bin and side.
    Deviation:
        The expectation is that of binomial draws with the finite-population factor instead of hypergeometric ones, as
        both sides have equal weights here whatever their sizes.
    """
    valid, p, q = _shares(inside, outside)
    middle = (p + q) / 2
    plain = _overlap(p, q, middle)
    sizes = sizes or (inside.sum(axis=-1), outside.sum(axis=-1))
    first, second = (1 / np.where(valid, size, 1) for size in sizes)
    pixels = np.asarray(2 / (first + second))  # harmonic mean of both
    expected = (middle * (1 - chance_information(middle, pixels[..., None]))).sum(axis=-1)
    valid &= expected > _LEAST_EXPECTED
    divergence = 1 - (1 - (1 - plain) ** 2) / np.where(valid, expected, 1)
    return np.where(valid, 1 - np.sqrt(np.clip(divergence, 0, 1)), np.nan)


def class_overlaps(w: np.ndarray, stains: np.ndarray) -> np.ndarray:
    """Return `corrected_overlap` of each pair of classes, (B, K, K); NaN on the diagonal.

    Args:
        w: (B, U) weights of units.
        stains: (U, K, bins) float64, pixels of each class.
    """
    totals, pixels = np.tensordot(w, stains, 1), distinct(w, stains.sum(axis=-1))  # (B, K, bins), (B, K)
    overlaps = np.full((*pixels.shape, pixels.shape[1]), np.nan)
    for i in range(1, pixels.shape[1]):
        sizes = (pixels[:, i, None], pixels[:, :i])
        overlaps[:, i, :i] = corrected_overlap(totals[:, i, None], totals[:, :i], sizes=sizes)
        overlaps[:, :i, i] = overlaps[:, i, :i]
    return overlaps


def _shares(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whether neither histogram is empty, and the share of each bin in both; 0 in an empty one."""
    totals = [histogram.sum(axis=-1) for histogram in (inside, outside)]
    p, q = (
        histogram / np.where(total > 0, total, 1)[..., None]
        for histogram, total in zip((inside, outside), totals, strict=True)
    )
    return (totals[0] > 0) & (totals[1] > 0), p, q


def _overlap(p: np.ndarray, q: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return `overlap` of shares and their mean."""
    divergence = entropy(middle) - (entropy(p) + entropy(q)) / 2
    return 1 - np.sqrt(np.clip(divergence, 0, 1))


def chance_information(share: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the expected apparent information, in bits, of a bin about the side of its pixels when it has none.

    Args:
        share: (...) share of the bin in the mean of both sides.
        pixels: (...) number of pixels of each side.

    Returns:
        (...) float64: 1 for a bin of up to one pixel, about 1 / (2 ln 2 a) for one of many pixels a.
    """
    count = 2 * share * pixels
    whole = np.minimum(count, len(_CHANCE) - 2).astype(np.int64)
    information = _CHANCE[whole] + _CHANCE_STEP[whole] * (count - whole)
    is_large = count >= len(_CHANCE) - 2
    large = count[is_large]
    information[is_large] = 1 / (2 * np.log(2) * large) * (1 + 1 / (2 * large))
    left = (2 * pixels - count) / np.maximum(2 * pixels - 1, 1)  # pixels of other bins; 1 in a bin of one pixel
    return information * np.clip(left, 0, 1)


def _chance_table(most: int) -> np.ndarray:
    """Return E[1 - h(c / a)] for a = 0..most, (most + 1,), where h is the binary entropy and c is binomial(a, 1/2)."""
    table = np.ones(most + 1)
    for a in range(2, most + 1):
        side = np.arange(a + 1)
        table[a] = 1 - binom.pmf(side, a, 0.5) @ entropy(np.stack([side / a, 1 - side / a], axis=-1))
    return table


def marginal(histograms: np.ndarray, stain: str) -> np.ndarray:
    """Return the marginal histograms of one stain, (..., BINS_PER_STAIN), of joint ones, (..., STAIN_BINS)."""
    joint = histograms.reshape(*histograms.shape[:-1], BINS_PER_STAIN, BINS_PER_STAIN)
    return joint.sum(axis=-1 if stain == "haematoxylin" else -2)


def entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of distributions along the last axis; NaN where one contains NaN."""
    logs = np.log2(np.maximum(p, np.finfo(np.float64).tiny))  # finite at 0, whose product with it is 0
    return -np.einsum("...i,...i->...", p, logs)


_CHANCE = _chance_table(256)
_CHANCE_STEP = np.diff(_CHANCE)
