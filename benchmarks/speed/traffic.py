"""Bytes that the operators of a piece of code read and write."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TrafficCounter(TorchDispatchMode):
    """Adds up the sizes of what each operator is given and returns; views and uninitialised tensors are free.

    It is what memory must carry where every operator is a kernel of its own and finds nothing in a cache.

    Attributes:
        n_bytes: So far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it."""
        returned = func(*args, **(kwargs or {}))
        if not _moves_nothing(func):
            tensors = [leaf for leaf in tree_leaves((args, kwargs, returned)) if isinstance(leaf, torch.Tensor)]
            self.n_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return returned


def _moves_nothing(func: Any) -> bool:
    """Whether an operator returns a view of what it was given, or a tensor without values."""
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return views or func._schema.name.split("::")[1].startswith("empty")


def traffic_of(command: Callable[[], object]) -> int:
    """Return the bytes that a command's operators read and write."""
    with TrafficCounter() as counter:
        command()
    return counter.n_bytes
