"""Decisions after training: which class each pixel gets, given the probabilities of all pixels around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, MethodConfig
from methods.late_torch import torch
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor

Metric = Literal["dice", "iou"]


class RankSegDecision:
    """Gives each pixel the class with which the expected Dice or IoU of the map is largest, approximately.

    Args:
        metric: What is expected to be large.
        pruning: A class whose largest probability in the map is not above this is not predicted.
    """

    def __init__(self, metric: Metric, pruning: float) -> None:
        self.metric: Metric = metric
        self.pruning = pruning

    def __call__(self, logits: Tensor) -> Tensor:
        """Return logits whose largest is that of the chosen class: it changes places with the one that was largest.

        Args:
            logits: (B, K, H, W) float.

        Returns:
            The same shape and type.
        """
        chosen, largest = self.decide(logits.float().softmax(1)).unsqueeze(1), logits.argmax(1, keepdim=True)
        swapped = logits.scatter(1, largest, logits.gather(1, chosen))
        return swapped.scatter(1, chosen, logits.gather(1, largest))

    def decide(self, probability: Tensor) -> Tensor:
        """Return the class of each pixel, (B, H, W) int64.

        Args:
            probability: (B, K, H, W) float32.
        """
        p = probability.flatten(2)  # (B, K, n)
        ranked, order = p.sort(dim=2, descending=True)
        expected = p.sum(2, keepdim=True)  # pixels of each class
        cut = self.expected_score(ranked.cumsum(2), expected).argmax(2, keepdim=True)
        active = ranked[:, :, :1] > self.pruning  # (B, K, 1)
        rank = torch.arange(p.shape[2], device=p.device)
        picked = torch.zeros_like(p, dtype=torch.bool).scatter(2, order, (rank <= cut) & active)
        claims = picked.sum(1, keepdim=True)  # (B, 1, n)
        gain = self.gain(p, picked & (claims == 1), expected)
        gain = torch.where(active.any(1, keepdim=True), torch.where(active, gain, -torch.inf), p)
        label = torch.where(claims.squeeze(1) == 1, picked.float().argmax(1), gain.argmax(1))
        return label.view(-1, *probability.shape[2:])

    def expected_score(self, true_positives: Tensor, expected: Tensor) -> Tensor:
        """Return the expected metric of each class if its first 1, 2, .. pixels in rank are predicted.

        Args:
            true_positives: (B, K, n), summed probability of these pixels.
            expected: (B, K, 1), expected pixels of the class.
        """
        taken = torch.arange(1, true_positives.shape[2] + 1, device=true_positives.device)
        if self.metric == "dice":
            return 2 * true_positives / (expected + taken + 1)
        return true_positives / (expected - true_positives + taken)

    def gain(self, p: Tensor, sure: Tensor, expected: Tensor) -> Tensor:
        """Return what a pixel adds to the metric of each class, beside those that one class alone claims.

        Args:
            p: (B, K, n).
            sure: (B, K, n) bool, pixels of one claim.
            expected: (B, K, 1).
        """
        true_positives = torch.where(sure, p, 0.0).sum(2, keepdim=True)
        taken = sure.sum(2, keepdim=True)
        if self.metric == "dice":
            size = taken + expected + 1
            return 2 * ((true_positives + p) / (size + 1) - true_positives / size)
        union = taken + expected - true_positives
        return (true_positives + p) / (union - p + 1) - true_positives / union


class RankSegConfig(MethodConfig):
    """RankSEG decisions by reciprocal moment approximation."""

    metric: Annotated[Metric, Choice(("dice", "iou"))] = Field(
        default="dice", description="whose expectation the decision maximises"
    )
    pruning: Annotated[float, Range(0.0, 0.5)] = Field(
        default=0.5, ge=0, lt=1, description="a class whose largest probability in a tile is not above this is left out"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="RankSEG decision (reciprocal moment approximation)",
        formula="base loss; at inference each class claims its t most probable pixels of a tile, t the argmax of "
        "2 sum p / (E + t + 1), E = sum of p over the tile (IoU: sum p / (E - sum p + t)); a pixel of no claim, "
        "or of several, goes to the class whose expected metric it adds most to",
        source="Wang and Dai 2025 (RankSEG-RMA, arXiv 2510.15362) after Dai and Li 2023 (JMLR 24:224); steps and "
        "pruning of the package rankseg, `solver: RMA`, `multiclass`, smooth 0",
        deviations="the sets are tiles, on which `adjust_logits` works, not whole images: where tiles overlap, their "
        "changed logits are averaged; where every class is pruned the most probable one is kept, not class 0; the "
        "chosen class takes the largest logit of the pixel, and the class that had it takes the chosen one's",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the decision at inference."""
        return Components(adjust_logits=RankSegDecision(self.metric, self.pruning))
