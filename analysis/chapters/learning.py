"""What the methods learned about the classes, and whether runs agree on it."""

import math
from collections.abc import Mapping
from typing import Any

from analysis import bias
from analysis.bias import ESTIMAND_WORDS
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import rows_of
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word


def chapter(found: Findings) -> Chapter:
    """Tabulate learned biases and their course; judge their reliability over runs."""
    learned = bias.learned_bias(found.study)
    reliability = bias.reliability(learned)
    tables = {
        "learned_bias": learned,
        "bias_trajectories": bias.trajectories(found.study),
        "reliability": reliability,
    }
    return Chapter(tables, tuple(reliability_verdict(row, found.plan) for row in rows_of(reliability)))


def reliability_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of table `reliability`."""
    method, estimand = row["method"], row["estimand"]
    what = f"{ESTIMAND_WORDS[estimand]} of {method}"
    rule = f"reliable: ICC(3,k) >= {plan.reliability_floor:g}; not_testable: fewer than two runs, or nothing varies"
    numbers = {key: row[key] for key in ("icc", "low", "high", "n_seeds", "n_classes")}
    if not math.isfinite(row["icc"]):
        word = Word.NOT_TESTABLE
        reason = "there is one run" if row["n_seeds"] < 2 else "it is the same for every class"
        sentence = f"Whether the {what} is reliable cannot be tested: {reason}."
    else:
        word = Word.RELIABLE if row["icc"] >= plan.reliability_floor else Word.UNRELIABLE
        interval = f"ICC {row['icc']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
        agree = "agree" if word == Word.RELIABLE else "do not agree"
        sentence = f"{row['n_seeds']} runs {agree} on the {what} ({interval})."
        if word == Word.RELIABLE and row["low"] < plan.reliability_floor:
            sentence += f" The interval reaches below the floor of {plan.reliability_floor:g}: more seeds would help."
    return Verdict(f"reliability/{method}/{estimand}", Topic.RELIABILITY, what, word, sentence, numbers, rule)
