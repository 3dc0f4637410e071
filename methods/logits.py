"""Margins and logits: cross-entropy of logits that class statistics, or the training so far, shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, LossOutput, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F, Module, torch
from methods.overlap import one_hot
from methods.search_space import Range
from methods.step_counts import StepCounts

if TYPE_CHECKING:
    from torch import Tensor


def per_class(values: Tensor) -> Tensor:
    """Shape (K,) to broadcast over (B, K, H, W)."""
    return values.view(1, -1, 1, 1)


class ShiftedLogitsDice(CrossEntropyDice):
    """Compute the pixel term from changed logits, and Dice from those that inference uses.

    Subclasses replace `shifted_term`.
    """

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:
        """Return the pixel term, a scalar.

        Args:
            logits: (B, K, H, W) float32.
            target: (B, H, W) int64 in 0..K-1.
            valid: (B, H, W) bool.
            step: Optimiser steps done before this one.
        """
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute shifted term + Dice in float32; see `Loss.forward`."""
        logits = logits.float()
        pixel = self.shifted_term(logits, target, valid, step)
        dice = self.dice(F.softmax(logits, dim=1), target, valid)
        return LossOutput(pixel + dice, {self.pixel_name: pixel.detach(), "dice": dice.detach()})


def log_share(statistics: ClassStatistics) -> Tensor:
    """Return log p, (K,) float32; a class that does not occur gets that of the most frequent class."""
    share = statistics.frequency
    return torch.where(statistics.present, share, share.max()).log().float()


class LogitAdjustedDice(ShiftedLogitsDice):
    """Train with logits to which an offset was added, so that the model need not learn it.

    Args:
        offset: (K,) float, tau log p.
    """

    pixel_name: ClassVar[str] = "adjusted_cross_entropy"
    offset: Tensor

    def __init__(self, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset.clone())

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """Return the mean cross-entropy of the offset logits; see `ShiftedLogitsDice.shifted_term`."""
        log_probability = F.log_softmax(logits + per_class(self.offset), dim=1)
        return mean_over_valid(cross_entropy_per_pixel(log_probability, target), valid)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `logit_offset`, (K,)."""
        return {"logit_offset": self.offset.detach().cpu().clone()}


class SubtractOffset(Module):
    """Subtract an offset from the logits at inference.

    Args:
        offset: (K,) float, tau log p.
    """

    offset: Tensor

    def __init__(self, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset.clone())

    def forward(self, logits: Tensor) -> Tensor:
        """Return logits - offset, (B, K, H, W), on the device and in the type of the logits."""
        return logits - per_class(self.offset).to(logits)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `inference_logit_offset`, (K,): what is added to the logits."""
        return {"inference_logit_offset": -self.offset.detach().cpu()}


ABSENT = (
    "a class that does not occur in the training split is treated like the most frequent one, as log 0 has no value"
)


