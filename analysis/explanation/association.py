"""Rank associations of a quantity with one measure at a time, over distinct classes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.explanation.evidence import (
    RELIABILITY_RULE,
    START_TEXT,
    Subject,
    attainable_together,
    corrected,
    hypothesis_step,
)
from analysis.schema import rows_of
from analysis.statistics.corrections import benjamini_hochberg
from analysis.statistics.partial_association import partial_association
from analysis.statistics.rank_association import rank_association
from analysis.study.class_points import ClassPoints, NamedPoints
from analysis.study.measure_grid import MeasureGrid
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text
from imbalance_bench.seeding import generator

FAMILY = ["method", "estimand"]
COLUMNS = (
    *(
        "method",
        "estimand",
        "construct",
        "measure",
        "primary",
        "given",
        "measured",
        "n_classes",
        "spearman",
        "kendall",
        "p_spearman",
    ),
    *("p_kendall", "min_p", "rho_needed", "vif_start", "reliability"),
)


def association_rows(subject: Subject, grid: MeasureGrid, plan: AnalysisPlan) -> list[dict[str, Any]]:
    """Correlate one quantity with every measure, given the start where all runs had the same one.

    Returns:
        Rows of table `associations` without corrected p; a row is primary if both its measure and its quantity are.
    """
    rows, ranks_of = [], _ranks_by_measure(subject.points, grid)
    for measure, construct in grid.constructs.items():
        row = {"method": subject.method, "estimand": subject.quantity, "construct": construct, "measure": measure}
        row |= {
            "primary": subject.primary and measure in grid.primary,
            "given": "start" if subject.start_unchecked else "",
            "measured": measure in ranks_of,
        }
        rng = generator(plan.seed, "association", subject.method, subject.quantity, measure)
        numbers = dict.fromkeys(COLUMNS, math.nan) | {"n_classes": 0, "min_p": 1.0, "vif_start": 1.0}
        if measure in ranks_of:
            named, ranks, numbers["reliability"] = ranks_of[measure]
            strata = list(named.strata)
            if subject.start_unchecked:
                partial = partial_association(
                    *(named.response, ranks[:, None], named.start),
                    permutations=plan.permutations,
                    rng=rng,
                    strata=strata,
                )
                numbers |= {"n_classes": partial.n, "spearman": partial.partial, "p_spearman": partial.p}
                numbers |= {"min_p": partial.min_p, "vif_start": partial.vif}
            else:
                plain = rank_association(
                    *(named.response, ranks),
                    alpha=plan.alpha,
                    permutations=plan.permutations,
                    rng=rng,
                    strata=strata,
                )
                numbers |= {"n_classes": plain.n} | {key: getattr(plain, key) for key in _PLAIN}
        rows.append(numbers | row)
    return rows


def _ranks_by_measure(points: ClassPoints, grid: MeasureGrid) -> dict[str, tuple[NamedPoints, np.ndarray, float]]:
    """Rank the classes that have each measure; those of measures that the same classes have are ranked once.

    Returns:
        Measure -> ranks of what was learned, ranks of the measure, (M,), and its reliability; without measures that
        fewer than two classes of a data set have.
    """
    if not grid.constructs:  # nothing was measured
        return {}
    measured = np.isfinite(grid.of_classes(points.data_sets, points.names).values)  # (N, measures)
    alike: dict[bytes, list[str]] = {}
    for name, column in zip(grid.constructs, measured.T, strict=True):
        alike.setdefault(column.tobytes(), []).append(name)
    found = {}
    for names in alike.values():
        of_names = points.with_measures(grid, names)
        if len(of_names.values) and of_names.measure_names:
            named = of_names.by_name()
            for name, ranks, reliability in zip(names, named.measures.T, of_names.reliability, strict=True):
                found[name] = named, ranks, float(reliability)
    return found


_PLAIN = ("spearman", "kendall", "p_spearman", "p_kendall", "min_p", "rho_needed")


def corrected_associations(rows: list[dict[str, Any]], plan: AnalysisPlan) -> pd.DataFrame:
    """Correct the primary measures of each method and quantity together, and all other rows by Benjamini-Hochberg.

    In a plan with hypotheses, only measures of their constructs are primary. As a headline may rest on them alone, they
    form one family over all methods and quantities.

    Returns:
        Rows with p_holm (primary), p_bh (others), p_adjusted (either), family and attainable.
    """
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    steps = [hypothesis_step(construct, plan) for construct in frame["construct"]]
    if plan.hypotheses:
        frame["primary"] = frame["primary"].astype(bool) & np.array([step is not None for step in steps], dtype=bool)
    frame = frame.assign(p_holm=np.nan, p_bh=np.nan, family=1, attainable=True)
    primary = frame[frame["primary"].astype(bool)]
    families = [primary] if plan.hypotheses else [family for _, family in primary.groupby(FAMILY, sort=False)]
    for family in families:
        tested = family[family["p_spearman"].notna()]
        own_steps = [steps[index] for index in tested.index]
        frame.loc[tested.index, "p_holm"] = corrected(list(tested["p_spearman"]), own_steps)
        frame.loc[family.index, "family"] = len(tested)
        frame.loc[tested.index, "attainable"] = attainable_together(rows_of(tested), own_steps, plan.alpha)
    exploratory = frame.index[~frame["primary"].astype(bool)]
    frame.loc[exploratory, "p_bh"] = benjamini_hochberg(frame.loc[exploratory, "p_spearman"].to_numpy(dtype=float))
    frame.loc[exploratory, "attainable"] = frame.loc[exploratory, "min_p"] < plan.alpha * (1 - 1e-9)
    return frame.assign(p_adjusted=frame["p_holm"].fillna(frame["p_bh"]))


def association_verdict(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject) -> Verdict:
    """Judge one row of `corrected_associations`."""
    subject_text = f"{subject.title} and {row['measure'].replace('_', ' ')}"
    correction = (
        "Benjamini-Hochberg over all exploratory rows" if not row["primary"] else CORRECTIONS[bool(plan.hypotheses)]
    )
    rule = (
        "not_testable: fewer than two runs, nothing varies, or no order of the classes could give "
        f"p < {plan.alpha:g} after correction; unreliable: {RELIABILITY_RULE.format(floor=plan.reliability_floor)}; "
        f"not_separable: the one start may explain it; supported: p < {plan.alpha:g} "
        f"after correction ({correction}, {WITHIN[bool(plan.hypotheses)]}); else not_supported"
    )
    word, sentence = _word(row, plan, subject, subject_text)
    keys = (
        "spearman",
        "kendall",
        "p_spearman",
        "p_kendall",
        "min_p",
        "rho_needed",
        "p_adjusted",
        "family",
        "n_classes",
    )
    return Verdict(
        topic=Topic.ASSOCIATION,
        aspect="" if row["primary"] else "exploratory",
        method=subject.method,
        estimand=subject.quantity,
        measure=row["measure"],
        subject=subject_text,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in (*keys, "reliability")},
        rule=rule,
    )


SMALLEST_GIVEN_START = 3  # classes: intercept, start and measure leave nothing
CORRECTIONS = {False: "Holm", True: "the fixed sequence of the plan"}
WITHIN = {False: "within this method and quantity", True: "over all methods and quantities together"}


def _missing(row: Mapping[str, Any]) -> str:
    """Why there is no correlation."""
    n = int(row["n_classes"])
    if not row["measured"]:
        return "the measure is not known of two classes of one data set"
    if row["given"] and n <= SMALLEST_GIVEN_START:
        return f"{n} classes are too few given the start"
    return "one of them does not vary"


def _word(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject, subject_text: str) -> tuple[Word, str]:
    n = int(row["n_classes"])
    given = " given the start" if row["given"] else ""
    same_as_start = bool(row["given"]) and math.isinf(row["vif_start"]) and n > SMALLEST_GIVEN_START
    rho = "" if same_as_start else f"Spearman's rho{given} is {row['spearman']:+.2f} over {n} classes"
    refusal = subject.unreliable_word
    if not math.isfinite(row["spearman"]) and not same_as_start:
        return Word.NOT_TESTABLE, f"Association of the {subject_text} cannot be tested: {_missing(row)}."
    if refusal is not None:
        return refusal, f"Association of the {subject_text} {subject.unreliable_text}{f' ({rho})' if rho else ''}."
    if same_as_start:
        return (
            Word.NOT_SEPARABLE,
            f"Whether the {subject_text} go together beyond the start cannot be told: {START_TEXT}.",
        )
    if row["reliability"] < plan.reliability_floor:
        reason = f"the measure is not reliable ({row['reliability']:.2f})"
        return Word.UNRELIABLE, f"Association of the {subject_text} is not interpreted: {reason} ({rho})."
    if not row["attainable"]:
        return Word.NOT_TESTABLE, (
            f"Association of the {subject_text} is not testable with {n} classes: the smallest possible p is "
            f"{row['min_p']:.2g}, and {row['family']} tests are corrected together ({rho}, "
            f"{p_text(row['p_spearman'])} uncorrected)."
        )
    if row["p_adjusted"] >= plan.alpha:
        return (
            Word.NOT_SUPPORTED,
            f"The {subject_text} are not shown to go together: {rho}, {p_text(row['p_adjusted'])} corrected.",
        )
    word = subject.cap(Word.SUPPORTED)
    if word != Word.SUPPORTED:
        return word, f"The {subject_text} go together ({rho}, {p_text(row['p_adjusted'])} corrected), but {START_TEXT}."
    return word, f"The {subject_text} go together: {rho}, {p_text(row['p_adjusted'])} corrected."
