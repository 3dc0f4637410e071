"""Cells of CSV tables that a spreadsheet takes for text: a name such as `=1+1` must not become a formula.

A text that a spreadsheet would compute gets an apostrophe in front, and one that already looks like that gets another,
so that reading takes back exactly what writing added. Numbers stay numbers, also those in columns of text.
"""

import re
from collections.abc import Callable

import pandas as pd

_COMPUTED = re.compile(r"'*[=+\-@\t\r].*[^\W_]", re.DOTALL)  # a dash alone is no formula


def guarded(text: str) -> str:
    """Return a text as a cell that no spreadsheet computes."""
    return f"'{text}" if _is_computed(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a cell that `guarded` wrote."""
    return cell[1:] if cell.startswith("'") and _is_computed(cell[1:]) else cell


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with guarded texts and headings; missing values are empty fields."""
    return _mapped(frame, guarded).rename(columns=guarded).to_csv(index=False, lineterminator="\n")


def without_guards(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that `csv_text` was given, from what was read of its text."""
    return _mapped(frame, unguarded).rename(columns=unguarded)


def _mapped(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change the texts of a frame; each is looked at once, however often it stands there."""

    def changed(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    columns: dict[str, pd.Series] = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        texts = pd.unique(column.to_numpy(object))
        new = [changed(each) for each in texts]
        if any(one is not other for one, other in zip(new, texts, strict=True)):
            columns[str(name)] = column.map(changed)
    return frame.assign(**columns) if columns else frame


def _is_computed(text: str) -> bool:
    """Say whether a spreadsheet would compute a text, or whether it looks like one that was guarded."""
    if not _COMPUTED.match(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
