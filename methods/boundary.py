"""Boundary losses: pixels count by where they lie relative to the border of their region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, Loss, LossOutput, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F, torch
from methods.overlap import one_hot
from methods.regions import signed_distances
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor


class BoundaryDice(CrossEntropyDice):
    """Add how far wrongly placed probability lies from the region that it belongs to.

    Args:
        weight: Of the boundary term, at the end of the training.
        growth_steps: Steps over which the weight grows to that; 0 for a constant weight.
    """

    def __init__(self, weight: float, growth_steps: int) -> None:
        super().__init__()
        self.weight, self.growth_steps = weight, growth_steps

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute cross-entropy + Dice + boundary term in float32; see `Loss.forward`."""
        base = super().forward(logits, target, valid, step)
        grown = min((step + 1) / self.growth_steps, 1.0) if self.growth_steps else 1.0
        boundary = self.weight * grown * self.boundary_term(logits.float().softmax(1), target, valid)
        return LossOutput(base.total + boundary, {**base.parts, "boundary": boundary.detach()})

    def boundary_term(self, probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over pixels and classes of (p - g) times the signed distance, a scalar >= 0."""
        distance = signed_distances(target, valid, probability.shape[1])
        excess = probability - one_hot(probability, target).float()
        return mean_over_valid((excess * distance).mean(1), valid)


class BoundaryLossConfig(MethodConfig):
    """Boundary loss beside cross-entropy and Dice."""

    weight: Annotated[float, Range(0.01, 1.0, log=True)] = Field(
        default=0.1, ge=0, description="of the boundary term, whose distances are in pixels; 0 leaves the base"
    )
    schedule: Annotated[Literal["increase", "constant"], Choice(("increase", "constant"))] = Field(
        default="increase", description="increase: the weight grows linearly to its value over the training"
    )

    card: ClassVar[Card] = Card(
        group=Group.BOUNDARY,
        title="Boundary loss",
        formula="cross-entropy + soft Dice + a mean over pixels and classes of (p - g) phi_c, phi_c the distance to "
        "class c in pixels, outside positive, inside negative, 0 at the border; a grows linearly to .1",
        source="Kervadec 2019 (MIDL; arXiv 1812.07032); distances and mean as in the official code, "
        "LIVIAETS/boundary-loss, SurfaceLoss and one_hot2dist",
        deviations="(p - g) phi instead of p phi, which moves the loss to 0 for a perfect prediction and leaves its "
        "gradient; the source raises a from .01 by .01 an epoch and, in one strategy, lowers the region loss by as "
        "much: here the base keeps its weight and a ends at an option, because the number of epochs differs between "
        "studies; unlabelled pixels are no border; a class that covers all of a crop has no border in it, where the "
        "official code measures a distance to nothing; all classes take part, as tissue has no background",
        cost="two distance transforms for each class of each crop, on the CPU, in every step",
    )

    def build(self, context: BuildContext) -> Components:
        """Build cross-entropy + Dice + boundary term.

        Raises:
            ValueError: The weight grows over the steps, and the context does not say how many there are.
        """
        if self.schedule == "constant":
            return Components(loss=BoundaryDice(self.weight, 0))
        if context.steps is None:
            raise ValueError("`boundary_loss` raises its weight over the steps, and their number is not known here.")
        return Components(loss=BoundaryDice(self.weight, context.steps))


def contour(target: Tensor, valid: Tensor, n_classes: int, width_px: int) -> Tensor:
    """Return which pixels have a labelled pixel of another class within `width_px`, diagonals included.

    Args:
        target: (B, H, W) int64 in 0..K-1.
        valid: (B, H, W) bool.
        n_classes: K.
        width_px: Of the contour, inside each region.

    Returns:
        (B, H, W) bool; False where not valid.
    """
    classes = torch.arange(n_classes, device=target.device).view(1, -1, 1, 1)
    truth = target.unsqueeze(1) == classes
    others = (~truth & valid.unsqueeze(1)).float()  # (B, K, H, W)
    near = F.max_pool2d(others, 2 * width_px + 1, stride=1, padding=width_px)
    return (near.gather(1, target.unsqueeze(1)).squeeze(1) > 0) & valid


class ContourWeighted(Loss):
    """Weight cross-entropy at contours, and measure Dice at contours and elsewhere apart.

    Args:
        contour_weight: Weight that a contour pixel's cross-entropy has beyond that of the others.
        width_px: Of the contours.
        dice_weight: Of the two Dice terms.
    """

    smooth: ClassVar[float] = 1e-3  # pixels, as in the official code

    def __init__(self, contour_weight: float, width_px: int, dice_weight: float) -> None:
        super().__init__()
        self.contour_weight, self.width_px, self.dice_weight = contour_weight, width_px, dice_weight

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:  # noqa: ARG002
        """Compute the two parts in float32; see `Loss.forward`."""
        log_probability = F.log_softmax(logits.float(), dim=1)
        at_contour = contour(target, valid, logits.shape[1], self.width_px)
        cross_entropy = cross_entropy_per_pixel(log_probability, target)
        pixel = mean_over_valid((2 + self.contour_weight * at_contour) * cross_entropy, valid)
        dice = self.dice_weight * self.dice_term(log_probability.exp(), target, valid, at_contour)
        return LossOutput(pixel + dice, {"contour_cross_entropy": pixel.detach(), "separable_dice": dice.detach()})

    def dice_term(self, probability: Tensor, target: Tensor, valid: Tensor, at_contour: Tensor) -> Tensor:
        """Return 1 - Dice over contour entries + 1 - Dice over all other entries, pooled over classes, a scalar.

        An entry is a pixel and a class; the entries of a contour are its pixels with their own class.
        """
        own = probability.gather(1, target.unsqueeze(1)).squeeze(1)
        inside = torch.where(valid & at_contour, own, 0.0).sum()
        n_inside = (valid & at_contour).sum()
        overlap = torch.where(valid & ~at_contour, own, 0.0).sum()
        outside = torch.where(valid.unsqueeze(1), probability, 0.0).sum() - inside
        n_outside = valid.sum() - n_inside
        s = self.smooth
        at_contours = 1 - (2 * inside + s) / (inside + n_inside + s)
        return at_contours + 1 - (2 * overlap + s) / (outside + n_outside + s)


class ContourWeightedConfig(MethodConfig):
    """Contour-weighted cross-entropy and separable Dice."""

    contour_weight: Annotated[float, Range(0.5, 8.0, log=True)] = Field(
        default=2.0, ge=0, description="of contour pixels' cross-entropy, beyond that of the others"
    )
    width_px: Annotated[int, Range(1, 5, integer=True)] = Field(
        default=1, ge=1, description="of the contours, inside each region; pixels"
    )
    dice_weight: float = Field(default=1.0, ge=0, description="of the two Dice terms together")

    card: ClassVar[Card] = Card(
        group=Group.BOUNDARY,
        title="Contour-weighted cross-entropy and Dice",
        formula="mean_i((1 + 2 k_i) CE) + mean_i(CE) + (1 - D_k) + (1 - D_r); k_i is 1 at a contour, where "
        "another class lies within one pixel; D_k the Dice over contour pixels with their own class, D_r over "
        "all other pairs of pixel and class, all classes pooled; replaces cross-entropy and Dice",
        source="Huang 2024 (arXiv 2407.06176); weights, sum of both cross-entropies, pooled Dice with smoothing .001 "
        "and erosion by 3 x 3 as in the official code, huangzyong/Contour-weighted-Loss-Seg",
        deviations="all classes take part in Dice, as tissue has no background (the official code leaves class 0 out); "
        "an unlabelled neighbour makes no contour; the batch is pooled, where the official code has one volume",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the contour-weighted loss."""
        return Components(loss=ContourWeighted(self.contour_weight, self.width_px, self.dice_weight))
