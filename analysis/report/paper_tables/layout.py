r"""Layout of a table on a page of LaTeX: lines within cells, and the columns and rows that fit.

Widths are estimates in points for Computer Modern at the sizes used. A table that is wider than estimated is scaled
down by the document itself (`\fitted` in `latex.HEAD`).
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
MARK_PT = 5.0  # an arrow or star extends beyond the cell
LONGEST_LINE = 16  # characters of a heading or a name; longer ones are broken
LONGEST_SENTENCE = 22  # the same for the first column
MOST_LINES = 40  # lines of footnotesize on a page, besides caption and legend


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        group: Name of its group; empty if rows have no groups.
        cells: The cells; the first one names the row.
    """

    group: str
    cells: Sequence[PaperCell]

    @property
    def lines(self) -> int:
        """Number of lines of text, without that of the group."""
        first, *others = self.cells
        names = [len(broken(first.text, LONGEST_SENTENCE)), *(len(broken(cell.text, LONGEST_LINE)) for cell in others)]
        return max(names) + any(cell.below for cell in self.cells)


@dataclass(frozen=True)
class Part:
    """The rows and columns of one tabular.

    Attributes:
        columns: Headings.
        rows: The rows.
    """

    columns: Sequence[str]
    rows: Sequence[Row]

    @property
    def lines(self) -> int:
        """Number of lines of text, with those of the heading and of the groups."""
        heading = 2 + max(len(broken(name, LONGEST_LINE)) for name in self.columns)
        return heading + sum(row.lines for row in self.rows) + sum(self.begins_group(k) for k in range(len(self.rows)))

    def begins_group(self, index: int) -> bool:
        """Return whether the row at this index is the first of its group in this part."""
        group = self.rows[index].group
        return bool(group) and (index == 0 or self.rows[index - 1].group != group)


def floats(table: PaperTable) -> list[list[Part]]:
    """Divide a table into floats of at most one page, and each of these into tabulars of the page's width.

    Tabulars with different columns of the same rows share a float if they fit.
    """
    whole = _grouped(table)
    blocks = _column_blocks(whole)
    pages: list[list[Part]] = []
    for rows in _row_blocks(whole, blocks):
        pages.append([])
        for block in blocks:
            part = _columns_of(whole, block, rows)
            if pages[-1] and sum(part.lines for part in pages[-1]) + part.lines > MOST_LINES:
                pages.append([])
            pages[-1].append(part)
    return pages


def _grouped(table: PaperTable) -> Part:
    n = table.grouped_by
    return Part(table.columns[n:], [Row(", ".join(cell.text for cell in row[:n]), row[n:]) for row in table.rows])


def _columns_of(whole: Part, block: Sequence[int], rows: Sequence[Row]) -> Part:
    return Part([whole.columns[k] for k in block], [Row(row.group, [row.cells[k] for k in block]) for row in rows])


def broken(text: str, longest: int) -> list[str]:
    """Break a name into lines of at most `longest` characters, at spaces and after _ - + /; words stay whole."""
    lines = [""]
    for piece in re.findall(r"[^\s_\-+/]+[_\-+/]?\s?|[_\-+/\s]", text):
        if lines[-1] and display_width(lines[-1] + piece.rstrip()) > longest:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()] or [text]


def display_width(text: str) -> int:
    """Return the number of characters, counting those of East Asian scripts twice."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _width(whole: Part, column: int) -> float:
    longest = LONGEST_SENTENCE if column == 0 else LONGEST_LINE
    cells = [row.cells[column] for row in whole.rows]
    texts = [whole.columns[column], *(cell.text for cell in cells)]
    name_width = max(display_width(line) for text in texts for line in broken(text, longest)) * CHARACTER_PT
    below = max((display_width(cell.below) for cell in cells), default=0) * SMALL_CHARACTER_PT
    return max(name_width + (MARK_PT if any(cell.mark for cell in cells) else 0.0), below)


def estimated_width(part: Part) -> float:
    """Return the estimated width of a tabular, pt."""
    return sum(_width(part, column) + GAP_PT for column in range(len(part.columns))) - GAP_PT


def _column_blocks(whole: Part) -> list[list[int]]:
    """Return the columns of each tabular; all contain the first one."""
    widths = [_width(whole, column) for column in range(len(whole.columns))]
    blocks: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        taken = sum(widths[index] + GAP_PT for index in blocks[-1])
        if len(blocks[-1]) > 1 and taken + widths[column] > PAGE_WIDTH_PT:
            blocks.append([0])
        blocks[-1].append(column)
    return blocks


def _row_blocks(whole: Part, blocks: Sequence[Sequence[int]]) -> list[list[Row]]:
    """Return the rows of each tabular: as many as fit on a page."""
    row_blocks: list[list[Row]] = [[]]
    for row in whole.rows:
        longer = [*row_blocks[-1], row]
        if row_blocks[-1] and any(_columns_of(whole, block, longer).lines > MOST_LINES for block in blocks):
            longer = [row]
            row_blocks.append(longer)
        row_blocks[-1] = longer
    return row_blocks
