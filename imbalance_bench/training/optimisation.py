"""AdamW with the run's own groups, schedules and gradient clipping."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from imbalance_bench.config import TrainingSection
from imbalance_bench.evaluation.finite import NotFiniteError
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.training.first_fault import FirstFault, is_deferred
from methods.base import ParamGroup


class Optimisation:
    """Optimiser, schedule and clipping of one stage.

    Args:
        segmenter: The model; its encoder has a learning rate of its own when it is trained.
        loss: Its parameters, if it has any, join the base group unless the method groups them.
        groups: The method's own parameter groups; what is frozen in them stays out.
        section: The study's training section.
    """

    def __init__(
        self, segmenter: Segmenter, loss: nn.Module, groups: Sequence[ParamGroup], section: TrainingSection
    ) -> None:
        groups = [replace(group, parameters=[p for p in group.parameters if p.requires_grad]) for group in groups]
        owned = {id(parameter) for group in groups for parameter in group.parameters}
        tuned = [
            ([p for p in parameters if id(p) not in owned], factor) for parameters, factor in segmenter.tuning.groups()
        ]
        owned |= {id(parameter) for parameters, _ in tuned for parameter in parameters}
        trained = [*segmenter.neck.parameters(), *segmenter.head.parameters(), *loss.parameters()]
        base = [p for p in trained if p.requires_grad and id(p) not in owned]
        shared = ParamGroup(base, weight_decay=section.weight_decay)
        self._groups = [group for group in (shared, *groups) if group.parameters]
        for encoder, factor in tuned:
            if encoder:
                multiplier = section.encoder_lr_multiplier * factor
                self._groups.append(ParamGroup(encoder, lr_multiplier=multiplier, weight_decay=section.weight_decay))
        self._clip = section.grad_clip
        device = next(segmenter.head.parameters()).device
        self._deferred, self._fault = is_deferred(device), FirstFault()
        self.optimiser = AdamW(
            [
                {
                    "params": list(group.parameters),
                    "lr": section.learning_rate * group.lr_multiplier,
                    "weight_decay": group.weight_decay,
                }
                for group in self._groups
            ],
            fused=device.type == "cuda",
        )
        scheduled = schedule(section)
        self.scheduler = LambdaLR(
            self.optimiser, [_constant if group.constant_schedule else scheduled for group in self._groups]
        )

    @property
    def learning_rate(self) -> float:
        """Of the base group, now."""
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self) -> None:
        """Clip, update, advance the schedule, forget the gradients.

        Raises:
            NotFiniteError: A gradient is NaN or infinite; nothing has been updated. Where
                checks are deferred, `require_finite` says so.
        """
        shared = [p for group in self._groups if group.grad_clip is None for p in group.parameters]
        norms = [nn.utils.clip_grad_norm_(shared, self._clip)]
        for group in self._groups:
            if group.grad_clip is not None:
                norms.append(nn.utils.clip_grad_norm_(group.parameters, group.grad_clip))
        if self._deferred:
            self._fault.note(torch.stack(norms).sum(), self.scheduler.last_epoch)
        elif not all(bool(norm.isfinite()) for norm in norms):
            raise NotFiniteError("The gradients", self.scheduler.last_epoch)
        self.optimiser.step()
        self.scheduler.step()
        self.optimiser.zero_grad(set_to_none=True)

    def require_finite(self) -> None:
        """Refuse the gradients of earlier steps whose check was deferred.

        Raises:
            NotFiniteError: A gradient was NaN or infinite.
        """
        found = self._fault.found()
        if found is not None:
            raise NotFiniteError("The gradients", found[0])

    def state_dict(self) -> dict[str, object]:
        """State of the optimiser and of the schedule."""
        return {"optimiser": self.optimiser.state_dict(), "last_step": self.scheduler.last_epoch}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore what `state_dict` gave."""
        self.optimiser.load_state_dict(state["optimiser"])  # pyright: ignore[reportArgumentType]
        self.scheduler.last_epoch = state["last_step"]  # pyright: ignore[reportAttributeAccessIssue]


def schedule(section: TrainingSection) -> Callable[[int], float]:
    """Return the factor of the learning rate as a function of the steps done.

    Linear warm-up, then: `cosine` to zero, `milestones` (times `milestone_factor` at each share of the steps), or
    `constant`.
    """

    def factor(step: int) -> float:
        warmup = min((step + 1) / section.warmup_steps, 1.0) if section.warmup_steps else 1.0
        if section.schedule == "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * min(step / section.steps, 1.0)))
        if section.schedule == "milestones":
            passed = sum(step >= share * section.steps for share in section.milestones)
            return warmup * section.milestone_factor**passed
        return warmup

    return factor


def _constant(step: int) -> float:  # noqa: ARG001 - the signature of a schedule
    return 1.0


def parameter_counts(segmenter: Segmenter) -> dict[str, int]:
    """Number of trainable and of all parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in segmenter.parameters()]
    return {"trainable": sum(n for n, trained in sizes if trained), "total": sum(n for n, _ in sizes)}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Context of the forward pass; losses run in float32 all the same."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
