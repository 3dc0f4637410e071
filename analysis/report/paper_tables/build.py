"""Write the tables of an analysed study into a folder."""

import csv
import io
from pathlib import Path

from analysis.reading.analysed_study import AnalysedStudy
from analysis.report.paper_tables.content import (
    PaperTable,
    association_table,
    difference_table,
    effect_table,
    score_table,
)
from analysis.report.paper_tables.latex import escape, latex_preview, latex_table
from analysis.report.paper_tables.markdown import escape as escape_markdown
from analysis.report.paper_tables.markdown import markdown_table
from analysis.report.paper_tables.paragraph import comparison_paragraph
from imbalance_bench.csv_cells import guarded
from imbalance_bench.manifest import write_atomically


def write_paper_tables(study: AnalysedStudy, folder: Path) -> list[Path]:
    """Write `paper_*.tex|md|csv`, `paper_paragraph.tex|md` and `paper_preview.tex`, which shows the LaTeX tables.

    Args:
        study: An analysed study.
        folder: The folder to write to.

    Returns:
        The files; tables without rows are left out.
    """
    built = [make(study) for make in (score_table, difference_table, effect_table, association_table)]
    tables = [table for table in built if table.rows]
    content = {f"{table.name}.tex": latex_table(table) for table in tables}
    content |= {f"{table.name}.md": markdown_table(table) for table in tables}
    content |= {f"{table.name}.csv": csv_table(table) for table in tables}
    paragraph = comparison_paragraph(study)
    if paragraph:
        content |= {"paper_paragraph.tex": escape(paragraph), "paper_paragraph.md": f"{escape_markdown(paragraph)}\n"}
    shown = [table.name for table in tables] + (["paper_paragraph"] if paragraph else [])
    content["paper_preview.tex"] = latex_preview(shown)
    for name, text in content.items():
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))
    return [folder / name for name in content]


def csv_table(table: PaperTable) -> str:
    """Return a table as CSV, with two more columns, interval and mark, for each column that has any."""
    ranged = [any(row[column].below or row[column].mark for row in table.rows) for column in range(len(table.columns))]
    heading = [
        name
        for column, has_range in zip(table.columns, ranged, strict=True)
        for name in ([column, f"{column}: interval", f"{column}: mark"] if has_range else [column])
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(guarded, heading))
    for row in table.rows:
        cells = zip(row, ranged, strict=True)
        writer.writerow(
            [
                guarded(text)
                for cell, has_range in cells
                for text in ([cell.text, cell.below, cell.mark] if has_range else [cell.text])
            ]
        )
    return file.getvalue()
