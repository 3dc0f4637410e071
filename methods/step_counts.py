"""Running state of a loss: what one optimiser step counts is taken over when the next step begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.late_torch import Module, torch

if TYPE_CHECKING:
    from torch import Tensor


class StepCounts(Module):
    """Collects what the batches of one optimiser step count.

    Losses with running state renew it from what a finished step counted. So all batches that accumulate to one step
    meet the same state, and a loss that is evaluated twice at one step gives the same value twice. Everything is a
    buffer, and nothing waits for the device.

    Args:
        shape: Of the counts.

    Attributes:
        counts: `shape`, float64, of the step under way.
        step: () int64, the step under way; -1 before the first.
    """

    counts: Tensor
    step: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("step", torch.tensor(-1))

    def hand_over(self, step: int) -> tuple[Tensor, Tensor]:
        """Go to `step`, and return what was counted if that ended another step.

        Args:
            step: Optimiser steps done before the present one.

        Returns:
            Whether a step ended, () bool, and its counts, `shape`; zeros if none ended.
        """
        same = self.step == step
        ended = ~same & (self.step >= 0)
        counted = torch.where(same, torch.zeros_like(self.counts), self.counts)
        self.counts.copy_(torch.where(same, self.counts, torch.zeros_like(self.counts)))
        self.step.fill_(step)
        return ended, counted

    def add(self, counts: Tensor) -> None:
        """Count a batch: `shape`, any number type."""
        self.counts += counts.detach().double()
