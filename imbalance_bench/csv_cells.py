"""Cells of CSV tables that a spreadsheet takes for text: a name such as `=1+1` must not become a formula.

A text that a spreadsheet would compute gets an apostrophe in front, and one that already looks like that gets another,
so that reading takes back exactly what writing added. Numbers stay numbers, also those in columns of text.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from imbalance_bench.csv_files import read_csv
from imbalance_bench.errors import UserError

_TRUTH = dict.fromkeys(("true", "yes", "t", "1", "1.0"), True) | dict.fromkeys(("false", "no", "f", "0", "0.0"), False)
_MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")  # as R, pandas and databases write it
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
    plain = changed.rename(columns=guarded)
    if plain.shape[1] < 2:  # where a lone empty field is quoted
        return plain.to_csv(index=False, lineterminator="\n")
    head = ",".join(_quoted([str(name) for name in plain.columns]))
    # as `to_csv` writes it, several times as fast: a value is turned into text once, however often it stands there
    rows = map(",".join, zip(*(_fields(plain.iloc[:, place]) for place in range(plain.shape[1])), strict=True))
    return "\n".join([head, *rows, ""])


def _holds_no_number(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column.dtype) and bool(column.isna().all())


def read_frame(path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    """Read a table that somebody else may have written: numbers where they are expected, names as they stand.

    A class may be called `NA` or `nan`: only in the columns of numbers do such words mean that a value is missing.

    Args:
        path: CSV file, as `csv_files.read_csv` takes it: every row has the fields of the header.
        numbers: Columns of numbers, whether or not the table has them.

    Raises:
        UserError: The file cannot be read, or is no such table.
    """
    rows = read_csv(path).whole()
    if not rows.header:
        raise UserError(f"{path} must begin with the names of its columns. Got an empty file. Export it again.")
    text = io.StringIO(newline="")
    csv.writer(text).writerows([rows.header, *(row.fields.values() for row in rows.rows)])
    text.seek(0)
    # of rows that are longer than the header, pandas alone takes the first field for their name and shifts the others
    frame = pd.read_csv(text, keep_default_na=False, na_values=dict.fromkeys(numbers, _MISSING), index_col=False)
    return without_guards(frame)


def truth_values(column: pd.Series, where: str, *, blank: bool | None = None) -> pd.Series:
    """Return a column of truth values as bool, however it was written.

    Args:
        column: True and False, 1 and 0, or words such as TRUE, false, yes, no.
        where: Its name for the message.
        blank: What an empty cell means; None: it is refused.

    Raises:
        UserError: A cell is none of these.
    """
    words = column.astype(object).where(column.notna(), "").map(lambda cell: str(cell).strip().lower())
    values = words.map(_TRUTH if blank is None else _TRUTH | {"": blank})
    unknown = values.isna()
    if unknown.any():
        raise UserError(f"{where} must be true or false. Got {str(column[unknown].iloc[0])!r}.")
    return values.astype(bool)


def without_guards(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that `csv_text` was given, from what was read of its text."""
    return _mapped(frame, unguarded).rename(columns=unguarded)


def _fields(column: pd.Series) -> list[str]:
    """Return the cells of a column as they stand in a CSV file."""
    if pd.api.types.is_float_dtype(column.dtype):
        return [
            "" if value != value else repr(value) for value in column.to_numpy(np.float64, na_value=np.nan).tolist()
        ]
    place, values = pd.factorize(column.to_numpy(object), use_na_sentinel=True)
    texts = _quoted(["" if isinstance(value, float) and value != value else str(value) for value in values])
    return np.array([*texts, ""], dtype=object)[place].tolist()  # the last one, at -1, is a missing value


def _quoted(texts: Sequence[str]) -> list[str]:
    """Quote the fields that need it."""
    quoted = []
    for text in texts:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([text, ""])
        quoted.append(line.getvalue().removesuffix(",\n"))
    return quoted


def _mapped(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change the texts of a frame; each is looked at once, however often it stands there."""

    def changed(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    columns: dict[str, pd.Series] = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        texts = pd.unique(column.to_numpy(object))
        new = [changed(text) for text in texts]
        if any(new_text is not text for new_text, text in zip(new, texts, strict=True)):
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
