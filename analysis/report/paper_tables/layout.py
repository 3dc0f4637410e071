"""How a table is laid out on a page of LaTeX: lines within cells, columns and rows that fit.

Widths are estimates in points for Computer Modern at the sizes used; what is estimated too small is scaled down by the
document itself (`latex.FIT`).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.report.paper_tables.content import PaperCell, PaperTable

PAGE_WIDTH_PT = 345.0  # of `article` at 10 pt, the narrowest of the common classes with one column
CHARACTER_PT = 4.4  # at footnotesize
SMALL_CHARACTER_PT = 3.6  # at scriptsize
GAP_PT = 8.0  # between columns
MARK_PT = 5.0  # an arrow or star hangs over the cell
LONGEST_LINE = 16  # characters of a heading or a name before it is broken
LONGEST_SENTENCE = 22  # the same of the first column
MOST_LINES = 40  # of footnotesize on a page, beside caption and legend


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        group: What its group is called; empty where rows have no groups.
        cells: The first names it.
    """

    group: str
    cells: Sequence[PaperCell]

    @property
    def lines(self) -> int:
        """Lines of text, without that of the group."""
        first, *others = self.cells
        names = [len(broken(first.text, LONGEST_SENTENCE)), *(len(broken(each.text, LONGEST_LINE)) for each in others)]
        return max(names) + any(cell.below for cell in self.cells)


@dataclass(frozen=True)
class Part:
    """Rows and columns that stand in one tabular.

    Attributes:
        columns: Headings.
        rows: The rows.
    """

    columns: Sequence[str]
    rows: Sequence[Row]

    @property
    def lines(self) -> int:
        """Lines of text, with those of the heading and of the groups."""
        heading = 2 + max(len(broken(name, LONGEST_LINE)) for name in self.columns)
        return heading + sum(row.lines for row in self.rows) + sum(self.begins_group(k) for k in range(len(self.rows)))

    def begins_group(self, place: int) -> bool:
        """Whether the row at a place is the first of its group here."""
        group = self.rows[place].group
        return bool(group) and (place == 0 or self.rows[place - 1].group != group)


def floats(table: PaperTable) -> list[list[Part]]:
    """Divide a table into floats of a page each, and each of these into tabulars of the page's width.

    Tabulars of other columns of the same rows share a float as long as they fit.
    """
    whole = _grouped(table)
    blocks = _column_blocks(whole)
    found: list[list[Part]] = []
    for rows in _row_blocks(whole, blocks):
        found.append([])
        for block in blocks:
            part = _columns_of(whole, block, rows)
            if found[-1] and sum(each.lines for each in found[-1]) + part.lines > MOST_LINES:
                found.append([])
            found[-1].append(part)
    return found


def _grouped(table: PaperTable) -> Part:
    n = table.grouped_by
    return Part(table.columns[n:], [Row(", ".join(cell.text for cell in row[:n]), row[n:]) for row in table.rows])


def _columns_of(whole: Part, block: Sequence[int], rows: Sequence[Row]) -> Part:
    return Part([whole.columns[k] for k in block], [Row(row.group, [row.cells[k] for k in block]) for row in rows])


def broken(text: str, longest: int) -> list[str]:
    """Break a name into lines at spaces and behind _ - + /, where it is longer; a longer word stays whole."""
    lines = [""]
    for piece in re.findall(r"[^\s_\-+/]+[_\-+/]?\s?|[_\-+/\s]", text):
        if lines[-1] and display_width(lines[-1] + piece.rstrip()) > longest:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()] or [text]


def display_width(text: str) -> int:
    """Characters, those of East Asian scripts as two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _width(whole: Part, column: int) -> float:
    longest = LONGEST_SENTENCE if column == 0 else LONGEST_LINE
    cells = [row.cells[column] for row in whole.rows]
    texts = [whole.columns[column], *(cell.text for cell in cells)]
    own = max(display_width(line) for text in texts for line in broken(text, longest)) * CHARACTER_PT
    below = max((display_width(cell.below) for cell in cells), default=0) * SMALL_CHARACTER_PT
    return max(own + (MARK_PT if any(cell.mark for cell in cells) else 0.0), below)


def estimated_width(part: Part) -> float:
    """Width of a tabular, pt."""
    return sum(_width(part, column) + GAP_PT for column in range(len(part.columns))) - GAP_PT


def _column_blocks(whole: Part) -> list[list[int]]:
    """Return the columns of each tabular; the first is in all of them."""
    widths = [_width(whole, column) for column in range(len(whole.columns))]
    blocks: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        taken = sum(widths[each] + GAP_PT for each in blocks[-1])
        if len(blocks[-1]) > 1 and taken + widths[column] > PAGE_WIDTH_PT:
            blocks.append([0])
        blocks[-1].append(column)
    return blocks


def _row_blocks(whole: Part, blocks: Sequence[Sequence[int]]) -> list[list[Row]]:
    """Return the rows of each tabular: as many as fit on a page."""
    found: list[list[Row]] = [[]]
    for row in whole.rows:
        longer = [*found[-1], row]
        if found[-1] and any(_columns_of(whole, block, longer).lines > MOST_LINES for block in blocks):
            longer = [row]
            found.append(longer)
        found[-1] = longer
    return found
