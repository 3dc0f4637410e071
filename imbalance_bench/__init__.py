"""From a study file to finished records, and the functions that judge tables from anywhere.

    import imbalance_bench as ib
    ib.compare(scores, plan)
    ib.explain(quantities, measures, plan)

These live in `analysis`, which imports this package, so they are looked up when they are asked for.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {"compare": "analysis.compare_scores", "explain": "analysis.explain"}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'imbalance_bench' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
