"""Asymmetric losses: what a loss does to common classes it does not do to rare ones, or the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, MethodConfig
from methods.compound import rare_classes
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid
from methods.focal import focal_per_pixel
from methods.late_torch import F, torch
from methods.logits import ShiftedLogitsDice
from methods.overlap import one_hot
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor

RareRule = Literal["all_but_most_frequent", "below_uniform"]
RARE_RULES: tuple[RareRule, ...] = ("all_but_most_frequent", "below_uniform")
RARE_OPTION = "which classes are rare: all but the one with the most pixels, or those with less than 1/K of the pixels"
RARE_DEVIATION = (
    "rare is every class but the most frequent (`rare`), where the source has a background and names its foreground"
)


def rare_by(rule: RareRule, statistics: ClassStatistics) -> Tensor:
    """Return which classes are rare, (K,) bool."""
    if rule == "all_but_most_frequent":
        return rare_classes(statistics)
    return statistics.frequency < 1 / statistics.n_classes


class AsymmetricFocalDice(CrossEntropyDice):
    """Suppress easy pixels of common classes and leave those of rare classes alone.

    Args:
        rare: (K,) bool.
        gamma: Focusing exponent for common classes.
    """

    pixel_name: ClassVar[str] = "asymmetric_focal"
    rare: Tensor

    def __init__(self, rare: Tensor, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("rare", rare.clone())

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean asymmetric focal term; see `CrossEntropyDice.pixel_term`."""
        plain = cross_entropy_per_pixel(log_probability, target)
        suppressed = focal_per_pixel(log_probability, target, self.gamma)
        return mean_over_valid(torch.where(self.rare[target], plain, suppressed), valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `treated_as_rare`, (K,): 1 or 0."""
        return {"treated_as_rare": self.rare.float().cpu()}


class AsymmetricFocalConfig(MethodConfig):
    """Asymmetric focal loss + soft Dice."""

    gamma: Annotated[float, Range(1.0, 6.0, log=True)] = Field(
        default=4.0, ge=0, description="focusing exponent for common classes; 0 is cross-entropy"
    )
    rare: Annotated[RareRule, Choice(RARE_RULES)] = Field(default="all_but_most_frequent", description=RARE_OPTION)

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Asymmetric focal loss",
        formula="mean_i(-log p_t for a rare y, (1 - p_t)^gamma * -log p_t for a common y); gamma 4; plus soft Dice",
        source="Li 2021 (IEEE TMI; MICCAI 2019), asymmetric focal loss; form and gamma as in the official code and its "
        "example, ZerojumpLine/OverfittingUnderClassImbalance",
        deviations=f"{RARE_DEVIATION}; the official code weights Dice by the same factor too and adds 1e-6 to p",
    )

    def build(self, context: BuildContext) -> Components:
        """Build asymmetric focal + Dice."""
        return Components(loss=AsymmetricFocalDice(rare_by(self.rare, context.statistics), self.gamma))


class AsymmetricMarginDice(ShiftedLogitsDice):
    """Demand a margin of the true class's logit where that class is rare.

    Args:
        rare: (K,) bool.
        margin: In logits.
    """

    pixel_name: ClassVar[str] = "asymmetric_margin"
    margin: Tensor

    def __init__(self, rare: Tensor, margin: float) -> None:
        super().__init__()
        self.register_buffer("margin", margin * rare.float())

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """Return the mean cross-entropy with margins; see `ShiftedLogitsDice.shifted_term`."""
        margin = torch.where(one_hot(logits, target), self.margin[target].unsqueeze(1), 0.0)
        return mean_over_valid(cross_entropy_per_pixel(F.log_softmax(logits - margin, dim=1), target), valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `margin`, (K,)."""
        return {"margin": self.margin.cpu().clone()}


class AsymmetricMarginConfig(MethodConfig):
    """Asymmetric large-margin loss + soft Dice."""

    margin: Annotated[float, Range(0.2, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="of the true class's logit where the class is rare; 0 is cross-entropy"
    )
    rare: Annotated[RareRule, Choice(RARE_RULES)] = Field(default="all_but_most_frequent", description=RARE_OPTION)

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Asymmetric large-margin loss",
        formula="cross-entropy of z - m at the true class where it is rare, m = 1; plus soft Dice of softmax(z)",
        source="Li 2021 (IEEE TMI; MICCAI 2019), asymmetric large-margin loss; as in the official code, whose README "
        "calls margins of .2 to 2 reasonable, ZerojumpLine/OverfittingUnderClassImbalance",
        deviations=f"{RARE_DEVIATION}; the default margin is ours, within that range; Dice sees the logits without it",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the margin loss + Dice."""
        return Components(loss=AsymmetricMarginDice(rare_by(self.rare, context.statistics), self.margin))
