"""Label smoothing as a method of imbalance-bench: a whole plug-in."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.base import BuildContext, Card, Components, Group, MethodConfig
from methods.cross_entropy import CrossEntropyDice, cross_entropy_per_pixel, mean_over_valid


class SmoothedDice(CrossEntropyDice):
    """Mix the cross-entropy of the label with that of a uniform distribution over the classes.

    Args:
        epsilon: Share of the uniform distribution.
    """

    pixel_name: ClassVar[str] = "smoothed_cross_entropy"

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def pixel_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the smoothed cross-entropy; see `CrossEntropyDice.pixel_term`."""
        labelled = cross_entropy_per_pixel(log_probability, target)
        uniform = -log_probability.mean(1)  # (B, H, W)
        return mean_over_valid((1 - self.epsilon) * labelled + self.epsilon * uniform, valid)


class LabelSmoothingConfig(MethodConfig):
    """Cross-entropy with label smoothing + soft Dice."""

    epsilon: float = Field(default=0.1, ge=0, le=1, description="share of the uniform distribution; 0 is cross-entropy")

    card: ClassVar[Card] = Card(
        group=Group.PIXEL,
        title="Label smoothing",
        formula="mean_i((1 - epsilon) CE + epsilon mean_c(-log p_c)); epsilon .1; plus soft Dice",
        source="Szegedy 2016 (CVPR), section 7, uniform prior over the labels",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build smoothed cross-entropy + Dice."""
        return Components(loss=SmoothedDice(self.epsilon))
