"""From predicted and true masks to integer counts per class."""

from dataclasses import dataclass

import numpy as np

from imbalance_bench.data.pixel_values import bands
from imbalance_bench.data.taxonomy import UNLABELLED


@dataclass(frozen=True)
class Counts:
    """Pixel counts of one image, or of several added up; (K,) int64 each.

    Attributes:
        tp: Predicted and labelled as the class.
        fp: Predicted as the class, labelled as another.
        fn: Labelled as the class, predicted as another.
        n_valid: Labelled pixels; one number.
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    n_valid: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.n_valid + other.n_valid)

    @classmethod
    def of_confusion(cls, confusion: np.ndarray) -> "Counts":
        """Sum up a confusion matrix, (K, K) int64 of truth x prediction."""
        tp = confusion.diagonal().copy()
        return cls(tp=tp, fp=confusion.sum(0) - tp, fn=confusion.sum(1) - tp, n_valid=int(confusion.sum()))


def confusion_matrix(predicted: np.ndarray, target: np.ndarray, n_classes: int) -> np.ndarray:
    """Count labelled pixels by true class (rows) and predicted class (columns), (K, K) int64.

    Args:
        predicted: (H, W) uint8 in 0..K-1.
        target: (H, W) uint8 in 0..K-1, or UNLABELLED.
        n_classes: K.

    Raises:
        ValueError: A labelled pixel is of another class, or is predicted as one.
    """
    table = np.zeros(2**16, dtype=np.int64)
    for rows in bands(*target.shape):
        # a byte each of a 16-bit index: a third of the time of choosing the labelled pixels first
        pairs = (target[rows].astype(np.uint16) << 8) | predicted[rows].astype(np.uint8, copy=False)
        table += np.bincount(pairs.ravel(), minlength=2**16)
    table = table.reshape(256, 256)
    matrix = table[:n_classes, :n_classes].copy()
    if matrix.sum() != table[:UNLABELLED].sum():
        raise ValueError(f"Labelled and predicted classes must be below {n_classes}.")
    return matrix


def count_pixels(predicted: np.ndarray, target: np.ndarray, n_classes: int) -> Counts:
    """Count agreement per class where the target is labelled; arguments as of `confusion_matrix`."""
    return Counts.of_confusion(confusion_matrix(predicted, target, n_classes))
