"""Masks of the golden cases: drawn by code, so that only numbers are stored."""

import numpy as np
from scipy.ndimage import gaussian_filter

Case = tuple[np.ndarray, np.ndarray]  # true, predicted; (H, W) bool


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Return a filled circle, (H, W) bool."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def blobs(shape: tuple[int, int], sigma: float, share: float, seed: int) -> np.ndarray:
    """Return thresholded smooth noise, (H, W) bool: ragged objects that the edge cuts."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return noise > np.quantile(noise, 1 - share)


def cases() -> dict[str, Case]:
    """Name -> (true, predicted)."""
    shape = (96, 120)
    empty = np.zeros(shape, bool)
    ragged = blobs(shape, 4, 0.3, 0)
    return {
        "shifted disc": (disc(shape, (48, 60), 25), disc(shape, (50, 57), 23)),
        "cut by the edge": (disc(shape, (3, 60), 30), disc(shape, (6, 66), 28)),
        "ragged": (ragged, ragged ^ blobs(shape, 1.5, 0.1, 1)),
        "noise": (blobs(shape, 0.6, 0.5, 2), blobs(shape, 0.6, 0.5, 3)),
        "far apart": (disc(shape, (20, 20), 9), disc(shape, (76, 100), 9)),
        "one pixel": (disc(shape, (40, 40), 0), disc(shape, (40, 43), 0)),
        "whole image": (~empty, ~disc(shape, (48, 60), 12)),
        "not predicted": (disc(shape, (48, 60), 25), empty),
        "not there": (empty, disc(shape, (48, 60), 25)),
    }
