"""Boundary ambiguity: do the two sides of a class's border differ, how sharp is it, and how much of it is there?"""

import numpy as np

from analysis.geometry.nearest_border import EDGE_SIGMA_UM
from analysis.measures.construct import Construct, ratio
from analysis.measures.stains import marginal, overlap
from analysis.measures.survey import Survey


def boundary_measures(found: Survey) -> Construct:
    """Return how alike the stains on both sides of each class's border are (1 is indistinguishable), and more."""
    sums, scale = found.sums, found.scale
    inside, outside = (sums.border[:, side].astype(np.float64) for side in (0, 1))  # (U, K, bins)
    used = np.flatnonzero(sums.border.any(axis=(0, 1, 2)))
    pixels = inside.sum(axis=2)  # (U, K)
    band = scale.written(scale.band_um)
    unit = f"1 - JS distance, band {band}"
    units = {
        "border_stain_overlap": f"{unit}, H and E jointly",
        "border_haematoxylin_overlap": unit,
        "border_eosin_overlap": unit,
        "edge_strength": f"gradient at the border over that in the interior, sigma {scale.written(EDGE_SIGMA_UM)}",
        "border_exposure": f"share of the class within {band} of its border",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        first, second = np.tensordot(w, inside, 1), np.tensordot(w, outside, 1)  # (B, K, bins)
        stains = [overlap(*(marginal(each, stain) for each in (first, second))) for stain in ("haematoxylin", "eosin")]
        return np.stack(
            [
                overlap(first[..., used], second[..., used]),
                *stains,
                _edge_strength(np.tensordot(w, sums.edge, 1)),
                ratio(w @ pixels, w @ sums.pixels),
            ]
        )

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
