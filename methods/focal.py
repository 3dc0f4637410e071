"""Focal loss: easy pixels count less."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.base import BuildContext, Card, Components, Group, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid


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
        cross_entropy = cross_entropy_per_pixel(log_probability, target)
        # 1 - p_y without cancellation; the floor keeps the slope of x^gamma finite where p_y is 1 and gamma < 1
        error = -torch.expm1(-cross_entropy)
        return mean_over_valid(error.clamp(min=1e-12) ** self.gamma * cross_entropy, valid)


class FocalConfig(MethodConfig):
    """Focal loss in its softmax form + soft Dice."""

    gamma: float = Field(default=2.0, ge=0, description="focusing exponent; 0 is cross-entropy")

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
