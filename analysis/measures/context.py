"""Context: how alike do a class and the class most like it look, and what lies around it?"""

import numpy as np

from analysis.measures.construct import Construct, ratio
from analysis.measures.feature_space import FeatureSums, class_overlaps
from analysis.measures.stains import entropy
from analysis.measures.survey import Survey


def feature_measures(found: Survey, features: FeatureSums | None) -> Construct:
    """Return how alike each class and its nearest rival look to a frozen encoder; missing without features."""
    units = {
        "nearest_rival_overlap": "Bhattacharyya coefficient"
        if features is None
        else f"Bhattacharyya, {features.encoder}",
        "silhouette": "mean silhouette, -1 to 1",
    }
    if features is None:
        nothing = np.zeros(found.n_classes, np.int64)
        return Construct("context", units, lambda w: np.full((2, len(w), found.n_classes), np.nan), nothing)

    def evaluate(w: np.ndarray) -> np.ndarray:
        silhouettes = np.tensordot(w, features.silhouettes, 1)  # (B, K, 2)
        return np.stack([_largest(class_overlaps(w, features)), ratio(silhouettes[..., 1], silhouettes[..., 0])])

    return Construct("context", units, evaluate, features.count.sum(axis=0).astype(np.int64))


def stain_measures(found: Survey) -> Construct:
    """Return how alike the stains of each class and of its nearest rival are, and those of the classes it borders."""
    units = {
        "rival_stain_overlap": "1 - JS distance of whole classes, H and E jointly",
        "adjacent_stain_overlap": "1 - JS distance of whole classes, averaged over the border",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        overlaps, shares = stain_overlaps(w, found), border_shares(w, found)
        alike = np.where(shares > 0, shares * overlaps, 0).sum(axis=-1)
        return np.stack([_largest(overlaps), np.where(np.isnan(shares[..., 0]), np.nan, alike)])

    return Construct("context", units, evaluate, found.sums.pixels.sum(axis=0))


def adjacency_measures(found: Survey) -> Construct:
    """Return how mixed a class's neighbourhood is."""

    def evaluate(w: np.ndarray) -> np.ndarray:
        shares = border_shares(w, found)
        entropy = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=-1)
        return entropy[None]

    units = {"adjacency_entropy": "bits, of the shares of the border with each other class"}
    return Construct("context", units, evaluate, found.sums.lengths.sum(axis=(0, 2)))


def border_shares(w: np.ndarray, found: Survey) -> np.ndarray:
    """Return the share of each class's border with each other class, (B, K, K); rows sum to 1, or are missing."""
    lengths = np.tensordot(w, found.sums.lengths, 1)
    return ratio(lengths, lengths.sum(axis=-1, keepdims=True))


def stain_overlaps(w: np.ndarray, found: Survey) -> np.ndarray:
    """Return 1 - JS distance of the stain histograms of each pair of classes, (B, K, K); NaN with itself."""
    used = found.sums.stains.any(axis=(0, 1))
    shares = np.tensordot(w, found.sums.stains[..., used].astype(np.float64), 1)  # (B, K, bins)
    shares = ratio(shares, shares.sum(axis=-1, keepdims=True))
    own = entropy(shares)
    overlaps = np.full((len(w), found.n_classes, found.n_classes), np.nan)
    for i in range(found.n_classes):
        for j in range(i):
            divergence = entropy((shares[:, i] + shares[:, j]) / 2) - (own[:, i] + own[:, j]) / 2
            overlaps[:, i, j] = overlaps[:, j, i] = 1 - np.sqrt(np.clip(divergence, 0, 1))
    return overlaps


def _largest(overlaps: np.ndarray) -> np.ndarray:
    """Return the largest overlap of each class with another one, (B, K); NaN where there is none."""
    largest = np.where(np.isnan(overlaps), -np.inf, overlaps).max(axis=-1)
    return np.where(np.isfinite(largest), largest, np.nan)
