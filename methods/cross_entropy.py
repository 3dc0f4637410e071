"""The base of the catalogue: cross-entropy + soft Dice, and the shape that every pixel-loss method shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from methods.base import BuildContext, Card, Components, Group, Loss, LossOutput, MethodConfig
from methods.late_torch import F, Module, torch

if TYPE_CHECKING:
    from torch import Tensor

Reduction = Literal["weighted_mean", "mean"]


class SoftDice(Module):
    """Measure one minus the soft Dice of the batch, averaged over the classes that occur in it.

    dice_c = (2 sum_i p_ic g_ic + s) / (sum_i p_ic + sum_i g_ic + s), sums over every valid pixel i of the batch (the
    images are pooled), p softmax probabilities, g one-hot target, s the smoothing term. A perfect prediction gives 0.

    Args:
        smooth: s, in pixels. A class that is averaged holds at least one pixel, so s guards nothing; it is small
            enough to leave Dice itself.

    Source: Milletari 2016 with linear sums in the denominator; pooled over the batch as in nnU-Net's `batch_dice`.
    Deviation: classes without a valid target pixel in the batch are left out rather than counted as 0 or 1.
    """

    def __init__(self, *, smooth: float = 1e-5) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 1]; 0 with zero gradient when no pixel is valid.

        Args:
            probability: (B, K, H, W) float32, sums to 1 over K.
            target: (B, H, W) int64 in 0..K-1.
            valid: (B, H, W) bool.
        """
        loss, occurs = self.of_classes(probability, target, valid)
        return torch.where(occurs, loss, 0.0).sum() / occurs.sum().clamp(min=1)

    def of_classes(self, probability: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 - dice of each class, (K,) float32, and which classes occur, (K,) bool; arguments as `forward`."""
        n_classes = probability.shape[1]
        classes = torch.arange(n_classes, device=target.device).view(1, -1, 1, 1)
        truth = (target.unsqueeze(1) == classes) & valid.unsqueeze(1)  # (B, K, H, W)
        pooled = (0, 2, 3)
        intersection = torch.where(truth, probability, 0.0).sum(pooled)  # (K,)
        predicted = torch.where(valid.unsqueeze(1), probability, 0.0).sum(pooled)
        labelled = truth.sum(pooled)
        dice = (2 * intersection + self.smooth) / (predicted + labelled + self.smooth)
        return 1 - dice, labelled > 0


def cross_entropy_per_pixel(log_probability: Tensor, target: Tensor) -> Tensor:
    """Return -log p_y of each pixel.

    Args:
        log_probability: (B, K, H, W) float32.
        target: (B, H, W) int64 in 0..K-1.

    Returns:
        (B, H, W) float32.
    """
    return -log_probability.gather(1, target.unsqueeze(1)).squeeze(1)


def mean_over_valid(term: Tensor, valid: Tensor) -> Tensor:
    """Average a loss term over the valid pixels.

    Args:
        term: (B, H, W) float.
        valid: (B, H, W) bool.

    Returns:
        A scalar; 0 with zero gradient when no pixel is valid.
    """
    return torch.where(valid, term, 0.0).sum() / valid.sum().clamp(min=1)


def weighted_mean_over_valid(term: Tensor, weight: Tensor, valid: Tensor, reduction: Reduction) -> Tensor:
    """Average a weighted loss term over the valid pixels.

    Args:
        term: (B, H, W) float.
        weight: (B, H, W) float >= 0.
        valid: (B, H, W) bool.
        reduction: `weighted_mean` is sum(w term) / sum(w); `mean` is sum(w term) / n.

    Returns:
        A scalar; 0 with zero gradient when no pixel is valid or no valid pixel weighs anything.
    """
    weight = torch.where(valid, weight, 0.0)
    weighted = weight * torch.where(valid, term, 0.0)
    if reduction == "mean":
        return mean_over_valid(weighted, valid)
    total = weight.sum()
    return weighted.sum() / torch.where(total > 0, total, 1.0)


class CrossEntropyDice(Loss):
    """Add a pixel term and soft Dice with equal weight.

    Subclasses replace `pixel_term` and name it; everything else stays the same, so that methods differ in one thing.

    Attributes:
        pixel_name: Name of the pixel term among the recorded parts.
    """

    pixel_name: ClassVar[str] = "cross_entropy"

    def __init__(self) -> None:
        super().__init__()
        self.dice = SoftDice()

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the pixel term, a scalar: here cross-entropy averaged over the valid pixels.

        Args:
            log_probability: (B, K, H, W) float32, the log-softmax of the logits.
            target: (B, H, W) int64 in 0..K-1.
            valid: (B, H, W) bool.
        """
        return mean_over_valid(cross_entropy_per_pixel(log_probability, target), valid)

    def dice_term(self, probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the overlap term, a scalar: here soft Dice; called after `pixel_term`, arguments as `SoftDice`."""
        return self.dice(probability, target, valid)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute pixel term + Dice in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        pixel = self.pixel_term(log_probability, target, valid)
        dice = self.dice_term(log_probability.exp(), target, valid)
        return LossOutput(pixel + dice, {self.pixel_name: pixel.detach(), "dice": dice.detach()})


class WeightedCrossEntropyDice(CrossEntropyDice):
    """Weight the cross-entropy of each pixel by the weight of its class; Dice stays unweighted unless asked.

    Args:
        weight: (K,) float >= 0.
        reduction: `weighted_mean` is sum(w ce) / sum(w), as `torch.nn.CrossEntropyLoss(weight=...)`: only ratios of
            weights matter. `mean` is sum(w ce) / n: the scale of the weights matters too, and a batch of heavy classes
            takes a larger step.
        weigh_dice: Multiply the Dice loss of each class by its weight too, before the mean over classes.
    """

    pixel_name: ClassVar[str] = "weighted_cross_entropy"
    weight: Tensor

    def __init__(self, weight: Tensor, reduction: Reduction = "weighted_mean", *, weigh_dice: bool = False) -> None:
        super().__init__()
        self.reduction: Reduction = reduction
        self.weigh_dice = weigh_dice
        self.register_buffer("weight", weight.detach().float().clone())

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return weighted cross-entropy; see `CrossEntropyDice.pixel_term`."""
        cross_entropy = cross_entropy_per_pixel(log_probability, target)
        return weighted_mean_over_valid(cross_entropy, self.weight[target], valid, self.reduction)

    def dice_term(self, probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return soft Dice, weighted or not; see `CrossEntropyDice.dice_term`."""
        if not self.weigh_dice:
            return super().dice_term(probability, target, valid)
        loss, occurs = self.dice.of_classes(probability, target, valid)
        return torch.where(occurs, self.weight * loss, 0.0).sum() / occurs.sum().clamp(min=1)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `loss_weight`, (K,)."""
        return {"loss_weight": self.weight.cpu().clone()}


class CrossEntropyConfig(MethodConfig):
    """Cross-entropy + soft Dice: the loss of every method that does not replace it."""

    nothing_to_tune: ClassVar[str] = "it is the base that the others are compared with, and has no option"

    card: ClassVar[Card] = Card(
        group=Group.BASE,
        title="Cross-entropy + soft Dice, the common base",
        formula="mean_i(-log softmax(z_i)_y) + mean_c(1 - dice_c), c over the classes that occur in the batch",
        source="Isensee 2021 (nnU-Net), Methods: cross-entropy + batch Dice with equal weights",
        deviations="Dice skips classes that do not occur in the batch, and no deep supervision",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the base loss."""
        return Components(loss=CrossEntropyDice())
