"""The whole of imbalance-bench under one name, from a study file to verdicts.

    import imbalance_bench as ib

    study = ib.run("study.yaml")            # or ib.load_study("results/studies/mine")
    study.scores(); study.verdicts(); study.plot("ranks")
    ib.methods(); ib.compare(scores, plan); ib.explain(quantities, measures, plan)

docs/python.md shows each of them. They are looked up on first access (PEP 562), so that importing the package
costs nothing, and so that it may offer names of `analysis`, which imports this package and not the other way round.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imbalance_bench.own_packages import require_own_packages

if TYPE_CHECKING:
    from analysis.compare_scores import ComparedScores, ScorePlan, compare
    from analysis.explain import Explained, explain
    from analysis.verdicts import Verdict
    from imbalance_bench.errors import UserError
    from imbalance_bench.python import Study, load_study, methods, run

__all__ = [
    "ComparedScores",
    "Explained",
    "ScorePlan",
    "Study",
    "UserError",
    "Verdict",
    "compare",
    "explain",
    "load_study",
    "methods",
    "run",
]

_PUBLIC = {
    "ComparedScores": "analysis.compare_scores",
    "Explained": "analysis.explain",
    "ScorePlan": "analysis.compare_scores",
    "Study": "imbalance_bench.python",
    "UserError": "imbalance_bench.errors",
    "Verdict": "analysis.verdicts",
    "compare": "analysis.compare_scores",
    "explain": "analysis.explain",
    "load_study": "imbalance_bench.python",
    "methods": "imbalance_bench.python",
    "run": "imbalance_bench.python",
}

require_own_packages()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'imbalance_bench' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
