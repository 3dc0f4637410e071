"""Logits divided by a temperature of their class while training: vector scaling and class-dependent temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, MethodConfig
from methods.cross_entropy import cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F
from methods.logits import ABSENT, ShiftedLogitsDice, log_share, per_class
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class VectorScaledDice(ShiftedLogitsDice):
    """Compute cross-entropy of z / temperature + offset, so that rare classes must earn larger logits.

    Args:
        temperature: (K,) float >= 1.
        offset: (K,) float <= 0.
    """

    pixel_name: ClassVar[str] = "scaled_cross_entropy"
    temperature: Tensor
    offset: Tensor

    def __init__(self, temperature: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("temperature", temperature.clone())
        self.register_buffer("offset", offset.clone())

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """Return the mean cross-entropy of the scaled logits; see `ShiftedLogitsDice.shifted_term`."""
        scaled = logits / per_class(self.temperature) + per_class(self.offset)
        return mean_over_valid(cross_entropy_per_pixel(F.log_softmax(scaled, dim=1), target), valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `logit_temperature` and `logit_offset`, (K,) each."""
        parameters = {"logit_temperature": self.temperature, "logit_offset": self.offset}
        return {name: value.cpu().clone() for name, value in parameters.items()}


def temperatures(statistics: ClassStatistics, gamma: float) -> Tensor:
    """Return (p_max / p_c)^gamma, (K,) float32; 1 for a class that does not occur."""
    log_p = log_share(statistics)
    return (gamma * (log_p.max() - log_p)).exp()


class VsLossConfig(MethodConfig):
    """Vector-scaling loss: temperatures and offsets by class share."""

    gamma: Annotated[float, Range(0.05, 0.5, log=True)] = Field(
        default=0.3, ge=0, description="exponent of the temperatures; 0 leaves logit adjustment"
    )
    tau: Annotated[float, Range(0.25, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="scale of the offsets; 0 leaves class-dependent temperatures"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Vector-scaling (VS) loss",
        formula="mean_i(-log softmax(z_i / D + tau log p)_y) + soft Dice of softmax(z), D_c = (p_max / "
        "p_c)^gamma; gamma .3, tau 1",
        source="Kini 2021 (NeurIPS; arXiv 2103.01550), VS loss; form and defaults as in the official code, "
        "orparask/VS-Loss",
        deviations=f"p is the share of pixels; {ABSENT}; no deferred class weights; Dice sees the plain logits, as "
        "inference does",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss."""
        statistics = context.statistics
        loss = VectorScaledDice(temperatures(statistics, self.gamma), self.tau * log_share(statistics))
        return Components(loss=loss)


class CdtConfig(MethodConfig):
    """Class-dependent temperatures: the vector-scaling loss without offsets."""

    gamma: Annotated[float, Range(0.05, 0.5, log=True)] = Field(
        default=0.3, ge=0, description="exponent of the temperatures; 0 leaves the base"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Class-dependent temperatures (CDT)",
        formula="mean_i(-log softmax(z_i / D)_y) + soft Dice of softmax(z), D_c = (p_max / p_c)^gamma; gamma .3",
        source="Ye 2020 (arXiv 2001.01385), CDT; as `CDT` in the official code of the VS loss, orparask/VS-Loss",
        deviations=f"a second name for `vs_loss` with `tau: 0`; p is the share of pixels; {ABSENT}",
        same_as="vs_loss",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the vector-scaling loss without offsets."""
        return VsLossConfig(gamma=self.gamma, tau=0.0).build(context)
