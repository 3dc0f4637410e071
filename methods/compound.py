"""Compound losses: pixel and overlap term are changed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, Loss, LossOutput, MethodConfig
from methods.cross_entropy import SoftDice, cross_entropy_per_pixel, mean_over_valid
from methods.focal import focal_per_pixel
from methods.late_torch import F, torch
from methods.overlap import mean_over, one_hot, power_of_error, soft_counts, tversky_error
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_REMAINDER = 1e-7  # keeps log(1 - p) finite; the official code clips p at the same distance from 1


def remainder(log_probability: Tensor) -> Tensor:
    """Return 1 - p without cancellation, (B, K, H, W): the sum of the others for the most likely class of a pixel."""
    most_likely = one_hot(log_probability, log_probability.argmax(1))
    others = torch.where(most_likely, 0.0, log_probability.exp()).sum(1, keepdim=True)
    return torch.where(most_likely, others, -torch.expm1(log_probability))


class ComboLoss(Loss):
    """Mix a cross-entropy that weighs misses against false alarms with soft Dice.

    Args:
        alpha: Share of the cross-entropy part, in [0, 1].
        beta: Weight of the true class's term in it, in [0, 1]; the other classes' terms weigh 1 - beta.
    """

    def __init__(self, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.dice = SoftDice()

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute the combination in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        missed = cross_entropy_per_pixel(log_probability, target)
        log_remainder = remainder(log_probability).clamp(min=SMALLEST_REMAINDER).log()
        false_alarm = -torch.where(one_hot(log_probability, target), 0.0, log_remainder).sum(1)  # (B, H, W)
        per_class = (self.beta * missed + (1 - self.beta) * false_alarm) / logits.shape[1]
        pixel = self.alpha * mean_over_valid(per_class, valid)
        dice = (1 - self.alpha) * self.dice(log_probability.exp(), target, valid)
        return LossOutput(pixel + dice, {"modified_cross_entropy": pixel.detach(), "dice": dice.detach()})


class ComboConfig(MethodConfig):
    """Combo loss."""

    alpha: Annotated[float, Range(0.2, 0.8)] = Field(
        default=0.5, ge=0, le=1, description="share of the cross-entropy part; the rest is Dice"
    )
    beta: Annotated[float, Range(0.2, 0.8)] = Field(
        default=0.5, ge=0, le=1, description="above .5 misses cost more, below it false positives do"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Combo loss",
        formula="alpha mCE + (1 - alpha) mean_c(1 - dice_c), mCE = -mean over pixels and classes of (beta g log p + (1 "
        "- beta) (1 - g) log(1 - p)); alpha .5, beta .5; replaces cross-entropy and Dice",
        source="Taghanaki 2019 (arXiv 1805.02798); mean over pixels and classes, and both defaults, as in the official "
        "code, asgsaeid/ComboLoss",
        deviations="1 - Dice instead of -Dice, which shifts the loss and nothing else; Dice of each class instead of "
        "one over all classes; the official code adds the term of g = 0 with the opposite sign, so that it rewards "
        "false positives, which contradicts the paper and is not followed",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the combo loss."""
        return Components(loss=ComboLoss(self.alpha, self.beta))


