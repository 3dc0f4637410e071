"""The classifier apart from the features: trained again on balanced tiles, or rescaled without training.

The classifier is what turns pixel embeddings into logits: the last convolution of an SMP model (with whatever its
segmentation head holds), and the per-class hypernetworks of the class-query decoder, whose outputs are the class's
weights for one image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, MethodConfig, Requirement, Stage
from methods.late_torch import torch
from methods.sampling import ClassPresentSampler
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class ClassifierRetrainingConfig(MethodConfig):
    """Classifier retraining (cRT)."""

    share: Annotated[float, Range(0.05, 0.5, log=True)] = Field(
        default=0.11, gt=0, description="steps of the second stage, as a share of the study's"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="Classifier retraining (cRT)",
        formula="train everything with the base loss; then freeze the features, start the classifier again, and train "
        "it alone on tiles drawn for a class (the class uniformly, then the tile of a random pixel of it), for .11 of "
        "the steps with a schedule of their own",
        source="Kang 2020 (ICLR), cRT; class-aware sampling, frozen features and 10 epochs after 90 as in the official "
        "configuration for ImageNet-LT, facebookresearch/classifier-balancing",
        deviations="the features' normalisation statistics are frozen too; a tile holds several classes, so its pixels "
        "stay unbalanced (`sampling_factor` in the ledger says how far); classes are drawn independently instead of in "
        "cycles; for class tokens the classifier is the per-class hypernetworks, and the tokens and their attention "
        "count as features",
    )

    def stages(self) -> tuple[Stage, ...]:
        """Return the training of everything and that of the classifier."""
        return Stage("features"), Stage("classifier", carry_weights=True, trains="classifier", share=self.share)

    def build(self, context: BuildContext) -> Components:
        """Build nothing for the features, then the sampler."""
        return Components() if context.stage == 0 else Components(sampler=ClassPresentSampler(share=1.0))


class TauNormalisation:
    """Divides the classifier weights of each class by a power of their norm.

    Args:
        tau: The power; 0 leaves them, 1 gives all classes norm 1.
    """

    smallest_norm: ClassVar[float] = 1e-8

    def __init__(self, tau: float) -> None:
        self.tau = tau

    def __call__(self, weights: Tensor) -> Tensor:
        """Return w_c / ||w_c||^tau, (..., K, E)."""
        norm = torch.linalg.vector_norm(weights, dim=-1, keepdim=True)
        return weights / norm.clamp(min=self.smallest_norm) ** self.tau


class TauNormConfig(MethodConfig):
    """Tau-normalisation of the classifier."""

    tau: Annotated[float, Range(0.0, 2.0)] = Field(
        default=1.0, ge=0, description="power of the norm; 0 keeps the weights, 1 gives them norm 1"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="Tau-normalised classifier",
        formula="base loss; at inference the classifier weights are w_c / ||w_c||^tau, without bias; tau 1. "
        "`classifier_norm` in the ledger is ||w_c||",
        source="Kang 2020 (ICLR), tau-normalised classifier; no bias as in the official code, "
        "facebookresearch/classifier-balancing",
        deviations="tau is fixed beforehand, where the source picks it on validation data (its code tries 0 to 2 in "
        "steps of .1): list the method with several `tau` to do so; a convolution's weights are taken with their whole "
        "kernel; for class tokens w_c is the hypernetwork's output for the image, so that the norm is one of each "
        "image, and there is no bias to drop. That these norms grow with frequency, as those of a linear classifier "
        "do, is not known: look at `classifier_norm` before you expect anything",
        requires=frozenset({Requirement.CLASSIFIER_NORM}),
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the correction at inference."""
        return Components(adjust_classifier=TauNormalisation(self.tau))
