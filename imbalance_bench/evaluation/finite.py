"""Refuses NaN and infinity where a model is judged: a poisoned model must never look like a trained one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from imbalance_bench.errors import UserError


class NotFiniteError(UserError):
    """Something that a model holds or says is NaN or infinite.

    Args:
        what: What it is, such as "The logits of image 'a'".
        step: Optimiser steps done, where they are known.
    """

    def __init__(self, quantity: str, step: int | None = None) -> None:
        when = "" if step is None else f" at step {step}"
        super().__init__(f"{quantity} are not finite{when}. Lower `training.learning_rate`.", exit_code=1)
        self.quantity, self.step = quantity, step


def require_finite(quantity: str, values: Tensor) -> None:
    """Refuse values of which one is NaN or infinite; integers are always finite.

    Raises:
        NotFiniteError: One is.
    """
    if not bool(values.isfinite().all()):
        raise NotFiniteError(quantity)


def require_finite_state(quantity: str, state: Mapping[str, object]) -> None:
    """Refuse a state of which one tensor holds NaN or infinity, and name that tensor.

    Raises:
        NotFiniteError: One does.
    """
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            require_finite(f"{quantity} (first: {name})", value)
