"""Label-distribution-aware margins with deferred reweighting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, LossOutput, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, weighted_mean_over_valid
from methods.late_torch import F, torch
from methods.overlap import one_hot
from methods.reweighting import SampleCount, against_rarity, effective_number_weights, sample_counts
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class LdamDice(CrossEntropyDice):
    """Demand a margin of the true class's logit, larger for rarer classes, and weight classes late in training.

    The model's probabilities are softmax(scale z): Dice sees them, without the margin.

    Args:
        margin: (K,) float >= 0.
        scale: Of the logits.
        late_weight: (K,) float >= 0, weights of the classes from step `deferred_to` on.
        deferred_to: Optimiser step from which classes are weighted.
    """

    pixel_name: ClassVar[str] = "ldam"
    margin: Tensor
    weight: Tensor
    late_weight: Tensor

    def __init__(self, margin: Tensor, scale: float, late_weight: Tensor, deferred_to: int) -> None:
        super().__init__()
        self.scale, self.deferred_to = scale, deferred_to
        self.register_buffer("margin", margin.float())
        self.register_buffer("weight", torch.ones_like(late_weight))
        self.register_buffer("late_weight", late_weight.clone())

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute LDAM + Dice in float32; see `Loss.forward`."""
        if step >= self.deferred_to:
            self.weight.copy_(self.late_weight)
        logits = logits.float()
        margin = torch.where(one_hot(logits, target), self.margin[target].unsqueeze(1), 0.0)
        cross_entropy = cross_entropy_per_pixel(F.log_softmax(self.scale * (logits - margin), dim=1), target)
        pixel = weighted_mean_over_valid(cross_entropy, self.weight[target], valid, "weighted_mean")
        dice = self.dice(F.softmax(self.scale * logits, dim=1), target, valid)
        return LossOutput(pixel + dice, {self.pixel_name: pixel.detach(), "dice": dice.detach()})

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `margin` and `loss_weight`, (K,) each."""
        parameters = {"margin": self.margin, "loss_weight": self.weight}
        return {name: value.detach().cpu().clone() for name, value in parameters.items()}


class LdamDrwConfig(MethodConfig):
    """LDAM with deferred effective-number reweighting + soft Dice."""

    max_margin: Annotated[float, Range(0.1, 2.0, log=True)] = Field(
        default=0.5, ge=0, description="margin of the class with the fewest samples"
    )
    scale: Annotated[float, Range(1.0, 30.0, log=True)] = Field(
        default=1.0, gt=0, description="s, times the logits; the source has 30, for cosines"
    )
    deferral: Annotated[float, Range(0.5, 0.95)] = Field(
        default=0.8, ge=0, le=1, description="share of the steps before classes are weighted"
    )
    beta: float = Field(default=0.9999, ge=0, lt=1, description="of the effective-number weights")
    count: SampleCount = Field(
        default="patches", description="what n counts, for margins and weights, as in `effective_number`"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="LDAM with deferred reweighting",
        formula="cross-entropy of s (z - m_y at the true class), m_c = max_margin (n_min / n_c)^1/4; weighted mean, "
        "all weights 1 for the first 80 % of the steps, then (1 - beta) / (1 - beta^n_c); max_margin .5, s 1, beta "
        ".9999; plus soft Dice of softmax(s z)",
        source="Cao 2019 (NeurIPS), LDAM and DRW; constants, weighted mean and the deferral (epoch 160 of 200) as in "
        "the official code, kaidic/LDAM-DRW",
        deviations="z are the decoder's logits, not cosines of normalised features and weights. The source's s = 30 "
        "gives cosines, which end at 1, the range of logits; the decoder's have it already, and 30 times them are a "
        "certain prediction wherever two differ by .2, so s is 1. n counts patches of 32 x 32 pixels; no "
        "drop of the learning rate where the weights set in; a class that does not occur has no margin",
    )

    def build(self, context: BuildContext) -> Components:
        """Build LDAM + Dice.

        Raises:
            ValueError: The context does not say how many steps the stage has.
        """
        if context.steps is None:
            raise ValueError(
                "`ldam_drw` defers its weights to a share of the steps, and their number is not known here."
            )
        statistics = context.statistics
        n = sample_counts(statistics, self.count).double()
        smallest = n[statistics.present].min()
        margin = torch.where(statistics.present, self.max_margin * (smallest / n.clamp(min=1)) ** 0.25, 0.0)
        deferred_to = round(self.deferral * context.steps)
        return Components(loss=LdamDice(margin, self.scale, self.late_weights(statistics), deferred_to))

    def late_weights(self, statistics: ClassStatistics) -> Tensor:
        """Return the effective-number weights, (K,), mean 1."""
        return effective_number_weights(statistics, beta=self.beta, count=self.count)

    def remarks(self, statistics: ClassStatistics) -> tuple[str, ...]:
        """Say where the weights contradict rarity; see `MethodConfig.remarks`."""
        return against_rarity(self.late_weights(statistics), statistics)
