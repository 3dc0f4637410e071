"""Region mutual information: predictions must explain how labels vary together within small squares of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group
from methods.late_torch import F, torch
from methods.overlap import CrossEntropyOverlap, OverlapConfig, one_hot
from methods.search_space import Choice, Range

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 5e-4  # added to the diagonal of covariances, as in the official code


def squares(values: Tensor, edge: int) -> Tensor:
    """Return the pixels of every square, centred over the squares of an image and class.

    Args:
        values: (B, K, H, W) float64.
        edge: Of the squares, pixels.

    Returns:
        (B, K, edge^2, n) float64, n the squares that lie within the image.
    """
    windows = values.unfold(2, edge, 1).unfold(3, edge, 1)  # (B, K, H', W', edge, edge)
    points = windows.flatten(4).flatten(2, 3).transpose(2, 3)
    return points - points.mean(3, keepdim=True)


def unexplained(truth: Tensor, prediction: Tensor) -> Tensor:
    """Return half the log-determinant of what the best linear prediction leaves of the labels, (B, K) float64.

    Args:
        truth: (B, K, d, n) float64, centred.
        prediction: (B, K, d, n) float64, centred.
    """
    ridge = RIDGE * torch.eye(truth.shape[2], dtype=truth.dtype, device=truth.device)
    of_truth, of_prediction, mixed = truth @ truth.mT, prediction @ prediction.mT, truth @ prediction.mT
    left = of_truth - mixed @ torch.linalg.solve(of_prediction + ridge, mixed.mT)
    # a covariance: symmetric but for rounding; log det = 2 sum log of the Cholesky factor's diagonal
    factor = torch.linalg.cholesky((left + left.mT) / 2 + ridge)
    return torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)


class RegionInformation(CrossEntropyOverlap):
    """Measure what the probabilities in squares of pixels leave unexplained of the labels there.

    Args:
        cross_entropy_weight: Of the cross-entropy part.
        weight: Of the region part.
        radius: Edge of the squares, in pixels of the pooled map.
        pool_px: Edge of the pooling; 1 for none.
    """

    overlap_name: ClassVar[str] = "region_mutual_information"

    def __init__(self, cross_entropy_weight: float, weight: float, radius: int, pool_px: int) -> None:
        super().__init__(cross_entropy_weight)
        self.weight, self.radius, self.pool_px = weight, radius, pool_px

    def overlap_term(self, log_probability: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the region term; see `CrossEntropyOverlap.overlap_term`.

        An image that holds no whole square after pooling adds nothing.
        """
        seen = valid.unsqueeze(1)
        truth = (one_hot(log_probability, target) & seen).double()
        prediction = torch.where(seen, log_probability.exp(), 0.0).double()
        truth, prediction = self.pooled(truth), self.pooled(prediction)
        if min(truth.shape[2:]) < self.radius:
            return log_probability.new_zeros(())
        truth, prediction = squares(truth, self.radius), squares(prediction, self.radius)
        left = unexplained(truth, prediction) - unexplained(truth, truth)  # 0 for a perfect prediction
        return self.weight * (left / self.radius**2).mean(0).sum().float()

    def pooled(self, values: Tensor) -> Tensor:
        """Take the maximum over squares of `pool_px`, padded by half of it; the values themselves for 1."""
        if self.pool_px == 1:
            return values
        return F.max_pool2d(values, self.pool_px, stride=self.pool_px, padding=self.pool_px // 2)


class RegionInformationConfig(OverlapConfig):
    """Cross-entropy + region mutual information."""

    weight: Annotated[float, Range(0.1, 3.0, log=True)] = Field(default=1.0, ge=0, description="of the region term")
    radius: Annotated[int, Choice((2, 3, 4, 5))] = Field(
        default=3, ge=1, le=10, description="edge of the squares, pixels of the pooled map"
    )
    pool_px: int = Field(default=3, ge=1, le=9, description="edge of the maximum pooling before; 1 for none")

    card: ClassVar[Card] = Card(
        group=Group.BOUNDARY,
        title="Region mutual information (RMI)",
        formula="sum over classes, mean over images of 1/(2 d) (ln det(M + e I) - ln det(M0 + e I)), M = S_yy - S_yp "
        "(S_pp + e I)^-1 S_py the covariance of labels in 3 x 3 squares (d = 9) that the probabilities there do not "
        "explain, after maximum pooling by 3; M0 the same for p = y; e .0005; in Dice's place, cross-entropy stays",
        source="Zhao 2019 (NeurIPS; arXiv 1910.12037), lower bound of the mutual information; radius, pooling, e, sum "
        "over classes and equal weights as in the official code, ZJULearning/RMI",
        deviations="softmax instead of one sigmoid per class, in both parts; less the value of a perfect prediction, "
        "which moves the loss to 0 there and leaves its gradient; a crop smaller than a square adds nothing",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build cross-entropy + RMI."""
        return Components(loss=RegionInformation(self.cross_entropy_weight, self.weight, self.radius, self.pool_px))
