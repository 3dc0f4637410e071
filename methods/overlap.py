"""Overlap losses: what replaces soft Dice, or the whole base loss, by another measure of how regions agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, Loss, LossOutput, MethodConfig
from methods.cross_entropy import SoftDice, cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F, torch
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

HALF_SMOOTH = 0.5e-5  # in pixels; Tversky with equal weights is then the base's soft Dice
SMOOTH = 2 * HALF_SMOOTH  # of forms that count true positives twice
SMALLEST_ERROR = 1e-16  # below it an error counts as 0, so that a fractional power keeps a finite slope


@dataclass(frozen=True)
class SoftCounts:
    """Expected pixel counts of each class over the valid pixels of a batch, (K,) float32, images pooled."""

    tp: Tensor
    fp: Tensor
    fn: Tensor


def soft_counts(log_probability: Tensor, target: Tensor, valid: Tensor) -> tuple[SoftCounts, Tensor]:
    """Count true and false positives and false negatives, each pixel as far as it is predicted.

    Args:
        log_probability: (B, K, H, W) float32.
        target: (B, H, W) int64 in 0..K-1.
        valid: (B, H, W) bool.

    Returns:
        The counts, and the labelled pixels of each class, (K,) int64.
    """
    truth = one_hot(log_probability, target)
    seen, pooled = valid.unsqueeze(1), (0, 2, 3)
    probability = log_probability.exp()
    counts = SoftCounts(
        tp=torch.where(truth & seen, probability, 0.0).sum(pooled),
        fp=torch.where(~truth & seen, probability, 0.0).sum(pooled),
        fn=torch.where(truth & seen, -torch.expm1(log_probability), 0.0).sum(pooled),  # 1 - p without cancellation
    )
    return counts, (truth & seen).sum(pooled)


def one_hot(log_probability: Tensor, target: Tensor) -> Tensor:
    """Return the label as (B, K, H, W) bool."""
    classes = torch.arange(log_probability.shape[1], device=target.device).view(1, -1, 1, 1)
    return target.unsqueeze(1) == classes


def mean_over(loss: Tensor, occurs: Tensor) -> Tensor:
    """Average a loss, (K,), over the classes that occur, (K,) bool; 0 with zero gradient if none does."""
    return torch.where(occurs, loss, 0.0).sum() / occurs.sum().clamp(min=1)


def tversky_error(counts: SoftCounts, *, fp_weight: float, fn_weight: float) -> Tensor:
    """Return 1 - TP / (TP + fp_weight FP + fn_weight FN) of each class, (K,) in [0, 1]."""
    wrong = fp_weight * counts.fp + fn_weight * counts.fn
    return wrong / (counts.tp + wrong + HALF_SMOOTH)


def power_of_error(error: Tensor, exponent: float) -> Tensor:
    """Return error^exponent with a finite slope everywhere; the same shape."""
    return torch.where(error > SMALLEST_ERROR, error.clamp(min=SMALLEST_ERROR) ** exponent, 0.0)


class DiceAlone(Loss):
    """Use soft Dice without a pixel term."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = SoftDice()

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute Dice in float32; see `Loss.forward`."""
        dice = self.dice(F.softmax(logits.float(), dim=1), target, valid)
        return LossOutput(dice, {"dice": dice.detach()})


class DiceConfig(MethodConfig):
    """Soft Dice alone: the base loss without its cross-entropy part."""

    nothing_to_tune: ClassVar[str] = "it has no option"

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Soft Dice alone",
        formula="mean_c(1 - dice_c), dice_c = 2 sum p g / (sum p + sum g) over the batch, c over the classes that "
        "occur in it; no cross-entropy",
        source="Milletari 2016, with linear sums in the denominator; pooled over the batch as in nnU-Net",
        deviations="classes that do not occur in the batch are left out of the mean; segmentation_models_pytorch "
        "counts them as 0 and divides by K, MONAI and nnU-Net count them with their false positives",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build Dice alone."""
        return Components(loss=DiceAlone())


