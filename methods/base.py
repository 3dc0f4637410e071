"""The method contract: what a method may know, what it may change, and what it must declare.

A method is a frozen, validated configuration (`MethodConfig`) that builds `Components`: at most one component per
slot. An empty slot is neutral, and the empty method is plain cross-entropy + soft Dice. Components of several methods
compose as long as no exclusive slot is taken twice (DFA with focal loss, for example).

A method sees statistics of the training split and, if it asks for them, per-class validation counts. It never sees test
data, paths, global random state or loggers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from methods.class_counts import ClassFeedback, ClassStatistics


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


class Sampler(Protocol):
    """Chooses which training tiles an epoch draws."""

    def __call__(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return tile indices for one epoch, (n,) int64.

        Args:
            tile_pixels: (n_tiles, K) int64, labelled pixels of each class in each training tile.
            rng: The epoch's own generator; the only source of randomness.
        """
        ...


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
        sampler: Replaces drawing every training tile once per epoch.
        param_groups: Called once with the model; parameters that want their own optimiser settings.
        on_epoch_end: Called after each validation pass with its per-class counts.
        adjust_logits: Inference-time correction, (B, K, H, W) -> the same shape.
    """

    loss: Loss | None = None
    attention_bias: AttentionBias | None = None
    sampler: Sampler | None = None
    param_groups: Callable[[nn.Module], Sequence[ParamGroup]] | None = None
    on_epoch_end: Callable[[ClassFeedback], None] | None = None
    adjust_logits: Callable[[Tensor], Tensor] | None = None

    def class_parameters(self) -> dict[str, Tensor]:
        """Everything the method holds per class now: name -> (K,) tensor."""
        held: dict[str, Tensor] = {}
        for part in (self.loss, self.attention_bias, self.sampler, self.adjust_logits):
            if isinstance(part, HoldsClassParameters):
                held |= part.class_parameters()
        return held


class Requirement(StrEnum):
    """What a method needs from the study; the runner refuses a study that lacks it before anything trains."""

    CLASS_QUERY = "class_query"
    VALIDATION_FEEDBACK = "validation_feedback"


class Group(StrEnum):
    """The seven families of the catalogue."""

    BASE = "base"
    FREQUENCY = "frequency reweighting"
    PIXEL = "pixel difficulty"
    OVERLAP = "overlap"
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
    """

    group: Group
    title: str
    formula: str
    source: str
    deviations: str = "none"
    requires: frozenset[Requirement] = frozenset()


@dataclass(frozen=True)
class Stage:
    """One training within a run.

    Attributes:
        name: For the records and the progress bar.
        carry_weights: Start from the weights of the stage before instead of the run's initial weights.
    """

    name: str
    carry_weights: bool = False


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
    """Options of a method: frozen, validated, unknown names refused. Subclasses state each default exactly once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    card: ClassVar[Card]

    def requirements(self) -> frozenset[Requirement]:
        """Needs of this configuration; those of the card unless an option adds to them."""
        return self.card.requires

    def stages(self) -> tuple[Stage, ...]:
        """The trainings of one run, in order; one unless the method estimates something first."""
        return (Stage("main"),)

    def build(self, context: BuildContext) -> Components:
        """Build the components of stage `context.stage`."""
        raise NotImplementedError


class SlotConflictError(ValueError):
    """Two methods of one composition fill the same slot."""


EXCLUSIVE_SLOTS = ("loss", "attention_bias", "sampler", "adjust_logits")


def compose(parts: Mapping[str, MethodConfig], context: BuildContext) -> Components:
    """Build and merge the components of several methods.

    The exclusive slots take one component. Parameter groups are joined, and every method that asked is told about
    validation, in the order of `parts`. A method with fewer stages than another joins the last ones, and a conflict of
    the last stage is reported at every stage, so that it shows before anything trains.

    Args:
        parts: Name -> configuration; usually one.
        context: Passed to each; its stage and finished stages count from the first stage of the longest method.

    Raises:
        SlotConflictError: Two parts fill one exclusive slot.
    """
    last = max((len(config.stages()) for config in parts.values()), default=1) - 1
    if context.stage < last:
        merge(_build_parts(parts, replace(context, stage=last, finished=(_no_feedback(context),) * last), last))
    return merge(_build_parts(parts, context, last))


def merge(built: Mapping[str, Components]) -> Components:
    """Merge the components of several methods.

    Args:
        built: Name of the method -> its components.

    Raises:
        SlotConflictError: Two methods fill one exclusive slot.
    """
    merged = Components()
    for slot in EXCLUSIVE_SLOTS:
        owners = [name for name, components in built.items() if getattr(components, slot) is not None]
        if len(owners) > 1:
            raise SlotConflictError(f"`{owners[0]}` and `{owners[1]}` both fill the slot `{slot}`. Keep one of them.")
        if owners:
            setattr(merged, slot, getattr(built[owners[0]], slot))
    groupers = [components.param_groups for components in built.values() if components.param_groups is not None]
    if groupers:
        merged.param_groups = lambda model: [group for grouper in groupers for group in grouper(model)]
    listeners = [components.on_epoch_end for components in built.values() if components.on_epoch_end is not None]
    if listeners:
        merged.on_epoch_end = partial(_tell_all, listeners)
    return merged


def _tell_all(listeners: Sequence[Callable[[ClassFeedback], None]], feedback: ClassFeedback) -> None:
    for listener in listeners:
        listener(feedback)


def _build_parts(parts: Mapping[str, MethodConfig], context: BuildContext, last: int) -> dict[str, Components]:
    """Build each part at its own stage: the last one falls together for all, and nothing comes before the first."""
    built = {}
    for name, config in parts.items():
        skipped = last + 1 - len(config.stages())
        if context.stage >= skipped:
            own = replace(context, stage=context.stage - skipped, finished=context.finished[skipped:])
            built[name] = config.build(own)
    return built


def _no_feedback(context: BuildContext) -> ClassFeedback:
    """Stand-in for the counts of a stage that has not run."""
    nothing = torch.zeros(context.statistics.n_classes, dtype=torch.int64)
    return ClassFeedback(step=0, epoch=0, tp=nothing, fp=nothing, fn=nothing)


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
