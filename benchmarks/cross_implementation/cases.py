"""The tensors on which implementations are compared: numpy's PCG64 draws, so that anybody can make them again."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from methods.base import ClassFeedback, ClassStatistics

IGNORED = 255


@dataclass(frozen=True)
class Case:
    """One batch and the training statistics that go with it.

    Attributes:
        logits: (B, K, H, W) float32.
        target: (B, H, W) int64 in 0..K-1.
        valid: (B, H, W) bool.
        counts: (K,) float64, what a method takes as the count of a class: pixels, images and components alike.
    """

    logits: Tensor
    target: Tensor
    valid: Tensor
    counts: Tensor

    @property
    def n_classes(self) -> int:
        """K."""
        return self.logits.shape[1]

    @property
    def labels(self) -> Tensor:
        """The target with 255 where a pixel is ignored, (B, H, W) int64."""
        return torch.where(self.valid, self.target, IGNORED)

    @property
    def statistics(self) -> ClassStatistics:
        """The counts in the form that methods see."""
        names = tuple(f"class {c}" for c in range(self.n_classes))
        total = self.counts.sum().expand(self.n_classes)
        return ClassStatistics(names, self.counts, self.counts, self.counts, total, int(self.counts.max()))

    @property
    def feedback(self) -> ClassFeedback:
        """A validation pass in which class c is recalled in 90 %, 80 %, .. of 1000 pixels, in turns of nine."""
        tp = 900 - 100 * (torch.arange(self.n_classes) % 9)
        return ClassFeedback(step=1, epoch=0, tp=tp, fp=torch.full_like(tp, 100), fn=1000 - tp)

    def logits_at(self, step: int) -> Tensor:
        """Logits of a later step: the same, moved `step` pixels to the right."""
        return self.logits.roll(step, dims=3)


def ordinary(seed: int, n_classes: int, size: tuple[int, int, int], *, scale: float = 1.5) -> Case:
    """A batch in which every class occurs and every pixel counts.

    Args:
        seed: Of the draw.
        n_classes: K.
        size: (B, H, W).
        scale: Standard deviation of the logits.
    """
    batch, height, width = size
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (batch, n_classes, height, width)).round(3)
    target = rng.integers(0, n_classes, size)
    target.reshape(-1)[:n_classes] = np.arange(n_classes)
    counts = np.round(5e6 * 0.7 ** np.arange(n_classes) + 1000)
    return Case(
        torch.from_numpy(logits).float(), torch.from_numpy(target), torch.ones(size, dtype=torch.bool),
        torch.from_numpy(counts),
    )  # fmt: skip


def with_absent_class() -> Case:
    """Class 2 occurs neither in the batch nor in the training split."""
    case = ordinary(2, 4, (2, 6, 6))
    counts = case.counts.clone()
    counts[2] = 0
    return Case(case.logits, torch.where(case.target == 2, 3, case.target), case.valid, counts)


def with_ignored_pixels() -> Case:
    """About a quarter of the pixels is ignored."""
    case = ordinary(3, 4, (2, 5, 10))
    valid = torch.from_numpy(np.random.default_rng(30).random((2, 5, 10)) > 0.25)
    return Case(case.logits, case.target, valid, case.counts)


def confident_and_wrong() -> Case:
    """Logits of 20 for another class than the true one: p of the true class is about 2e-9."""
    case = ordinary(6, 4, (2, 5, 10), scale=0.5)
    wrong = torch.nn.functional.one_hot((case.target + 1) % 4, 4).movedim(-1, 1)
    return Case(case.logits + 20.0 * wrong, case.target, case.valid, case.counts)


def with_huge_counts() -> Case:
    """Counts of 1e9 and of 1."""
    case = ordinary(7, 4, (2, 5, 10))
    return Case(case.logits, case.target, case.valid, torch.tensor([1e9, 3e8, 1e5, 1.0], dtype=torch.float64))


CASES: dict[str, Case] = {
    "ordinary": ordinary(1, 4, (2, 5, 10)),
    "absent class": with_absent_class(),
    "ignored pixels": with_ignored_pixels(),
    "K = 2": ordinary(4, 2, (1, 10, 10)),
    "K = 20": ordinary(5, 20, (2, 10, 10)),
    "confident, wrong": confident_and_wrong(),
    "counts of 1e9": with_huge_counts(),
}
