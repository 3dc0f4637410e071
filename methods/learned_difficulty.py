"""Learned difficulty: a small head learns to predict each pixel's loss, and what it expects of a class weights it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from methods.base import (
    BuildContext,
    Card,
    Components,
    Group,
    LossOutput,
    MethodConfig,
    ParamGroup,
    normalised_to_mean_one,
)
from methods.cross_entropy import Reduction, WeightedCrossEntropyDice, cross_entropy_per_pixel, mean_over_valid
from methods.late_torch import F, Module, torch
from methods.overlap import one_hot
from methods.search_space import Range
from methods.step_counts import StepCounts

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_LOSS = 16.0  # nats, p_y about 1e-7: higher losses count as this one, so that one pixel cannot rule a mean


class LossPredictor(Module):
    """Predict the cross-entropy of each pixel from the probabilities around it.

    The probabilities are sorted, so that the prediction does not depend on which class is which, and enter as
    logarithms over 16. The last layer starts at 0: before training every loss is expected to be 0.

    Args:
        n_classes: K.
        channels: Hidden channels.
        seed: Of the first layer's initial weights; the global random state is not touched.
    """

    def __init__(self, n_classes: int, channels: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.surroundings = torch.nn.Conv2d(n_classes, channels, 3, padding=1)
            self.out = torch.nn.Conv2d(channels, 1, 1)
        for parameter in self.out.parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, log_probability: Tensor, valid: Tensor) -> Tensor:
        """Return the expected loss, (B, H, W) float32, nats.

        Args:
            log_probability: (B, K, H, W) float32, without gradient.
            valid: (B, H, W) bool; other pixels are not seen.
        """
        scaled = log_probability.clamp(min=-LARGEST_LOSS).sort(dim=1).values / LARGEST_LOSS
        scaled = torch.where(valid.unsqueeze(1), scaled, 0.0)
        return self.out(F.relu(self.surroundings(scaled))).squeeze(1)


class LearnedDifficultyDice(WeightedCrossEntropyDice):
    """Weighted cross-entropy + Dice, and the squared error of the predicted losses.

    The head learns from the batch; no gradient of its error reaches the model.

    Args:
        config: Options.
        present: (K,) bool, classes that occur in the training split; the others keep weight 0.
        seed: Of the head.

    Attributes:
        expected: (K,) float64, running mean of the predicted loss of the class's pixels; 0 before the first step.
        observed: (K,) float64, likewise of their true loss, for comparison.
    """

    expected: Tensor
    observed: Tensor
    seen: Tensor
    present: Tensor

    def __init__(self, config: LearnedDifficultyConfig, present: Tensor, seed: int) -> None:
        n_classes = len(present)
        super().__init__(present.float(), config.reduction)
        self.config = config
        self.head = LossPredictor(n_classes, config.channels, seed)
        self.pending = StepCounts(3, n_classes)
        self.register_buffer("present", present.clone())
        self.register_buffer("expected", torch.zeros(n_classes, dtype=torch.float64))
        self.register_buffer("observed", torch.zeros(n_classes, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(n_classes, dtype=torch.bool))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute weighted cross-entropy + Dice + prediction error in float32; see `Loss.forward`."""
        _, counted = self.pending.hand_over(step)
        self.renew(counted)
        base = super().forward(logits, target, valid, step)
        log_probability = F.log_softmax(logits.detach().float(), dim=1)
        true_loss = cross_entropy_per_pixel(log_probability, target).clamp(max=LARGEST_LOSS)
        predicted = self.head(log_probability, valid)
        self.count(predicted, true_loss, one_hot(log_probability, target) & valid.unsqueeze(1))
        error = self.config.prediction_weight * mean_over_valid((predicted - true_loss).square(), valid)
        return LossOutput(base.total + error, {**base.parts, "prediction_error": error.detach()})

    def count(self, predicted: Tensor, true_loss: Tensor, truth: Tensor) -> None:
        """Add a batch to the step's sums: of predicted losses, of true losses, and of pixels."""
        pooled = (0, 2, 3)
        sums = [torch.where(truth, loss.unsqueeze(1), 0.0).double().sum(pooled) for loss in (predicted, true_loss)]
        self.pending.add(torch.stack([*sums, truth.sum(pooled).double()]))

    def renew(self, counted: Tensor) -> None:
        """Take over a finished step, (3, K): running means of the classes that it held, then the weights."""
        pixels = counted[2]
        occurs = pixels > 0
        keep = torch.where(self.seen, self.config.momentum, 0.0)  # the first mean of a class is taken as it is
        for running, total in zip((self.expected, self.observed), counted[:2], strict=True):
            mean = keep * running + (1 - keep) * total / pixels
            running.copy_(torch.where(occurs, mean, running))
        self.seen |= occurs
        difficulty = self.expected + (self.mean_of_seen(self.observed) - self.mean_of_seen(self.expected)).clamp(min=0)
        difficulty = torch.where(self.seen, difficulty.clamp(min=0), self.mean_of_seen(difficulty.clamp(min=0)))
        self.weight.copy_(normalised_to_mean_one(difficulty**self.config.strength, self.present))

    def mean_of_seen(self, values: Tensor) -> Tensor:
        """Return the mean of (K,) over the classes that were seen, (); 0 before the first."""
        return (values * self.seen).sum() / self.seen.sum().clamp(min=1)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `loss_weight`, `difficulty` (the predicted loss) and `observed_loss`, (K,) each."""
        parameters = {"difficulty": self.expected, "observed_loss": self.observed}
        return super().class_parameters() | {name: value.float().cpu().clone() for name, value in parameters.items()}

    def param_groups(self, model: torch.nn.Module) -> list[ParamGroup]:  # noqa: ARG002
        """Return the head's own optimiser group; its gradient is clipped apart from the model's."""
        return [ParamGroup(list(self.head.parameters()), grad_clip=self.config.grad_clip)]


class LearnedDifficultyConfig(MethodConfig):
    """Class weights from a learned prediction of the loss."""

    strength: Annotated[float, Range(0.25, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent of the predicted loss; 0 gives equal weights"
    )
    momentum: float = Field(default=0.98, ge=0, lt=1, description="of the running class means; .98 spans 50 steps")
    channels: int = Field(default=16, ge=1, description="hidden channels of the head")
    prediction_weight: Annotated[float, Range(0.1, 3.0, log=True)] = Field(
        default=1.0, ge=0, description="of the squared prediction error; 0 leaves the head as it starts: equal weights"
    )
    grad_clip: float = Field(default=1.0, gt=0, description="gradient-norm limit of the head alone")
    reduction: Reduction = Field(default="weighted_mean", description="sum(w ce) / sum(w), or mean(w ce)")

    card: ClassVar[Card] = Card(
        group=Group.ESTIMATOR,
        title="Learned difficulty: class weights from a predicted loss",
        formula="w_c = max(E_c + max(mean O - mean E, 0), 0) scaled to mean 1; E_c, O_c = running means (momentum .98) "
        "over steps of predicted and true loss of the pixels of c, means over classes; predicted loss h = convolution "
        "3x3, ReLU, convolution 1x1 of the sorted log probabilities; the head minimises mean_i (h_i - CE_i)^2; plus "
        "soft Dice",
        source="of this project, after the loss prediction module of Yoo and Kweon 2019 (CVPR, learning loss for "
        "active learning, arXiv 1905.03677)",
        deviations="the source ranks unlabelled images for annotation, with one loss for each image predicted from "
        "several feature levels; here every pixel has one, predicted from the probabilities around it; squared error "
        "instead of its ranking loss, because class means need the scale; no gradient of it reaches the model (the "
        "source cuts it late in training); losses above 16 count as 16; what the head does not expect yet is shared "
        "by all classes alike, so that weights start equal and part as it learns; `observed_loss` in the ledger shows "
        "what a plain running mean of the loss would give",
    )

    def build(self, context: BuildContext) -> Components:
        """Build the loss with its head."""
        loss = LearnedDifficultyDice(self, context.statistics.present, context.seed)
        return Components(loss=loss, param_groups=loss.param_groups)
