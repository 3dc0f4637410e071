"""The first step at which a number was not finite, noted on its device: a GPU need not be waited for in every step."""

import torch
from torch import Tensor


def is_deferred(device: torch.device) -> bool:
    """Return whether steps on a device do not wait for what they calculate: checks then come when records are due."""
    return device.type == "cuda"


class FirstFault:
    """Watches one number over the steps of a training."""

    def __init__(self) -> None:
        self._step: Tensor | None = None
        self._value: Tensor | None = None

    def note(self, number: Tensor, step: int) -> None:
        """Look at the number of a step, a scalar of any floating dtype."""
        number = number.detach().float()
        if self._step is None or self._value is None:
            self._step = torch.full((), -1, dtype=torch.int64, device=number.device)
            self._value = torch.zeros((), device=number.device)
        is_first = ~number.isfinite() & (self._step < 0)
        self._step = torch.where(is_first, step, self._step)
        self._value = torch.where(is_first, number, self._value)

    def found(self) -> tuple[int, float] | None:
        """Return step and value of the first number that was not finite; waits for the device."""
        if self._step is None or self._value is None:
            return None
        step = int(self._step)
        return None if step < 0 else (step, float(self._value))
