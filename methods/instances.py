"""Instance losses: every connected component counts the same, and every class too, however many pixels it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, LossOutput, MethodConfig
from methods.cross_entropy import CrossEntropyDice
from methods.late_torch import torch
from methods.overlap import SMOOTH
from methods.regions import ComponentMap, components, nearest_components, scatter_sum
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class InstanceDice(CrossEntropyDice):
    """Add the mean over classes, images and components of one minus the Dice around each component.

    Subclasses say where around: they replace `predicted_pixels`.

    Args:
        weight: Of the instance term.

    Attributes:
        instance_name: Name of the instance term among the recorded parts.
    """

    instance_name: ClassVar[str]

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def predicted_pixels(self, probability: Tensor, valid: Tensor, component_map: ComponentMap, own: Tensor) -> Tensor:
        """Return the expected pixels predicted as a component's class in its surroundings, (n,) float32.

        Args:
            probability: (B, K, H, W) float32.
            valid: (B, H, W) bool.
            component_map: The components of the batch.
            own: (n,) float32, the part of it within the component itself.
        """
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute cross-entropy + Dice + instance term in float32; see `Loss.forward`."""
        base = super().forward(logits, target, valid, step)
        instances = self.weight * self.instance_term(logits.float().softmax(1), target, valid)
        return LossOutput(base.total + instances, {**base.parts, self.instance_name: instances.detach()})

    def instance_term(self, probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the instance term, a scalar in [0, 1]; 0 with zero gradient when no pixel is valid."""
        component_map = components(target, valid)
        own = component_map.sums(probability.gather(1, target.unsqueeze(1)).squeeze(1))
        size = component_map.sums(torch.ones_like(target, dtype=probability.dtype))
        predicted = self.predicted_pixels(probability, valid, component_map, own)
        loss = 1 - (2 * own + SMOOTH) / (predicted + size + SMOOTH)  # (n,)
        return mean_over_classes(loss, component_map, len(target), probability.shape[1])


def mean_over_classes(loss: Tensor, component_map: ComponentMap, n_images: int, n_classes: int) -> Tensor:
    """Average over the components of a class in an image, then over images that hold it, then over classes.

    Args:
        loss: (n,) float32, of each component.
        component_map: The components.
        n_images: B.
        n_classes: K.

    Returns:
        A scalar; 0 with zero gradient if there is no component.
    """
    pair = component_map.image * n_classes + component_map.of_class
    sums = scatter_sum(loss, pair, n_images * n_classes).view(n_images, n_classes)
    counts = scatter_sum(torch.ones_like(loss), pair, n_images * n_classes).view(n_images, n_classes)
    of_pair = sums / counts.clamp(min=1)
    images = (counts > 0).sum(0)  # (K,)
    of_class = of_pair.sum(0) / images.clamp(min=1)
    return of_class.sum() / (images > 0).sum().clamp(min=1)


class BlobDice(InstanceDice):
    """Look at each component with the other components of its class cut out."""

    instance_name: ClassVar[str] = "blob"

    def predicted_pixels(self, probability: Tensor, valid: Tensor, component_map: ComponentMap, own: Tensor) -> Tensor:
        """Return the component's own part and what is predicted on other classes; see `InstanceDice`."""
        n_images, n_classes = probability.shape[:2]
        total = torch.where(valid.unsqueeze(1), probability, 0.0).sum((2, 3))  # (B, K)
        pair = component_map.image * n_classes + component_map.of_class
        right = scatter_sum(own, pair, n_images * n_classes).view(n_images, n_classes)
        return own + (total - right)[component_map.image, component_map.of_class]


class NearestDice(InstanceDice):
    """Look at each component where no other component of its class is nearer."""

    instance_name: ClassVar[str] = "connected_components"

    def predicted_pixels(self, probability: Tensor, valid: Tensor, component_map: ComponentMap, own: Tensor) -> Tensor:  # noqa: ARG002
        """Return what is predicted in the component's Voronoi cell; see `InstanceDice`."""
        nearest = nearest_components(component_map, probability.shape[1])
        return scatter_sum(torch.where(valid.unsqueeze(1), probability, 0.0), nearest, component_map.n)


class InstanceConfig(MethodConfig):
    """Options that both instance losses share."""

    weight: Annotated[float, Range(0.1, 4.0, log=True)] = Field(
        default=0.5, ge=0, description="of the instance term beside cross-entropy + Dice; 0 leaves the base"
    )


ONE_AGAINST_REST = (
    "each class against the rest, averaged over the components of a class in an image, then over the images of the "
    "batch that hold it, then over classes"
)


class BlobConfig(InstanceConfig):
    """Blob loss, multi-class."""

    card: ClassVar[Card] = Card(
        group=Group.BOUNDARY,
        title="Blob loss, multi-class",
        formula="cross-entropy + soft Dice + .5 mean of (1 - dice_j), dice_j of component j of class c over all pixels "
        f"but those of the other components of c; {ONE_AGAINST_REST}",
        source="Kofler 2022 (arXiv 2205.08209), blob loss; 2 : 1 of global and blob loss; one against the rest for "
        "several classes, Kundu 2026 (arXiv 2604.24276); 8-connected components",
        deviations="softmax probabilities; Dice alone as the blob's loss (Kundu adds cross-entropy); images "
        "without the class are left out of its mean; no inverse-size weighting",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + Dice + blob loss."""
        return Components(loss=BlobDice(self.weight))


class ConnectedComponentConfig(InstanceConfig):
    """Connected-component loss, multi-class."""

    card: ClassVar[Card] = Card(
        group=Group.BOUNDARY,
        title="Connected-component (CC) loss, multi-class",
        formula="cross-entropy + soft Dice + .5 mean of (1 - dice_j), dice_j of component j of class c over its "
        "Voronoi "
        f"cell, the pixels to which no other component of c is nearer; {ONE_AGAINST_REST}",
        source="Bouteille 2025 (arXiv 2511.17146), CC-DiceCE; cells and 8-connected components as in the "
        "official code, TIO-IKIM/Learning-to-Look-Closer; one against the rest for several classes, Kundu 2026 "
        "(arXiv 2604.24276)",
        deviations="softmax probabilities; Dice alone in the cells (the source adds cross-entropy); the weight is that "
        "of `blob_loss`, so that the two differ in where they look; images without the class are left out of its mean",
        cost="a distance transform for each class of each crop, on the CPU, in every step",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + Dice + CC loss."""
        return Components(loss=NearestDice(self.weight))
