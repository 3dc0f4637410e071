"""Does the final value show what was learned, or where it started?

There are two views. With one start: how far the values moved, relative to the spread of the start, and whether the
change takes the start back. With several starts of one method (cold, prior, shuffled, inverted): the share of a
difference between starts that is still there at the end, class by class. Only the second view distinguishes a bias that
stays or decays from one that was learned.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema.names import estimand_words
from analysis.statistics.rank_association import rank_association
from analysis.statistics.strata import within_ranks
from analysis.study.class_points import ClassPoints, class_points
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.seeding import generator

TAKEN_BACK = 0.5  # decay where more than this share of the variation of the change takes the start back
COLUMNS = (
    *("method", "starts", "estimand", "view", "n_starts", "n_runs", "n_classes", "kept", "low", "high"),
    *("correlation", "moved", "moved_low", "moved_high", "decay", "taken_back", "taken_back_low", "taken_back_high"),
    "agreement",
)
_NUMBERS = COLUMNS[7:]
ONE, SEVERAL = "one_start", "several_starts"


def start_rows(quantities: pd.DataFrame, points: ClassPoints, method: str, quantity: str) -> list[dict[str, Any]]:
    """Return rows of table `inertia` without `verdict`: one per start, and one over several; none without a start."""
    starts = points.starts
    if starts.kind in ("unknown", "incomplete"):
        return []
    names = list(dict.fromkeys(starts.names))
    keys = {"method": method, "estimand": quantity}
    if len(names) < 2:
        return [keys | {"starts": names[0] or method} | _alone(points)]
    rows = [
        keys | {"starts": name} | _alone(class_points(quantities[quantities["start_name"] == name], method, quantity))
        for name in names
    ]
    row = keys | {"starts": ", ".join(names), "view": SEVERAL, "n_starts": len(names)} | dict.fromkeys(_NUMBERS, np.nan)
    row |= {"n_runs": starts.n_shared, "n_classes": len(points.values), "agreement": starts.agreement}
    if starts.share_left is not None:
        row |= {"kept": starts.share_left.mean, "low": starts.share_left.low, "high": starts.share_left.high}
    return [*rows, row]


def _alone(points: ClassPoints) -> dict[str, Any]:
    row = {"view": ONE, "n_starts": 1, "n_runs": _complete(points), "n_classes": len(points.values)}
    row |= dict.fromkeys(_NUMBERS, np.nan)
    movement = points.starts.movement
    if movement is None:
        return row
    row |= {"kept": movement.slope.mean, "low": movement.slope.low, "high": movement.slope.high}
    row |= {"correlation": movement.correlation, "moved": movement.moved.mean, "decay": movement.decay}
    row |= {"moved_low": movement.moved.low, "moved_high": movement.moved.high, "taken_back": movement.taken_back.mean}
    return row | {"taken_back_low": movement.taken_back.low, "taken_back_high": movement.taken_back.high}


def _complete(points: ClassPoints) -> int:
    return int(np.isfinite(points.values).all(axis=0).sum())


_RULES = {
    ONE: "inertia: the 95 % interval over runs of the change, as a share of the start's spread, lies below {moved:g}; "
    "decay: it does not, and that of the share of the change that takes the start back lies above {back:g}; "
    "not_supported: it lies above; undecided: it holds it; not_testable: a cold start, or one run",
    SEVERAL: "inertia: the 95 % interval over seeds of the share of a difference between starts that is left "
    "lies above {kept:g}; not_supported: it lies below; undecided: it holds it; not_testable: starts do not differ, or "
    "one seed",
}


def start_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `start_rows`."""
    several, limit = row["view"] == SEVERAL, plan.inertia_kept
    method_text = (
        row["method"] if several or row["starts"] == row["method"] else f"{row['method']} from {row['starts']}"
    )
    subject = f"{estimand_words(row['estimand'])} of {row['starts'] if several else method_text}"
    word = _word(row, limit)
    names = ("kept", "low", "high") if several else ("moved", "moved_low", "moved_high")
    middle, low, high = (row[key] for key in names)
    interval = f"95 % interval over {row['n_runs']} runs {low:.2f} to {high:.2f}"
    if several and row["n_runs"] < 1:
        tail = "cannot be tested: no seed has a value of every class from every start"
    elif math.isnan(middle):
        tail = "cannot be tested: its starts do not differ" if several else "cannot be tested: it had a cold start"
    elif math.isnan(low):
        tail = "cannot be tested with one run"
    elif several:
        tail = f"{_VERBS[word]}: {middle:.2f} of a difference between starts is left at the end ({interval})"
    else:
        tail = f"{_VERBS[word]}: its change spreads over classes {middle:.2f} times as far as its start ({interval})"
    sentence = f"Inertia of the {subject} {tail}."
    if word == Word.DECAY:
        sentence = (
            f"The {subject} decays: {row['taken_back']:.0%} of the variation of its change over classes takes the "
            f"start back (95 % interval over {row['n_runs']} runs {row['taken_back_low']:.0%} to "
            f"{row['taken_back_high']:.0%}; {row['kept']:.2f} of the start is left)."
        )
    elif not several and word == Word.NOT_SUPPORTED and row["correlation"] > limit:
        sentence += (
            f" Its order is still that of its start (correlation {row['correlation']:+.2f}): only other starts tell."
        )
    rule = _RULES[row["view"]].format(kept=limit, moved=1 - limit, back=TAKEN_BACK)
    return Verdict(
        topic=Topic.INERTIA,
        aspect="starts" if several else "" if row["starts"] == row["method"] else row["starts"],
        method=row["method"],
        estimand=row["estimand"],
        subject=subject,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in (*_NUMBERS, "n_starts", "n_runs", "n_classes")},
        rule=rule,
    )


_VERBS = {
    Word.INERTIA: "stands",
    Word.NOT_SUPPORTED: "does not stand",
    Word.UNDECIDED: "is undecided",
    Word.DECAY: "does not stand",
}


def _word(row: Mapping[str, Any], limit: float) -> Word:
    several = row["view"] == SEVERAL
    low, high = (row[key] for key in (("low", "high") if several else ("moved_low", "moved_high")))
    if math.isnan(low):
        return Word.NOT_TESTABLE
    stays, leaves = (low > limit, high < limit) if several else (high < 1 - limit, low > 1 - limit)
    if stays:
        return Word.INERTIA
    if not several and row["taken_back_low"] > TAKEN_BACK:
        return Word.DECAY
    return Word.NOT_SUPPORTED if leaves else Word.UNDECIDED


def change_follows_start(points: ClassPoints, plan: AnalysisPlan, name: str) -> tuple[float, float]:
    """Correlate the change with the one start that all runs had, over distinct classes.

    Returns:
        Spearman's rho and its p value; NaN unless all runs had one start.
    """
    if points.starts.kind != "one":
        return math.nan, math.nan
    start = np.nanmean(points.starts.values, axis=1)
    change = np.nanmean(points.values - points.starts.values, axis=1)
    start_effects, change_effects = (
        points.shared.effects(within_ranks(values, points.blocks)) for values in (start, change)
    )
    association = rank_association(
        *(change_effects, start_effects),
        alpha=plan.alpha,
        permutations=plan.permutations,
        rng=generator(plan.seed, "decay", name),
        strata=list(points.shared.stratum),
    )
    return association.spearman, association.p_spearman
