"""Our side of a comparison: value and gradient of a registered method on a case."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.cross_implementation.cases import Case
from methods import REGISTRY
from methods.base import BuildContext, Components, Loss
from methods.cross_entropy import CrossEntropyDice, SoftDice
from methods.equalization import EqualizationDice
from methods.ldam import LdamDice
from methods.logits import SeesawDice

Quantity = Literal["total", "without Dice", "weights", "decision"]


@dataclass(frozen=True)
class Outcome:
    """What an implementation gives on a case.

    Attributes:
        value: Of the loss; NaN if it is not finite or the implementation stops with an error.
        per_class: Norm of the gradient of each class's logits, or the class weights, or the pixels that a decision
            gives each class; (K,), empty without a value.
    """

    value: float
    per_class: tuple[float, ...]


def outcome_of(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Outcome:
    """Evaluate a loss and its gradient."""
    leaf = logits.clone().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    return Outcome(value.item(), tuple(gradient.double().movedim(1, 0).flatten(1).norm(dim=1).tolist()))


def outcome_of_weights(weights: Tensor) -> Outcome:
    """Evaluate class weights: their largest, and all of them scaled to mean 1."""
    scaled = (weights.double() / weights.double().mean()).tolist()
    return Outcome(max(scaled), tuple(scaled))


def outcome_of_decision(labels: Tensor, n_classes: int) -> Outcome:
    """Evaluate a decision: a checksum of the labels and their places, and the pixels of each class."""
    flat = labels.flatten().double()
    checksum = (flat * (1 + torch.arange(len(flat)) % 97)).mean().item()
    return Outcome(checksum, tuple(torch.bincount(labels.flatten(), minlength=n_classes).double().tolist()))


def our_outcome(method: str, options: dict, quantity: Quantity, case: Case, *, steps: int = 1) -> Outcome:
    """Evaluate a registered method on the last of some steps.

    Args:
        method: Name in the registry.
        options: Of its configuration.
        quantity: The whole loss, the loss less its soft Dice, the weights that it holds, or the decision at inference.
        case: Batch and statistics.
        steps: Steps that a method with running state has seen, the evaluated one included.
    """
    components = _built(method, options, case)
    if quantity == "decision":
        logits = case.logits_at(steps - 1)
        decided = components.adjust_logits(logits) if components.adjust_logits is not None else logits
        return outcome_of_decision(decided.argmax(1), case.n_classes)
    loss = components.loss or CrossEntropyDice()
    preload(loss, case)
    for step in range(steps - 1):
        loss(case.logits_at(step), case.target, case.valid, step)
    last = steps - 1
    if quantity == "weights":
        loss(case.logits_at(last), case.target, case.valid, last)
        return outcome_of_weights(loss.class_parameters()["loss_weight"])

    def evaluated(logits: Tensor) -> Tensor:
        total = loss(logits, case.target, case.valid, last).total
        if quantity == "total":
            return total
        scale = loss.scale if isinstance(loss, LdamDice) else 1.0
        return total - SoftDice()((scale * logits).softmax(1), case.target, case.valid)

    return outcome_of(evaluated, case.logits_at(last))


def preload(loss: Loss, case: Case) -> None:
    """Let the losses that count while they train start from the case's counts."""
    if isinstance(loss, SeesawDice):
        loss.seen.copy_(case.counts)
    if isinstance(loss, EqualizationDice):
        loss.gradients.copy_(seen_gradients(case))


def seen_gradients(case: Case) -> Tensor:
    """Positive and negative gradient that equalization losses start from, (2, K) float64."""
    return torch.stack([case.counts, case.counts.flip(0) + 1])


def _built(method: str, options: dict, case: Case) -> Components:
    components = REGISTRY[method](**options).build(BuildContext(case.statistics, steps=100))
    if components.on_epoch_end is not None:
        components.on_epoch_end(case.feedback)
    return components
