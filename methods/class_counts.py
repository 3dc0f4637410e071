"""What a method may know of the data: counts per class of the training split and of validation passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.late_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassStatistics:
    """Counts of the training split. All tensors are (K,) float64 on the CPU.

    Attributes:
        names: The K class names, in the order of the logits.
        pixels: Labelled pixels per class.
        images: Images that hold the class.
        components: Connected components of the class.
        pixels_of_images_with_class: Labelled pixels, of any class, in the images that hold the class.
        n_images: Images in the training split.
    """

    names: tuple[str, ...]
    pixels: Tensor
    images: Tensor
    components: Tensor
    pixels_of_images_with_class: Tensor
    n_images: int

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.names)

    @property
    def frequency(self) -> Tensor:
        """Share of the labelled training pixels, (K,) float64; sums to 1."""
        return self.pixels / self.pixels.sum()

    @property
    def present(self) -> Tensor:
        """Classes that occur in the training split, (K,) bool."""
        return self.pixels > 0


@dataclass(frozen=True)
class ClassFeedback:
    """Per-class pixel counts of the whole validation split, (K,) int64 on the CPU, as the model stands at `step`."""

    step: int
    epoch: int
    tp: Tensor
    fp: Tensor
    fn: Tensor

    @property
    def dice(self) -> Tensor:
        """Pooled Dice per class, (K,) float64; NaN where the class does not occur, even if it is predicted."""
        dice = 2 * self.tp.double() / (2 * self.tp + self.fp + self.fn)
        return torch.where(self.tp + self.fn > 0, dice, torch.nan)

    @property
    def recall(self) -> Tensor:
        """Pooled recall ("class accuracy") per class, (K,) float64; NaN where the class does not occur."""
        return self.tp.double() / (self.tp + self.fn)
