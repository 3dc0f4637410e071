"""torch, imported when a method first computes, so that its options are checked without it (which takes seconds).

Files of methods take `torch`, `F` and `Module` from here, as if they had imported them, and `Tensor`, which is for
annotations alone, under `TYPE_CHECKING`. A plug-in may import torch itself; its options are then checked more slowly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.nn import Module
    from torch.nn import functional as F
else:
    from functools import cache

    class _Late:
        """A module that is imported when something of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            found = getattr(import_module(self._name), name)
            setattr(self, name, found)  # asked for once
            return found

    class Module:
        """Base class in the place of `torch.nn.Module`: its first instance puts that one behind it.

        An instance of a subclass `X` is of a class `X` that derives from `X` and `torch.nn.Module`.
        """

        def __new__(cls, *_: Any, **__: Any) -> "Module":
            """Return an instance that is a `torch.nn.Module`."""
            return super().__new__(cls if issubclass(cls, torch.nn.Module) else _with_torch(cls))

        def __reduce_ex__(self, protocol: Any) -> Any:
            """Pickle and copy by the class that is written in its file."""
            _, (cls, *_), *state = super().__reduce_ex__(protocol)
            return _empty, (vars(cls).get("_written", cls),), *state

    def _empty(cls: type[Module]) -> Module:
        return cls.__new__(cls)

    @cache
    def _with_torch(cls: type[Module]) -> type[Module]:
        place = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
        return type(cls)(cls.__name__, (cls, torch.nn.Module), place | {"_written": cls})

    torch = _Late("torch")
    F = _Late("torch.nn.functional")

__all__ = ["F", "Module", "torch"]