class UnifiedFocal(Loss):
    """Mix a focal loss and a focal Tversky loss that treat rare and common classes differently.

    Args:
        config: Options.
        rare: (K,) bool.
    """

    rare: Tensor

    def __init__(self, config: UnifiedFocalConfig, rare: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("rare", rare.clone())

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute the mixture in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        focal = self.config.focal_share * mean_over_valid(self.focal(log_probability, target), valid)
        tversky = (1 - self.config.focal_share) * self.tversky(log_probability, target, valid)
        return LossOutput(focal + tversky, {"focal": focal.detach(), "focal_tversky": tversky.detach()})

    def focal(self, log_probability: Tensor, target: Tensor) -> Tensor:
        """Return the modified focal term of each pixel, (B, H, W)."""
        delta, is_rare = self.config.delta, self.rare[target]
        suppressed = focal_per_pixel(log_probability, target, self.config.gamma)
        rare = cross_entropy_per_pixel(log_probability, target) if self.config.form == "asymmetric" else suppressed
        return torch.where(is_rare, delta * rare, (1 - delta) * suppressed)

    def tversky(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the modified focal Tversky loss, a scalar."""
        delta = self.config.delta
        counts, labelled = soft_counts(log_probability, target, valid)
        error = tversky_error(counts, fp_weight=1 - delta, fn_weight=delta)
        enhanced = power_of_error(error, 1 - self.config.gamma)
        plain = error if self.config.form == "asymmetric" else enhanced
        return mean_over(torch.where(self.rare, enhanced, plain), labelled > 0)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `treated_as_rare`, (K,): 1 or 0."""
        return {"treated_as_rare": self.rare.detach().float().cpu().clone()}


class UnifiedFocalConfig(MethodConfig):
    """Unified focal loss, with the most frequent class as the common one."""

    focal_share: Annotated[float, Range(0.2, 0.8)] = Field(
        default=0.5, ge=0, le=1, description="lambda: share of the focal part"
    )
    delta: Annotated[float, Range(0.5, 0.9)] = Field(
        default=0.6, ge=0, le=1, description="weight of rare classes and of false negatives"
    )
    gamma: Annotated[float, Range(0.1, 0.9)] = Field(
        default=0.5, ge=0, lt=1, description="suppresses easy pixels of common classes, enhances rare classes"
    )
    form: Literal["asymmetric", "symmetric"] = Field(
        default="asymmetric", description="asymmetric suppresses common and enhances rare classes only"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Unified focal loss",
        formula="lambda mean_i(delta CE for a rare y, (1 - delta) (1 - p_t)^gamma CE for a common y) + (1 - lambda) "
        "mean_c((1 - TI_c)^(1 - gamma) for a rare c, 1 - TI_c for a common c), TI_c = TP / (TP + delta FN + (1 - "
        "delta) FP); lambda .5, delta .6, gamma .5; replaces cross-entropy and Dice",
        source="Yeung 2022 (arXiv 2102.04525), asymmetric form; constants of the official code, "
        "mlyg/unified-focal-loss",
        deviations="rare is every class but the most frequent of the training split, where the source has a "
        "background; counts pool the batch and skip classes that do not occur in it, where the official code and MONAI "
        "sum each image; the official code gives lambda to the Tversky part, the paper and MONAI to the focal part "
        "(the same at .5); MONAI averages the focal part over classes too, which divides it by K",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the unified focal loss."""
        return Components(loss=UnifiedFocal(self, rare_classes(context.statistics)))


def rare_classes(statistics: ClassStatistics) -> Tensor:
    """Return which classes have fewer pixels than the most frequent one, (K,) bool."""
    return statistics.pixels < statistics.pixels.max()


class ExponentialLogarithmic(Loss):
    """Take logarithms of Dice and of probabilities to a power below 1, so that small regions count.

    Args:
        config: Options.
        weight: (K,) float >= 0, of each class in the cross-entropy part.
    """

    weight: Tensor
    largest_error: ClassVar[float] = 1 - 1e-7  # keeps the logarithm of a Dice of 0 finite

    def __init__(self, config: ExponentialLogarithmicConfig, weight: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("weight", weight.float())

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute both logarithmic parts in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        counts, labelled = soft_counts(log_probability, target, valid)
        error = tversky_error(counts, fp_weight=0.5, fn_weight=0.5).clamp(max=self.largest_error)  # 1 - Dice
        dice = self.config.dice_share * mean_over(self.powered(-torch.log1p(-error)), labelled > 0)
        term = self.weight[target] * self.powered(cross_entropy_per_pixel(log_probability, target))
        pixel = (1 - self.config.dice_share) * mean_over_valid(term, valid)
        return LossOutput(dice + pixel, {"log_dice": dice.detach(), "log_cross_entropy": pixel.detach()})

    def powered(self, value: Tensor) -> Tensor:
        """Return the value to the power gamma; the same shape."""
        return value if self.config.gamma == 1 else power_of_error(value, self.config.gamma)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `loss_weight`, (K,)."""
        return {"loss_weight": self.weight.detach().cpu().clone()}


class ExponentialLogarithmicConfig(MethodConfig):
    """Exponential logarithmic loss."""

    dice_share: Annotated[float, Range(0.2, 0.9)] = Field(
        default=0.8, ge=0, le=1, description="share of the Dice part; the rest is cross-entropy"
    )
    gamma: Annotated[float, Range(0.2, 1.0, log=True)] = Field(
        default=0.3, gt=0, description="exponent of both logarithms"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Exponential logarithmic loss",
        formula="s mean_c((-ln dice_c)^gamma) + (1 - s) mean_i(p_y^-1/2 (-ln p_t)^gamma), c over the classes "
        "that occur in the batch, p_y the pixel share of the true class; s .8, gamma .3; replaces cross-entropy "
        "and Dice",
        source="Wong 2018 (MICCAI; arXiv 1809.00076), equations 1 to 3; weights .8 and .2, gamma .3, class weights "
        "(sum f / f_c)^1/2",
        deviations="Dice pools the batch with a smoothing of 1e-5 instead of 1 pixel, over the classes that "
        "occur in it",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the exponential logarithmic loss."""
        statistics = context.statistics
        weight = torch.where(statistics.present, statistics.frequency.rsqrt(), 0.0)
        return Components(loss=ExponentialLogarithmic(self, weight))


class LabelMarginalL1(Loss):
    """Add to cross-entropy how far the predicted class shares of each image are from the true ones.

    Args:
        weight: Of the share term.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute cross-entropy + share term in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        pixel = mean_over_valid(cross_entropy_per_pixel(log_probability, target), valid)
        marginal = self.weight * self.marginal_term(log_probability, target, valid)
        return LossOutput(pixel + marginal, {"cross_entropy": pixel.detach(), "label_marginal": marginal.detach()})

    def marginal_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean difference of shares over images with a valid pixel and classes, a scalar."""
        excess = log_probability.exp() - one_hot(log_probability, target).float()
        n = valid.sum((1, 2))  # (B,)
        difference = torch.where(valid.unsqueeze(1), excess, 0.0).sum((2, 3)).abs() / n.clamp(min=1).unsqueeze(1)
        return difference.mean(1).sum() / (n > 0).sum().clamp(min=1)


class LabelMarginalL1Config(MethodConfig):
    """Cross-entropy with an L1 penalty on the class shares of each image."""

    weight: Annotated[float, Range(0.01, 1.0, log=True)] = Field(
        default=0.1, ge=0, description="of the share term; 0 leaves cross-entropy alone, without Dice"
    )

    card: ClassVar[Card] = Card(
        group=Group.OVERLAP,
        title="Cross-entropy + label-marginal L1",
        formula="mean_i(-log p_t) + .1 mean over images and classes of |share of c predicted - share of c labelled|, "
        "shares of the image's valid pixels, predicted as the mean probability; replaces Dice",
        source="Liu 2021 (arXiv 2104.08717), the L1 form; mean over images and classes, and weight .1 (the "
        "configuration's default), as in the official code, by-liu/SegLossBias",
        deviations="the weight stays constant, where the official code can raise it while it trains; images without a "
        "valid pixel are left out of the mean",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + label-marginal L1."""
        return Components(loss=LabelMarginalL1(self.weight))
