"""Dice losses that look harder at hard pixels or easy classes: pixel-wise modulated, and adaptive t-vMF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, ClassFeedback, Components, Group, Requirement
from methods.late_torch import torch
from methods.overlap import SMOOTH, CrossEntropyOverlap, OverlapConfig, mean_over, one_hot
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class ModulatedDice(CrossEntropyOverlap):
    """Weight every pixel of every class in Dice by how wrong its probability is now.

    Args:
        cross_entropy_weight: Of the cross-entropy part.
        gamma: Exponent of the error.
    """

    overlap_name: ClassVar[str] = "modulated_dice"

    def __init__(self, cross_entropy_weight: float, gamma: float) -> None:
        super().__init__(cross_entropy_weight)
        self.gamma = gamma

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the modulated Dice loss; see `CrossEntropyOverlap.overlap_term`."""
        seen, pooled = valid.unsqueeze(1), (0, 2, 3)
        truth = one_hot(log_probability, target) & seen
        probability = log_probability.exp()
        error = torch.where(truth, -torch.expm1(log_probability), probability).detach()  # |g - p|
        weight = torch.where(seen, error**self.gamma, 0.0)
        overlap = (weight * torch.where(truth, probability, 0.0)).sum(pooled)
        size = (weight * (truth + probability**2)).sum(pooled)
        return mean_over(1 - (2 * overlap + SMOOTH) / (size + SMOOTH), truth.sum(pooled) > 0)


class ModulatedDiceConfig(OverlapConfig):
    """Cross-entropy + pixel-wise modulated Dice."""

    gamma: Annotated[float, Range(0.25, 3.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent of a pixel's error; 0 gives Dice with squared sums"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Pixel-wise modulated (PM) Dice",
        formula="mean_c(1 - 2 sum m g p / sum m (g^2 + p^2)), m = |g - p|^gamma without gradient, sums over the "
        "batch, c over the classes that occur in it; gamma 1; in Dice's place, cross-entropy stays",
        source="Hosseini 2025 (arXiv 2506.15744)",
        deviations="one gamma for all classes, where the source allows one for each; its default is ours, as the "
        "source's values could not be checked and no official code was found; classes that do not occur are left out",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + modulated Dice."""
        return Components(loss=ModulatedDice(self.cross_entropy_weight, self.gamma))


class TvmfDice(CrossEntropyOverlap):
    """Measure similarity of prediction and truth by a t-vMF kernel, narrower for classes that validate well.

    Args:
        cross_entropy_weight: Of the cross-entropy part.
        scale: Concentration of a class whose validation Dice is 1.
        n_classes: K.

    Attributes:
        concentration: (K,) float >= 0, renewed after each validation pass; 0 before the first.
    """

    overlap_name: ClassVar[str] = "tvmf_dice"
    concentration: Tensor

    def __init__(self, cross_entropy_weight: float, scale: float, n_classes: int) -> None:
        super().__init__(cross_entropy_weight)
        self.scale = scale
        self.register_buffer("concentration", torch.zeros(n_classes))

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over classes of (1 - similarity)^2; see `CrossEntropyOverlap.overlap_term`."""
        seen = valid.unsqueeze(1)
        truth = (one_hot(log_probability, target) & seen).movedim(1, 0).flatten(1)  # (K, B * H * W)
        probability = torch.where(seen, log_probability.exp(), 0.0).movedim(1, 0).flatten(1)
        labelled = truth.sum(1)
        length = torch.linalg.vector_norm(probability, dim=1) * labelled.sqrt()
        cosine = torch.where(truth, probability, 0.0).sum(1) / length.clamp(min=1e-12)
        similarity = (1 + cosine) / (1 + self.concentration * (1 - cosine)) - 1
        return mean_over((1 - similarity) ** 2, labelled > 0)

    def renew(self, feedback: ClassFeedback) -> None:
        """Set the concentrations from validation Dice; a class that is not in the split gets the others' mean."""
        dice = feedback.dice
        is_known = dice.isfinite()
        if is_known.any():
            self.concentration.copy_(self.scale * torch.where(is_known, dice, dice[is_known].mean()))

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `concentration`, (K,)."""
        return {"concentration": self.concentration.cpu().clone()}


class AdaptiveTvmfConfig(OverlapConfig):
    """Cross-entropy + adaptive t-vMF Dice."""

    scale: Annotated[float, Range(2.0, 128.0, log=True)] = Field(
        default=32.0, ge=0, description="concentration of a class with a validation Dice of 1; 0 leaves a cosine loss"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Adaptive t-vMF Dice",
        formula="mean_c((1 - s_c)^2), s = (1 + cos) / (1 + k_c (1 - cos)) - 1, cos = sum p g / (|p| |g|) over "
        "the batch, k_c = 32 times the last validation Dice of c, 0 before; c over the classes that occur in the "
        "batch; in Dice's place, cross-entropy stays",
        source="Kato 2022 (arXiv 2207.07842), adaptive t-vMF Dice loss; form and scale as in the official code, "
        "usagisukisuki/Adaptive_t-vMF_Dice_loss",
        deviations="the source uses the term alone (`cross_entropy_weight: 0`) and renews k every epoch, here every "
        "validation pass, with Dice pooled over the split; classes that do not occur are left out",
        requires=frozenset({Requirement.VALIDATION_FEEDBACK}),
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss and the hook that renews its concentrations."""
        loss = TvmfDice(self.cross_entropy_weight, self.scale, context.statistics.n_classes)
        return Components(loss=loss, on_epoch_end=loss.renew)
