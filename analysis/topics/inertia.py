"""Does the final bias say what was learned, or where it started?

Two views. One method alone: how far its bias moved, relative to the spread of its start. Several starts of one method
(cold, prior, shuffled, inverted): the share of a difference between starts that is still there at the end, class by
class. Only the second tells a bias that stays from a bias that learns what its start already said.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.schema import judged_table, rows_of
from analysis.schema.names import ESTIMAND_WORDS
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.topics.learned_bias import ends
from analysis.verdicts import Topic, Verdict, Word

START_OPTIONS = ("prior", "alpha", "gamma")  # options that move the start of a bias and nothing else
ESTIMANDS = ("learned", "effective_offset")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class MeanOverRuns:
    """Mean of a number over independent runs, with its t interval; NaN ends with one run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, level: float = 0.95) -> "MeanOverRuns":
        """Average (R,) values."""
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, float("nan"), float("nan"))
        reach = float(stats.t.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
        return cls(mean, mean - reach, mean + reach)


@dataclass(frozen=True)
class Movement:
    """How one method's bias moved from its start.

    Args:
        slope: Least-squares slope of the final bias on the initial one over classes.
        correlation: Pearson correlation of the final with the initial bias over classes, mean over runs.
        moved: Spread of the change over classes / spread of the start.
        decay: Pearson correlation of the change with the start, mean over runs; -1: the change takes the start back.
    """

    slope: MeanOverRuns
    correlation: float
    moved: MeanOverRuns
    decay: float


def movement(initial: np.ndarray, final: np.ndarray) -> Movement | None:
    """Describe the way from start to end; None if the start says nothing about classes (a cold start).

    Args:
        initial: (R, K) float, one row per run; classes with a NaN are left out.
        final: (R, K) float.
    """
    known = np.isfinite(initial).all(axis=0) & np.isfinite(final).all(axis=0)
    start, end = (each[:, known] - each[:, known].mean(axis=1, keepdims=True) for each in (initial, final))
    size = (start**2).sum(axis=1)
    if known.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    change = end - start
    slope = (start * end).sum(axis=1) / size
    moved = np.sqrt((change**2).sum(axis=1) / size)
    return Movement(
        MeanOverRuns.of(slope), _mean_correlation(start, end), MeanOverRuns.of(moved), _mean_correlation(start, change)
    )


def kept_share(initial: np.ndarray, final: np.ndarray) -> MeanOverRuns | None:
    """Return the share of a difference between starts that is left at the end: 0 forgotten, 1 kept.

    Per seed the least-squares slope of final on initial bias over starts x classes, with an intercept for each class,
    so that what a class learns from every start does not count; then the mean over seeds.

    Args:
        initial: (A, R, K) float: starts, seeds, classes; classes with a NaN are left out.
        final: (A, R, K) float.

    Returns:
        Mean and interval over seeds; None if the starts do not differ.
    """
    known = np.isfinite(initial).all(axis=(0, 1)) & np.isfinite(final).all(axis=(0, 1))
    start, end = (each[..., known] - each[..., known].mean(axis=2, keepdims=True) for each in (initial, final))
    start, end = (each - each.mean(axis=0) for each in (start, end))
    size = (start**2).sum(axis=(0, 2))
    if len(initial) < 2 or known.sum() < 2 or (size <= _TOLERANCE).any():
        return None
    return MeanOverRuns.of((start * end).sum(axis=(0, 2)) / size)


def inertia(study: StudyTables) -> pd.DataFrame:
    """Describe inertia of every method that has a start, and of every family of starts.

    Returns:
        Table `inertia` without `verdict`.
    """
    rows = []
    for estimand in ESTIMANDS:
        for method in study.methods:
            if _arranged(study.runs_of(method), study, "learned") is None:  # without a bias there is no start
                continue
            found = _arranged(study.runs_of(method), study, estimand)
            if found is not None:
                rows.append({"method": method, "starts": method, "estimand": estimand} | _of_method(*found))
        for family in families(study):
            rows += _of_family(family, study, estimand)
    return pd.DataFrame(rows, columns=list(COLUMNS))


COLUMNS = (
    *("method", "starts", "estimand", "view", "n_starts", "n_runs", "n_classes", "kept", "low", "high"),
    *("correlation", "moved", "moved_low", "moved_high", "decay"),
)


def families(study: StudyTables) -> list[list[str]]:
    """Return methods that differ in the start of their bias only, two or more together."""
    members: dict[str, list[str]] = {}
    for method in study.methods:
        run = study.runs_of(method)[0]
        parts: Sequence[Mapping[str, Any]] = run.manifest.get("method", {}).get("parts", ())
        options = [{key: value for key, value in part.items() if key not in START_OPTIONS} for part in parts]
        members.setdefault(json.dumps([run.architecture, options], sort_keys=True), []).append(method)
    return [family for family in members.values() if len(family) > 1]


def _of_method(initial: np.ndarray, final: np.ndarray) -> dict[str, Any]:
    found = movement(initial, final)
    row = {"view": "one_start", "n_starts": 1} | _sizes(initial, final)
    if found is None:
        return row | dict.fromkeys(COLUMNS[7:], np.nan)
    row |= {"kept": found.slope.mean, "low": found.slope.low, "high": found.slope.high}
    row |= {"correlation": found.correlation, "moved": found.moved.mean, "decay": found.decay}
    return row | {"moved_low": found.moved.low, "moved_high": found.moved.high}


def _of_family(family: list[str], study: StudyTables, estimand: str) -> list[dict[str, Any]]:
    runs = {method: {(run.fold, run.seed): run for run in study.runs_of(method)} for method in family}
    shared = sorted(set.intersection(*(set(each) for each in runs.values())))
    arranged = [_arranged([runs[method][key] for key in shared], study, estimand) for method in family]
    present = [each for each in arranged if each is not None]
    if not shared or len(present) < len(arranged):
        return []
    initial, final = (np.stack([each[side] for each in present]) for side in (0, 1))
    found = kept_share(initial, final)
    row = {"method": family[0], "starts": ", ".join(family), "estimand": estimand, "view": "several_starts"}
    row |= {"n_starts": len(family)} | _sizes(initial[0], final[0]) | dict.fromkeys(COLUMNS[7:], np.nan)
    return [row if found is None else row | {"kept": found.mean, "low": found.low, "high": found.high}]


def _arranged(runs: Sequence[RunData], study: StudyTables, estimand: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return initial and final values, (R, K) each; None if the runs have none."""
    found = [ends(run, np.array(study.occurring[run.fold])).get(estimand) for run in runs]
    pairs = [each for each in found if each is not None]
    if not pairs or len(pairs) < len(found):
        return None
    return np.stack([start for start, _ in pairs]), np.stack([end for _, end in pairs])


def _sizes(initial: np.ndarray, final: np.ndarray) -> dict[str, int]:
    known = np.isfinite(initial).all(axis=0) & np.isfinite(final).all(axis=0)
    return {"n_runs": len(initial), "n_classes": int(known.sum())}


def _mean_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over rows of the correlation of centred rows; NaN where a row does not vary."""
    a, b = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    if (size <= _TOLERANCE**2).any():
        return float("nan")
    return float(np.mean((a * b).sum(axis=1) / size))


_RULES = {
    "one_start": "inertia: the 95 % interval over runs of the change, as a share of the start's spread, lies below "
    "{moved:g}; not_supported: it lies above; undecided: it holds it; not_testable: a cold start, or one run",
    "several_starts": "inertia: the 95 % interval over seeds of the share of a difference between starts that is left "
    "lies above {kept:g}; not_supported: it lies below; undecided: it holds it; not_testable: starts do not differ, or "
    "one seed",
}


def analyze(context: Context) -> TopicResult:
    """Describe the way of every bias from its start; compare starts where a method was given several."""
    frame = inertia(context.study)
    judged = [inertia_verdict(row, context.plan) for row in rows_of(frame)]
    return TopicResult({"inertia": judged_table("inertia", frame, [each.word for each in judged])}, tuple(judged))


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
    keys = ("kept", "low", "high", "moved", "moved_low", "moved_high", "correlation", "decay", "n_starts", "n_runs")
    numbers = {key: row[key] for key in (*keys, "n_classes")}
    rule = _RULES[row["view"]].format(kept=limit, moved=1 - limit)
    return Verdict(
        topic=Topic.INERTIA,
        aspect="starts" if several else "",
        method=row["method"],
        estimand=row["estimand"],
        subject=what,
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )
