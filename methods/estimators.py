"""Difficulty estimators: class weights from how well the classes are segmented, in each batch or by a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import (
    BuildContext,
    Card,
    ClassStatistics,
    Components,
    Group,
    LossOutput,
    MethodConfig,
    Requirement,
    Stage,
    normalised_to_mean_one,
)
from methods.cross_entropy import Reduction, WeightedCrossEntropyDice
from methods.dfa import DfaConfig
from methods.late_torch import torch
from methods.overlap import one_hot
from methods.reweighting import ReweightingConfig
from methods.search_space import Range
from methods.step_counts import StepCounts

if TYPE_CHECKING:
    from torch import Tensor


def hard_counts(log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Count true and false positives and false negatives of the most likely class, (3, K) int64."""
    seen = valid.unsqueeze(1)
    truth = one_hot(log_probability, target) & seen
    predicted = one_hot(log_probability, log_probability.argmax(1)) & seen
    pooled = (0, 2, 3)
    return torch.stack(
        [(truth & predicted).sum(pooled), (~truth & predicted).sum(pooled), (truth & ~predicted).sum(pooled)]
    )


class RecallWeightedDice(WeightedCrossEntropyDice):
    """Weight cross-entropy by each class's miss rate in the batch itself.

    Args:
        strength: Exponent of the miss rate.
        n_classes: K.
        reduction: `mean` or `weighted_mean`.
    """

    def __init__(self, strength: float, n_classes: int, reduction: Reduction) -> None:
        super().__init__(torch.ones(n_classes), reduction)
        self.strength = strength

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return weighted cross-entropy; see `CrossEntropyDice.pixel_term`."""
        tp, _, fn = hard_counts(log_probability.detach(), target, valid)
        # at least one miss, as in the official code: a class that is right everywhere keeps a small weight
        rate = fn.clamp(min=1) / (tp + fn).clamp(min=1)
        self.weight.copy_(rate**self.strength)
        return super().pixel_term(log_probability, target, valid)


class RecallLossConfig(MethodConfig):
    """Recall loss + soft Dice."""

    strength: Annotated[float, Range(0.25, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent of the miss rate; 0 is cross-entropy"
    )
    reduction: Reduction = Field(default="mean", description="mean(w ce), as published, or sum(w ce) / sum(w)")

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Recall loss",
        formula="w_c = max(FN_c, 1) / N_c in the batch, FN of argmax z, N labelled pixels; mean_i(w_y CE); plus soft "
        "Dice",
        source="Tian 2022 (ICRA), recall loss; at least one miss and the mean over pixels as in the official code, "
        "PotatoTian/recall-semseg",
        deviations="ignored pixels are left out, where the official code stops with an index error if their label is "
        "not below K; the exponent (`strength`) is ours, 1 in the source",
    )

    def build(self, context: BuildContext) -> Components:
        """Build recall loss + Dice."""
        return Components(loss=RecallWeightedDice(self.strength, context.statistics.n_classes, self.reduction))


DiceWeighting = Literal["unweighted", "weighted"]
DICE_OPTION = "weighted: mean_c(w_c (1 - dice_c)), as published but for the background; unweighted as in the base"
DICE_DEVIATION = (
    "Dice stays unweighted, so that the method differs from the base in one thing; the official default (`w_ce+dice`) "
    "weights it by class too and leaves class 0, the background, out of it: `dice: weighted` does the first, and "
    "tissue has no background"
)


class DistDwConfig(ReweightingConfig):
    """Distribution-aware weights of DHC."""

    floor: Annotated[float, Range(0.02, 0.5, log=True)] = Field(
        default=0.1, gt=0, le=1, description="least weight, where the rarest class has 1"
    )
    dice: DiceWeighting = Field(default="unweighted", description=DICE_OPTION)

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Distribution-aware weights (DistDW)",
        formula="w_c = max(ln(N_max / N_c) / max_k ln(N_max / N_k), floor), N labelled pixels, scaled to mean 1 over "
        "the classes that occur; floor .1",
        source="Wang and Li 2023 (DHC, MICCAI), DistDW; logarithm and division by the maximum as in the official code, "
        "xmed-lab/DHC",
        deviations="the floor: the most frequent class would weigh 0 and train by Dice alone; weights stay those of "
        "the training split, where the source averages in pseudo-labels of unlabelled images; scaled to mean 1 instead "
        "of maximum K, which matters with reduction `mean` or weighted Dice only; " + DICE_DEVIATION,
    )

    def build(self, context: BuildContext) -> Components:
        """Build weighted cross-entropy + Dice."""
        weight, weigh_dice = self.weights(context.statistics), self.dice == "weighted"
        return Components(loss=WeightedCrossEntropyDice(weight, self.reduction, weigh_dice=weigh_dice))

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return the floored logarithms, mean 1."""
        present = statistics.present
        rarity = torch.where(present, (statistics.pixels.max() / statistics.pixels.clamp(min=1)).log(), 0.0)
        if not rarity.max() > 0:  # all classes are equally frequent
            return present.float()
        return normalised_to_mean_one((rarity / rarity.max()).clamp(min=self.floor), present)


