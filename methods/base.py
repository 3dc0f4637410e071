"""The method contract: what a method may know, what it may change, and what it must declare.

A method is a frozen, validated configuration (`MethodConfig`) that builds `Components`: at most one component per
slot. An empty slot is neutral, and the empty method is plain cross-entropy + soft Dice. Components of several methods
compose as long as no exclusive slot is taken twice (DFA with focal loss, for example).

A method sees statistics of the training split and, if it asks for them, per-class validation counts. It never sees test
data, paths, global random state or loggers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from methods.class_counts import ClassFeedback, ClassStatistics
from methods.slots import AttentionGate, BatchTransform, Sampler


@runtime_checkable
class HoldsClassParameters(Protocol):
    """A component whose per-class numbers the ledger records."""

    def class_parameters(self) -> dict[str, Tensor]:
        """Whatever the component holds per class: name -> (K,) tensor."""
        ...


@dataclass(frozen=True)
class LossOutput:
    """A scalar to minimise and its named parts (detached scalars, for the records)."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Loss(nn.Module):
    """Turns logits into a scalar. Buffers hold its state, so that saving and loading a run restores it."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, step: int) -> LossOutput:
        """Compute the loss of one batch.

        Args:
            logits: (B, K, H, W) float.
            target: (B, H, W) int64 in 0..K-1; any value in that range where `valid` is False.
            valid: (B, H, W) bool; other pixels must have exactly zero gradient.
            step: Optimiser steps done before this one.
        """
        raise NotImplementedError

    def class_parameters(self) -> dict[str, Tensor]:
        """Whatever the loss holds per class: name -> (K,) tensor. For the ledger."""
        return {}


class AttentionBias(nn.Module):
    """Gives the class-query decoder a bias for its tokens' attention logits (the decoder's `attention_bias` hook).

    Attributes:
        extra_tokens: Tokens that the decoder must hold before the K class tokens; 0 unless a layout asks for more.
        direction: The attention step whose logits the bias joins.
    """

    extra_tokens: int = 0
    direction: Literal["image_to_token", "token_to_image"] = "image_to_token"

    def forward(self) -> Tensor:
        """Return the bias, (layers or 1, heads or 1, extra_tokens + K) float."""
        raise NotImplementedError

    def class_parameters(self) -> dict[str, Tensor]:
        """Whatever the bias holds per class: name -> (K,) tensor. For the ledger."""
        return {}


@dataclass(frozen=True)
class ParamGroup:
    """Parameters with their own optimiser settings.

    Attributes:
        parameters: The parameters; the runner takes them out of the base group.
        lr_multiplier: Times the base learning rate.
        weight_decay: Decoupled weight decay of this group.
        grad_clip: Gradient-norm limit of this group alone; None for the run's own limit.
        constant_schedule: True for a learning rate without warm-up or decay.
    """

    parameters: Sequence[nn.Parameter]
    lr_multiplier: float = 1.0
    weight_decay: float = 0.0
    grad_clip: float | None = None
    constant_schedule: bool = False


@dataclass
class Components:
    """At most one component per slot; None is neutral.

    A component of any slot may hold class parameters: the ledger asks those that do (`HoldsClassParameters`).

    Attributes:
        loss: Replaces cross-entropy + soft Dice.
        attention_bias: Fills the class-query decoder's hook.
        attention_gate: Fills the class-query decoder's other hook.
        sampler: Replaces drawing every training tile once per epoch.
        batch_transform: Mixes the crops of a training batch.
        param_groups: Called once with the model; parameters that want their own optimiser settings.
        on_epoch_end: Called after each validation pass with its per-class counts.
        adjust_classifier: Inference-time correction of the weights that turn pixel embeddings into logits, (.., K, E)
            -> the same shape. Where the classifier is a convolution with a bias vector, the bias is dropped.
        adjust_logits: Inference-time correction, (B, K, H, W) -> the same shape.
    """

    loss: Loss | None = None
    attention_bias: AttentionBias | None = None
    attention_gate: AttentionGate | None = None
    sampler: Sampler | None = None
    batch_transform: BatchTransform | None = None
    param_groups: Callable[[nn.Module], Sequence[ParamGroup]] | None = None
    on_epoch_end: Callable[[ClassFeedback], None] | None = None
    adjust_classifier: Callable[[Tensor], Tensor] | None = None
    adjust_logits: Callable[[Tensor], Tensor] | None = None

    def class_parameters(self) -> dict[str, Tensor]:
        """Everything the method holds per class now: name -> (K,) tensor."""
        held: dict[str, Tensor] = {}
        for part in (getattr(self, slot) for slot in EXCLUSIVE_SLOTS):
            if isinstance(part, HoldsClassParameters):
                held |= part.class_parameters()
        return held


class Requirement(StrEnum):
    """What a method needs from the study; the runner refuses a study that lacks it before anything trains."""

    CLASS_QUERY = "class_query"
    VALIDATION_FEEDBACK = "validation_feedback"
    SEVERAL_CROPS = "several_crops"
    CLASSIFIER_NORM = "classifier_norm"


class Group(StrEnum):
    """The families of the catalogue."""

    BASE = "base"
    FREQUENCY = "frequency reweighting"
    PIXEL = "pixel difficulty"
    OVERLAP = "overlap"
    BOUNDARY = "boundaries and regions"
    MARGIN = "margins and logits"
    ESTIMATOR = "difficulty estimators"
    SAMPLING = "sampling and stages"
    REPRESENTATION = "representation level"


@dataclass(frozen=True)
class Card:
    """What `imbalance-bench methods NAME` prints, beside the fields of the configuration.

    Attributes:
        group: Family in the catalogue.
        title: One line.
        formula: Plain-text formula; p = pixel share, n = count, z = logits, y = label, K classes.
        source: Author, year, equation or section.
        deviations: How this differs from the source, and why; "none" if it does not.
        requires: Needs of every configuration of this method.
        cost: What it costs beside the base, where that is more than half a training more; else empty.
        same_as: Name of the method that this is a second name for: its components are built by that one's
            configuration. Empty for a method of its own; only these are counted (`methods.distinct_methods`).
    """

    group: Group
    title: str
    formula: str
    source: str
    deviations: str = "none"
    requires: frozenset[Requirement] = frozenset()
    cost: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Stage:
    """One training within a run.

    Attributes:
        name: For the records and the progress bar.
        carry_weights: Start from the weights of the stage before instead of the run's initial weights.
        trains: `classifier` freezes everything before the classifier, statistics of normalisation included, and starts
            the classifier again from its initial weights.
        share: Optimiser steps of the stage, as a share of the study's `training.steps`.
    """

    name: str
    carry_weights: bool = False
    trains: Literal["model", "classifier"] = "model"
    share: float = 1.0

    def steps(self, of_study: int) -> int:
        """Optimiser steps of the stage, at least 1."""
        return max(round(self.share * of_study), 1)


@dataclass(frozen=True)
class BuildContext:
    """What a method is told when its components are built.

    Attributes:
        statistics: Of the training split.
        seed: The run's seed for the method's own randomness (a shuffled prior, for example).
        attention_layers: Layers of the class-query decoder; 0 for an architecture without class tokens.
        attention_heads: Heads of its attention; 0 likewise.
        stage: Index of the stage that the components are for.
        finished: Validation counts at the end of each earlier stage.
        steps: Optimiser steps of the stage; None where they are not known.
    """

    statistics: ClassStatistics
    seed: int = 0
    attention_layers: int = 0
    attention_heads: int = 0
    stage: int = 0
    finished: tuple[ClassFeedback, ...] = ()
    steps: int | None = None


class MethodConfig(BaseModel):
    """Options of a method: frozen, validated, unknown names refused. Subclasses state each default exactly once.

    Attributes:
        card: What the catalogue prints.
        nothing_to_tune: Why no option has a search space; empty where one has (`methods.search_space`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    card: ClassVar[Card]
    nothing_to_tune: ClassVar[str] = ""

    def requirements(self) -> frozenset[Requirement]:
        """Needs of this configuration; those of the card unless an option adds to them."""
        return self.card.requires

    def stages(self) -> tuple[Stage, ...]:
        """The trainings of one run, in order; one unless the method estimates something first."""
        return (Stage("main"),)

    def remarks(self, statistics: ClassStatistics) -> tuple[str, ...]:  # noqa: ARG002
        """Return what a user should know of this configuration on these data: one sentence each, usually none.

        Args:
            statistics: Of the training split.
        """
        return ()

    def build(self, context: BuildContext) -> Components:
        """Build the components of stage `context.stage`."""
        raise NotImplementedError


EXCLUSIVE_SLOTS = (
    "loss",
    "attention_bias",
    "attention_gate",
    "sampler",
    "batch_transform",
    "adjust_classifier",
    "adjust_logits",
)


def normalised_to_mean_one(weights: Tensor, present: Tensor) -> Tensor:
    """Scale class weights to mean 1 over the classes that occur; absent classes get 0.

    Weights that are all 0 become equal: nothing then tells the classes apart.

    Args:
        weights: (K,) float >= 0, finite where `present`.
        present: (K,) bool.

    Returns:
        (K,) float32.
    """
    kept = torch.where(present, weights, torch.zeros_like(weights))
    total = kept.sum()
    if not total > 0:
        return present.float()
    return (kept * present.sum() / total).float()
