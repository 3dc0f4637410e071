"""Whether the final bias is what was learned, or where it started."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.bias import ESTIMAND_WORDS
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import judged_table, rows_of
from analysis.inertia import inertia
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word

_RULES = {
    "one_start": "inertia: the 95 % interval over runs of the change, as a share of the start's spread, lies below "
    "{moved:g}; not_supported: it lies above; undecided: it holds it; not_testable: a cold start, or one run",
    "several_starts": "inertia: the 95 % interval over seeds of the share of a difference between starts that is left "
    "lies above {kept:g}; not_supported: it lies below; undecided: it holds it; not_testable: starts do not differ, or "
    "one seed",
}


def chapter(found: Findings) -> Chapter:
    """Describe the way of every bias from its start; compare starts where a method was given several."""
    frame = inertia(found.study)
    judged = [inertia_verdict(row, found.plan) for row in rows_of(frame)]
    return Chapter({"inertia": judged_table("inertia", frame, judged)}, tuple(judged))


def inertia_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of `inertia`."""
    several, limit = row["view"] == "several_starts", plan.inertia_kept
    what = f"{ESTIMAND_WORDS[row['estimand']]} of {row['starts']}"
    middle, low, high = (
        row[key] for key in (("kept", "low", "high") if several else ("moved", "moved_low", "moved_high"))
    )
    interval = f"95 % interval over {row['n_runs']} runs {low:.2f} to {high:.2f}"
    if math.isnan(middle):
        word = Word.NOT_TESTABLE
        tail = "cannot be tested: its starts do not differ" if several else "cannot be tested: it had a cold start"
    elif math.isnan(low):
        word, tail = Word.NOT_TESTABLE, "cannot be tested with one run"
    else:
        stays, leaves = (low > limit, high < limit) if several else (high < 1 - limit, low > 1 - limit)
        word = Word.INERTIA if stays else Word.NOT_SUPPORTED if leaves else Word.UNDECIDED
        verb = {Word.INERTIA: "stands", Word.NOT_SUPPORTED: "does not stand", Word.UNDECIDED: "is undecided"}[word]
        if several:
            tail = f"{verb}: {middle:.2f} of a difference between starts is left at the end ({interval})"
        else:
            tail = f"{verb}: its change spreads over classes {middle:.2f} times as far as its start ({interval})"
    sentence = f"Inertia of the {what} {tail}."
    if not several and word == Word.NOT_SUPPORTED and row["correlation"] > limit:
        sentence += (
            f" Its order is still that of its start (correlation {row['correlation']:+.2f}): only other starts tell."
        )
    identity = f"inertia/{'starts/' if several else ''}{row['method']}/{row['estimand']}"
    keys = ("kept", "low", "high", "moved", "moved_low", "moved_high", "correlation", "decay", "n_starts", "n_runs")
    numbers = {key: row[key] for key in (*keys, "n_classes")}
    rule = _RULES[row["view"]].format(kept=limit, moved=1 - limit)
    return Verdict(identity, Topic.INERTIA, what, word, sentence, numbers, rule)
