"""One paragraph on how methods were compared and with which results, to be pasted into a paper.

Modelled on the paragraph that autorank writes (Herbold 2020). It repeats the verdicts of this study, so nothing is
tested again and no test is chosen after seeing the results.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema import rows_of
from analysis.schema.names import MACRO
from analysis.verdicts import Word

_HEADINGS = {
    Word.BETTER: "Better than the control",
    Word.WORSE: "Worse",
    Word.EQUIVALENT: "Practically equivalent to it",
    Word.UNDECIDED: "Undecided",
    Word.NOT_TESTABLE: "Not testable",
}


def comparison_paragraph(study: AnalysedStudy) -> str:
    """Return the paragraph in plain text, with ASCII minus signs; empty if nothing was compared."""
    rows = [row for row in rows_of(study.table("comparisons")) if row["class"] == MACRO]
    if not rows:
        return ""
    results = [_result(word, [row for row in rows if row["verdict"] == word]) for word in _HEADINGS]
    return " ".join([_design(study, rows), *filter(None, results), _order(study)]).strip() + "\n"


def _design(study: AnalysedStudy, rows: Sequence[Mapping[str, Any]]) -> str:
    units, unit = int(max(row["n_units"] for row in rows)), str(rows[0]["unit"])
    least, most = (int(pick(row["n_seeds"] for row in rows)) for pick in (min, max))
    seeds = _counted(most, "seed") if least == most else f"{least} to {most} seeds"
    plan = study.plan.get("analysis", {})
    alpha, margin = float(plan.get("alpha", 0.05)), float(plan.get("rope_dice", 0.01))
    family = int(max(row["family"] for row in rows))
    corrected = f"after Holm's correction over {family} comparisons " if family > 1 else ""
    return (
        f"On {study.dataset['name']}, {_counted(len(rows), 'method')} {'was' if len(rows) == 1 else 'were'} compared "
        f"with {' or '.join(study.controls)} on macro Dice over {_counted(units, unit)} and {seeds}, paired by {unit} "
        f"and seed. Seeds were averaged within a {unit}; intervals join the variation over {unit}s (jackknife, "
        f"Student's t) and over seeds{_over_folds(study)}, and every p value inverts its interval. A method was called "
        f"better or worse at a familywise level of {alpha:g} {corrected}and equivalent where two one-sided tests place "
        f"the difference within +-{margin:g}, a margin fixed before training."
    )


def _over_folds(study: AnalysedStudy) -> str:
    folds = study.scored_folds
    return f" and, as models of {folds} folds are not independent, over folds (Nadeau and Bengio 2003)" * (folds > 1)


def _result(word: Word, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    ordered = sorted(rows, key=lambda row: -row["difference"] if math.isfinite(row["difference"]) else math.inf)
    return f"{_HEADINGS[word]}: {'; '.join(map(_effect, ordered))}."


def _effect(row: Mapping[str, Any]) -> str:
    """Return one difference with its interval, p and two effect sizes, as far as available."""
    parts = []
    if math.isfinite(row["difference"]):
        parts.append(f"difference {row['difference']:+.3f}")
    if math.isfinite(row["low"]):
        parts.append(f"95 % interval {row['low']:+.3f} to {row['high']:+.3f}")
    if math.isfinite(row["p_holm"]):
        parts.append(f"p {'< 0.001' if row['p_holm'] < 0.001 else '= ' + format(row['p_holm'], '.3f')} corrected")
    if math.isfinite(row["superiority"]):
        parts.append(f"ahead in {row['superiority']:.0%} of {row['unit']}s".replace("%", " %"))
    if math.isfinite(row["cliffs_delta"]):
        parts.append(f"Cliff's delta {row['cliffs_delta']:+.2f}")
    return f"{row['method']} ({', '.join(parts)})" if parts else str(row["method"])


def _order(study: AnalysedStudy) -> str:
    rows = study.table("rankings")
    rows = rows[(rows["class"] == MACRO) & (rows["aggregation"] == study.aggregation) & rows["score"].notna()]
    if rows.empty:
        return ""
    ranked = [f"{row['method']} ({row['score']:.3f})" for row in rows.to_dict("records")]
    return f"In the order of their mean: {', '.join(ranked)}; the order is described, not tested."


def _counted(n: int, name: str) -> str:
    return f"{n} {name}{'s' * (n != 1)}"
