"""Class-difficulty balancing: loss weights that follow each class's validation error from epoch to epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import (
    BuildContext,
    Card,
    ClassFeedback,
    Components,
    Group,
    MethodConfig,
    Requirement,
    normalised_to_mean_one,
)
from methods.cross_entropy import Reduction, WeightedCrossEntropyDice
from methods.late_torch import torch
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

Schedule = Literal["fixed", "sigmoid", "double_sigmoid"]

IMBALANCE_FLOOR = 0.01  # added to the worst class's score, as in both official implementations


def dynamic_exponent(score: Tensor, schedule: Schedule) -> float:
    """Choose tau from how unequal the classes' validation scores are.

    Args:
        score: (n,) float in [0, 1], accuracy or Dice of each class whose score is known.
        schedule: `sigmoid` gives (.5, 1), `double_sigmoid` gives (.99, 2).

    Returns:
        tau; larger when one class is much worse than the best.
    """
    ratio = float(score.max() / (score.min() + IMBALANCE_FLOOR))
    if schedule == "sigmoid":
        return 1 / (1 + math.exp(-ratio))
    return 2 / (1 + math.exp(-(ratio - 1)))


class DifficultyWeightedDice(WeightedCrossEntropyDice):
    """Weighted cross-entropy + Dice whose weights are renewed after each validation pass.

    Weights are 1 and difficulties NaN (unknown) until the first pass.

    Args:
        config: Options.
        present: (K,) bool, classes that occur in the training split; the others keep weight 0.
    """

    difficulty: Tensor
    present: Tensor

    def __init__(self, config: CdbConfig, present: Tensor) -> None:
        super().__init__(present.float(), config.reduction)
        self.config = config
        self.register_buffer("present", present.clone())
        self.register_buffer("difficulty", torch.full(present.shape, math.nan))

    def renew(self, feedback: ClassFeedback) -> None:
        """Set the weights from validation counts; does nothing if no class occurs in the validation split.

        A class that is not in the validation split gets the mean difficulty of the others.
        """
        present = self.present.cpu()
        score = feedback.recall if self.config.score == "recall" else feedback.dice
        is_known = present & score.isfinite()
        if not is_known.any():
            return
        difficulty = torch.where(is_known, 1 - score, 1 - score[is_known].mean())
        tau = self.config.tau
        if self.config.schedule != "fixed":
            tau = dynamic_exponent(score[is_known], self.config.schedule)
        self.weight.copy_(normalised_to_mean_one(difficulty**tau, present))
        self.difficulty.copy_(difficulty)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `loss_weight` and `difficulty`, (K,) each."""
        return super().class_parameters() | {"difficulty": self.difficulty.cpu().clone()}


class CdbConfig(MethodConfig):
    """Class-wise difficulty-balanced loss."""

    score: Literal["recall", "dice"] = Field(
        default="recall",
        description="difficulty is 1 - recall (the papers' class accuracy) or 1 - Dice (false positives count too)",
    )
    schedule: Schedule = Field(default="fixed", description="tau as given, or one of the two dynamic forms")
    tau: Annotated[float, Range(0.25, 4.0, log=True)] = Field(
        default=1.5, ge=0, description="exponent of schedule `fixed`; 0 gives equal weights"
    )
    reduction: Reduction = Field(default="weighted_mean", description="sum(w ce) / sum(w), or mean(w ce)")

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Class-wise difficulty-balanced loss",
        formula="w_c = d_c^tau, d_c = 1 - A_c (validation accuracy of class c), scaled to mean 1 over the classes that "
        "occur, after every epoch; tau fixed, or with r = max A / (min A + .01): sigmoid(r), or 2 sigmoid(r - 1)",
        source="Sinha 2020 (ACCV) and Sinha 2022 (IJCV); forms as in the official code, hitachi-rd-cv/CDB-loss: tau "
        "1.5 in its README, `sigmoid` for CIFAR-LT and EGTEA, `double_sigmoid` for ImageNet-LT",
        deviations="accuracy is pixel recall pooled over the validation split; the official code averages w ce over "
        "samples on CIFAR-LT and EGTEA (our `mean`) and divides by sum(w) on ImageNet-LT (our `weighted_mean`)",
        requires=frozenset({Requirement.VALIDATION_FEEDBACK}),
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss and the hook that renews its weights."""
        loss = DifficultyWeightedDice(self, context.statistics.present)
        return Components(loss=loss, on_epoch_end=loss.renew)
