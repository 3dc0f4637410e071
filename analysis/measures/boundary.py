"""Boundary ambiguity: do the two sides of a class's border differ, how sharp is it, and how much of it is there?"""

import numpy as np

from analysis.geometry.nearest_border import EDGE_SIGMA_UM
from analysis.measures.construct import Construct, distinct, ratio
from analysis.measures.rarefaction import equal_size, rarefied_groups
from analysis.measures.stains import corrected_overlap, marginal
from analysis.measures.survey import Survey
from imbalance_bench.seeding import generator

FEWEST_BORDER_PX = 50  # on each side; below, the overlap of a class is not measured


def border_measure(found: Survey, fold: int = 0) -> Construct:
    """Return how alike the stains on both sides of each class's border are (1 is indistinguishable).

    Every class gives the same number of groups, and as many pixels of either side.

    Args:
        found: The survey.
        fold: Whose units give.
    """
    equal = _rarefied(found.sums.border * found.in_fold[fold][:, None, None, None])  # (U, 2, K, bins)
    used = np.flatnonzero(equal.any(axis=(0, 1, 2)))
    inside, outside = (equal[:, side][..., used].astype(np.float64) for side in (0, 1))
    pixels = equal.sum(axis=(0, 3)).min(axis=0)

    def evaluate(w: np.ndarray) -> np.ndarray:
        sides = [np.tensordot(w, each, 1) for each in (inside, outside)]  # (B, K, bins)
        return corrected_overlap(*sides, sizes=_sizes(w, inside, outside))[None]

    unit = f"1 - JS distance, band {found.scale.written(found.scale.band_um)}, H and E jointly"
    return Construct("boundary", {"border_stain_overlap": unit}, evaluate, pixels.astype(np.int64))


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
        sizes = [each[:, None] for each in _sizes(w, inside[:, 0], outside[:, 0])]
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


def _rarefied(border: np.ndarray) -> np.ndarray:
    """Draw as many pixels of every class from as many units, separately inside and outside, (U, 2, K, bins)."""
    counts = border.sum(axis=3)  # (U, 2, K)
    rng = generator(0, "rarefaction", "border")
    chosen = rarefied_groups(counts.min(axis=1), FEWEST_BORDER_PX, rng)
    equal = np.zeros_like(border)
    for side in (0, 1):
        size = equal_size(counts[:, side], chosen)
        for c in np.flatnonzero(chosen.any(axis=0)):
            held = border[chosen[:, c], side, c]
            drawn = rng.multivariate_hypergeometric(held.ravel(), size, method="marginals")
            equal[chosen[:, c], side, c] = drawn.reshape(held.shape)
    return equal


def _sizes(w: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many pixels weighted histograms (U, K, bins) of both sides rest on, (B, K) each."""
    return distinct(w, inside.sum(axis=-1)), distinct(w, outside.sum(axis=-1))
