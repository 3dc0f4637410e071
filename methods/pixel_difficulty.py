"""Losses that follow how hard each pixel is now: hard-example mining, gradient harmonising, a steeper cross-entropy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, LossOutput, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import torch
from methods.search_space import Choice, Range
from methods.step_counts import StepCounts

if TYPE_CHECKING:
    from torch import Tensor


def hardest_first(term: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the loss terms of all valid pixels, the largest first.

    Args:
        term: (B, H, W) float >= 0.
        valid: (B, H, W) bool.

    Returns:
        (B * H * W,) float with zeros for invalid pixels at the end, and the number of valid pixels, () int64.
    """
    ranked = torch.where(valid, term, -1.0).flatten().sort(descending=True).values
    return torch.where(ranked >= 0, ranked, 0.0), valid.sum()


def number_of(share: float, n: Tensor) -> Tensor:
    """Return share * n rounded up, () int64; at least 1."""
    # in float64, less a rounding error: .1 of 30 pixels are 3, not 4
    return (share * n.double() - 1e-9).ceil().long().clamp(min=1)


class TopKDice(CrossEntropyDice):
    """Average cross-entropy over the hardest pixels of the batch.

    Args:
        share: Of the valid pixels, in (0, 1].
    """

    pixel_name: ClassVar[str] = "topk_cross_entropy"

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over the hardest pixels; see `CrossEntropyDice.pixel_term`."""
        ranked, n = hardest_first(cross_entropy_per_pixel(log_probability, target), valid)
        n_hardest = number_of(self.share, n)
        rank = torch.arange(len(ranked), device=ranked.device)
        return torch.where(rank < n_hardest, ranked, 0.0).sum() / n_hardest


class TopKConfig(MethodConfig):
    """Cross-entropy over the hardest pixels + soft Dice."""

    share: Annotated[float, Range(0.05, 0.5, log=True)] = Field(
        default=0.1, gt=0, le=1, description="share of the batch's valid pixels that count"
    )

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Top-k cross-entropy",
        formula="mean of -log p_t over the 10 % of the batch's valid pixels where it is largest; plus soft Dice",
        source="Wu 2016 (arXiv 1605.06885), online bootstrapping; k = 10 % and one ranking per batch as in nnU-Net's "
        "TopKLoss",
        deviations="the share is taken of the valid pixels, rounded up; nnU-Net takes it of all pixels, ignored ones "
        "included, rounded down",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build top-k cross-entropy + Dice."""
        return Components(loss=TopKDice(self.share))


class OhemDice(CrossEntropyDice):
    """Average cross-entropy over the pixels whose true class is not yet likely.

    Args:
        threshold: A pixel is hard when p_y is below it.
        min_kept: Share of the valid pixels that count at least, the hardest ones.
    """

    pixel_name: ClassVar[str] = "ohem_cross_entropy"

    def __init__(self, threshold: float, min_kept: float) -> None:
        super().__init__()
        self.threshold, self.min_kept = threshold, min_kept

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over the hard pixels; see `CrossEntropyDice.pixel_term`."""
        ranked, n = hardest_first(cross_entropy_per_pixel(log_probability, target), valid)
        rank = torch.arange(len(ranked), device=ranked.device)
        hard = ranked > -math.log(self.threshold)
        selected = (hard | (rank < number_of(self.min_kept, n))) & (rank < n)
        return torch.where(selected, ranked, 0.0).sum() / selected.sum().clamp(min=1)


class OhemConfig(MethodConfig):
    """Online hard example mining for pixels + soft Dice."""

    threshold: Annotated[float, Range(0.5, 0.95)] = Field(
        default=0.7, gt=0, le=1, description="a pixel counts when p of its true class is below"
    )
    min_kept: Annotated[float, Range(0.05, 0.5, log=True)] = Field(
        default=0.1, ge=0, le=1, description="share of the valid pixels that count at least"
    )

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Online hard example mining",
        formula="mean of -log p_t over the pixels with p_t < .7, or over the hardest 10 % of the valid pixels if those "
        "are more; plus soft Dice",
        source="Shrivastava 2016 (OHEM); the pixel form with a threshold and a least number of pixels as in "
        "mmsegmentation's OHEMPixelSampler",
        deviations="the least number is a share instead of 100 000 pixels an image, because crop sizes differ; the "
        "mean is over the kept pixels, where mmsegmentation's default divides by all",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build OHEM + Dice."""
        return Components(loss=OhemDice(self.threshold, self.min_kept))


