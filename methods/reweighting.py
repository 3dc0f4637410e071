"""Frequency reweighting: class weights for the cross-entropy from statistics of the training split.

Classes that do not occur in the training split get weight 0. All five methods weight the cross-entropy part of
cross-entropy + soft Dice and differ in nothing but the formula of the weights.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, ClassStatistics, Components, Group, MethodConfig, normalised_to_mean_one
from methods.cross_entropy import Reduction, WeightedCrossEntropyDice
from methods.late_torch import torch
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor


class ReweightingConfig(MethodConfig):
    """Options that every frequency reweighting shares."""

    reduction: Reduction = Field(
        default="weighted_mean",
        description="sum(w ce) / sum(w), the torch convention, or mean(w ce); they are different methods",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return the class weights, (K,) float >= 0."""
        raise NotImplementedError

    def remarks(self, statistics: ClassStatistics) -> tuple[str, ...]:
        """Say where the weights contradict rarity; see `MethodConfig.remarks`."""
        return against_rarity(self.weights(statistics), statistics)

    def build(self, context: BuildContext) -> Components:
        """Build weighted cross-entropy + Dice."""
        return Components(loss=WeightedCrossEntropyDice(self.weights(context.statistics), self.reduction))


RARER, LIGHTER = 2.0, 0.9  # a class with less than half of the pixels and less than 90 % of the weight of another


def against_rarity(weights: Tensor, statistics: ClassStatistics) -> tuple[str, ...]:
    """Name the classes whose weights contradict rarity most, if any do.

    A class contradicts another if it has less than half of the other's pixels and less than 90 % of its weight; of all
    such pairs, the one with the largest ratio of pixels is named.

    Args:
        weights: (K,) float >= 0.
        statistics: Of the training split.

    Returns:
        One sentence, or nothing.
    """
    share, present = statistics.frequency, statistics.present
    rarer = (RARER * share.unsqueeze(1) < share.unsqueeze(0)) & present.unsqueeze(1) & present.unsqueeze(0)
    contradicts = rarer & (weights.unsqueeze(1) < LIGHTER * weights.unsqueeze(0))  # (K rare, K common)
    if not contradicts.any():
        return ()
    ratio = torch.where(contradicts, share.unsqueeze(0) / share.unsqueeze(1), 0.0)
    rare, common = divmod(int(ratio.argmax()), statistics.n_classes)
    pair = " and ".join(
        f"'{statistics.names[c]}' ({share[c].item():.2%} of the pixels) weighs {weights[c].item():.3g}"
        for c in (rare, common)
    )
    return (f"a weight contradicts rarity: {pair}. Is what `count` counts, or the formula, what you want here?",)


class InverseFrequencyConfig(ReweightingConfig):
    """Weights 1/p."""

    nothing_to_tune: ClassVar[str] = "the weights follow from the shares, and its two reductions are two methods"

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="Inverse pixel frequency",
        formula="w_c = 1 / p_c, scaled to mean 1 over the classes that occur",
        source="folklore; a baseline in Cui 2019",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return 1/p, mean 1."""
        return normalised_to_mean_one(1 / statistics.frequency, statistics.present)


class InverseSqrtConfig(ReweightingConfig):
    """Weights p^-1/2: the milder form of `inverse_frequency`."""

    nothing_to_tune: ClassVar[str] = "the weights follow from the shares, and its two reductions are two methods"

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="Inverse square root of the pixel frequency",
        formula="w_c = p_c^-1/2, scaled to mean 1 over the classes that occur",
        source="Mikolov 2013 and Mahajan 2018, for sampling; named as a weighting in Cui 2019",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return p^-1/2, mean 1."""
        return normalised_to_mean_one(statistics.frequency.rsqrt(), statistics.present)


