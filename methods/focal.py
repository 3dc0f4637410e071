"""Focal loss: easy pixels count less; and its class-balanced form, in which frequent classes do too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, MethodConfig
from methods.cross_entropy import (
    CrossEntropyDice,
    Reduction,
    WeightedCrossEntropyDice,
    cross_entropy_per_pixel,
    mean_over_valid,
    weighted_mean_over_valid,
)
from methods.late_torch import torch
from methods.reweighting import SampleCount, against_rarity, effective_number_weights
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor


def focal_per_pixel(log_probability: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Return (1 - p_y)^gamma * -log p_y of each pixel, (B, H, W) float32; arguments as in `cross_entropy_per_pixel`."""
    cross_entropy = cross_entropy_per_pixel(log_probability, target)
    # 1 - p_y without cancellation; the floor keeps the slope of x^gamma finite where p_y is 1 and gamma < 1
    error = -torch.expm1(-cross_entropy)
    return error.clamp(min=1e-12) ** gamma * cross_entropy


class FocalDice(CrossEntropyDice):
    """Replace the cross-entropy of each pixel by (1 - p_y)^gamma times it.

    Args:
        gamma: Focusing exponent >= 0; 0 is cross-entropy.
    """

    pixel_name: ClassVar[str] = "focal"

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean focal term; see `CrossEntropyDice.pixel_term`."""
        return mean_over_valid(focal_per_pixel(log_probability, target, self.gamma), valid)


class FocalConfig(MethodConfig):
    """Focal loss in its softmax form + soft Dice."""

    gamma: Annotated[float, Range(0.5, 5.0, log=True)] = Field(
        default=2.0, ge=0, description="focusing exponent; 0 is cross-entropy"
    )

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Focal loss, softmax form",
        formula="mean_i((1 - p_t)^gamma * -log p_t), p_t = softmax(z_i)_y; plus soft Dice",
        source="Lin 2017, equation 4, gamma 2 as in section 5.1",
        deviations="softmax over the K classes instead of one sigmoid per class; no alpha balancing; averaged over "
        "valid pixels instead of divided by the number of positives",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build focal + Dice."""
        return Components(loss=FocalDice(self.gamma))


class AdaptiveFocalDice(CrossEntropyDice):
    """Focus more on pixels whose true class is very unlikely.

    Args:
        gamma: Exponent where p_y is at least the threshold.
        gamma_unlikely: Exponent below it.
        threshold: Of p_y.
    """

    pixel_name: ClassVar[str] = "adaptive_focal"

    def __init__(self, gamma: float, gamma_unlikely: float, threshold: float) -> None:
        super().__init__()
        self.gamma, self.gamma_unlikely, self.threshold = gamma, gamma_unlikely, threshold

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean focal term with two exponents; see `CrossEntropyDice.pixel_term`."""
        likely = focal_per_pixel(log_probability, target, self.gamma)
        unlikely = focal_per_pixel(log_probability, target, self.gamma_unlikely)
        below = cross_entropy_per_pixel(log_probability, target) > -math.log(self.threshold)
        return mean_over_valid(torch.where(below, unlikely, likely), valid)


class AdaptiveFocalConfig(MethodConfig):
    """Focal loss whose exponent depends on the pixel (FLSD-53) + soft Dice."""

    gamma: Annotated[float, Range(0.5, 5.0, log=True)] = Field(
        default=3.0, ge=0, description="exponent where p of the true class is at least the threshold"
    )
    gamma_unlikely: Annotated[float, Range(1.0, 8.0, log=True)] = Field(
        default=5.0, ge=0, description="exponent below the threshold"
    )
    threshold: float = Field(default=0.2, gt=0, lt=1, description="of p of the true class")

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Sample-dependent focal loss (FLSD-53)",
        formula="mean_i((1 - p_t)^g * -log p_t), g = 5 where p_t < .2, else 3; plus soft Dice",
        source="Mukhoti 2020 (NeurIPS; arXiv 2002.09437), FLSD-53; as in the official code, "
        "torrvision/focal_calibration",
        deviations="mean over valid pixels instead of a sum over samples; the exponents are options",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build adaptive focal + Dice."""
        return Components(loss=AdaptiveFocalDice(self.gamma, self.gamma_unlikely, self.threshold))


class WeightedFocalDice(WeightedCrossEntropyDice):
    """Weight the focal term of each pixel by the weight of its class.

    Args:
        weight: (K,) float >= 0.
        gamma: Focusing exponent >= 0.
        reduction: `weighted_mean` or `mean`; see `WeightedCrossEntropyDice`.
    """

    pixel_name: ClassVar[str] = "weighted_focal"

    def __init__(self, weight: Tensor, gamma: float, reduction: Reduction) -> None:
        super().__init__(weight, reduction)
        self.gamma = gamma

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted focal term; see `CrossEntropyDice.pixel_term`."""
        focal = focal_per_pixel(log_probability, target, self.gamma)
        return weighted_mean_over_valid(focal, self.weight[target], valid, self.reduction)


class ClassBalancedFocalConfig(MethodConfig):
    """Focal loss with effective-number weights."""

    gamma: Annotated[float, Range(0.5, 5.0, log=True)] = Field(
        default=2.0, ge=0, description="focusing exponent; 0 leaves weighted cross-entropy"
    )
    beta: Annotated[float, Choice((0.9, 0.99, 0.999, 0.9999))] = Field(
        default=0.9999, ge=0, lt=1, description="0 gives equal weights, towards 1 gives inverse counts"
    )
    count: SampleCount = Field(default="patches", description="what n counts, as in `effective_number`")
    reduction: Reduction = Field(default="mean", description="mean(w focal), as published, or sum(w focal) / sum(w)")

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Class-balanced focal loss",
        formula="mean_i(w_y (1 - p_t)^gamma * -log p_t), w_c = (1 - beta) / (1 - beta^n_c) scaled to sum K over the K "
        "classes that occur; plus soft Dice",
        source="Cui 2019, class-balanced focal loss; reduction as in the code, richardaecn/class-balanced-loss: "
        "the sum over samples and classes over the number of samples",
        deviations="softmax form with p_t of the true class only, where the source sums K sigmoid terms; gamma 2 as in "
        "`focal`, so that the two differ in the weights alone (the source searched .5, 1 and 2); n counts "
        "patches of 32 x 32 pixels, as in `effective_number`",
    )

    def build(self, context: BuildContext) -> Components:
        """Build class-balanced focal + Dice."""
        return Components(loss=WeightedFocalDice(self.weights(context.statistics), self.gamma, self.reduction))

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return the effective-number weights, (K,), mean 1."""
        return effective_number_weights(statistics, beta=self.beta, count=self.count)

    def remarks(self, statistics: ClassStatistics) -> tuple[str, ...]:
        """Say where the weights contradict rarity; see `MethodConfig.remarks`."""
        return against_rarity(self.weights(statistics), statistics)
