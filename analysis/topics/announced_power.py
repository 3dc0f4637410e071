"""Whether the power that the plan announced holds for the study that was run."""

from typing import Any

import numpy as np
from scipy import stats

from analysis.scoring.pairs import compared_methods
from analysis.scoring.spread import Spread, spread_of
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Verdict, data_limit

POINT = 0.01
CONFIDENCE = 0.95  # with which a deviation is larger than supposed
RULE = (
    "limited: fewer slides or seeds, or more methods, than `analysis.power` of the plan supposes, or a deviation that "
    "is larger with 95 % certainty (chi squared)"
)


def analyze(context: Context) -> TopicResult:
    """Compare the announced design and deviations with the study; no verdict if no power was announced."""
    announced = context.records.plan()["analysis"].get("power")
    if announced is None:
        return TopicResult({})
    spread = spread_of(context.study, context.plan)
    design = {
        "slides": max((len(units.units) for units in context.units.values()), default=0),
        "seeds": min((len(units.seeds) for units in context.units.values()), default=0),
        "methods": len(compared_methods(context.study, context.plan)),
    }
    verdict = power_verdict(announced, design, spread)
    return TopicResult({}, () if verdict is None else (verdict,))


def power_verdict(announced: dict[str, Any], design: dict[str, int], spread: Spread | None) -> Verdict | None:
    """Say where the study has less power than the announced one; None if nowhere.

    Args:
        announced: Content of `imbalance_bench.power_section.PowerSection`.
        design: Numbers of slides, seeds and methods that were run; methods that have a control.
        spread: Standard deviations of the study; None if they cannot be estimated.
    """
    shortfalls = [
        f"{announced[key]} {key} ({design[key]} were run)"
        for key in ("slides", "seeds", "methods")
        if (design[key] > announced[key] if key == "methods" else design[key] < announced[key])
    ]
    numbers: dict[str, Any] = {f"run_{name}": value for name, value in design.items()} | dict(announced)
    if spread is not None:
        numbers |= {f"run_{name}": getattr(spread, name) / POINT for name in ("slide_sd", "seed_sd", "noise_sd")}
        shortfalls += [
            f"a deviation over {over} of {announced[name]:g} points (it is {getattr(spread, name) / POINT:.1f})"
            for name, over, df in (("slide_sd", "slides", spread.slides - 1), ("seed_sd", "seeds", spread.seeds - 1))
            if is_larger(getattr(spread, name) / POINT, float(announced[name]), df)
        ]
    if not shortfalls:
        return None
    smallest = announced.get("smallest_difference")
    size = "" if smallest is None else f" of {smallest:g} points"
    sentence = (
        f"The power that was announced does not hold for this study: it supposed {', '.join(shortfalls)}, so that a "
        f"difference{size} may go unnoticed more often than announced."
    )
    return data_limit("power", "announced power", sentence, RULE, numbers)


def is_larger(deviation: float, supposed: float, df: int) -> bool:
    """Return whether a standard deviation with df degrees of freedom is larger than supposed, with 95 % confidence."""
    if df < 1 or not np.isfinite(deviation):
        return False
    if supposed == 0:
        return deviation > 0
    return bool(df * (deviation / supposed) ** 2 > stats.chi2.ppf(CONFIDENCE, df))
