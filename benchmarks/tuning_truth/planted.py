"""Two methods with a known truth: one whose default is bad, and one whose option does nothing but shuffle luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, Loss, LossOutput, MethodConfig, normalised_to_mean_one
from methods.cross_entropy import cross_entropy_per_pixel
from methods.late_torch import torch
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

WORST = 3.0  # exponent of the default: the rarest class of the phantom then weighs hundreds of times the commonest


class LuckyCrossEntropy(Loss):
    """Cross-entropy in which each pixel counts twice or not at all, by a coin that the luck decides.

    Args:
        weight: (K,) float >= 0.
        luck: Seed of the coins.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, luck: int) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.luck = luck

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute the loss of one batch; see `Loss.forward`."""
        coins = torch.Generator().manual_seed(self.luck * 1_000_003 + step)
        counted = (torch.rand(target.shape, generator=coins) < 0.5).to(logits.device) & valid
        weight = torch.where(counted, self.weight[target], 0.0)
        term = cross_entropy_per_pixel(logits.float().log_softmax(1), target)
        total = (weight * term).sum() / weight.sum().clamp(min=1e-12)
        return LossOutput(total, {"lucky": total.detach()})


class PlaceboConfig(MethodConfig):
    """Cross-entropy whose option changes nothing but luck."""

    luck: Annotated[int, Range(0, 1_000_000, integer=True)] = Field(default=0, ge=0, description="seed of coins")

    card: ClassVar[Card] = Card(
        group=Group.BASE,
        title="Cross-entropy with a placebo option",
        formula="mean over the pixels that a coin picks of -log p_y",
        source="planted; benchmarks/tuning_truth",
    )

    def build(self, context: BuildContext) -> Components:
        """Build it with equal weights."""
        return Components(loss=LuckyCrossEntropy(torch.ones(context.statistics.n_classes), self.luck))


class BadDefaultConfig(PlaceboConfig):
    """The same with class weights p^-a, whose default a ruins the common classes."""

    exponent: Annotated[float, Range(0.0, WORST)] = Field(default=WORST, ge=0, description="a")

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="Class weights with a bad default",
        formula="the placebo with pixels weighted by p_y^-a",
        source="planted; benchmarks/tuning_truth",
    )

    def build(self, context: BuildContext) -> Components:
        """Build it with weights p^-a, mean 1."""
        statistics = context.statistics
        weight = normalised_to_mean_one(statistics.frequency**-self.exponent, statistics.present)
        return Components(loss=LuckyCrossEntropy(weight, self.luck))
