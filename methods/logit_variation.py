"""Balancing logit variation: noise on the logits while training, more of it for rarer classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, MethodConfig
from methods.cross_entropy import cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F, torch
from methods.logits import ABSENT, ShiftedLogitsDice, log_share, per_class
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


def noise(shape: torch.Size | tuple[int, ...], seed: int, step: int, sigma: float) -> Tensor:
    """Draw |N(0, sigma)|, at most 1: the same for the same seed and step, float32 on the CPU.

    Args:
        shape: Of the draw.
        seed: Of the run, a hash, so that the sequences of two runs do not meet.
        step: Optimiser steps done.
        sigma: Standard deviation before the absolute value and the limit.
    """
    generator = torch.Generator().manual_seed(seed + step)
    return (sigma * torch.randn(shape, generator=generator)).abs().clamp(max=1)


class VariedLogitsDice(ShiftedLogitsDice):
    """Raise logits by random amounts, up to an amount of their class.

    Args:
        amount: (K,) float in [0, 1].
        sigma: Of the noise.
        seed: Of the run.
    """

    pixel_name: ClassVar[str] = "varied_cross_entropy"
    amount: Tensor

    def __init__(self, amount: Tensor, sigma: float, seed: int) -> None:
        super().__init__()
        self.sigma, self.seed = sigma, seed
        self.register_buffer("amount", amount.clone())

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:
        """Return the mean cross-entropy of the varied logits; see `ShiftedLogitsDice.shifted_term`."""
        drawn = noise(logits.shape, self.seed, step, self.sigma).to(logits.device)
        varied = logits + drawn * per_class(self.amount)
        return mean_over_valid(cross_entropy_per_pixel(F.log_softmax(varied, dim=1), target), valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `logit_variation`, (K,): the most that a logit is raised by."""
        return {"logit_variation": self.amount.cpu().clone()}


def rarity_amounts(statistics: ClassStatistics) -> Tensor:
    """Return -log p_c over its maximum, (K,) float32 in [0, 1]; zeros if one class covers everything."""
    rarity = -log_share(statistics)
    largest = rarity.max()
    return rarity / torch.where(largest > 0, largest, torch.ones_like(largest))


class BlvConfig(MethodConfig):
    """Balancing logit variation + soft Dice."""

    sigma: Annotated[float, Range(0.25, 8.0, log=True)] = Field(
        default=4.0, ge=0, description="standard deviation of the noise before the limit of 1; 0 is the base"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Balancing logit variation (BLV)",
        formula="mean_i(-log softmax(z_i + v_i)_y) + soft Dice of softmax(z), v_ic = min(|N(0, sigma)|, 1) log p_c / "
        "min_k log p_k, drawn anew for every pixel, class and step; sigma 4; inference without noise",
        source="Wang 2023 (CVPR), balancing logit variation; limit, absolute value, scale and sigma as in the official "
        "code, grantword8/BLV",
        deviations=f"p is the share of pixels of the training split; {ABSENT}; batches accumulated to one step share "
        "their noise; Dice sees the plain logits, as inference does",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss."""
        return Components(loss=VariedLogitsDice(rarity_amounts(context.statistics), self.sigma, context.seed))
