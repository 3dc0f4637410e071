"""Do runs agree on the classes? This is asked separately over seeds, over folds and over training sets."""

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from analysis.explanation.evidence import OVER_WORDS
from analysis.schema.names import estimand_words
from analysis.statistics.intraclass_correlation import (
    SAME,
    SEEDS,
    TRAINING_SETS,
    Reliability,
    mean_share,
    reliabilities,
    shared_in_one_division,
)
from analysis.study.class_points import ClassPoints
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text


def agreement_rows(
    points: ClassPoints, method: str, quantity: str, training_overlap: Mapping[str, np.ndarray] | None = None
) -> list[dict[str, Any]]:
    """Return rows of table `reliability` without `verdict`: over seeds, and with several folds over these too.

    The last row decides whether the quantity is correlated with anything.

    Args:
        points: What was learned.
        method: Of `points`.
        quantity: Of `points`.
        training_overlap: As `analysis.explain.explain` takes it.
    """
    values, folds = points.complete_seeds()
    shared = _shared(list(dict.fromkeys(folds)), set(points.data_sets), training_overlap or {})
    rows = reliabilities(values, folds, list(points.data_sets), shared=shared)
    context = {"n_folds": len(set(folds)), "starts": tuple(dict.fromkeys(points.starts.names))}
    return [
        {"method": method, "estimand": quantity, "over": row.over, "icc": row.icc, "low": row.low, "high": row.high}
        | {"p": row.p, "without_best": row.without_best, "n_seeds": row.n_raters, "n_classes": row.n_classes}
        | {"decides": row is rows[-1], "obstacle": _obstacle(row, points, len(set(folds)), mean_share(shared))}
        | context
        for row in rows
    ]


def _shared(folds: list[str], data_sets: Set[str], training_overlap: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the share of training images that the folds have in common in the data set where it is largest, (F, F)."""
    shared = [shared_in_one_division(len(folds))] if data_sets - training_overlap.keys() else []
    for name in sorted(data_sets & training_overlap.keys()):
        places = [int(fold) for fold in folds]
        shared.append(training_overlap[name][np.ix_(places, places)])
    return max(shared, key=mean_share, default=np.ones((1, 1)))


def _obstacle(row: Reliability, points: ClassPoints, n_folds: int, share: float) -> str:
    """Return why a reliability cannot be estimated, as the end of a sentence; "" where it can."""
    starts = points.starts
    several = len(set(starts.names)) > 1
    classes = max(points.data_sets.count(name) for name in points.data_sets) if points.data_sets else 0
    if math.isfinite(row.icc):
        return ""
    if row.n_raters < 1:
        return "no seed has a value of every class from every start" if several else "no run has a value of every class"
    if row.n_raters < 2:
        return f"there is one {'seed, whose runs from several starts are not independent' if several else 'run'}"
    if classes < 2:
        return "there is one class"
    if row.over == SEEDS and row.n_raters == n_folds:
        return "each fold has one seed"
    if row.over == TRAINING_SETS and share >= SAME:
        return "all folds trained on the same images"
    if starts.kind == "one" and classes == 2:
        return "given the start, two classes leave nothing that could differ"
    if starts.kind == "one":
        return "it follows its start exactly, so that nothing is left to agree on"
    return "it is the same for every class"


def agreement_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `agreement_rows`."""
    subject = f"{estimand_words(row['estimand'])} of {row['method']}"
    over, floor = OVER_WORDS[row["over"]], plan.reliability_floor
    rule = (
        f"reliable: ICC(3,k) over {over} >= {floor:g}, also without the data set that agrees most, and more than "
        f"chance (p < {plan.alpha:g}); not_testable: fewer than two seeds with every class, the mean over several "
        "starts counting once, or nothing varies"
    )
    if not math.isfinite(row["icc"]):
        word = Word.NOT_TESTABLE
        sentence = f"Whether the {subject} is reliable over {over} cannot be tested: {row['obstacle']}."
    else:
        word = Word.RELIABLE if _reliable(row, plan) else Word.UNRELIABLE
        interval = f"ICC {row['icc']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
        agree = "agree" if word == Word.RELIABLE else "are not shown to agree"
        sentence = f"{_counted(row)} {agree} on the {subject} ({interval})."
        if word == Word.UNRELIABLE and row["icc"] >= floor and row["p"] >= plan.alpha:
            sentence += f" It is not shown to be more than chance would give ({p_text(row['p'])})."
        elif word == Word.UNRELIABLE and row["icc"] >= floor:
            sentence += f" One data set alone agrees; over the others the ICC is {row['without_best']:.2f}."
        elif word == Word.RELIABLE and row["low"] < floor:
            sentence += f" The interval reaches below the floor of {floor:g}: more {over} would help."
        if row["over"] == "seeds":
            sentence += " This is agreement over seeds, not over other training sets."
    return Verdict(
        topic=Topic.RELIABILITY,
        aspect="" if row["decides"] else row["over"],
        method=row["method"],
        estimand=row["estimand"],
        subject=subject,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in ("icc", "low", "high", "p", "without_best", "n_seeds", "n_classes")},
        rule=rule,
    )


def _reliable(row: Mapping[str, Any], plan: AnalysisPlan) -> bool:
    enough = row["icc"] >= plan.reliability_floor and not row["without_best"] < plan.reliability_floor
    return enough and row["p"] < plan.alpha


def _counted(row: Mapping[str, Any]) -> str:
    n = int(row["n_seeds"])
    return {
        "seeds": _seeds(n, row["n_folds"], row["starts"]),
        "folds": f"{n} folds, whose training images overlap,",
        TRAINING_SETS: f"Training sets ({n} folds, corrected for the images they share)",
    }[row["over"]]


def _seeds(n: int, n_folds: int, starts: Sequence[str]) -> str:
    if len(starts) < 2:
        return f"Seeds ({n} runs)"
    mean = f"each the mean over the starts of {', '.join(starts[:-1])} and {starts[-1]},"
    return f"{n} seeds, {mean}" if n_folds < 2 else f"{n // n_folds} seeds in each of {n_folds} folds, {mean}"
