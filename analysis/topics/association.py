"""What the learned bias follows: every estimand against every measure, with corrections and verdicts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import judged_table, rows_of
from analysis.schema.names import ESTIMAND_WORDS, ESTIMANDS
from analysis.statistics.corrections import attainable, benjamini_hochberg, holm
from analysis.statistics.rank_association import rank_association
from analysis.study.runs import AnalysisPlan
from analysis.topics import study_limits
from analysis.topics.context import Context, TopicResult
from analysis.topics.learned_bias import class_means
from analysis.verdicts import Topic, Verdict, Word, p_text
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS
from imbalance_bench.seeding import generator


def associate(bias: pd.DataFrame, measures: pd.DataFrame, plan: AnalysisPlan) -> pd.DataFrame:
    """Correlate every estimand of every method with every measure over the classes.

    Args:
        bias: Table `learned_bias`.
        measures: Table `measures`.
        plan: The plan.

    Returns:
        Table `associations` without `verdict`, and in addition p_adjusted (p_holm or p_bh) and family, the number of
        tests corrected together.
    """
    rows = []
    grid = measures.pivot(index="class_id", columns="measure", values="value") if len(measures) else pd.DataFrame()
    kinds = measures.drop_duplicates("measure").set_index("measure")
    for method, estimand in _pairs(bias):
        x = class_means(bias, method, estimand, len(grid))
        for measure, kind in kinds.iterrows():
            rng = generator(plan.seed, "association", method, estimand, str(measure))
            found = rank_association(
                x, grid[measure].to_numpy(dtype=float), alpha=plan.alpha, permutations=plan.permutations, rng=rng
            )
            primary = bool(kind["primary"]) and estimand in PRIMARY_ESTIMANDS
            row = {"method": method, "estimand": estimand, "construct": kind["construct"], "measure": measure}
            row |= {"primary": primary, "n_classes": found.n, "spearman": found.spearman, "kendall": found.kendall}
            row |= {"p_spearman": found.p_spearman, "p_kendall": found.p_kendall}
            rows.append(row | {"min_p": found.min_p, "rho_needed": found.rho_needed})
    return _corrected(pd.DataFrame(rows, columns=_COLUMNS))


_COLUMNS = [
    *("method", "estimand", "construct", "measure", "primary", "n_classes", "spearman", "kendall", "p_spearman"),
    *("p_kendall", "min_p", "rho_needed"),
]


def _pairs(bias: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the methods and estimands there are, estimands in their fixed order."""
    methods = bias["method"].unique()
    there = set(zip(bias["method"], bias["estimand"], strict=True))
    return [(method, estimand) for method in methods for estimand in ESTIMANDS if (method, estimand) in there]


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Add Holm within the primary measures of a method and estimand, Benjamini-Hochberg over the rest."""
    frame = frame.assign(p_holm=np.nan, p_bh=np.nan, family=0)
    primary = frame["primary"].astype(bool)
    for _, part in frame[primary].groupby(["method", "estimand"], sort=False):
        frame.loc[part.index, "p_holm"] = holm(part["p_spearman"].to_numpy(dtype=float))
        frame.loc[part.index, "family"] = int(part["p_spearman"].notna().sum())
    rest = frame.index[~primary]
    frame.loc[rest, "p_bh"] = benjamini_hochberg(frame.loc[rest, "p_spearman"].to_numpy(dtype=float))
    frame.loc[rest, "family"] = 1
    return frame.assign(p_adjusted=frame["p_holm"].fillna(frame["p_bh"]))


def analyze(context: Context) -> TopicResult:
    """Correlate every estimand with every measure; primary ones become verdicts, the others stay in the table."""
    associated = associate(context.tables["learned_bias"], context.tables["measures"], context.plan)
    judged = [
        association_verdict(
            row, context.plan, context.word(Topic.RELIABILITY, method=row["method"], estimand=row["estimand"])
        )
        for row in rows_of(associated)
    ]
    primary = [each for each, kept in zip(judged, associated["primary"], strict=True) if kept]
    tests = study_limits.primary_tests(context.tables["measures"])
    possible = study_limits.correlation_attainability(context.n_occurring, tests, context.plan)
    return TopicResult(
        {"associations": judged_table("associations", associated, [each.word for each in judged])}, (possible, *primary)
    )


def association_verdict(row: Mapping[str, Any], plan: AnalysisPlan, reliability: Word | None) -> Verdict:
    """Judge one row of `associate`.

    Args:
        row: The row, with `family`, the tests corrected together, and `p_adjusted`.
        plan: The plan.
        reliability: Verdict on the reliability of this estimand of this method.
    """
    method, estimand, measure = row["method"], row["estimand"], row["measure"]
    what = f"{ESTIMAND_WORDS[estimand]} of {method} and {measure.replace('_', ' ')}"
    rule = (
        "not_testable: fewer than two runs, nothing varies, or the smallest possible p times the "
        f"{row['family']} tests corrected together is not below {plan.alpha:g}; unreliable: ICC(3,k) below "
        f"{plan.reliability_floor:g}; supported: corrected p < {plan.alpha:g}; else not_supported"
    )
    n = int(row["n_classes"])
    rho = f"Spearman's rho is {row['spearman']:+.2f} over {n} classes"
    if not math.isfinite(row["spearman"]):
        word, sentence = Word.NOT_TESTABLE, f"Association of the {what} cannot be tested: one of them does not vary."
    elif reliability not in (Word.RELIABLE, Word.UNRELIABLE):
        word = Word.NOT_TESTABLE
        sentence = f"Association of the {what} is not interpreted: with one run its reliability is unknown ({rho})."
    elif reliability == Word.UNRELIABLE:
        word, sentence = Word.UNRELIABLE, f"Association of the {what} is not interpreted: runs do not agree ({rho})."
    elif not attainable(row["min_p"], row["family"], plan.alpha):
        word = Word.NOT_TESTABLE
        sentence = (
            f"Association of the {what} is not testable with {n} classes: the smallest possible p is "
            f"{row['min_p']:.2g}, and {row['family']} tests are corrected together ({rho}, "
            f"{p_text(row['p_spearman'])} uncorrected)."
        )
    else:
        word = Word.SUPPORTED if row["p_adjusted"] < plan.alpha else Word.NOT_SUPPORTED
        verb = "go together" if word == Word.SUPPORTED else "are not shown to go together"
        sentence = f"The {what} {verb}: {rho}, {p_text(row['p_adjusted'])} corrected."
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
        method=method,
        estimand=estimand,
        measure=measure,
        subject=what,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in keys},
        rule=rule,
    )
