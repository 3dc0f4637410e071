"""Conversion of a table of the analysis to a table of the report, with a function for the cells of each column."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import CONSTRUCT, signed, words
from analysis.report.tables import Cell, Column, ReportTable, estimate_cell, number_cell, p_cell, verdict_cell
from analysis.schema.names import MACRO

Row = dict[Any, Any]
MakeCell = Callable[[Row], Cell]


@dataclass(frozen=True)
class Detail:
    """A table of the report made from one table of the analysis.

    Args:
        name: Key of `analysis.schema.COLUMNS`, and name of the download.
        title: Heading.
        caption: How to read it.
        columns: Heading -> function of a row that returns its cell.
        keep: Function that selects the rows to show; the download contains all.
    """

    name: str
    title: str
    caption: str
    columns: dict[str, MakeCell]
    keep: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows

    def build(self, study: AnalysedStudy) -> ReportTable:
        """Build the table from the analysis, for the aggregation of the headline results."""
        data = study.table(self.name)
        shown = _of_aggregation(self.keep(data), study.aggregation)
        rows = [[make(row) for make in self.columns.values()] for row in shown.to_dict("records")]
        return ReportTable(
            self.name, self.title, [Column(heading) for heading in self.columns], rows, data, self.caption
        )


def _of_aggregation(rows: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    return rows[rows["aggregation"] == aggregation] if "aggregation" in rows else rows


def text(column: str) -> MakeCell:
    """Return a function that formats an identifier as words."""
    return lambda row: Cell("all classes (macro)" if row[column] == MACRO else words(str(row[column])))


def name(column: str) -> MakeCell:
    """Return a function that formats a name given by the user, shown unchanged."""
    return lambda row: Cell("all classes (macro)" if row[column] == MACRO else str(row[column]))


def number(column: str, decimals: int, *, with_sign: bool = False) -> MakeCell:
    """Return a function that formats a number with this many decimals."""
    return lambda row: number_cell(row[column], decimals, with_sign=with_sign)


def measured(column: str) -> MakeCell:
    """Return a function that formats a number whose scale depends on the row."""
    return lambda row: number_cell(row[column], None)


def percent(column: str) -> MakeCell:
    """Return a function that formats a share in per cent."""

    def cell(row: Row) -> Cell:
        value = row[column]
        return number_cell(value, 1) if pd.isna(value) else Cell(f"{signed(100 * value, 1)} %", sort=repr(float(value)))

    return cell


def span(value: str, low: str, high: str, decimals: int = 3, *, with_sign: bool = False) -> MakeCell:
    """Return a function that formats a number with its interval below."""
    return lambda row: estimate_cell(row[value], row[low], row[high], decimals=decimals, with_sign=with_sign)


def p(column: str) -> MakeCell:
    """Return a function that formats a p value."""
    return lambda row: p_cell(row[column])


def verdict(row: Row) -> Cell:
    """Return the cell of the verdict with its tone."""
    return verdict_cell(row["verdict"])


def construct(row: Row) -> Cell:
    """Return the cell of the construct, with its measure as a note."""
    kind = str(row["construct"])
    return Cell(CONSTRUCT.get(kind, kind.capitalize()), note=words(str(row["measure"])))


def rival(row: Row) -> Cell:
    """Return the cell that marks the nearest rival."""
    return Cell("nearest rival" if row["nearest_rival"] else "")


def agreement(row: Row) -> Cell:
    """Return the cell that tells whether the finding agrees with the truth."""
    outcome, mark = {"yes": ("found", "found"), "no": ("contradicted", "worse")}.get(
        str(row["agrees"]), ("open", "open")
    )
    return Cell(outcome, tone=mark)
