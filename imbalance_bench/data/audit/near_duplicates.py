"""Pairs of images that are nearly the same: perceptual hashes, then correlation of thumbnails.

Source: the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010).
Deviation: the constant term takes no part, images are compared in all eight orientations, and candidates are confirmed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from scipy.fft import dctn

from imbalance_bench.data.prepared import PreparedDataset, usable_cores

THUMBNAIL_PX = 32
HASH_EDGE = 8  # lowest frequencies per axis; 63 bits without the constant
MAX_DISTANCE = 10  # differing bits of a candidate
MIN_CORRELATION = 0.95  # of the thumbnails of a confirmed pair
MIN_CONTRAST = 2.0  # grey levels; below, an image is blank glass and like every other blank
_BLOCK = 2048


def find_near_duplicates(
    dataset: PreparedDataset, *, on_progress: Callable[[int, int], None] | None = None
) -> list[tuple[int, int]]:
    """Compare every image with every other, turned and mirrored.

    Args:
        dataset: The data set.
        on_progress: Called with (images read, images in all).

    Returns:
        Pairs of positions in `dataset.entries`, the smaller first, ascending.
    """
    ids = [entry.image_id for entry in dataset.entries]
    thumbnails = np.empty((len(ids), THUMBNAIL_PX, THUMBNAIL_PX), dtype=np.float32)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for row, small in enumerate(pool.map(lambda image_id: thumbnail(dataset.read_image(image_id)), ids)):
            thumbnails[row] = small
            if on_progress is not None:
                on_progress(row + 1, len(ids))
    return similar_pairs(thumbnails)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Shrink an (H, W, 3) uint8 image to (32, 32) float32 grey levels, each the mean of what it covers."""
    small = Image.fromarray(image).convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def perceptual_hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return the signs of the lowest frequencies about their median.

    Args:
        thumbnails: (N, 32, 32) grey levels.

    Returns:
        (N, 63) float32 of -1 and 1, so that a product of two is 63 - 2 x their Hamming distance.
    """
    spectrum = np.asarray(dctn(thumbnails, axes=(1, 2), norm="ortho"))[:, :HASH_EDGE, :HASH_EDGE]
    low = spectrum.reshape(len(thumbnails), -1)[:, 1:]
    return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32)


def similar_pairs(thumbnails: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of (N, 32, 32) thumbnails that are nearly the same in some orientation, blank ones left out."""
    rows = np.flatnonzero(thumbnails.std(axis=(1, 2)) >= MIN_CONTRAST)
    vivid = thumbnails[rows]
    hashes = perceptual_hash(vivid)
    bits = hashes.shape[1]
    pairs: set[tuple[int, int]] = set()
    for turn in range(8):
        turned = np.rot90(vivid, turn % 4, axes=(1, 2))
        turned = turned[:, :, ::-1] if turn >= 4 else turned
        turned_hashes = perceptual_hash(turned)
        for start in range(0, len(rows), _BLOCK):
            distance = (bits - hashes[start : start + _BLOCK] @ turned_hashes.T) / 2
            first, second = np.nonzero(distance <= MAX_DISTANCE)
            first += start
            for a, b in zip(first[first < second], second[first < second], strict=True):
                if _correlation(vivid[a], turned[b]) >= MIN_CORRELATION:
                    pairs.add((int(rows[a]), int(rows[b])))
    return sorted(pairs)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
