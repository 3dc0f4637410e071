"""The content of the tables for papers, independent of their format."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import AGGREGATION, CONSTRUCT, given_start, probability, words
from analysis.schema.names import MACRO

NOTHING = "--"  # in place of a missing number


class Mark(StrEnum):
    """The statistical result for a cell. Every format writes a mark in its own way."""

    NONE = ""
    BEST = "best"
    SHARED_BEST = "shared_best"
    SECOND = "second"
    SHARED_SECOND = "shared_second"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"


MEANING = {
    Mark.BEST: "best: every other method is shown to be behind",
    Mark.SHARED_BEST: "shares first place: not shown to be behind the greatest mean",
    Mark.SECOND: "second: shown to be behind the best, and ahead of all others",
    Mark.SHARED_SECOND: "shown to be behind the best, sharing second place",
    Mark.BETTER: "better than the control",
    Mark.WORSE: "worse than the control",
    Mark.EQUIVALENT: "equivalent to the control",
}


@dataclass(frozen=True)
class PaperCell:
    """One cell: a number or a name, the small text below it, and its mark."""

    text: str
    below: str = ""
    mark: Mark = Mark.NONE


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Args:
        name: File name without suffix, and label.
        caption: How to read it.
        columns: Headings.
        rows: Cells; the first of a row names it.
        grouped_by: Number of leading columns that name a group of rows; LaTeX writes them on a separate line, and the
            next column names the row.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[PaperCell]]
    grouped_by: int = 0

    @property
    def marks(self) -> list[Mark]:
        """The marks that occur, in the order of their definition."""
        used = {cell.mark for row in self.rows for cell in row}
        return [mark for mark in MEANING if mark in used]


def score_table(study: AnalysedStudy) -> PaperTable:
    """Return the Dice of every method, overall and per class, with intervals and the tiers of leaders.csv."""
    scores = study.table("method_scores")
    scores = scores[(scores["metric"] == "dice") & (scores["aggregation"] == study.aggregation)]
    by_key = {(row["method"], row["class"]): row for row in scores.to_dict("records")}
    marks = {(row["method"], row["class"]): str(row["mark"]) for row in study.table("leaders").to_dict("records")}
    rows = []
    for method in study.methods:
        cells = [PaperCell(method)]
        for name in (MACRO, *study.class_names):
            row = by_key.get((method, name))
            mark_name = marks.get((method, name), "")
            mark = Mark(mark_name) if mark_name in list(Mark) else Mark.NONE
            cells.append(PaperCell(NOTHING) if row is None else _estimate(row["mean"], row["low"], row["high"], mark))
        rows.append(cells)
    how = AGGREGATION.get(study.aggregation, study.aggregation)
    over = "units, seeds and folds" if study.scored_folds > 1 else "units and seeds"
    caption = f"Dice on {study.dataset['name']}, {how}, with 95 % intervals over {over}."
    return PaperTable("paper_scores", caption, ["method", MACRO, *study.class_names], rows)


def difference_table(study: AnalysedStudy) -> PaperTable:
    """Return the difference of every method to its control, overall and per class, with the verdicts."""
    comparisons = study.table("comparisons")
    by_key = {(row["method"], row["class"]): row for row in comparisons.to_dict("records")}
    rows = []
    for method in [method for method in study.methods if method in set(comparisons["method"])]:
        cells = [PaperCell(method)]
        for name in (MACRO, *study.class_names):
            row = by_key.get((method, name))
            if row is None:
                cells.append(PaperCell(NOTHING))
                continue
            mark = Mark(row["verdict"]) if row["verdict"] in list(Mark) else Mark.NONE
            cells.append(_estimate(row["difference"], row["low"], row["high"], mark, with_sign=True))
        rows.append(cells)
    control = " or ".join(study.controls)
    caption = f"Difference in Dice to {control} on {study.dataset['name']}, paired, with 95 % intervals."
    return PaperTable("paper_differences", caption, ["method", MACRO, *study.class_names], rows)


def effect_table(study: AnalysedStudy) -> PaperTable:
    """Return the effect sizes of every method in macro Dice, and the probability of a practical difference."""
    rows = study.table("comparisons")
    probable = {(row["method"], row["class"]): row for row in study.table("practical_differences").to_dict("records")}
    cells = []
    for row in rows[rows["class"] == MACRO].to_dict("records"):
        mark = Mark(row["verdict"]) if row["verdict"] in list(Mark) else Mark.NONE
        regions = probable.get((row["method"], MACRO), {})
        cells.append(
            [
                PaperCell(str(row["method"])),
                _estimate(row["difference"], row["low"], row["high"], mark, with_sign=True),
                PaperCell(_p(row["p_holm"])),
                PaperCell(_number(row["superiority"], 2)),
                PaperCell(_number(row["cliffs_delta"], 2, with_sign=True)),
                *(PaperCell(_number(regions.get(name, float("nan")), 2)) for name in _REGIONS.values()),
                PaperCell(words(str(row["verdict"]))),
            ]
        )
    caption = (
        f"Effect sizes in macro Dice against {' or '.join(study.controls)} on {study.dataset['name']}, paired; "
        "probabilities are posterior ones of a difference beyond or within the margin."
    )
    columns = ["method", "difference", "p (Holm)", "share ahead", "Cliff's delta", *_REGIONS, "verdict"]
    return PaperTable("paper_effects", caption, columns, cells)


_REGIONS = {"P(worse)": "p_worse", "P(equivalent)": "p_equivalent", "P(better)": "p_better"}


def association_table(study: AnalysedStudy) -> PaperTable:
    """Return the primary associations of the learned quantities of every method, with their attainable p."""
    rows = study.table("associations")
    rows = rows[rows["primary"]]
    cells = [
        [
            PaperCell(str(row["method"])),
            PaperCell(words(str(row["estimand"]))),
            PaperCell(CONSTRUCT.get(str(row["construct"]), str(row["construct"])), below=words(str(row["measure"]))),
            PaperCell(_number(row["spearman"], 2, with_sign=True), below=given_start(row)),
            PaperCell(_p(row["p_spearman"])),
            PaperCell(_p(row["p_holm"])),
            PaperCell(_p(row["min_p"])),
            PaperCell(_number(row["n_classes"], 0)),
            PaperCell(words(str(row["verdict"]))),
        ]
        for row in rows.to_dict("records")
    ]
    caption = (
        f"Spearman correlation of what was learned with class difficulty on {study.dataset['name']}, by rank tests; of "
        "several starts, what is left of them is taken off."
    )
    columns = ["method", "learned", "class measure", "rho", "p", "p (corrected)", "smallest p", "K", "verdict"]
    return PaperTable("paper_associations", caption, columns, cells, grouped_by=2)


def _estimate(value: float, low: float, high: float, mark: Mark, *, with_sign: bool = False) -> PaperCell:
    if pd.isna(value):
        return PaperCell(NOTHING)
    write = lambda number: _number(number, 3, with_sign=with_sign)  # noqa: E731
    below = "" if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"
    return PaperCell(write(value), below, mark)


def _number(value: float, decimals: int, *, with_sign: bool = False) -> str:
    """Return a number as text with an ASCII minus; each format replaces it by its own."""
    return NOTHING if pd.isna(value) else f"{value:{'+' if with_sign else ''}.{decimals}f}"


def _p(value: float) -> str:
    return NOTHING if pd.isna(value) else probability(value).removeprefix("= ")
