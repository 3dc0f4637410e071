"""Do runs agree on the classes? This is asked separately over seeds, over folds and over training sets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.explanation.evidence import OVER_WORDS
from analysis.schema.names import estimand_words
from analysis.statistics.intraclass_correlation import TRAINING_SETS, reliabilities
from analysis.study.class_points import ClassPoints
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word


def agreement_rows(points: ClassPoints, method: str, quantity: str) -> list[dict[str, Any]]:
    """Return rows of table `reliability` without `verdict`: over seeds, and with several folds over these too.

    The last row decides whether the quantity is correlated with anything.
    """
    values, folds = points.complete_runs()
    starts = tuple(dict.fromkeys(points.starts.names))
    rows = reliabilities(values, folds, list(points.data_sets))
    return [
        {"method": method, "estimand": quantity, "over": row.over, "icc": row.icc, "low": row.low, "high": row.high}
        | {"p": row.p, "without_best": row.without_best, "n_seeds": row.n_raters, "n_classes": row.n_classes}
        | {"decides": row is rows[-1], "starts": starts}
        for row in rows
    ]


def agreement_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `agreement_rows`."""
    subject = f"{estimand_words(row['estimand'])} of {row['method']}"
    over, floor = OVER_WORDS[row["over"]], plan.reliability_floor
    rule = (
        f"reliable: ICC(3,k) over {over} >= {floor:g}, also without the data set that agrees most"
        + (f", and more than chance (p < {plan.alpha:g})" if row["over"] == TRAINING_SETS else "")
        + "; not_testable: fewer than two runs with every class, or nothing varies"
    )
    if not math.isfinite(row["icc"]):
        word = Word.NOT_TESTABLE
        too_few = "no run has a value of every class" if row["n_seeds"] < 1 else "there is one run"
        reason = too_few if row["n_seeds"] < 2 else "it is the same for every class"
        sentence = f"Whether the {subject} is reliable over {over} cannot be tested: {reason}."
    else:
        word = Word.RELIABLE if _reliable(row, plan) else Word.UNRELIABLE
        interval = f"ICC {row['icc']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
        agree = "agree" if word == Word.RELIABLE else "are not shown to agree"
        sentence = f"{_counted(row)} {agree} on the {subject} ({interval})."
        if word == Word.UNRELIABLE and row["icc"] >= floor and row["without_best"] < floor:
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
    return enough and (row["over"] != TRAINING_SETS or row["p"] < plan.alpha)


def _counted(row: Mapping[str, Any]) -> str:
    n = int(row["n_seeds"])
    return {
        "seeds": f"Seeds ({n} runs{_from(row['starts'])})",
        "folds": f"{n} folds, whose training images overlap,",
        TRAINING_SETS: f"Training sets ({n} folds, corrected for the images they share)",
    }[row["over"]]


def _from(starts: Sequence[str]) -> str:
    return f" from the starts of {', '.join(starts[:-1])} and {starts[-1]}" if len(starts) > 1 else ""
