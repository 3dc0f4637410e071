"""Equalization loss v2: each class's sigmoid balances its positive and negative gradients over the training so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, MethodConfig
from methods.cross_entropy import mean_over_valid
from methods.late_torch import F, torch
from methods.logits import ShiftedLogitsDice, per_class
from methods.overlap import one_hot
from methods.search_space import Range
from methods.step_counts import StepCounts

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN_RATIO = 100.0  # of positive to negative gradient before the first step: all weights are then 1


class EqualizationDice(ShiftedLogitsDice):
    """Weight positive and negative terms of one sigmoid for each class by the gradients they gave so far.

    Args:
        config: Options.
        n_classes: K.

    Attributes:
        gradients: (2, K) float64, summed positive and negative gradient of the steps before.
    """

    pixel_name: ClassVar[str] = "equalization_v2"
    gradients: Tensor

    def __init__(self, config: EqualizationV2Config, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.pending = StepCounts(2, n_classes)
        self.register_buffer("gradients", torch.zeros(2, n_classes, dtype=torch.float64))

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:
        """Return the mean over pixels of the sum over classes; see `ShiftedLogitsDice.shifted_term`."""
        _, counted = self.pending.hand_over(step)
        self.gradients += counted
        truth = one_hot(logits, target)
        positive, negative = (per_class(weight) for weight in self.weights())
        weight = torch.where(truth, positive, negative)
        term = F.binary_cross_entropy_with_logits(logits, truth.float(), reduction="none")
        norm = (torch.sigmoid(logits.detach()) - truth.float()).abs() * weight * valid.unsqueeze(1)
        pooled = (0, 2, 3)
        self.pending.add(torch.stack([(norm * truth).sum(pooled), (norm * ~truth).sum(pooled)]))
        return mean_over_valid((weight * term).sum(1), valid)

    def ratio(self) -> Tensor:
        """Return positive over negative gradient so far, (K,) float32."""
        positive, negative = self.gradients
        has_negative = negative > 0
        return torch.where(has_negative, positive / negative.clamp(min=1e-10), UNKNOWN_RATIO).float()

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return the weights of positive and of negative terms, (K,) float32 each."""
        negative = torch.sigmoid(self.config.gamma * (self.ratio() - self.config.mu))
        return 1 + self.config.alpha * (1 - negative), negative

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `gradient_ratio`, `positive_weight` and `negative_weight`, (K,) each."""
        positive, negative = (weight.detach().cpu().clone() for weight in self.weights())
        ratio = self.ratio().detach().cpu().clone()
        return {"gradient_ratio": ratio, "positive_weight": positive, "negative_weight": negative}


class EqualizationV2Config(MethodConfig):
    """Equalization loss v2 + soft Dice."""

    gamma: Annotated[float, Range(3.0, 24.0, log=True)] = Field(
        default=12.0, ge=0, description="steepness of the map from gradient ratio to negative weight"
    )
    mu: Annotated[float, Range(0.2, 1.6, log=True)] = Field(
        default=0.8, ge=0, description="gradient ratio at which the negative weight is .5"
    )
    alpha: Annotated[float, Range(1.0, 8.0, log=True)] = Field(
        default=4.0, ge=0, description="positive weight is 1 + alpha (1 - negative weight)"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Equalization loss v2",
        formula="mean over pixels of sum_c(q_c g BCE + r_c (1 - g) BCE), BCE of sigmoid(z_c), r_c = sigmoid(gamma (G_c "
        "- mu)), q_c = 1 + alpha (1 - r_c), G_c = positive / negative gradient of c, summed with these weights over "
        "the steps before, all weights 1 in the first; gamma 12, mu .8, alpha 4; plus soft Dice of softmax(z)",
        source="Tan 2021 (CVPR), equalization loss v2; constants and accumulation as in the official code, "
        "tztztztztz/eqlv2",
        deviations="pixels are the samples, and all K classes take part: no background channel whose weights stay 1; "
        "prediction stays argmax z; no parameters make it cross-entropy, as its sigmoids do not compete",
    )

    def build(self, context: BuildContext) -> Components:
        """Build equalization v2 + Dice."""
        return Components(loss=EqualizationDice(self, context.statistics.n_classes))
