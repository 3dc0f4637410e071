"""Whether the power that the plan announced holds for the study that was run."""

from typing import Any

import numpy as np
from scipy import stats

from analysis.scoring.pairs import compared_methods
from analysis.scoring.spread import Spread, n_folds, spread_of
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Verdict, data_limit

POINT = 0.01
CONFIDENCE = 0.95  # with which a deviation is larger than supposed
RULE = (
    "limited: fewer slides, seeds or folds, or more methods, than `analysis.power` of the plan supposes, folds where "
    "it supposes one test set, or a deviation that is larger with 95 % certainty (chi squared; over folds F)"
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
        "folds": max((n_folds(units.folds) for units in context.units.values()), default=1),
    }
    verdict = power_verdict(announced, design, spread)
    return TopicResult({}, () if verdict is None else (verdict,))


def power_verdict(announced: dict[str, Any], design: dict[str, int], spread: Spread | None) -> Verdict | None:
    """Say where the study has less power than the announced one; None if nowhere.

    Args:
        announced: Content of `imbalance_bench.power_section.PowerSection`.
        design: Numbers of slides, seeds, methods and folds that were run; methods that have a control.
        spread: Standard deviations of the study; None if they cannot be estimated.
    """
    shortfalls = [
        f"{announced[key]} {key} ({design[key]} were run)"
        for key in ("slides", "seeds", "methods")
        if (design[key] > announced[key] if key == "methods" else design[key] < announced[key])
    ]
    supposed_folds = announced.get("folds") or 1  # before folds were announced, power was that of one test set
    if 1 < design["folds"] < supposed_folds or design["folds"] > supposed_folds == 1:
        shortfalls.append(f"{_folds(supposed_folds)} ({design['folds']} were run)")
    numbers: dict[str, Any] = {f"run_{name}": value for name, value in design.items()} | dict(announced)
    if spread is not None:
        sds = ("slide_sd", "seed_sd", "noise_sd", *(("fold_sd",) if spread.folds > 1 else ()))
        numbers |= {f"run_{name}": getattr(spread, name) / POINT for name in sds}
        shortfalls += [
            f"a deviation over {over} of {announced[name]:g} points (it is {getattr(spread, name) / POINT:.1f})"
            for name, over, df in (("slide_sd", "slides", spread.slides - 1), ("seed_sd", "seeds", spread.seeds - 1))
            if is_larger(getattr(spread, name) / POINT, float(announced[name]), df)
        ]
        supposed = float(announced.get("fold_sd") or 0.0)
        if folds_differ_more(spread, supposed * POINT):
            seen = f"it is {spread.fold_sd / POINT:.1f}"
            shortfalls.append(f"a deviation over folds of {supposed:g} points beyond their slides ({seen})")
    if not shortfalls:
        return None
    smallest = announced.get("smallest_difference")
    size = "" if smallest is None else f" of {smallest:g} points"
    sentence = (
        f"The power that was announced does not hold for this study: it supposed {', '.join(shortfalls)}, so that a "
        f"difference{size} may go unnoticed more often than announced."
    )
    return data_limit("power", "announced power", sentence, RULE, numbers)


def _folds(n: int) -> str:
    return "one test set" if n == 1 else f"{n} folds"


def is_larger(deviation: float, supposed: float, df: int) -> bool:
    """Return whether a standard deviation with df degrees of freedom is larger than supposed, with 95 % confidence."""
    if df < 1 or not np.isfinite(deviation):
        return False
    if supposed == 0:
        return deviation > 0
    return bool(df * (deviation / supposed) ** 2 > stats.chi2.ppf(CONFIDENCE, df))


def folds_differ_more(spread: Spread, supposed: float) -> bool:
    """Return whether folds differ more than their slides and the supposed deviation make them, with 95 % confidence.

    Args:
        spread: Standard deviations of the study.
        supposed: Standard deviation over folds beyond their slides, Dice.
    """
    within = spread.slides - spread.folds
    if spread.folds < 2 or within < 1 or spread.fold_sd <= supposed:
        return False
    of_slides = spread.fold_error_of_slides**2
    largest = stats.f.ppf(CONFIDENCE, spread.folds - 1, within) * (supposed**2 + of_slides)
    return bool(spread.fold_sd**2 + of_slides > largest)
