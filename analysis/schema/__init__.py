"""Every table of an analysis, declared once: its key, and its columns in order with types, units and meanings."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.schema import (
    boundaries,
    class_difficulty,
    explanation,
    image_scores,
    learned_bias,
    learning,
    path_controls,
    planted,
    practical_differences,
    scores,
    tuning,
)
from analysis.schema.column import Table

TABLES: dict[str, Table] = {
    **scores.TABLES,
    **image_scores.TABLES,
    **practical_differences.TABLES,
    **boundaries.TABLES,
    **class_difficulty.TABLES,
    **learned_bias.TABLES,
    **explanation.TABLES,
    **path_controls.TABLES,
    **planted.TABLES,
    **tuning.TABLES,
    **learning.TABLES,
}


def table(name: str, rows: list[dict[str, object]] | pd.DataFrame) -> pd.DataFrame:
    """Return rows as the table called `name`, with its columns in order and in their types, even without rows.

    Raises:
        ValueError: A column is missing or unknown, or a value is of another type.
    """
    try:
        return TABLES[name].frame(rows)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def judged_table(name: str, frame: pd.DataFrame, words: Sequence[object]) -> pd.DataFrame:
    """Return the table called `name` from a frame, which may have more columns, and the word on each of its rows."""
    if frame.empty:
        return table(name, [])
    return table(name, frame.assign(verdict=[str(word) for word in words])[list(TABLES[name].columns)])


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
