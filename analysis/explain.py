"""Tables in, verdicts out: what the values that runs learned of each class follow. `analyze` uses nothing else."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.explanation.agreement import agreement_rows, agreement_verdict
from analysis.explanation.association import association_rows, association_verdict, corrected_associations
from analysis.explanation.evidence import Subject, attainable_together, corrected, headline_step
from analysis.explanation.headline import headline_verdict
from analysis.explanation.partial import HEADLINE, partial_rows, partial_verdict
from analysis.explanation.shares import share_rows
from analysis.explanation.slopes import refused_model, slope_rows, slope_verdict
from analysis.explanation.start import COLUMNS as START_COLUMNS
from analysis.explanation.start import change_follows_start, start_rows, start_verdict
from analysis.schema import TABLES as SCHEMA
from analysis.schema import judged_table, rows_of, table
from analysis.study.class_frames import FREQUENCY, measures_frame, quantities_frame
from analysis.study.class_points import MeasureGrid, class_points
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Verdict, Word
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS

TABLES = ("reliability", "inertia", "associations", "partial_associations", "mixed_models", "partition")


@dataclass(frozen=True)
class Explained:
    """What the quantities follow.

    Args:
        tables: Name in TABLES -> frame; `analysis.schema.TABLES` says what the columns mean.
        verdicts: The headline of each primary quantity first, then what it rests on.
    """

    tables: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]

    def word(self, method: str, quantity: str | None = None) -> Word | None:
        """Return the headline on a method; of several quantities, on the one that is named."""
        found = [verdict for verdict in self.verdicts if verdict.topic == "explanation" and verdict.method == method]
        return next((each.word for each in found if quantity in (None, each.estimand)), None)


def explain(
    quantities: pd.DataFrame,
    measures: pd.DataFrame,
    plan: AnalysisPlan | Mapping[str, Any] | None = None,
    *,
    explored: Collection[str] = (),
) -> Explained:
    """Explain what methods learned about classes: were they rare, or hard?

    Classes are compared within data sets only, and within families where these are given. A name that occurs in several
    data sets is one class.

    Args:
        quantities: One row per data set, method, fold, seed and class: columns `data_set`, `method`, `class`, `value`
            and, where there is something to say, `model`, `fold`, `seed`, `family`, `quantity`, `start`, `start_name`
            (`analysis.study.class_frames.QUANTITIES` says what each means).
        measures: One row per data set, class and measure: `data_set`, `class`, `measure`, `construct`, `value`,
            `standard_error`, `reliability`, `n`, `primary` (`MEASURES`).
        plan: The plan, or changes to the default one, such as `{"hypotheses": ["frequency"]}`.
        explored: Names of quantities of which associations are explored only, and nothing is concluded.

    Returns:
        Tables and verdicts; same frames and plan, same bits.

    Raises:
        UserError: A frame or the plan is not as described; the message says which value and what to write.
    """
    plan = plan if isinstance(plan, AnalysisPlan) else AnalysisPlan.default(**(plan or {}))
    quantities, grid = quantities_frame(quantities), MeasureGrid.of(measures_frame(measures))
    runs = _Runs.of(quantities, plan, explored)
    subjects = runs.subjects
    associations = corrected_associations(
        [row for subject in subjects for row in association_rows(subject, grid, plan)], plan
    )
    by_key = {(subject.method, subject.quantity): subject for subject in subjects}
    alone = [association_verdict(row, plan, by_key[row["method"], row["estimand"]]) for row in rows_of(associations)]
    primary = [each for each, kept in zip(alone, associations["primary"], strict=True) if kept]
    cases = [_Case.of(subject, grid, plan) for subject in subjects if subject.primary]
    correction = _correct_headlines(cases, plan)
    judged = [case.judged(primary, plan, correction) for case in cases]
    tables = {
        "reliability": judged_table("reliability", pd.DataFrame(runs.agreement), _words(runs.agree)),
        "inertia": judged_table(
            "inertia", pd.DataFrame(runs.ways, columns=list(START_COLUMNS)), _words(runs.way_verdicts)
        ),
        "associations": judged_table("associations", associations, _words(alone)),
        "partial_associations": _joined("partial_associations", cases, [verdict.partial for verdict in judged]),
        "mixed_models": _joined("mixed_models", cases, [verdict.slopes for verdict in judged]),
        "partition": table("partition", [case.keys | row for case in cases for row in case.rows["partition"]]),
    }
    verdicts = [verdict.headline for verdict in judged] + [*runs.agree, *runs.way_verdicts, *primary]
    for verdict in judged:
        verdicts += verdict.below
    return Explained(tables, tuple(verdicts))


@dataclass(frozen=True)
class _Runs:
    """What is known of each quantity before anything is correlated: do runs agree, and what is left of the start?"""

    subjects: list[Subject]
    agreement: list[dict[str, Any]]
    agree: list[Verdict]
    ways: list[dict[str, Any]]
    way_verdicts: list[Verdict]

    @classmethod
    def of(cls, quantities: pd.DataFrame, plan: AnalysisPlan, explored: Collection[str]) -> "_Runs":
        """Look at every quantity of every method, in the order of the frame."""
        pairs = list(quantities[["method", "quantity"]].drop_duplicates().itertuples(index=False, name=None))
        named = {quantity for _, quantity in pairs} - {*explored}
        fixed = named & set(PRIMARY_ESTIMANDS) or named
        found = cls([], [], [], [], [])
        for method, quantity in pairs:
            points = class_points(quantities, method, quantity)
            agreement = agreement_rows(points, method, quantity)
            agree = [agreement_verdict(row, plan) for row in agreement]
            ways = start_rows(quantities, points, method, quantity)
            way_verdicts = [start_verdict(row, plan) for row in ways]
            found.agreement.extend(agreement)
            found.agree.extend(agree)
            if quantity not in _SAME_START or _SAME_START[quantity] not in named:
                found.ways.extend(ways)
                found.way_verdicts.extend(way_verdicts)
            known = agree[-1].word if agree[-1].word != Word.NOT_TESTABLE else None
            inertia = way_verdicts[-1].word if way_verdicts else None
            over = str(agreement[-1]["over"])
            found.subjects.append(Subject(method, quantity, quantity in fixed, points, known, over, inertia))
        return found


_SAME_START = {"change": "learned"}  # two names of one way from start to end, which is told once


@dataclass(frozen=True)
class _Judged:
    headline: Verdict
    partial: list[Verdict]
    slopes: list[Verdict]
    below: list[Verdict]


@dataclass(frozen=True)
class _Case:
    """One primary quantity of one method against all primary measures at once."""

    subject: Subject
    rows: dict[str, list[dict[str, Any]]]
    decay: tuple[float, float]
    n_data_sets: int

    @classmethod
    def of(cls, subject: Subject, grid: MeasureGrid, plan: AnalysisPlan) -> "_Case":
        """Compute what needs no correction; nothing where frequency or every other construct is missing."""
        points = subject.points.with_measures(grid, grid.primary)
        name = f"{subject.method}/{subject.quantity}"
        rows: dict[str, list[dict[str, Any]]] = {"partial_associations": [], "mixed_models": [], "partition": []}
        if len(points.values) and points.constructs[:1] == (FREQUENCY,) and points.difficulty:
            rows["partial_associations"] = partial_rows(points, plan, name)
            rows["mixed_models"] = slope_rows(points)
            rows["partition"] = share_rows(points, plan, name)
        return cls(subject, rows, change_follows_start(subject.points, plan, name), points.n_data_sets)

    @property
    def keys(self) -> dict[str, object]:
        """Columns that name the case in every table."""
        return {"method": self.subject.method, "estimand": self.subject.quantity}

    def judged(self, associations: Sequence[Verdict], plan: AnalysisPlan, correction: str) -> _Judged:
        """Judge every row, and put the headline together."""
        subject = self.subject
        partial = [partial_verdict(row, plan, subject) for row in self.rows["partial_associations"]]
        models = self.rows["mixed_models"]
        slopes = [slope_verdict(row, plan, subject) for row in models]
        own = [
            association
            for association in associations
            if (association.method, association.estimand) == (subject.method, subject.quantity)
        ]
        shares = {row["component"]: float(row["adjusted"]) for row in self.rows["partition"] if row["kind"] == "share"}
        headline = headline_verdict(subject, partial, own, slopes, shares, self.decay, plan, correction)
        refused = bool(models) and bool(models[0]["refusal"])
        below = [*partial, *([refused_model(models[0], subject)] if refused else slopes)]
        return _Judged(headline, partial, slopes, below)


def _correct_headlines(cases: Sequence[_Case], plan: AnalysisPlan) -> str:
    """Correct the tests of all headlines together, the single constructs of each case by Holm; say how, in words."""
    every = [row for each in cases for row in each.rows["partial_associations"]]
    main = [row for row in every if row["construct"] in HEADLINE]
    _correct(main, [headline_step(row["construct"], plan) for row in main], plan)
    for case in cases:
        rest = [row for row in case.rows["partial_associations"] if row["construct"] not in HEADLINE]
        _correct(rest, [None] * len(rest), plan)
        for row in rest:
            row["correction"] = "Holm over the constructs of difficulty"
    n = len({id(case) for case in cases if case.rows["partial_associations"]})
    over = f"{n} methods and quantities" if n > 1 else "this method and quantity"
    how = (
        f"the fixed sequence {', '.join(plan.hypotheses)}" if plan.hypotheses else "Holm over frequency and difficulty"
    )
    for row in main:
        row["correction"] = f"{how} of {over} together"
    return f"{how} of {over} together"


def _correct(rows: Sequence[dict[str, Any]], steps: Sequence[int | None], plan: AnalysisPlan) -> None:
    """Add p_adjusted, family and attainable to the rows of one family."""
    tested = [place for place, row in enumerate(rows) if not math.isnan(row["p"])]
    for row in rows:
        row |= {"p_adjusted": math.nan, "family": len(tested), "attainable": False}
    own = [steps[place] for place in tested]
    adjusted = corrected([rows[place]["p"] for place in tested], own)
    possible = attainable_together([rows[place] for place in tested], own, plan.alpha)
    for place, p, can in zip(tested, adjusted, possible, strict=True):
        rows[place].update(p_adjusted=float(p), attainable=can)


def _joined(name: str, cases: Sequence[_Case], judged: Sequence[Sequence[Verdict]]) -> pd.DataFrame:
    """Return a table of all cases."""
    rows = [case.keys | row for case in cases for row in case.rows[name]]
    words = [verdict.word for verdicts in judged for verdict in verdicts]
    return judged_table(name, pd.DataFrame(rows, columns=None if rows else list(SCHEMA[name].columns)), words)


def _words(verdicts: Sequence[Verdict]) -> list[Word]:
    return [verdict.word for verdict in verdicts]
