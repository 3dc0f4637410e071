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
    """Return a frame as CSV with guarded texts and headings, which R, polars, DuckDB and pandas read in its types.

    Truth is `TRUE` or `FALSE`, the one spelling that R knows. Missing values are empty fields, but `NaN` in a column of
    numbers that holds none: nothing but empty fields would be read as a column of truth values or of text.
    """
    readable = {
        str(name): column.map({True: "TRUE", False: "FALSE"}) if column.dtype == bool else "NaN"
        for name, column in frame.items()
        if column.dtype == bool or (len(column) and _holds_no_number(column))
    }
    changed = _mapped(frame, guarded).assign(**readable) if readable else _mapped(frame, guarded)
    return changed.rename(columns=guarded).to_csv(index=False, lineterminator="\n")


def _holds_no_number(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column.dtype) and bool(column.isna().all())


def without_guards(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that `csv_text` was given, from what was read of its text."""
    return _mapped(frame, unguarded).rename(columns=unguarded)


def _mapped(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = {
        name: column.map(lambda cell: change(cell) if isinstance(cell, str) else cell)
        for name, column in frame.items()
        if not pd.api.types.is_numeric_dtype(column.dtype)
    }
    return frame.assign(**{str(name): column for name, column in changed.items()}) if changed else frame


def _is_computed(text: str) -> bool:
    """Say whether a spreadsheet would compute a text, or whether it looks like one that was guarded."""
    if not _COMPUTED.match(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
