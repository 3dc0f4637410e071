"""Whether the study that was run is the one whose power was announced in its plan."""

from typing import Any

import numpy as np
from scipy import stats

from analysis.scoring.spread import Spread, spread_of
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Verdict, data_limit

POINT = 0.01
CERTAINTY = 0.95  # that a deviation is larger than was supposed
RULE = (
    "limited: fewer slides or seeds, or more methods, than `analysis.power` of the plan supposes, or a deviation that "
    "is larger with 95 % certainty (chi squared)"
)


def analyze(context: Context) -> TopicResult:
    """Compare the announced design and deviations with the study; nothing where no power was announced."""
    announced = context.records.plan()["analysis"].get("power")
    if announced is None:
        return TopicResult({})
    found = spread_of(context.study, context.plan)
    design = {
        "slides": max((len(units.units) for units in context.units.values()), default=0),
        "seeds": min((len(units.seeds) for units in context.units.values()), default=0),
        "methods": max(len(context.study.methods) - 1, 0),
    }
    verdict = power_verdict(announced, design, found)
    return TopicResult({}, () if verdict is None else (verdict,))


def power_verdict(announced: dict[str, Any], design: dict[str, int], found: Spread | None) -> Verdict | None:
    """Say where the study differs from the announced one to its disadvantage.

    Args:
        announced: Content of `imbalance_bench.power_section.PowerSection`.
        design: Slides, seeds and methods that were run; methods without the control.
        found: Deviations of the study; None where they cannot be estimated.
    """
    told = [
        f"{announced[name]} {name} ({design[name]} were run)"
        for name in ("slides", "seeds", "methods")
        if (design[name] > announced[name] if name == "methods" else design[name] < announced[name])
    ]
    numbers: dict[str, Any] = {f"run_{name}": value for name, value in design.items()} | dict(announced)
    if found is not None:
        numbers |= {f"run_{name}": getattr(found, name) / POINT for name in ("slide_sd", "seed_sd", "noise_sd")}
        told += [
            f"a deviation over {over} of {announced[name]:g} points (it is {getattr(found, name) / POINT:.1f})"
            for name, over, df in (("slide_sd", "slides", found.slides - 1), ("seed_sd", "seeds", found.seeds - 1))
            if is_larger(getattr(found, name) / POINT, float(announced[name]), df)
        ]
    if not told:
        return None
    smallest = announced.get("smallest_difference")
    shown = "" if smallest is None else f" of {smallest:g} points"
    sentence = (
        f"The power that was announced does not hold for this study: it supposed {', '.join(told)}, so that a "
        f"difference{shown} may go unnoticed more often than announced."
    )
    return data_limit("power", "announced power", sentence, RULE, numbers)


def is_larger(deviation: float, supposed: float, df: int) -> bool:
    """Say whether a standard deviation over df + 1 is larger than supposed, with 95 % certainty."""
    if df < 1 or not np.isfinite(deviation):
        return False
    if supposed == 0:
        return deviation > 0
    return bool(df * (deviation / supposed) ** 2 > stats.chi2.ppf(CERTAINTY, df))