class CrossEntropyOverlap(Loss):
    """Add cross-entropy and an overlap term that stands in Dice's place.

    Args:
        cross_entropy_weight: Of the cross-entropy part; 0 leaves the overlap term alone.

    Attributes:
        overlap_name: Name of the overlap term among the recorded parts.
    """

    overlap_name: ClassVar[str]

    def __init__(self, cross_entropy_weight: float) -> None:
        super().__init__()
        self.cross_entropy_weight = cross_entropy_weight

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the overlap term, a scalar; arguments as in `soft_counts`."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute weighted cross-entropy + overlap term in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        pixel = self.cross_entropy_weight * mean_over_valid(cross_entropy_per_pixel(log_probability, target), valid)
        overlap = self.overlap_term(log_probability, target, valid)
        return LossOutput(pixel + overlap, {"cross_entropy": pixel.detach(), self.overlap_name: overlap.detach()})


class OverlapConfig(MethodConfig):
    """Options of every method that puts another overlap term in Dice's place."""

    cross_entropy_weight: Annotated[float, Range(0.1, 3.0, log=True)] = Field(
        default=1.0, ge=0, description="of the cross-entropy part; 1 as in the base, 0 for the overlap term alone"
    )


class GeneralisedDice(CrossEntropyOverlap):
    """Pool the overlap of all classes, each weighted by its size.

    Args:
        cross_entropy_weight: Of the cross-entropy part.
        power: Classes weigh 1 / size^power.
    """

    overlap_name: ClassVar[str] = "generalised_dice"

    def __init__(self, cross_entropy_weight: float, power: float) -> None:
        super().__init__(cross_entropy_weight)
        self.power = power

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the generalised Dice loss; see `CrossEntropyOverlap.overlap_term`."""
        counts, labelled = soft_counts(log_probability, target, valid)
        occurs = labelled > 0
        smallest = torch.where(occurs, labelled, labelled.sum().clamp(min=1)).min()
        # relative to the smallest class, which weighs 1: the ratio below does not change, and nothing underflows
        weight = torch.where(occurs, (smallest / labelled.clamp(min=1)) ** self.power, 0.0)
        wrong = (weight * (counts.fp + counts.fn)).sum()
        return wrong / ((2 * weight * counts.tp).sum() + wrong + SMOOTH)


class GeneralisedDiceConfig(OverlapConfig):
    """Cross-entropy + generalised Dice."""

    power: Annotated[float, Range(0.5, 2.0)] = Field(
        default=2.0, ge=0, description="classes weigh 1 / (labelled pixels)^power; 0 for equal weights"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Generalised Dice",
        formula="1 - 2 sum_c(w_c sum p g) / sum_c(w_c sum(p + g)), w_c = 1 / (sum g)^2 over the batch, 0 for a class "
        "that does not occur in it; in Dice's place, cross-entropy stays",
        source="Sudre 2017, generalised Dice loss with w = 1 / (sum r)^2",
        deviations="the source uses the term alone (`cross_entropy_weight: 0`); a class that does not occur weighs 0, "
        "where MONAI gives it the largest finite weight; sums run over the batch, where MONAI's default is each image",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + generalised Dice."""
        return Components(loss=GeneralisedDice(self.cross_entropy_weight, self.power))


class Tversky(CrossEntropyOverlap):
    """Average a power of the Tversky error over the classes that occur.

    Args:
        cross_entropy_weight: Of the cross-entropy part.
        fp_weight: Of false positives.
        fn_weight: Of false negatives.
        exponent: Of each class's error.
    """

    overlap_name: ClassVar[str] = "tversky"

    def __init__(self, cross_entropy_weight: float, fp_weight: float, fn_weight: float, exponent: float = 1.0) -> None:
        super().__init__(cross_entropy_weight)
        self.fp_weight, self.fn_weight, self.exponent = fp_weight, fn_weight, exponent

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the Tversky loss; see `CrossEntropyOverlap.overlap_term`."""
        counts, labelled = soft_counts(log_probability, target, valid)
        error = tversky_error(counts, fp_weight=self.fp_weight, fn_weight=self.fn_weight)
        return mean_over(error if self.exponent == 1 else power_of_error(error, self.exponent), labelled > 0)


class TverskyConfig(OverlapConfig):
    """Cross-entropy + Tversky."""

    fp_weight: float = Field(default=0.3, ge=0, description="weight of false positives; .5 with .5 is Dice")
    fn_weight: Annotated[float, Range(0.3, 0.9)] = Field(default=0.7, ge=0, description="weight of false negatives")

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Tversky",
        formula="mean_c(1 - TP / (TP + .3 FP + .7 FN)), soft counts over the batch, c over the classes that occur in "
        "it; in Dice's place, cross-entropy stays",
        source="Salehi 2017 (arXiv 1706.05721): alpha .3 for false positives, beta .7 for false negatives",
        deviations="the source uses the term alone (`cross_entropy_weight: 0`), for one foreground class; the mean "
        "skips classes that do not occur, where segmentation_models_pytorch divides by K",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + Tversky."""
        return Components(loss=Tversky(self.cross_entropy_weight, self.fp_weight, self.fn_weight))


