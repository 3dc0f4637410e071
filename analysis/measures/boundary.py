"""Boundary ambiguity: do the two sides of a class's border differ, how sharp is it, and how much of it is there?"""

import numpy as np

from analysis.geometry.nearest_border import EDGE_SIGMA_UM
from analysis.measures.construct import RAREFIED_RESAMPLES, Construct, distinct, ratio
from analysis.measures.rarefaction import equal_size, rarefied_groups
from analysis.measures.stains import corrected_overlap, marginal
from analysis.measures.survey import Survey
from imbalance_bench.seeding import generator

FEWEST_BORDER_PX = 50  # on each side; a class with fewer has no border overlap


def border_measure(survey: Survey, fold: int = 0) -> Construct:
    """Return how similar the stains on both sides of each class's border are; 1 means indistinguishable.

    Every class contributes the same number of groups and of pixels on each side; every resample draws them anew.

    Args:
        survey: The survey.
        fold: Fold whose training units are sampled.
    """
    border = survey.sums.border * survey.in_fold[fold][:, None, None, None]  # (U, 2, K, bins)
    border = border[..., border.any(axis=(0, 1, 2))]

    def evaluate(w: np.ndarray) -> np.ndarray:
        rng = generator(0, "rarefaction", "border")
        samples = [_rarefied(border, row.astype(np.int64), rng) for row in w]
        sides, pixels = (np.stack(parts) for parts in zip(*samples, strict=True))  # (B, 2, K, bins), (B, 2, K)
        return corrected_overlap(sides[:, 0], sides[:, 1], sizes=(pixels[:, 0], pixels[:, 1]))[None]

    units, scale = len(border), survey.scale
    return Construct(
        "boundary",
        {"border_stain_overlap": f"1 - JS distance, band {scale.written(scale.band_um)}, H and E jointly"},
        evaluate,
        _rarefied(border, np.ones(units, np.int64), generator(0, "rarefaction", "border"))[1].min(axis=0),
        single_unit=border.any(axis=(1, 3)).sum(axis=0) < 2,
        most_resamples=RAREFIED_RESAMPLES,
    )


def boundary_measures(survey: Survey) -> Construct:
    """Return the overlap of each stain across the border, the border's sharpness, and the share of a class near it."""
    sums, scale = survey.sums, survey.scale
    inside, outside = (
        np.stack([marginal(sums.border[:, side], stain) for stain in ("haematoxylin", "eosin")], axis=1).astype(float)
        for side in (0, 1)
    )  # (U, 2 stains, K, bins)
    pixels = inside[:, 0].sum(axis=2)  # (U, K)
    band = scale.written(scale.band_um)
    unit = f"1 - JS distance, band {band}"
    units = {
        "border_haematoxylin_overlap": unit,
        "border_eosin_overlap": unit,
        "edge_strength": f"gradient at the border over that in the interior, sigma {scale.written(EDGE_SIGMA_UM)}",
        "border_exposure": f"share of the class within {band} of its border",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        sides = [np.tensordot(w, histograms, 1) for histograms in (inside, outside)]  # (B, 2 stains, K, bins)
        sizes = [size[:, None] for size in _sizes(w, inside[:, 0], outside[:, 0])]
        haematoxylin, eosin = np.moveaxis(corrected_overlap(*sides, sizes=(sizes[0], sizes[1])), 1, 0)
        edge = _edge_strength(np.tensordot(w, sums.edge, 1))
        return np.stack([haematoxylin, eosin, edge, ratio(w @ pixels, w @ sums.pixels)])

    return Construct("boundary", units, evaluate, pixels.sum(axis=0).astype(np.int64))


def outline_measures(survey: Survey) -> Construct:
    """Return the perimeter of whole instances relative to their area, and to the perimeter of disks of equal area."""
    outline = survey.sums.outline
    units = {
        "perimeter_per_area": f"1/{survey.scale.length_unit}, whole instances",
        "perimeter_over_disk": "perimeter of whole instances over that of disks of the same areas",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        total = np.tensordot(w, outline, 1)  # (B, K, 4)
        per_area = ratio(total[..., 2], total[..., 1]) / survey.scale.pixel
        return np.stack([per_area, ratio(total[..., 2], total[..., 3])])

    return Construct("boundary", units, evaluate, outline[..., 0].sum(axis=0).astype(np.int64))


def _edge_strength(edge: np.ndarray) -> np.ndarray:
    """Return the mean over H and E of the border's mean gradient over the interior's, from (B, 2, K, 3) sums."""
    at_border, in_interior = (ratio(edge[:, side, :, 1:], edge[:, side, :, :1]) for side in (0, 1))
    return ratio(at_border, in_interior).mean(axis=-1)


def _rarefied(border: np.ndarray, copies: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the same number of pixels for every class from the same number of units, separately inside and outside.

    Args:
        border: (U, 2, K, bins) pixels.
        copies: (U,) how often the resample contains each unit.
        rng: Generator of the draw.

    Returns:
        (2, K, bins) float64 pixels, and the number of distinct pixels that they count for, (2, K) int64.
    """
    counts = border.sum(axis=3)  # (U, 2, K)
    chosen = rarefied_groups(counts.min(axis=1), FEWEST_BORDER_PX, rng, copies=copies)
    drawn, pixels = np.zeros(border.shape[1:]), np.zeros(border.shape[1:3], np.int64)
    for side in (0, 1):
        size = equal_size(counts[:, side], chosen)
        for c in np.flatnonzero(chosen.any(axis=0)):
            units = np.flatnonzero(chosen[:, c])
            times = chosen[units, c][:, None]
            sample = rng.multivariate_hypergeometric((times * border[units, side, c]).ravel(), size, method="marginals")
            sample = sample.reshape(len(units), -1)
            drawn[side, c] = sample.sum(axis=0)
            pixels[side, c] = round(size**2 / (times * sample).sum()) if size else 0
    return drawn, pixels


def _sizes(w: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the effective number of pixels in the weighted histograms (U, K, bins) of both sides, (B, K) each."""
    return distinct(w, inside.sum(axis=-1)), distinct(w, outside.sum(axis=-1))
