"""The one way into a CSV table that a person wrote: fields are text as written, and every row has those of the header.

A name such as `NA`, `nan`, `null` or `01` stays what it is: nothing here turns text into numbers or gaps.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.errors import UserError, nearest
from imbalance_bench.text_files import read_text

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class CsvRow:
    """One row.

    Attributes:
        number: As a spreadsheet counts: the header is row 1.
        fields: Column -> text as written.
    """

    number: int
    fields: dict[str, str]


@dataclass(frozen=True)
class CsvTable:
    """A table.

    Attributes:
        path: The file.
        header: Names of the columns, without surrounding space.
        rows: The rows that have as many fields as the header.
        problems: One line for each of the others.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[CsvRow, ...]
    problems: tuple[str, ...]

    def whole(self) -> "CsvTable":
        """Return the table itself.

        Raises:
            UserError: A row has too few or too many fields.
        """
        first, others = next(iter(self.problems), None), len(self.problems) - 1
        if first is not None:
            raise UserError(first + (f" ({others} more rows are wrong, too.)" if others else ""))
        return self

    def require_columns(self, names: Sequence[str]) -> None:
        """Refuse a table that lacks one of the columns.

        Raises:
            UserError: It does.
        """
        for name in names:
            if name not in self.header:
                raise UserError(
                    f"{self.path} must have a column '{name}'. Got {', '.join(self.header) or 'an empty header'}."
                    f"{nearest(name, self.header)}"
                )


def read_csv(path: Path, fix: str = "Check the path.") -> CsvTable:
    """Read a comma-separated file with a header; any line ends, any UTF with its byte-order mark.

    Args:
        path: The file.
        fix: What to do where there is no such file.

    Raises:
        UserError: It cannot be read, separates columns by something else, or its header is ambiguous.
    """
    reader = csv.reader(io.StringIO(read_text(path, fix), newline=""), strict=True)
    records: list[list[str]] = []
    try:
        records.extend(reader)
    except csv.Error as error:
        raise UserError(
            f"{path} must be a CSV file. Got: {error}, in line {reader.line_num}. "
            "Check the quotation marks, or save it again."
        ) from None
    number = next((place for place, record in enumerate(records) if record), 0)
    header = tuple(name.strip() for name in records[number]) if records else ()
    _require_commas(path, header)
    _require_plain_header(path, header)
    rows, problems = [], []
    for place, record in enumerate(records[number + 1 :], start=number + 2):
        if not any(field.strip() for field in record):
            continue  # spreadsheets leave such rows behind
        if len(record) == len(header):
            rows.append(CsvRow(place, dict(zip(header, record, strict=True))))
        else:
            problems.append(_wrong_length(path, place, header, record))
    return CsvTable(path, header, tuple(rows), tuple(problems))


def _require_commas(path: Path, header: Sequence[str]) -> None:
    for separator, name in _OTHER_SEPARATORS.items():
        if sum(field.count(separator) for field in header) >= max(len(header), 1):
            raise UserError(
                f"{path} must separate its columns by commas. Got {name} ({separator!r}) in its header "
                f"{','.join(header)!r}. Save it as comma-separated CSV, with a point in decimal numbers."
            )
    if len(header) == 1 and header[0].lower().startswith("sep="):
        raise UserError(
            f"{path} must begin with the names of its columns. Got '{header[0]}', a line of Excel. Remove it."
        )


def _require_plain_header(path: Path, header: Sequence[str]) -> None:
    for place, name in enumerate(header, start=1):
        if not name and any(header):
            raise UserError(f"{path} must name each column. Got none for column {place} of {len(header)}. Remove it.")
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise UserError(f"{path} must name each column once. Got '{twice[0]}' twice. Rename or remove one.")


def _wrong_length(path: Path, number: int, header: Sequence[str], record: Sequence[str]) -> str:
    fix = "Correct the row."
    if len(record) > len(header):
        fix = "Put a value that holds a comma (such as 12,5) in quotation marks, or remove the field."
    return f"{path} row {number} must have {len(header)} fields, as its header. Got {len(record)}. {fix}"