class FocalTversky(Tversky):
    """Tversky with an exponent, under its own name."""

    overlap_name: ClassVar[str] = "focal_tversky"


class FocalTverskyConfig(OverlapConfig):
    """Cross-entropy + focal Tversky."""

    fp_weight: float = Field(default=0.3, ge=0, description="weight of false positives")
    fn_weight: Annotated[float, Range(0.3, 0.9)] = Field(default=0.7, ge=0, description="weight of false negatives")
    exponent: Annotated[float, Range(0.5, 2.0, log=True)] = Field(
        default=0.75, gt=0, description="of each class's error; below 1, nearly right classes count"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Focal Tversky",
        formula="mean_c((1 - TI_c)^.75), TI_c = TP / (TP + .3 FP + .7 FN), soft counts over the batch, c over the "
        "classes that occur in it; in Dice's place, cross-entropy stays",
        source="Abraham and Khan 2019 (arXiv 1810.07842): exponent 1/gamma with gamma 4/3; .7 for false negatives and "
        "the exponent .75 as in the official code, nabsabraham/focal-tversky-unet",
        deviations="the source uses the term alone; segmentation_models_pytorch raises the mean over classes to the "
        "power, not each class",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + focal Tversky."""
        loss = FocalTversky(self.cross_entropy_weight, self.fp_weight, self.fn_weight, self.exponent)
        return Components(loss=loss)


class LovaszSoftmax(CrossEntropyOverlap):
    """Average the Lovasz extension of the Jaccard loss over the classes that occur."""

    overlap_name: ClassVar[str] = "lovasz_softmax"

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the Lovasz-Softmax loss; see `CrossEntropyOverlap.overlap_term`."""
        truth = one_hot(log_probability, target) & valid.unsqueeze(1)
        error = torch.where(truth, -torch.expm1(log_probability), log_probability.exp())
        error = torch.where(valid.unsqueeze(1), error, -1.0)  # sorted to the end, where the increments below are unused
        error, truth = (values.movedim(1, 0).flatten(1) for values in (error, truth))  # (K, B * H * W)
        ranked, order = error.sort(dim=1, descending=True)
        # float64: an increment is about 1 / pixels, the difference of two numbers near 1
        hit = truth.gather(1, order).double()
        labelled = hit.sum(1, keepdim=True)
        missed, added = hit.cumsum(1), (1 - hit).cumsum(1)
        jaccard_loss = 1 - (labelled - missed) / (labelled + added).clamp(min=1)  # of the first 1, 2, .. pixels
        increment = jaccard_loss.diff(dim=1, prepend=torch.zeros_like(labelled)).float()
        return mean_over((torch.where(ranked >= 0, ranked, 0.0) * increment).sum(1), labelled.squeeze(1) > 0)


class LovaszSoftmaxConfig(OverlapConfig):
    """Cross-entropy + Lovasz-Softmax."""

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Lovasz-Softmax",
        formula="mean_c of sum_k(e_(k) (J_k - J_(k-1))), e_(1) >= e_(2) .. the errors |g - p_c| of all valid pixels of "
        "the batch, J_k the Jaccard loss when the first k are wrong; c over the classes that occur in the batch; in "
        "Dice's place, cross-entropy stays",
        source="Berman 2018 (Lovasz-Softmax, CVPR); `present` classes and one sort per batch, the defaults of the "
        "official code, bermanmaxim/LovaszSoftmax",
        deviations="the official code leaves cross-entropy to the user (`cross_entropy_weight: 0`) and computes the "
        "increments in float32, here float64",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + Lovasz-Softmax."""
        return Components(loss=LovaszSoftmax(self.cross_entropy_weight))
