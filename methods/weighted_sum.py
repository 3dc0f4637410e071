"""Free compounds: any weighted sum of pixel and overlap losses, with the weights in the study file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from methods.base import BuildContext, Card, Components, Group, Loss, LossOutput, MethodConfig
from methods.cross_entropy import SoftDice, cross_entropy_per_pixel, mean_over_valid
from methods.focal import focal_per_pixel
from methods.late_torch import F
from methods.overlap import GeneralisedDice, LovaszSoftmax, Tversky, one_hot
from methods.pixel_difficulty import TopKDice
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

    Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # logits, log-probability, target, valid -> a scalar


def sigmoid_focal_per_pixel(logits: Tensor, target: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """Return the focal loss of one sigmoid for each class, averaged over classes, (B, H, W) float32.

    Args:
        logits: (B, K, H, W) float32.
        target: (B, H, W) int64 in 0..K-1.
        gamma: Focusing exponent >= 0.
        alpha: Weight of the true class's term, in [0, 1]; the others weigh 1 - alpha. None: all weigh 1.
    """
    truth = one_hot(logits, target)
    right = F.logsigmoid((2.0 * truth - 1.0) * logits)  # log of the probability of being right
    focal = (-right.expm1()).clamp(min=1e-12) ** gamma * -right
    if alpha is not None:
        focal = focal * (alpha * truth + (1 - alpha) * ~truth)
    return focal.mean(1)


class WeightedSum(Loss):
    """Add up the losses whose weight is not 0.

    Args:
        config: Weights and options.
    """

    def __init__(self, config: CompoundConfig) -> None:
        super().__init__()
        self.weights = {name: getattr(config, name) for name in TERMS if getattr(config, name) > 0}
        terms: dict[str, Term] = {
            "ce": lambda _, log_p, y, valid: mean_over_valid(cross_entropy_per_pixel(log_p, y), valid),
            "focal": lambda _, log_p, y, valid: mean_over_valid(focal_per_pixel(log_p, y, config.gamma), valid),
            "sigmoid_focal": lambda z, _, y, valid: mean_over_valid(
                sigmoid_focal_per_pixel(z, y, config.gamma, config.alpha), valid
            ),
            "topk": lambda _, log_p, y, valid: TopKDice(config.topk_share).pixel_term(log_p, y, valid),
            "dice": lambda _, log_p, y, valid: SoftDice()(log_p.exp(), y, valid),
            "generalised_dice": lambda _, *batch: GeneralisedDice(0.0, 2.0).overlap_term(*batch),
            "tversky": lambda _, *batch: Tversky(0.0, 1 - config.fn_weight, config.fn_weight).overlap_term(*batch),
            "lovasz": lambda _, *batch: LovaszSoftmax(0.0).overlap_term(*batch),
        }
        self.terms = {name: terms[name] for name in self.weights}

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute the sum in float32; see `Loss.forward`."""
        logits = logits.float()
        log_probability = F.log_softmax(logits, dim=1)
        parts = {
            name: weight * self.terms[name](logits, log_probability, target, valid)
            for name, weight in self.weights.items()
        }
        return LossOutput(sum(parts.values(), start=logits.new_zeros(())), {k: v.detach() for k, v in parts.items()})


TERMS = ("ce", "focal", "sigmoid_focal", "topk", "dice", "generalised_dice", "tversky", "lovasz")


class CompoundConfig(MethodConfig):
    """A weighted sum of losses; the default is the loss of the DFA paper, .25 sigmoid focal + .75 Dice."""

    ce: float = Field(default=0.0, ge=0, description="weight of cross-entropy")
    focal: float = Field(default=0.0, ge=0, description="weight of the focal loss, softmax form")
    sigmoid_focal: Annotated[float, Range(0.05, 2.0, log=True)] = Field(
        default=0.25, ge=0, description="weight of the focal loss with one sigmoid for each class, mean over classes"
    )
    topk: float = Field(default=0.0, ge=0, description="weight of top-k cross-entropy")
    dice: Annotated[float, Range(0.05, 2.0, log=True)] = Field(default=0.75, ge=0, description="weight of soft Dice")
    generalised_dice: float = Field(default=0.0, ge=0, description="weight of generalised Dice")
    tversky: float = Field(default=0.0, ge=0, description="weight of Tversky")
    lovasz: float = Field(default=0.0, ge=0, description="weight of Lovasz-Softmax")
    gamma: Annotated[float, Range(0.5, 5.0, log=True)] = Field(
        default=2.0, ge=0, description="focusing exponent of both focal losses"
    )
    alpha: float | None = Field(
        default=None, ge=0, le=1, description="sigmoid focal: weight of the true class's term, the others 1 - alpha; "
        "null for no such weights",
    )  # fmt: skip
    topk_share: float = Field(default=0.1, gt=0, le=1, description="of the valid pixels in top-k cross-entropy")
    fn_weight: float = Field(default=0.7, ge=0, le=1, description="Tversky's weight of misses; 1 - it of false alarms")

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Free compound of pixel and overlap losses",
        formula="sum of the losses times their weights: ce, focal, sigmoid_focal, topk, dice, generalised_dice, "
        "tversky, lovasz; .25 sigmoid_focal + .75 dice; replaces cross-entropy and Dice",
        source="each loss as in its own entry; the default weights are the loss of Kumari and Cheung 2026 on BCSS, "
        "sigmoid focal with gamma 2 (Lin 2017)",
        deviations="sigmoid focal is averaged over pixels and classes and has no alpha unless one is given; prediction "
        "stays argmax z",
    )

    @model_validator(mode="after")
    def _something_to_train_with(self) -> CompoundConfig:
        if not any(getattr(self, name) > 0 for name in TERMS):
            raise ValueError(f"At least one of {', '.join(TERMS)} must be above 0. Got none.")
        return self

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the weighted sum."""
        return Components(loss=WeightedSum(self))