class GhmDice(CrossEntropyDice):
    """Divide the cross-entropy of each pixel by how many pixels have a gradient of about the same norm.

    Args:
        bins: Equal parts of the gradient norm's range, 0 to 1.
        momentum: Of the running number of pixels in each part; 0 counts the batch alone.
    """

    pixel_name: ClassVar[str] = "harmonised_cross_entropy"
    running: Tensor

    def __init__(self, bins: int, momentum: float) -> None:
        super().__init__()
        self.bins, self.momentum = bins, momentum
        self.pending = StepCounts(bins)
        self.register_buffer("running", torch.zeros(bins, dtype=torch.float64))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Take over what the step before counted, then see `CrossEntropyDice.forward`."""
        _, counted = self.pending.hand_over(step)
        self.running.copy_(self.renewed(counted))
        return super().forward(logits, target, valid, step)

    def renewed(self, counted: Tensor) -> Tensor:
        """Return the running counts after a step, (bins,); a part without pixels keeps its count."""
        mixed = self.momentum * self.running + (1 - self.momentum) * counted
        return torch.where(counted > 0, mixed, self.running)

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the harmonised term; see `CrossEntropyDice.pixel_term`."""
        cross_entropy = cross_entropy_per_pixel(log_probability, target)
        norm = -torch.expm1(-cross_entropy.detach())  # 1 - p_y
        part = (norm * self.bins).long().clamp(max=self.bins - 1)  # (B, H, W)
        members = (part.unsqueeze(-1) == torch.arange(self.bins, device=part.device)) & valid.unsqueeze(-1)
        counted = members.sum((0, 1, 2))  # (bins,)
        self.pending.add(counted)
        density = self.renewed(counted.double()).float()
        share = torch.where(valid, cross_entropy / density[part].clamp(min=1e-12), 0.0)
        return share.sum() / (counted > 0).sum().clamp(min=1)


class GhmConfig(MethodConfig):
    """Gradient harmonising mechanism, classification part, + soft Dice."""

    bins: Annotated[int, Range(5, 30, log=True, integer=True)] = Field(
        default=10, ge=1, description="parts of the gradient norm's range; 1 is cross-entropy"
    )
    momentum: Annotated[float, Choice((0.0, 0.5, 0.75, 0.9))] = Field(
        default=0.0, ge=0, lt=1, description="of the running number of pixels in each part; 0 counts each batch anew"
    )

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Gradient harmonising (GHM-C)",
        formula="1/M sum_i(-log p_t / R_b(i)), b(i) the part of [0, 1] in 10 equal parts that holds g_i = 1 - p_t, R_b "
        "the pixels in it, M the parts that are not empty; plus soft Dice",
        source="Li 2019 (AAAI), unit-region approximation; formula and momentum as in the official code, "
        "libuyu/GHM_Detection and mmdetection's GHMC",
        deviations="softmax form: g is 1 - p of the true class, where the source has one sigmoid for each class; "
        "momentum 0 (the official RetinaNet configuration: 30 parts, momentum .75); with momentum, the first batches "
        "weigh up to 1 / (1 - momentum) times more, as in the official code",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build GHM-C + Dice."""
        return Components(loss=GhmDice(self.bins, self.momentum))


class Poly1Dice(CrossEntropyDice):
    """Add epsilon (1 - p_y) to the cross-entropy of each pixel.

    Args:
        epsilon: Perturbation of the first coefficient of cross-entropy's expansion in powers of 1 - p_y.
    """

    pixel_name: ClassVar[str] = "poly1"

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean Poly-1 term; see `CrossEntropyDice.pixel_term`."""
        cross_entropy = cross_entropy_per_pixel(log_probability, target)
        return mean_over_valid(cross_entropy - self.epsilon * torch.expm1(-cross_entropy), valid)


class Poly1Config(MethodConfig):
    """Poly-1 cross-entropy + soft Dice."""

    epsilon: Annotated[float, Range(-0.5, 4.0)] = Field(
        default=1.0, gt=-1, description="0 is cross-entropy; above 0, nearly right pixels count more"
    )

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Poly-1 cross-entropy",
        formula="mean_i(-log p_t + epsilon (1 - p_t)); plus soft Dice",
        source="Leng 2022 (PolyLoss, ICLR), Poly-1 form of cross-entropy",
        deviations="epsilon must be above -1, where the loss would no longer fall with p_t near 1",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build Poly-1 + Dice."""
        return Components(loss=Poly1Dice(self.epsilon))
