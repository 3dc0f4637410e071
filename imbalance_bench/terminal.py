"""The one way to a terminal: text is printed as text, whatever a path or a name in it holds.

Square brackets are no markup, `:bug:` is no picture, and characters that steer a terminal are shown as escapes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from imbalance_bench.visible_text import visible

GAP = 2  # columns between two columns of a table without a box
WIDEST_SCORE = 32  # a column that is wider holds sentences
PIPED_WIDTH = 240  # columns of a file or a pipe, where a cut or broken name is lost


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a text of plain parts and of parts with a style.

    Args:
        *parts: Text, or text and style ("bold", "dim", "red", ...).
    """
    return Text.assemble(*(visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts))


def fitting(table: Table, width: int) -> Table | Group:
    """Return a table, or its columns in several tables below each other where they do not fit side by side.

    Each of the several repeats the first column. A table with a column of sentences stays whole, since these wrap.

    Args:
        table: Without a box.
        width: Columns of the terminal.
    """
    columns = [[column.header, *column.cells] for column in table.columns]
    widths = [
        max((cell_len(line) for cell in cells for line in str(cell).splitlines()), default=0) for cells in columns
    ]
    if not table.show_header or sum(widths) + GAP * (len(widths) - 1) <= width or max(widths[1:]) > WIDEST_SCORE:
        return table
    blocks: list[list[int]] = [[]]
    for place in range(1, len(columns)):
        taken = widths[0] + sum(GAP + widths[column] for column in blocks[-1])
        if blocks[-1] and taken + GAP + widths[place] > width:
            blocks.append([])
        blocks[-1].append(place)
    return Group(*(_columns_of(table, [0, *block]) for block in blocks))


def _columns_of(table: Table, places: Sequence[int]) -> Table:
    part = Table(box=None, pad_edge=False)
    for place in places:
        column = table.columns[place]
        part.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
    cells = [list(table.columns[place].cells) for place in places]
    for number, row in enumerate(table.rows):
        part.add_row(*(column[number] for column in cells), style=row.style)
    return part


class Terminal(Console):
    """A console without markup, emoji codes and guessed colours; styles are given with `styled` or `style=`.

    Args:
        stderr: Print to standard error.
        **options: Of a rich console, such as `file` and `width`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)
        if not self.is_terminal and "width" not in options and "COLUMNS" not in os.environ:
            self.width = PIPED_WIDTH

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a table that is too wide is divided, not cut."""
        super().print(*(fitting(item, self.width) if isinstance(item, Table) else item for item in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string, also one in a cell of a table, into text that steers nothing."""
        return super().render_str(visible(text), **options)