class LogitAdjustmentConfig(MethodConfig):
    """Logit adjustment by log class shares, in training or after it."""

    mode: Literal["train", "post_hoc"] = Field(
        default="train",
        description="train: cross-entropy of z + tau log p | post_hoc: base loss, predict z - tau log p",
    )
    tau: Annotated[float, Range(0.25, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="scale of the offset; 0 changes nothing"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Logit adjustment",
        formula="train: mean_i(-log softmax(z_i + tau log p)_y) + soft Dice of softmax(z); post_hoc: base loss, and z "
        "- tau log p at inference; tau 1",
        source="Menon 2021 (ICLR), logit-adjusted loss and post-hoc form; both as in the official code, "
        "google-research/logit_adjustment",
        deviations=f"p is the share of pixels; {ABSENT} (the official code adds 1e-12 to p^tau); Dice sees the logits "
        "without the offset, as inference does",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss with an offset, or the correction at inference."""
        offset = self.tau * log_share(context.statistics)
        if self.mode == "post_hoc":
            return Components(adjust_logits=SubtractOffset(offset))
        return Components(loss=LogitAdjustedDice(offset))


class BalancedSoftmaxConfig(MethodConfig):
    """Balanced softmax: the other name of logit adjustment in training with tau 1."""

    nothing_to_tune: ClassVar[str] = "it is `logit_adjustment` with tau 1, whose tau may be tuned there"

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Balanced softmax (logit adjustment with tau 1)",
        formula="mean_i(-log(n_y exp z_y / sum_c n_c exp z_c)) + soft Dice of softmax(z), n_c = pixels of c",
        source="Ren 2020 (NeurIPS), balanced meta-softmax, its balanced softmax",
        deviations=f"no meta sampler; {ABSENT}; a second name for `logit_adjustment`, whose tau 1 in training is the "
        "same loss: a study that holds both trains it twice",
        same_as="logit_adjustment",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss of logit adjustment with tau 1."""
        return LogitAdjustmentConfig(mode="train", tau=1.0).build(context)


class SeesawDice(ShiftedLogitsDice):
    """Shift the logits of the other classes by how rare they are and how wrongly they win.

    Args:
        p: Exponent of the mitigation factor.
        q: Exponent of the compensation factor.
        n_classes: K.

    Attributes:
        seen: (K,) float64, labelled pixels of each class in the steps before.
    """

    pixel_name: ClassVar[str] = "seesaw"
    smallest_score: ClassVar[float] = 1e-2  # of the true class, as in the official code
    seen: Tensor

    def __init__(self, p: float, q: float, n_classes: int) -> None:
        super().__init__()
        self.p, self.q = p, q
        self.pending = StepCounts(n_classes)
        self.register_buffer("seen", torch.zeros(n_classes, dtype=torch.float64))

    def shifted_term(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> Tensor:
        """Return the mean seesaw term; see `ShiftedLogitsDice.shifted_term`."""
        _, counted = self.pending.hand_over(step)
        self.seen += counted
        truth = one_hot(logits, target)
        batch = (truth & valid.unsqueeze(1)).sum((0, 2, 3))
        self.pending.add(batch)
        log_factor = self.log_mitigation(self.seen + batch, target) + self.log_compensation(logits.detach(), target)
        log_probability = F.log_softmax(logits + torch.where(truth, 0.0, log_factor), dim=1)
        return mean_over_valid(cross_entropy_per_pixel(log_probability, target), valid)

    def log_mitigation(self, counts: Tensor, target: Tensor) -> Tensor:
        """Return p log(N_j / N_y) where j is rarer than the true class y, else 0; (B, K, H, W)."""
        log_count = counts.clamp(min=1).log()
        ratio = (log_count.unsqueeze(0) - log_count.unsqueeze(1)).clamp(max=0)  # (K of y, K of j)
        return self.p * ratio.float()[target].movedim(-1, 1)

    def log_compensation(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return q log(s_j / s_y) where j scores above the true class y, else 0; (B, K, H, W)."""
        score = F.softmax(logits, dim=1)
        own = score.gather(1, target.unsqueeze(1)).clamp(min=self.smallest_score)
        return self.q * (score / own).clamp(min=1).log()

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `pixels_seen`, (K,)."""
        return {"pixels_seen": self.seen.detach().float().cpu().clone()}


class SeesawConfig(MethodConfig):
    """Seesaw loss + soft Dice."""

    p: Annotated[float, Range(0.2, 1.6)] = Field(
        default=0.8, ge=0, description="exponent of the mitigation factor; 0 switches it off"
    )
    q: Annotated[float, Range(0.5, 4.0)] = Field(
        default=2.0, ge=0, description="exponent of the compensation factor; 0 switches it off"
    )

    card: ClassVar[Card] = Card(
        group=Group.MARGIN,
        title="Seesaw loss",
        formula="-log(exp z_y / (exp z_y + sum_j S_yj exp z_j)), S_yj = min(1, N_j / N_y)^p max(1, s_j / s_y)^q, N "
        "labelled pixels seen so far, s = softmax(z) without gradient and s_y at least .01; p .8, q 2; mean over "
        "pixels; plus soft Dice",
        source="Wang 2021 (CVPR), mitigation and compensation factor; constants and counts (at least 1, the present "
        "batch included) as in mmdetection's SeesawLoss",
        deviations="pixels are the samples, and all K classes take part: no objectness branch, no normalised linear "
        "classifier; batches accumulated to one step do not see each other's counts",
    )

    def build(self, context: BuildContext) -> Components:
        """Build seesaw + Dice."""
        return Components(loss=SeesawDice(self.p, self.q, context.statistics.n_classes))
