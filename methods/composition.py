"""Several methods as one: their slots merged, their stages aligned, their conflicts named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from methods.base import EXCLUSIVE_SLOTS, BuildContext, Components, MethodConfig, Stage
from methods.class_counts import ClassFeedback
from methods.late_torch import torch


class SlotConflictError(ValueError):
    """Two methods of one composition fill the same slot."""


def stages_of(parts: Mapping[str, MethodConfig]) -> tuple[Stage, ...]:
    """Return the stages of a composition: those of the part that asks for most.

    Raises:
        SlotConflictError: Two parts ask for stages that do not go together.
    """
    asking = {name: config.stages() for name, config in parts.items() if len(config.stages()) > 1}
    if not asking:
        return (Stage("main"),)
    longest = max(asking, key=lambda name: len(asking[name]))
    trainings = sum(not stage.carry_weights for stage in asking[longest])
    for name, stages in asking.items():
        chained = any(stage.carry_weights for stage in stages)
        if stages != asking[longest] and (chained or len(stages) > trainings or len(stages) == len(asking[longest])):
            raise SlotConflictError(f"`{longest}` and `{name}` each bring stages of their own. Keep one of them.")
    return asking[longest]


def compose(parts: Mapping[str, MethodConfig], context: BuildContext) -> Components:
    """Build and merge the components of several methods.

    The exclusive slots take one component. Parameter groups are joined, and every method that asked is told about
    validation, in the order of `parts`. A method with fewer stages than another joins the last ones; where the last
    training goes through several stages that hand on their weights, it joins all of these. A conflict of a later stage
    is reported at the first, so that it shows before anything trains.

    Args:
        parts: Name -> configuration; usually one.
        context: Passed to each; its stage and finished stages count from the first stage of the longest method.

    Raises:
        SlotConflictError: Two parts fill one exclusive slot.
    """
    stages = stages_of(parts)
    if context.stage == 0:
        for later in range(1, len(stages)):
            merge(_build_parts(parts, replace(context, stage=later, finished=(_no_feedback(context),) * later), stages))
    return merge(_build_parts(parts, context, stages))


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


def _build_parts(
    parts: Mapping[str, MethodConfig], context: BuildContext, stages: Sequence[Stage]
) -> dict[str, Components]:
    """Build each part at its own stage: the last training is the same for all, and nothing comes before the first."""
    begin = len(stages) - 1  # of the last training
    while stages[begin].carry_weights:
        begin -= 1
    built = {}
    for name, config in parts.items():
        n_stages = len(config.stages())
        if n_stages == len(stages):
            built[name] = config.build(context)
            continue
        skipped = begin + 1 - n_stages
        if context.stage >= skipped:
            stage = min(context.stage - skipped, n_stages - 1)
            finished = context.finished[skipped : skipped + stage]
            built[name] = config.build(replace(context, stage=stage, finished=finished))
    return built


def _no_feedback(context: BuildContext) -> ClassFeedback:
    """Stand-in for the counts of a stage that has not run."""
    nothing = torch.zeros(context.statistics.n_classes, dtype=torch.int64)
    return ClassFeedback(step=0, epoch=0, tp=nothing, fp=nothing, fn=nothing)
