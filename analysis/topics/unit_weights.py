"""Which units carry pooled scores, and whether a larger unit that was not sampled would change them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from analysis.scoring.units import Ratios, effective_units
from analysis.verdicts import Verdict, data_limit

FEWEST_EFFECTIVE = 6  # effective number of units on which a pooled score should rest
LEAST_SHARE = 0.5  # effective share of the units on which it should rest if scores depend on weights
ALPHA = 0.05  # level of the test whether they do
MOST_NAMED = 3  # units in a sentence
RULE = (
    f"limited: the effective number of units (Kish 1965) is below {FEWEST_EFFECTIVE} and two thirds of all, or below "
    f"half of all while scores go with weights (Kendall's tau, p < {ALPHA:g})"
)


def weights_verdict(pooled: Ratios, units: Sequence[str], class_names: Sequence[str], unit: str) -> Verdict | None:
    """Name the units that carry pooled scores, if these are few, or if large units score differently; else None.

    An interval over the sampled units cannot account for a large one that was not sampled. This does not matter if
    scores do not depend on weights. If they do, studies without a large unit have the shortest intervals and the
    largest errors.

    Args:
        pooled: Pooled Dice of any method: the truth, which determines the weights, is the same for all.
        units: U ids.
        class_names: K names.
        unit: "group" or "image".
    """
    weight = pooled.denominator.mean(axis=0) * pooled.counted  # (U, K)
    share, effective = weight / np.maximum(weight.sum(axis=0), 1e-300), effective_units(pooled)
    class_texts, numbers = [], {}
    for column, name in enumerate(class_names):
        n = int(pooled.counted[:, column].sum())
        if n < 2:
            continue
        few = bool(effective[column] < min(FEWEST_EFFECTIVE, 2 * n / 3))
        tau = _weight_score_tau(pooled, column) if effective[column] < LEAST_SHARE * n else 0.0
        if not few and not tau:
            continue
        heaviest = np.argsort(-share[:, column], kind="stable")[:MOST_NAMED]
        heaviest_text = ", ".join(f"{units[u]} {share[u, column]:.0%}" for u in heaviest)
        trend = f"; large ones score {'better' if tau > 0 else 'worse'} than small ones" if tau else ""
        class_texts.append(f"{name} on {effective[column]:.1f} of {n} ({heaviest_text}{trend})")
        numbers[name] = _numbers(effective[column], n, share[:, column], tau)
    if not class_texts:
        return None
    sentence = (
        f"Pooled scores rest on few {unit}s, because large ones weigh more (effective number, and who weighs most): "
        f"{'; '.join(class_texts)}. Another {unit} like these could change them; means over {unit}s weigh all alike."
    )
    return data_limit("weights", "pooled scores", sentence, RULE, numbers)


def _numbers(effective: float, n: int, share: np.ndarray, tau: float) -> dict[str, Any]:
    return {"effective_units": float(effective), "n_units": n, "largest_share": float(share.max()), "tau": tau}


def _weight_score_tau(pooled: Ratios, column: int) -> float:
    """Return Kendall's tau of weight and score over the units that have a class; 0 if it is not significant."""
    rows = (pooled.counted[:, column] > 0) & (pooled.denominator[..., column].mean(axis=0) > 0)
    weight = pooled.denominator[:, rows, column].mean(axis=0)
    score = pooled.numerator[:, rows, column].mean(axis=0) / weight
    if len(weight) < 3 or np.ptp(weight) == 0 or np.ptp(score) == 0:
        return 0.0
    tau, p = (float(value) for value in stats.kendalltau(weight, score))  # pyright: ignore[reportArgumentType]
    return tau if p < ALPHA else 0.0
