"""Context: how similar does a class look to its nearest rival, and which classes surround it?"""

import numpy as np

from analysis.measures.construct import RAREFIED_RESAMPLES, Construct, ratio
from analysis.measures.feature_space import FeatureSums, largest, mean_silhouettes, nearest_rivals
from analysis.measures.survey import Survey


def feature_measures(survey: Survey, features: FeatureSums | None, fold: int = 0) -> Construct:
    """Return how similar each class and its nearest rival are to a frozen encoder; missing without features."""
    units = {
        "nearest_rival_overlap": "Bhattacharyya coefficient"
        if features is None
        else f"Bhattacharyya, {features.encoder}{_floor(features.permuted)}",
        "silhouette": "mean silhouette, -1 to 1",
    }
    if features is None:
        no_cells = np.zeros(survey.n_classes, np.int64)
        return Construct("context", units, lambda w: np.full((2, len(w), survey.n_classes), np.nan), no_cells)

    def evaluate(w: np.ndarray) -> np.ndarray:
        return np.stack([nearest_rivals(w, features, fold), mean_silhouettes(w, features, fold)])

    return Construct("context", units, evaluate, features.cells(fold), features.single_unit, RAREFIED_RESAMPLES)


def stain_measures(survey: Survey) -> Construct:
    """Return the stain overlap of each class with its nearest rival, and with the classes that it borders."""
    units = {
        "rival_stain_overlap": "1 - JS distance of whole classes, H and E jointly",
        "adjacent_stain_overlap": "1 - JS distance of whole classes, averaged over the border",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        overlaps, shares = survey.stain_overlaps(w), border_shares(w, survey)
        shares = np.where((shares > 0) & np.isfinite(overlaps), shares, 0)
        mean_overlaps = ratio(np.where(shares > 0, shares * overlaps, 0).sum(axis=-1), shares.sum(axis=-1))
        return np.stack([largest(overlaps), mean_overlaps])

    return Construct("context", units, evaluate, survey.sums.pixels.sum(axis=0))


def adjacency_measures(survey: Survey) -> Construct:
    """Return how mixed the neighbourhood of each class is."""

    def evaluate(w: np.ndarray) -> np.ndarray:
        shares = border_shares(w, survey)
        entropy = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=-1)
        return entropy[None]

    units = {"adjacency_entropy": "bits, of the shares of the border with each other class"}
    return Construct("context", units, evaluate, survey.sums.lengths.sum(axis=(0, 2)))


def border_shares(w: np.ndarray, survey: Survey) -> np.ndarray:
    """Return the share of each class's border with each other class, (B, K, K); rows sum to 1, or are missing."""
    lengths = np.tensordot(w, survey.sums.lengths, 1)
    return ratio(lengths, lengths.sum(axis=-1, keepdims=True))


def _floor(permuted: float) -> str:
    """Return the overlap of classes with permuted labels as text; empty where there are too few cells to permute."""
    return f"; with permuted labels {permuted:.2f}" if np.isfinite(permuted) else ""
