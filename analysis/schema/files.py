"""Tables of an analysis as CSV files, written and read by their schema, and the page that explains them."""

import warnings
from pathlib import Path

import pandas as pd

from analysis.schema import TABLES, table
from imbalance_bench import csv_cells
from imbalance_bench.errors import UserError
from imbalance_bench.file_access import refusal
from imbalance_bench.manifest import write_atomically

AGAIN = "Run `imbalance-bench analyze` again."


def csv_text(name: str, frame: pd.DataFrame) -> str:
    """Return one table as CSV; missing values are empty fields."""
    return csv_cells.csv_text(table(name, frame))


def write_table(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Write one table as `<name>.csv`, atomically."""
    content = csv_text(name, frame).encode()
    write_atomically(folder / f"{name}.csv", lambda file: file.write(content))


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Read one table in the types of its schema; without rows if the file does not exist.

    Raises:
        UserError: The file cannot be read, lacks a column, or holds a value of another type. Exit code 1.
    """
    path, columns = folder / f"{name}.csv", TABLES[name].columns
    if not path.exists():
        return table(name, [])
    try:  # as text: a class may be called "NA"
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # of rows that are too long
            read = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", index_col=False)
        rows = csv_cells.without_guards(read)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        if isinstance(error, OSError) and (refused := refusal(error, path)) is not None:
            raise refused from error
        raise UserError(f"{path}: not readable ({error}). {AGAIN}", exit_code=1) from error
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise UserError(f"{path} lacks the column '{missing[0]}'. {AGAIN}", exit_code=1)
    try:
        return table(name, rows[list(columns)])
    except ValueError as error:
        raise UserError(f"{path}: {error} {AGAIN}", exit_code=1) from error


def readme() -> str:
    """Return the Markdown page that explains every column of every table."""
    parts = [
        "# Tables of this analysis\n",
        "Written by `imbalance-bench analyze`. A missing value is an empty field, or NaN in a column without any "
        "number.\n",
    ]
    for name, schema in TABLES.items():
        rows = "\n".join(
            f"| {column_name} | {column.kind} | {column.unit} | {column.meaning} |"
            for column_name, column in schema.columns.items()
        )
        key = ", ".join(f"`{column}`" for column in schema.key)
        head = "| column | type | unit | meaning |\n|---|---|---|---|"
        parts.append(f"## {name}.csv\n\nOne row per {key}.\n\n{head}\n{rows}\n")
    parts.append(
        "## verdicts.json\n\n`plan_hash` is the hash of the analysis plan fixed before the runs. Each verdict has an "
        "`id`, a `topic`, the `method`, `estimand`, `measure`, `class_name` and `aspect` it is about, a `subject`, "
        "the `verdict` word, a `sentence` in plain English (in `short` for a heading, where one needs it), the "
        "`numbers` behind it and the `rule` that turned numbers into the word.\n"
    )
    parts.append(
        "## records.json\n\nHashes of plan and data set, of every finished run (its manifest) and of the columns of "
        "these tables, by which `report`, `plot` and `compare` tell whether this analysis is of the records as they "
        "are.\n"
    )
    return "\n".join(parts)
