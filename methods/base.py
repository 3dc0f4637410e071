"""The method contract: what a method may know, what it may change, and what it must declare.

A method is a frozen, validated configuration (`MethodConfig`, of `methods.config`) that builds `Components`: at most
one component per slot. An empty slot is neutral, and the empty method is plain cross-entropy + soft Dice. Components of
several methods compose as long as no exclusive slot is taken twice (DFA with focal loss, for example).

A method sees statistics of the training split and, if it asks for them, per-class validation counts. It never sees test
data, paths, global random state or loggers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from methods.class_counts import ClassFeedback, ClassStatistics
from methods.config import Card, Group, MethodConfig, Requirement, Stage
from methods.late_torch import Module, torch
from methods.slots import AttentionGate, BatchTransform, Sampler

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EXCLUSIVE_SLOTS",
    "AttentionBias",
    "BuildContext",
    "Card",
    "Components",
    "Group",
    "HoldsClassParameters",
    "Loss",
    "LossOutput",
    "MethodConfig",
    "ParamGroup",
    "Requirement",
    "Stage",
    "normalised_to_mean_one",
]


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


class Loss(Module):
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


class AttentionBias(Module):
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

    parameters: Sequence[torch.nn.Parameter]
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
    param_groups: Callable[[torch.nn.Module], Sequence[ParamGroup]] | None = None
    on_epoch_end: Callable[[ClassFeedback], None] | None = None
    adjust_classifier: Callable[[Tensor], Tensor] | None = None
    adjust_logits: Callable[[Tensor], Tensor] | None = None

    def class_parameters(self) -> dict[str, Tensor]:
        """Everything the method holds per class now: name -> (K,) tensor."""
        parameters: dict[str, Tensor] = {}
        for part in (getattr(self, slot) for slot in EXCLUSIVE_SLOTS):
            if isinstance(part, HoldsClassParameters):
                parameters |= part.class_parameters()
        return parameters


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
    present_weights = torch.where(present, weights, torch.zeros_like(weights))
    total = present_weights.sum()
    if not total > 0:
        return present.float()
    return (present_weights * present.sum() / total).float()