class MedianFrequencyConfig(ReweightingConfig):
    """Median frequency balancing: a class is rare where it occurs, not because few images hold it."""

    nothing_to_tune: ClassVar[str] = "the weights follow from the shares, and its two reductions are two methods"

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="Median frequency balancing",
        formula="w_c = median(f) / f_c, f_c = pixels of c / labelled pixels of the images that hold c",
        source="Eigen and Fergus 2015, semantic-label loss",
        deviations="the median runs over the classes that occur; of an even number, the mean of the middle two",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return median(f) / f, not normalised."""
        present = statistics.present
        share = statistics.pixels[present] / statistics.pixels_of_images_with_class[present]
        weights = torch.zeros_like(statistics.pixels)
        weights[present] = share.quantile(0.5) / share
        return weights.float()


class EnetConfig(ReweightingConfig):
    """Bounded inverse-log weights: from 1.4 for a class that covers everything to 50 for one that covers nothing."""

    offset: Annotated[float, Range(1.01, 1.5, log=True)] = Field(
        default=1.02, gt=1, description="c in 1 / ln(c + p); the rarest class weighs at most 1 / ln(c)"
    )

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="ENet weights",
        formula="w_c = 1 / ln(1.02 + p_c), not normalised: with reduction `mean` the loss is 1.4 to 50 times larger",
        source="Paszke 2016 (ENet), section 5.2",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return 1 / ln(offset + p), not normalised."""
        weights = 1 / (self.offset + statistics.frequency).log()
        return torch.where(statistics.present, weights, 0.0).float()


SampleCount = Literal["patches", "components", "images", "pixels"]
PATCH_PX = 32  # edge of a patch: the coarsest stride of common encoders, within which pixels are near copies


def sample_counts(statistics: ClassStatistics, count: SampleCount) -> Tensor:
    """Return what counts as the samples of each class, (K,) float64."""
    if count == "patches":  # a class that occurs at all is on one
        patches = (statistics.pixels / PATCH_PX**2).clamp(min=1)
        return torch.where(statistics.present, patches, torch.zeros_like(patches))
    return {"images": statistics.images, "components": statistics.components, "pixels": statistics.pixels}[count]


def effective_number_weights(statistics: ClassStatistics, *, beta: float, count: SampleCount) -> Tensor:
    """Return (1 - beta) / (1 - beta^n), mean 1 (that is, sum K) over the classes that occur, (K,) float32."""
    n = sample_counts(statistics, count).double().clamp(min=1)
    log_beta = math.log(beta) if beta > 0 else -math.inf
    return normalised_to_mean_one((1 - beta) / -torch.expm1(n * log_beta), statistics.present)


class EffectiveNumberConfig(ReweightingConfig):
    """Class-balanced weights by the effective number of samples.

    What counts as a sample is a choice: Cui counts labelled images, of which each has one class. An image of tissue
    holds most classes, so that images say little of rarity and can invert it: on CoNSeP (27 images) a class with 8.6 %
    of the pixels gets 1.52 and one with .17 % gets 1.16. Connected components depend on how finely regions are cut
    apart: there the background, 84 % of the pixels in 887 pieces, gets 1.05, and inflammatory nuclei, 2.7 % in 2836,
    get .36. Pixels of one region are near copies of each other, and their number makes beta^n vanish, so that all
    weights become equal. The default counts patches of 32 x 32 pixels, of which a class fills as many as its pixels
    do: its order is that of the shares. `remarks` says where the others contradict them.
    """

    beta: Annotated[float, Choice((0.9, 0.99, 0.999, 0.9999))] = Field(
        default=0.9999, ge=0, lt=1, description="0 gives equal weights, towards 1 gives inverse counts"
    )
    count: SampleCount = Field(
        default="patches",
        description="what n counts: patches of 32 x 32 pixels, connected components or images (which can contradict "
        "rarity), or pixels (which give equal weights)",
    )

    card: ClassVar[Card] = Card(
        group=Group.FREQUENCY,
        title="Class-balanced weights by effective number",
        formula="w_c = (1 - beta) / (1 - beta^n_c), scaled to sum K over the K classes that occur; n_c = patches of "
        "32 x 32 pixels that c would fill",
        source="Cui 2019, class-balanced loss: inverse effective number; beta .9999, weights summing to K",
        deviations="n counts patches of 32 x 32 pixels (or components, images that hold the class, or pixels), where "
        "the source has one label an image",
    )

    def weights(self, statistics: ClassStatistics) -> Tensor:
        """Return the effective-number weights, mean 1."""
        return effective_number_weights(statistics, beta=self.beta, count=self.count)
