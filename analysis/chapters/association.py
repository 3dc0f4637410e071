"""What the learned bias goes together with, class by class."""

import math
from collections.abc import Mapping
from typing import Any

from analysis import standing
from analysis.associations import associate
from analysis.bias import ESTIMAND_WORDS
from analysis.chapters.findings import Chapter, Findings
from analysis.columns import judged_table, rows_of
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text


def chapter(found: Findings) -> Chapter:
    """Correlate every estimand with every measure; primary ones become verdicts, the others stay in the table."""
    associated = associate(found.tables["learned_bias"], found.tables["measures"], found.plan)
    judged = [
        association_verdict(row, found.plan, found.word(f"reliability/{row['method']}/{row['estimand']}"))
        for row in rows_of(associated)
    ]
    primary = [each for each, kept in zip(judged, associated["primary"], strict=True) if kept]
    tests = standing.primary_tests(found.tables["measures"])
    possible = standing.correlation_attainability(found.n_occurring, tests, found.plan)
    return Chapter({"associations": judged_table("associations", associated, judged)}, (possible, *primary))


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
    elif row["min_p"] * row["family"] >= plan.alpha * (1 - 1e-9):
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
    kind = "" if row["primary"] else "exploratory/"
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
        f"association/{kind}{method}/{estimand}/{measure}",
        Topic.ASSOCIATION,
        what,
        word,
        sentence,
        {key: row[key] for key in keys},
        rule,
    )
