"""The distribution has three packages; a user's file of the same name must not take the place of one of them."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
OTHERS = ("analysis", "methods")


def require_own_packages() -> None:
    """Refuse to go on where `import analysis` or `import methods` gives something else than the package beside us.

    Raises:
        ImportError: It does: usually a script, folder or notebook directory with a file of that name.
    """
    for name in OTHERS:
        origin = _origin(name)
        if origin is not None and origin.resolve().parent.parent != HERE:
            shown = origin.parent if origin.name == "__init__.py" else origin
            raise ImportError(
                f"{shown} takes the place of the package '{name}' of imbalance-bench, which cannot work without it. "
                f"Rename {shown.name}.",
                name=name,
                path=str(shown),
            )


def _origin(name: str) -> Path | None:
    """File that the import of a top-level name has given or would give; None where the name says nothing of it."""
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
    else:
        spec = PathFinder.find_spec(name)
        file = spec.origin if spec is not None else None
    return Path(file) if file else None
