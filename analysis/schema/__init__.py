"""Every table that `analyze` writes: its columns, in order, and what each of them means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.schema import boundaries, class_difficulty, explanation, learned_bias, scores
from analysis.verdicts import Verdict
from imbalance_bench.manifest import write_atomically

COLUMNS: dict[str, dict[str, str]] = {
    **scores.TABLES,
    **boundaries.TABLES,
    **class_difficulty.TABLES,
    **learned_bias.TABLES,
    **explanation.TABLES,
}


def table(name: str, rows: list[dict[str, object]] | pd.DataFrame) -> pd.DataFrame:
    """Return rows as the table called `name`: its columns, in order, also when there are no rows.

    Raises:
        ValueError: A column is missing or unknown.
    """
    columns = list(COLUMNS[name])
    frame = pd.DataFrame(rows) if len(rows) else pd.DataFrame(columns=columns)
    if set(frame.columns) != set(columns):
        raise ValueError(f"{name} must have the columns {columns}. Got {list(frame.columns)}.")
    return frame[columns].reset_index(drop=True)


def judged_table(name: str, frame: pd.DataFrame, judged: Sequence[Verdict]) -> pd.DataFrame:
    """Return the table called `name` from a frame with more columns and the verdict on each of its rows."""
    return table(name, frame.assign(verdict=[str(each.verdict) for each in judged])[list(COLUMNS[name])])


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def write_csv(path: Path, name: str, frame: pd.DataFrame) -> None:
    """Write one table as CSV, atomically; missing numbers are empty fields."""
    text = table(name, frame).to_csv(index=False, lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode()))


def readme() -> str:
    """Return the Markdown page that names every column of every table."""
    parts = [
        "# Tables of this analysis\n",
        "Written by `imbalance-bench analyze`; an empty field is a missing number.\n",
    ]
    for name, columns in COLUMNS.items():
        rows = "\n".join(f"| {column} | {meaning} |" for column, meaning in columns.items())
        parts.append(f"## {name}.csv\n\n| column | meaning |\n|---|---|\n{rows}\n")
    parts.append(
        "## verdicts.json\n\n`plan_hash` is the hash of the analysis plan fixed before the runs. Each verdict has an "
        "`id`, a `topic`, a `subject`, the `verdict` word, a `sentence` in plain English, the `numbers` behind it and "
        "the `rule` that turned numbers into the word.\n"
    )
    return "\n".join(parts)
