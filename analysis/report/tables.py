"""Tables of the report: rows of the analysis, formatted, sortable, and downloadable as they were computed."""

import base64
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import CONSTRUCT, DASH, given_start, number, probability, signed, significant, tone, words
from analysis.schema.names import ESTIMAND_WORDS, MACRO
from analysis.statistics.intraclass_correlation import FOLDS, SEEDS
from imbalance_bench.csv_cells import csv_text
from imbalance_bench.manifest import write_atomically


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: The text shown.
        sort: Sort key; if empty, the text.
        tone: Tone of a verdict, or empty.
        note: Small text below.
    """

    text: str
    sort: str = ""
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """One heading, with a small note below it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class ReportTable:
    """One table.

    Args:
        name: File name without suffix, and id on the page.
        title: Heading.
        columns: Column headings.
        rows: Cells; the first of a row names it.
        data: The rows for download, unrounded.
        caption: How to read it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    data: pd.DataFrame = field(repr=False)
    caption: str = ""

    @property
    def csv(self) -> str:
        """The downloadable rows as CSV."""
        return csv_text(self.data)

    @property
    def packed(self) -> str:
        """The CSV for the page, as base64 of gzip; `page.js` unpacks it on request."""
        return base64.b64encode(gzip.compress(self.csv.encode(), mtime=0)).decode()


def make_tables(study: AnalysedStudy, folder: Path, details: Sequence["ReportTable"] = ()) -> dict[str, "ReportTable"]:
    """Build every table, and write these and `details` into `folder` as CSV."""
    tables = [
        *details,
        scores_table(study),
        comparisons_table(study.table("comparisons")),
        associations_table(study.table("associations")),
        reliability_table(study.table("reliability")),
        measures_table(study),
        runs_table(study.table("runs")),
    ]
    for report_table in tables:
        content = report_table.csv.encode()
        write_atomically(folder / f"{report_table.name}.csv", lambda file, content=content: file.write(content))
    return {report_table.name: report_table for report_table in tables}


def scores_table(study: AnalysedStudy) -> ReportTable:
    """Return the Dice of every method (rows) for every class (columns), with intervals."""
    scores = study.table("method_scores")
    scores = scores[(scores["metric"] == "dice") & (scores["aggregation"] == study.aggregation)]
    by_key = {(row["method"], row["class"]): row for row in scores.to_dict("records")}
    classes = [MACRO, *study.class_names]
    rows = []
    for method in study.methods:
        cells = [Cell(method)]
        for name in classes:
            row = by_key.get((method, name))
            cells.append(Cell(DASH) if row is None else estimate_cell(row["mean"], row["low"], row["high"]))
        rows.append(cells)
    columns = _columns("method", "all classes (macro)", *study.class_names)
    return ReportTable("scores", "Dice per class", columns, rows, scores)


def comparisons_table(comparisons: pd.DataFrame) -> ReportTable:
    """Return every comparison with a control, overall rows first."""
    ordered = comparisons.sort_values("class", key=lambda column: column != MACRO, kind="stable")
    rows = [
        [
            Cell(str(row["method"])),
            Cell("all classes (macro)" if row["class"] == MACRO else str(row["class"])),
            estimate_cell(row["difference"], row["low"], row["high"], with_sign=True),
            p_cell(row["p"]),
            estimate_cell(row["difference"], row["low_holm"], row["high_holm"], with_sign=True),
            p_cell(row["p_holm"]),
            number_cell(row["cliffs_delta"], 2),
            number_cell(row["n_units"], 0),
            verdict_cell(row["verdict"]),
        ]
        for row in ordered.to_dict("records")
    ]
    columns = _columns(
        *("method", "class", "difference in Dice", "p", "after Holm", "p (Holm)"),
        *("Cliff's delta", "units", "verdict"),
    )
    return ReportTable("comparisons", "Difference to the control", columns, rows, comparisons)


def associations_table(associations: pd.DataFrame) -> ReportTable:
    """Return every association of a learned quantity with a class measure, primary ones first."""
    learned = set(associations.loc[associations["estimand"] == "change", "method"])
    ordered = associations.sort_values("method", key=lambda column: ~column.isin(learned), kind="stable")
    ordered = ordered.sort_values("primary", ascending=False, kind="stable")
    rows = [
        [
            Cell(str(row["method"])),
            Cell(ESTIMAND_WORDS.get(str(row["estimand"]), words(str(row["estimand"])))),
            Cell(words(str(row["measure"])), note=_construct(row)),
            replace(number_cell(row["spearman"], 2, with_sign=True), note=given_start(row)),
            p_cell(row["p_spearman"]),
            p_cell(row["p_holm"]),
            number_cell(row["n_classes"], 0),
            p_cell(row["min_p"]),
            number_cell(row["rho_needed"], 2),
            verdict_cell(row["verdict"]),
        ]
        for row in ordered.to_dict("records")
    ]
    columns = _columns(
        *("method", "learned quantity", "class measure", "Spearman", "p", "p (corrected)"),
        *("classes", "smallest p possible", "|Spearman| needed", "verdict"),
    )
    return ReportTable("associations", "What the bias follows", columns, rows, associations)


def reliability_table(reliability: pd.DataFrame) -> ReportTable:
    """Return the agreement on the learned quantities over seeds, folds and training sets; the last of these decides."""
    subjects = reliability.groupby(["method", "estimand"], sort=False)
    n_folds = reliability[reliability["over"] == FOLDS].set_index(["method", "estimand"])["n_seeds"].to_dict()
    rows = [
        [
            Cell(str(row["method"])),
            Cell(ESTIMAND_WORDS.get(str(row["estimand"]), words(str(row["estimand"])))),
            Cell(words(str(row["over"]))),
            Cell("yes" if index == last else "no"),
            estimate_cell(row["icc"], row["low"], row["high"], decimals=2),
            Cell(_averaged(row, n_folds.get(subject))),
            number_cell(row["n_classes"], 0),
            verdict_cell(row["verdict"]),
        ]
        for subject, of_subject in subjects
        for last in [of_subject.index[-1]]
        for index, row in of_subject.to_dict("index").items()
    ]
    columns = _columns(
        *("method", "learned quantity", "agreement over", "decides", "ICC(3,k)", "mean over", "classes", "verdict")
    )
    return ReportTable("reliability", "Agreement of the runs", columns, rows, reliability)


def _averaged(row: Mapping[Any, Any], n_folds: int | None) -> str:
    """Return what a row of table `reliability` counts in words."""
    n = int(row["n_seeds"])
    if row["over"] != SEEDS:
        return f"{n} folds"
    seeds = n // n_folds if n_folds else n
    text = f"{seeds} seed{'' if seeds == 1 else 's'}"
    return f"{text} in each of {n_folds} folds" if n_folds else text


def measures_table(study: AnalysedStudy) -> ReportTable:
    """Return the class measures: one row per class, primary measures first."""
    measures = study.table("measures")
    order = {name: position for position, name in enumerate(CONSTRUCT)}
    kinds = measures.drop_duplicates("measure").assign(place=lambda rows: rows["construct"].map(order))
    kinds = kinds.sort_values(["primary", "place"], ascending=[False, True], kind="stable").to_dict("records")
    by_key = {(row["class"], row["measure"]): row for row in measures.to_dict("records")}
    rows = []
    for name in study.class_names if kinds else ():
        cells = [Cell(name)]
        for kind in kinds:
            row = by_key.get((name, kind["measure"]))
            cells.append(Cell(DASH) if row is None else measured_cell(row["value"], row["low"], row["high"]))
        rows.append(cells)
    columns = [Column("class"), *(_measure_heading(kind) for kind in kinds)]
    return ReportTable("measures", "Class difficulty", columns, rows, measures)


def runs_table(runs: pd.DataFrame) -> ReportTable:
    """Return every planned run and its state, unfinished ones first."""
    ordered = runs.sort_values("state", key=lambda column: column == "done", kind="stable")
    rows = [
        [
            Cell(str(row["run_id"])),
            Cell(str(row["method"])),
            number_cell(row["fold"], 0),
            number_cell(row["seed"], 0),
            Cell(str(row["state"]), tone="" if row["state"] == "done" else "worse", note=str(row["error"])),
            number_cell(row["seconds"], 1),
            number_cell(row["steps"], 0),
            number_cell(row["steps_per_second"], 2),
        ]
        for row in ordered.to_dict("records")
    ]
    columns = _columns("run", "method", "fold", "seed", "state", "seconds", "steps", "steps per second")
    return ReportTable("runs", "Runs", columns, rows, runs)


def estimate_cell(value: float, low: float, high: float, *, decimals: int = 3, with_sign: bool = False) -> Cell:
    """Return the cell of a number, with its interval as a note; "absent" for a missing number."""
    write = signed if with_sign else number
    return _estimate_cell(value, low, high, lambda each: write(each, decimals))


def measured_cell(value: float, low: float, high: float) -> Cell:
    """Return the cell of a number whose scale depends on the class measure, with its interval as a note."""
    return _estimate_cell(value, low, high, significant)


def _estimate_cell(value: float, low: float, high: float, write: Callable[[float], str]) -> Cell:
    if pd.isna(value):
        return Cell("absent", sort="")
    interval = "" if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"
    return Cell(write(value), sort=repr(float(value)), note=interval)


def number_cell(value: float, decimals: int | None, *, with_sign: bool = False) -> Cell:
    """Return the cell of a number, with three significant digits if `decimals` is None; a dash for a missing one."""
    if pd.isna(value):
        return Cell(DASH)
    if decimals is None:
        return Cell(significant(float(value)), sort=repr(float(value)))
    return Cell((signed if with_sign else number)(float(value), decimals), sort=repr(float(value)))


def p_cell(value: float) -> Cell:
    """Return the cell of a p value; a dash for a missing one."""
    if pd.isna(value):
        return Cell(DASH)
    return Cell(probability(float(value)).removeprefix("= "), sort=repr(float(value)))


def verdict_cell(word: object) -> Cell:
    """Return the cell of a verdict with its tone."""
    return Cell(words(str(word)), tone=tone(str(word)))


def _construct(row: Mapping[Any, Any]) -> str:
    construct = CONSTRUCT.get(str(row["construct"]), str(row["construct"]))
    return f"{construct}, {'primary' if row['primary'] else 'exploratory'}"


def _measure_heading(kind: Mapping[Any, Any]) -> Column:
    notes = [
        "primary" if kind["primary"] else "exploratory",
        *([kind["unit"]] if kind["unit"] not in ("", "1") else []),
    ]
    return Column(words(str(kind["measure"])), ", ".join(notes))


def _columns(*names: str) -> list[Column]:
    return [Column(name) for name in names]
