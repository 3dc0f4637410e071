"""Tables in, verdicts out: what the values that runs learned about each class follow. `analyze` uses nothing else."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.explanation.agreement import agreement_rows, agreement_verdict
from analysis.explanation.association import association_rows, association_verdict, corrected_associations
from analysis.explanation.evidence import DIFFICULTY, Subject, attainable_together, corrected, headline_step
from analysis.explanation.headline import headline_verdict
from analysis.explanation.partial import HEADLINE, partial_rows, partial_verdict
from analysis.explanation.shares import share_rows
from analysis.explanation.slopes import refused_model, slope_rows, slope_verdict
from analysis.explanation.start import COLUMNS as START_COLUMNS
from analysis.explanation.start import change_follows_start, start_rows, start_verdict
from analysis.schema import TABLES as SCHEMA
from analysis.schema import judged_table, rows_of, table
from analysis.study.class_frames import FREQUENCY, measures_frame, quantities_frame
from analysis.study.class_points import class_points
from analysis.study.measure_grid import MeasureGrid
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Verdict, Word
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS

TABLES = ("reliability", "inertia", "associations", "partial_associations", "mixed_models", "partition")


@dataclass(frozen=True)
class Explained:
    """What the quantities follow.

    Args:
        tables: Name in TABLES -> frame; `analysis.schema.TABLES` says what the columns mean.
        verdicts: The headline of each primary quantity first, then the verdicts that it rests on.
    """

    tables: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]

    def word(self, method: str, quantity: str | None = None) -> Word | None:
        """Return the headline on a method, and on one of its quantities if there are several."""
        for verdict in self.verdicts:
            if (verdict.topic, verdict.method) == ("explanation", method) and quantity in (None, verdict.estimand):
                return verdict.word
        return None


def explain(
    quantities: pd.DataFrame,
    measures: pd.DataFrame,
    plan: AnalysisPlan | Mapping[str, Any] | None = None,
    *,
    explored: Collection[str] = (),
    training_overlap: Mapping[str, np.ndarray] | None = None,
) -> Explained:
    """Explain what methods learned about classes: were they rare, or hard?

    Classes are compared within data sets only, and within families where these are given. A name that occurs in several
    data sets is one class.

    Args:
        quantities: One row per data set, method, fold, seed and class: columns `data_set`, `method`, `class`, `value`
            and, optionally, `model`, `fold`, `seed`, `family`, `quantity`, `start`, `start_name`
            (`analysis.study.class_frames.QUANTITIES` says what each means).
        measures: One row per data set, class and measure: `data_set`, `class`, `measure`, `construct`, `value`,
            `standard_error`, `reliability`, `n`, `primary` (`MEASURES`).
        plan: The plan, or changes to the default one, such as `{"hypotheses": ["frequency"]}`.
        explored: Names of quantities whose associations are only explored: nothing is concluded from them.
        training_overlap: Data set -> (F, F) share of their training images that folds 0 to F - 1 have in common. The
            folds of other data sets are read as those of one division, which is conservative where it was repeated.

    Returns:
        Tables and verdicts; the same frames and plan give the same bits.

    Raises:
        UserError: A frame or the plan is not as described; the message names the value and says what to write.
    """
    plan = plan if isinstance(plan, AnalysisPlan) else AnalysisPlan.default(**(plan or {}))
    quantities, grid = quantities_frame(quantities), MeasureGrid.of(measures_frame(measures))
    runs = _Runs.of(quantities, plan, explored, training_overlap)
    subjects = runs.subjects
    associations = corrected_associations(
        [row for subject in subjects for row in association_rows(subject, grid, plan)], plan
    )
    subject_of = {(subject.method, subject.quantity): subject for subject in subjects}
    association_verdicts = [
        association_verdict(row, plan, subject_of[row["method"], row["estimand"]]) for row in rows_of(associations)
    ]
    primary = [
        verdict for verdict, is_primary in zip(association_verdicts, associations["primary"], strict=True) if is_primary
    ]
    cases = [_Case.of(subject, grid, plan) for subject in subjects if subject.primary]
    correction = _correct_headlines(cases, plan)
    judged_cases = [case.judge(primary, plan, correction) for case in cases]
    inertia = pd.DataFrame(runs.start_rows, columns=list(START_COLUMNS))
    tables = {
        "reliability": judged_table("reliability", pd.DataFrame(runs.agreement_rows), _words(runs.agreement_verdicts)),
        "inertia": judged_table("inertia", inertia, _words(runs.start_verdicts)),
        "associations": judged_table("associations", associations, _words(association_verdicts)),
        "partial_associations": _table_of_cases("partial_associations", cases, [case.partial for case in judged_cases]),
        "mixed_models": _table_of_cases("mixed_models", cases, [case.slopes for case in judged_cases]),
        "partition": table("partition", [case.keys | row for case in cases for row in case.rows["partition"]]),
    }
    verdicts = [case.headline for case in judged_cases] + [*runs.agreement_verdicts, *runs.start_verdicts, *primary]
    for case in judged_cases:
        verdicts += case.evidence
    return Explained(tables, tuple(verdicts))


@dataclass(frozen=True)
class _Runs:
    """What is known about each quantity before anything is correlated: do runs agree, and what is left of the start?"""

    subjects: list[Subject]
    agreement_rows: list[dict[str, Any]]
    agreement_verdicts: list[Verdict]
    start_rows: list[dict[str, Any]]
    start_verdicts: list[Verdict]

    @classmethod
    def of(
        cls,
        quantities: pd.DataFrame,
        plan: AnalysisPlan,
        explored: Collection[str],
        training_overlap: Mapping[str, np.ndarray] | None,
    ) -> "_Runs":
        """Look at every quantity of every method, in the order of the frame."""
        pairs = list(quantities[["method", "quantity"]].drop_duplicates().itertuples(index=False, name=None))
        confirmatory = {quantity for _, quantity in pairs} - {*explored}
        primary = confirmatory & set(PRIMARY_ESTIMANDS) or confirmatory
        runs = cls([], [], [], [], [])
        for method, quantity in pairs:
            points = class_points(quantities, method, quantity)
            agreement = agreement_rows(points, method, quantity, training_overlap)
            agreement_verdicts = [agreement_verdict(row, plan) for row in agreement]
            starts = start_rows(quantities, points, method, quantity)
            start_verdicts = [start_verdict(row, plan) for row in starts]
            runs.agreement_rows.extend(agreement)
            runs.agreement_verdicts.extend(agreement_verdicts)
            if quantity not in _SAME_START or _SAME_START[quantity] not in confirmatory:
                runs.start_rows.extend(starts)
                runs.start_verdicts.extend(start_verdicts)
            reliability = agreement_verdicts[-1].word if agreement_verdicts[-1].word != Word.NOT_TESTABLE else None
            inertia = start_verdicts[-1].word if start_verdicts else None
            over = str(agreement[-1]["over"])
            runs.subjects.append(Subject(method, quantity, quantity in primary, points, reliability, over, inertia))
        return runs


_SAME_START = {"change": "learned"}  # two names for the same course from start to end, which is reported once


@dataclass(frozen=True)
class _JudgedCase:
    headline: Verdict
    partial: list[Verdict]
    slopes: list[Verdict]
    evidence: list[Verdict]


@dataclass(frozen=True)
class _Case:
    """One primary quantity of one method against all primary measures at once."""

    subject: Subject
    rows: dict[str, list[dict[str, Any]]]
    decay: tuple[float, float]
    n_data_sets: int

    @classmethod
    def of(cls, subject: Subject, grid: MeasureGrid, plan: AnalysisPlan) -> "_Case":
        """Compute what needs no correction; no rows where frequency or every other construct is missing."""
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

    def judge(self, associations: Sequence[Verdict], plan: AnalysisPlan, correction: str) -> _JudgedCase:
        """Judge every row, and combine the verdicts into the headline."""
        subject = self.subject
        partial = [partial_verdict(row, plan, subject) for row in self.rows["partial_associations"]]
        model_rows = self.rows["mixed_models"]
        slopes = [slope_verdict(row, plan, subject) for row in model_rows]
        own_associations = [
            association
            for association in associations
            if (association.method, association.estimand) == (subject.method, subject.quantity)
        ]
        shares = {row["component"]: float(row["adjusted"]) for row in self.rows["partition"] if row["kind"] == "share"}
        headline = headline_verdict(subject, partial, own_associations, slopes, shares, self.decay, plan, correction)
        refused = bool(model_rows) and bool(model_rows[0]["refusal"])
        evidence = [*partial, *([refused_model(model_rows[0], subject)] if refused else slopes)]
        return _JudgedCase(headline, partial, slopes, evidence)


def _correct_headlines(cases: Sequence[_Case], plan: AnalysisPlan) -> str:
    """Correct the tests of all headlines together, and the single constructs of each case by Holm.

    Which construct of difficulty is followed is asked only where difficulty as a whole is found (serial gatekeeping,
    Westfall and Krishen 2001), so that no single construct is shown beside a headline that finds nothing.

    Returns:
        How the headlines were corrected, in words.
    """
    rows = [row for case in cases for row in case.rows["partial_associations"]]
    main = [row for row in rows if row["construct"] in HEADLINE]
    _correct(main, [headline_step(row["construct"], plan) for row in main], plan)
    for case in cases:
        single = [row for row in case.rows["partial_associations"] if row["construct"] not in HEADLINE]
        _correct(single, [None] * len(single), plan)
        whole = next((row for row in case.rows["partial_associations"] if row["construct"] == DIFFICULTY), None)
        for row in single:
            row["correction"] = "Holm over the constructs of difficulty, after difficulty as a whole"
            row["attainable"] = row["attainable"] and whole is not None and whole["attainable"]
            if whole is not None and not math.isnan(whole["p_adjusted"]):
                row["p_adjusted"] = max(row["p_adjusted"], whole["p_adjusted"])
    n_cases = len({id(case) for case in cases if case.rows["partial_associations"]})
    family = f"{n_cases} methods and quantities" if n_cases > 1 else "this method and quantity"
    procedure = (
        f"the fixed sequence {', '.join(plan.hypotheses)}" if plan.hypotheses else "Holm over frequency and difficulty"
    )
    for row in main:
        row["correction"] = f"{procedure} of {family} together"
    return f"{procedure} of {family} together"


def _correct(rows: Sequence[dict[str, Any]], steps: Sequence[int | None], plan: AnalysisPlan) -> None:
    """Add p_adjusted, family and attainable to the rows of one family."""
    tested = [index for index, row in enumerate(rows) if not math.isnan(row["p"])]
    for row in rows:
        row |= {"p_adjusted": math.nan, "family": len(tested), "attainable": False}
    own_steps = [steps[index] for index in tested]
    adjusted = corrected([rows[index]["p"] for index in tested], own_steps)
    attainable = attainable_together([rows[index] for index in tested], own_steps, plan.alpha)
    for index, p, is_attainable in zip(tested, adjusted, attainable, strict=True):
        rows[index].update(p_adjusted=float(p), attainable=is_attainable)


def _table_of_cases(name: str, cases: Sequence[_Case], verdicts_of_cases: Sequence[Sequence[Verdict]]) -> pd.DataFrame:
    """Return one table with the rows of all cases."""
    rows = [case.keys | row for case in cases for row in case.rows[name]]
    words = [verdict.word for verdicts in verdicts_of_cases for verdict in verdicts]
    return judged_table(name, pd.DataFrame(rows, columns=None if rows else list(SCHEMA[name].columns)), words)


def _words(verdicts: Sequence[Verdict]) -> list[Word]:
    return [verdict.word for verdict in verdicts]
