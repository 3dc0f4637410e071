"""Random fields that cost little: smooth noise from a coarse grid, wavy fibres, cellular (Voronoi) distances."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.floating[Any]]

# Standard deviation of white noise after cubic B-spline interpolation in two dimensions.
_SPLINE_STD = 0.4794
_SUBSTRATE_SIZE = 512
_SUBSTRATE_STEP = 8
_SUBSTRATE_SEED = 20_240_229


@lru_cache(maxsize=64)
def _spline_taps(factor: int) -> Field:
    """Weights of the four neighbouring knots at each of `factor` positions between two knots, shape (factor, 4)."""
    t = np.arange(factor, dtype=np.float64) / factor
    taps = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    return taps.astype(np.float32)


def _upsample_rows(knots: Field, factor: int) -> Field:
    """Interpolate along the first axis: (n + 3, m) knots become (n * factor, m) rows."""
    taps = _spline_taps(factor)
    n = knots.shape[0] - 3
    out = taps[:, 0, None] * knots[:n, None, :]
    for k in (1, 2, 3):
        out += taps[:, k, None] * knots[k : k + n, None, :]
    return out.reshape(n * factor, -1)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Field:
    """Return a smooth random field of unit variance.

    Args:
        rng: Source of randomness.
        shape: (height, width).
        scale_px: Distance between independent values, in pixels; at most 1 gives white noise.
    """
    factor = round(scale_px)
    if factor <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    rows, columns = (-(-n // factor) for n in shape)
    knots = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32) * np.float32(1 / _SPLINE_STD)
    return _spline(knots, factor, shape)


def smoothed(values: Field, scale_px: float) -> Field:
    """Return `values` smoothed over about `scale_px` pixels, by a cubic B-spline through its coarse samples."""
    factor = max(round(scale_px), 1)
    coarse = values[::factor, ::factor]
    shape = (values.shape[0], values.shape[1])
    return _spline(np.pad(coarse, ((1, 2), (1, 2)), mode="edge"), factor, shape)


def _spline(knots: Field, factor: int, shape: tuple[int, int]) -> Field:
    """Interpolate (rows + 3, columns + 3) knots to `shape`."""
    tall = _upsample_rows(knots, factor)[: shape[0]]
    return np.ascontiguousarray(_upsample_rows(np.ascontiguousarray(tall.T), factor)[: shape[1]].T)


@lru_cache(maxsize=1)
def _substrate() -> Field:
    """Periodic noise whose values decorrelate over `_SUBSTRATE_STEP` samples; fibres are read from it."""
    noise = np.random.default_rng(_SUBSTRATE_SEED).standard_normal((_SUBSTRATE_SIZE, _SUBSTRATE_SIZE))
    smooth = ndimage.gaussian_filter(noise, _SUBSTRATE_STEP / 2, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def stretched_noise(along: Field, across: Field, length: float, width: float, offset: tuple[int, int]) -> Field:
    """Read noise with correlation `length` x `width` at the curvilinear coordinates (along, across), unit variance."""
    mask = _SUBSTRATE_SIZE - 1
    row = (across * np.float32(_SUBSTRATE_STEP / width)).astype(np.int32)
    column = (along * np.float32(_SUBSTRATE_STEP / length)).astype(np.int32)
    index = ((row + offset[0]) & mask) * _SUBSTRATE_SIZE + ((column + offset[1]) & mask)
    return _substrate().ravel()[index]


@dataclass(frozen=True)
class Cells:
    """Distances in a jittered Voronoi tessellation, in pixels.

    Attributes:
        depth: Distance to the nearest wall between two cells, (height, width).
        to_centre: Distance to the centre of the own cell, (height, width).
    """

    depth: Field
    to_centre: Field


def voronoi_cells(rng: np.random.Generator, shape: tuple[int, int], pitch_px: float) -> Cells:
    """Tessellate the plane by one random centre per square of side `pitch_px`."""
    rows, columns = (int(n / pitch_px) + 4 for n in shape)
    jitter = rng.uniform(0.15, 0.85, (2, rows, columns)).astype(np.float32)
    centre_y = (np.arange(rows, dtype=np.float32)[:, None] - 1 + jitter[0]) * np.float32(pitch_px)
    centre_x = (np.arange(columns, dtype=np.float32)[None, :] - 1 + jitter[1]) * np.float32(pitch_px)
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    cell_y, cell_x = ((v / np.float32(pitch_px)).astype(np.int32) + 1 for v in (y, x))
    first = np.full(shape, np.inf, np.float32)
    second = first.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            index = np.ix_(cell_y + dy, cell_x + dx)
            distance = (centre_y[index] - y[:, None]) ** 2 + (centre_x[index] - x[None, :]) ** 2
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    to_centre = np.sqrt(first)
    return Cells(depth=(np.sqrt(second) - to_centre) / 2, to_centre=to_centre)