class DifficultyAwareDice(WeightedCrossEntropyDice):
    """Weight classes by how their batch Dice moves: more if it falls rather than rises, and if it is low.

    Args:
        config: Options.
        n_classes: K.

    Attributes:
        state: (4, K) float64: the last Dice, running gain, running loss, and running 1 - Dice.
    """

    state: Tensor
    small: ClassVar[float] = 1e-8  # first Dice, its smoothing, and added to gains and losses, as in the official code

    def __init__(self, config: DiffDwConfig, n_classes: int) -> None:
        super().__init__(torch.ones(n_classes), config.reduction, weigh_dice=config.dice == "weighted")
        self.config = config
        self.pending = StepCounts(3, n_classes)
        start = torch.tensor([self.small, 0.0, 0.0, 1.0], dtype=torch.float64)
        self.register_buffer("state", start.unsqueeze(1).repeat(1, n_classes))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Take over what the step before counted, then see `CrossEntropyDice.forward`."""
        _, counted = self.pending.hand_over(step)
        self.state.copy_(self.renewed(counted))
        return super().forward(logits, target, valid, step)

    def renewed(self, counts: Tensor) -> Tensor:
        """Return the state after a step with these counts, (4, K); a class without labelled pixels keeps its own."""
        tp, fp, fn = counts.double()
        last, gain, loss, error = self.state
        dice = (2 * tp + self.small) / (2 * tp + fp + fn + 2 * self.small)
        change, log_ratio = dice - last, (dice / last).log()
        keep = self.config.momentum
        after = torch.stack(
            [
                dice,
                keep * gain + (1 - keep) * change.clamp(min=0) * log_ratio,
                keep * loss + (1 - keep) * change.clamp(max=0) * log_ratio,
                keep * error + (1 - keep) * (1 - dice),
            ]
        )
        return torch.where(tp + fn > 0, after, self.state)

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return weighted cross-entropy; see `CrossEntropyDice.pixel_term`."""
        counts = hard_counts(log_probability.detach(), target, valid)
        self.pending.add(counts)
        _, gain, loss, error = self.renewed(counts)
        weight = (((loss + self.small) / (gain + self.small)) ** self.config.exponent * error) ** self.config.strength
        self.weight.copy_(weight / weight.mean().clamp(min=1e-30))
        return super().pixel_term(log_probability, target, valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `loss_weight` and `difficulty`, the running 1 - Dice; (K,) each."""
        return super().class_parameters() | {"difficulty": self.state[3].detach().float().cpu().clone()}


class DiffDwConfig(MethodConfig):
    """Difficulty-aware weights of DHC."""

    exponent: Annotated[float, Range(0.05, 1.0, log=True)] = Field(
        default=0.2, ge=0, description="of the ratio of Dice losses to Dice gains"
    )
    momentum: float = Field(default=0.98, ge=0, lt=1, description="of the running averages; .98 spans 50 steps")
    strength: Annotated[float, Range(0.25, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent of the whole weight; 0 is cross-entropy"
    )
    reduction: Reduction = Field(default="weighted_mean", description="sum(w ce) / sum(w), as published, or mean(w ce)")
    dice: DiceWeighting = Field(default="unweighted", description=DICE_OPTION)

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Difficulty-aware weights (DiffDW)",
        formula="w_c = (U_c / L_c)^(1/5) E_c, scaled to mean 1; with D_c the Dice of argmax z in the batch, d its "
        "change and r = ln(D / last D): L, U, E running means (momentum .98) of max(d, 0) r, min(d, 0) r and 1 - D",
        source="Wang and Li 2023 (DHC, MICCAI), DiffDW; starting values, momentum (50 steps), and the 1e-8 that "
        "smooths Dice and is added to U and L, as in the official code, xmed-lab/DHC",
        deviations="a class without labelled pixels in a step keeps its state (the official smoothing gives it Dice "
        ".5); scaled to mean 1 instead of maximum K, which matters with reduction `mean` or weighted Dice only; "
        "labelled images alone; the exponent of the whole (`strength`) is ours, 1 in the source; " + DICE_DEVIATION,
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss."""
        return Components(loss=DifficultyAwareDice(self, context.statistics.n_classes))


BASELINE_THEN_MAIN = (Stage("baseline"), Stage("main"))


class TwoStageDiceWeightsConfig(MethodConfig):
    """Train the base, then retrain with weights from its validation Dice."""

    gamma: Annotated[float, Range(0.25, 4.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent of 1 - Dice; 0 gives equal weights"
    )
    reduction: Reduction = Field(default="weighted_mean", description="sum(w ce) / sum(w), or mean(w ce)")

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Two-stage weights from a baseline's Dice",
        formula="w_c = (1 - Dice_c)^gamma, scaled to mean 1 over the classes that occur, Dice of the validation split "
        "at the end of a baseline with the base loss; then training starts again with these weights; gamma 1",
        source="of this project: the fixed counterpart of `cdb`, with the estimate of `two_stage_dice_bias`",
        deviations="none; a class that is not in the validation split gets the mean difficulty of the others",
        cost="two trainings",
        requires=frozenset({Requirement.VALIDATION_FEEDBACK}),
    )

    def stages(self) -> tuple[Stage, ...]:
        """Return the baseline and the main stage."""
        return BASELINE_THEN_MAIN

    def build(self, context: BuildContext) -> Components:
        """Build nothing for the baseline, then weighted cross-entropy + Dice."""
        if context.stage == 0:
            return Components()
        return Components(loss=WeightedCrossEntropyDice(self.weights(context), self.reduction))

    def weights(self, context: BuildContext) -> Tensor:
        """Return (1 - Dice)^gamma of the finished baseline, mean 1, (K,)."""
        present, dice = context.statistics.present, context.finished[0].dice
        is_known = present & dice.isfinite()
        if not is_known.any():
            return present.float()
        difficulty = torch.where(is_known, 1 - dice, 1 - dice[is_known].mean())
        return normalised_to_mean_one(difficulty**self.gamma, present)


class TwoStageDiceBiasConfig(MethodConfig):
    """Train the base, then retrain with a fixed attention bias from its validation Dice."""

    gamma: Annotated[float, Range(0.25, 4.0, log=True)] = Field(
        default=2.0, ge=0, description="factor of log(1 - Dice); 0 is no bias"
    )

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Two-stage attention bias from a baseline's Dice",
        formula="b_c = gamma log(1 - Dice_c), fixed, on the logits of image-to-token attention; Dice of the validation "
        "split at the end of a baseline with the base loss; gamma 2",
        source="described in docstrings of the official code of Kumari and Cheung 2026, lakmali240/DFA-Imbalance",
        deviations="a second name for `dfa` with `prior: difficulty, mode: fixed`; Dice is clipped to .999",
        same_as="dfa",
        cost="two trainings",
        requires=frozenset({Requirement.CLASS_QUERY, Requirement.VALIDATION_FEEDBACK}),
    )

    def stages(self) -> tuple[Stage, ...]:
        """Return the baseline and the main stage."""
        return BASELINE_THEN_MAIN

    def build(self, context: BuildContext) -> Components:
        """Build nothing for the baseline, then the bias."""
        return DfaConfig(prior="difficulty", mode="fixed", gamma=self.gamma).build(context)
