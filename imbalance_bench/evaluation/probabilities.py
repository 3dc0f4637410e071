"""From logits to integer counts and sums of predicted probabilities: what reliability diagrams and Brier scores need.

Probabilities are the softmax over classes of the logits whose largest gives the predicted class. They are rounded to
multiples of 1 / PROBABILITY_UNIT before anything is done with them, so that sums are integers and do not depend on
the order of pixels or images. Unlabelled pixels do not count.
"""

from dataclasses import dataclass

import numpy as np

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.table_schemas import PROBABILITY_BINS, PROBABILITY_UNIT

PIXELS_AT_ONCE = 2**15  # what fits into a core's cache
_SIDES = 4  # of a pixel and a class: neither, true, predicted, both; bins of all sides fit into a byte


@dataclass(frozen=True)
class ProbabilityCounts:
    """Pixels of one image by the probability of a class; (K, 2, 2, PROBABILITY_BINS) int64 each.

    The axes are the class whose probability is looked at, whether the pixel is predicted as it, whether it is labelled
    as it, and the bin of the probability, of equal width.

    Attributes:
        pixels: Labelled pixels.
        p: Sum of their probabilities, in units of 1 / PROBABILITY_UNIT.
        p_squared: Sum of the squares, each rounded to the same unit.
    """

    pixels: np.ndarray
    p: np.ndarray
    p_squared: np.ndarray

    def __add__(self, other: "ProbabilityCounts") -> "ProbabilityCounts":
        return ProbabilityCounts(self.pixels + other.pixels, self.p + other.p, self.p_squared + other.p_squared)


def count_probabilities(logits: np.ndarray, predicted: np.ndarray, target: np.ndarray) -> ProbabilityCounts:
    """Count labelled pixels and sum their probabilities, per class and bin.

    Args:
        logits: (K, H, W) float32; probabilities are their softmax over classes.
        predicted: (H, W) uint8, the class with the largest logit.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
    """
    n_classes = len(logits)
    masks = np.stack([predicted.ravel(), target.ravel()])
    flat = logits.reshape(n_classes, -1)
    sums = np.zeros((3, n_classes, _SIDES * PROBABILITY_BINS))
    for start in range(0, flat.shape[1], PIXELS_AT_ONCE):
        values, labels = (array[:, start : start + PIXELS_AT_ONCE] for array in (flat, masks))
        valid = labels[1] != UNLABELLED
        if not valid.all():
            values, labels = values[:, valid], labels[:, valid]
        _add(sums, values, labels)
    shape = (3, n_classes, 2, 2, PROBABILITY_BINS)
    return ProbabilityCounts(*sums.astype(np.int64).reshape(shape))  # whole numbers below 2**53: nothing is lost


def _add(sums: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> None:
    """Add (K, n) logits of pixels of predicted and true classes `labels`, (2, n), to `sums`, (3, K, sides x bins)."""
    scaled = np.exp(logits - logits.max(axis=0))
    scaled *= np.float32(PROBABILITY_UNIT) / scaled.sum(axis=0)
    np.rint(scaled, out=scaled)  # float32 holds these whole numbers, and their multiples by the bins, exactly
    for class_id, p in enumerate(scaled):
        place = np.minimum(p * np.float32(PROBABILITY_BINS / PROBABILITY_UNIT), PROBABILITY_BINS - 1).astype(np.uint8)
        predicted, true = (labels == class_id).view(np.uint8) * np.uint8(PROBABILITY_BINS)
        place = (place + 2 * predicted + true).astype(np.intp)
        squared = np.rint(p * p * np.float32(1 / PROBABILITY_UNIT))
        for row, weights in enumerate((None, p, squared)):
            sums[row, class_id] += np.bincount(place, weights, _SIDES * PROBABILITY_BINS)
