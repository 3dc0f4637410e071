"""Boundary ambiguity: do the two sides of a class's border differ, how sharp is it, and how much of it is there?"""

import numpy as np

from analysis.geometry.nearest_border import EDGE_SIGMA_UM
from analysis.measures.construct import RAREFIED_RESAMPLES, Construct, distinct, ratio
from analysis.measures.rarefaction import equal_size, rarefied_groups
from analysis.measures.stains import corrected_overlap, marginal
from analysis.measures.survey import Survey
from imbalance_bench.seeding import generator

FEWEST_BORDER_PX = 50  # on each side; below, the overlap of a class is not measured


def border_measure(found: Survey, fold: int = 0) -> Construct:
    """Return how alike the stains on both sides of each class's border are (1 is indistinguishable).

    Every class gives the same number of groups, and as many pixels of either side; every resample draws them anew.

    Args:
        found: The survey.
        fold: Whose units give.
    """
    border = found.sums.border * found.in_fold[fold][:, None, None, None]  # (U, 2, K, bins)
    border = border[..., border.any(axis=(0, 1, 2))]

    def evaluate(w: np.ndarray) -> np.ndarray:
        rng = generator(0, "rarefaction", "border")
        samples = [_rarefied(border, row.astype(np.int64), rng) for row in w]
        sides, pixels = (np.stack(each) for each in zip(*samples, strict=True))  # (B, 2, K, bins), (B, 2, K)
        return corrected_overlap(sides[:, 0], sides[:, 1], sizes=(pixels[:, 0], pixels[:, 1]))[None]

    units = len(border)
    return Construct(
        "boundary",
        {"border_stain_overlap": f"1 - JS distance, band {found.scale.written(found.scale.band_um)}, H and E jointly"},
        evaluate,
        _rarefied(border, np.ones(units, np.int64), generator(0, "rarefaction", "border"))[1].min(axis=0),
        alone=border.any(axis=(1, 3)).sum(axis=0) < 2,
        most_resamples=RAREFIED_RESAMPLES,
    )


def boundary_measures(found: Survey) -> Construct:
    """Return how alike single stains on both sides are, how sharp the border is, and how much of a class is near it."""
    sums, scale = found.sums, found.scale
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
        sides = [np.tensordot(w, each, 1) for each in (inside, outside)]  # (B, 2 stains, K, bins)
        sizes = [size[:, None] for size in _sizes(w, inside[:, 0], outside[:, 0])]
        haematoxylin, eosin = np.moveaxis(corrected_overlap(*sides, sizes=(sizes[0], sizes[1])), 1, 0)
        edge = _edge_strength(np.tensordot(w, sums.edge, 1))
        return np.stack([haematoxylin, eosin, edge, ratio(w @ pixels, w @ sums.pixels)])

    return Construct("boundary", units, evaluate, pixels.sum(axis=0).astype(np.int64))


def outline_measures(found: Survey) -> Construct:
    """Return how much border whole instances have for their area, as it is and beside disks of the same areas."""
    outline = found.sums.outline
    units = {
        "perimeter_per_area": f"1/{found.scale.length_unit}, whole instances",
        "perimeter_over_disk": "perimeter of whole instances over that of disks of the same areas",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        total = np.tensordot(w, outline, 1)  # (B, K, 4)
        per_area = ratio(total[..., 2], total[..., 1]) / found.scale.pixel
        return np.stack([per_area, ratio(total[..., 2], total[..., 3])])

    return Construct("boundary", units, evaluate, outline[..., 0].sum(axis=0).astype(np.int64))


def _edge_strength(edge: np.ndarray) -> np.ndarray:
    """Return the mean over H and E of the border's mean gradient over the interior's, from (B, 2, K, 3) sums."""
    at_border, in_interior = (ratio(edge[:, side, :, 1:], edge[:, side, :, :1]) for side in (0, 1))
    return ratio(at_border, in_interior).mean(axis=-1)


def _rarefied(border: np.ndarray, copies: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw as many pixels of every class from as many units, separately inside and outside.

    Args:
        border: (U, 2, K, bins) pixels.
        copies: (U,) how often each unit is there.
        rng: Of the draw.

    Returns:
        (2, K, bins) float64 pixels, and how many distinct ones they count for, (2, K) int64.
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
    """Return how many pixels weighted histograms (U, K, bins) of both sides rest on, (B, K) each."""
    return distinct(w, inside.sum(axis=-1)), distinct(w, outside.sum(axis=-1))
