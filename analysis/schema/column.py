"""The declaration of a table: its key and its columns, each with a type, a unit and a meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd


class Kind(StrEnum):
    """How the values of a column are stored in memory and written."""

    TEXT = "text"  # str; missing: ""
    TRUTH = "true or false"  # bool
    INTEGER = "integer"  # int64; float64 with NaN where a value is missing
    NUMBER = "number"  # float64; missing: NaN


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        kind: Its type.
        meaning: What its values mean, for a reader who knows the field.
        unit: Unit of its values; empty if they have none, or if another column gives it.
    """

    kind: Kind
    meaning: str
    unit: str = ""

    def cast(self, values: pd.Series) -> pd.Series:
        """Return the values in the type of the column, with missing values as `Kind` says.

        Raises:
            ValueError: A value is of another type.
        """
        if self.kind == Kind.TEXT:
            if pd.api.types.infer_dtype(values, skipna=False) == "string":  # as it should be
                return values.astype(str)
            return values.astype(object).where(values.notna(), "").map(str).astype(str)
        if self.kind == Kind.TRUTH:
            truths = values.map({True: True, False: False, "TRUE": True, "FALSE": False, "True": True, "False": False})
            if truths.isna().any():
                raise ValueError(f"must be TRUE or FALSE. Got {values[truths.isna()].iloc[0]!r}.")
            return truths.astype(bool)
        if self.kind == Kind.INTEGER and values.dtype.kind in "iu":
            return values.astype(np.int64)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            values = values.astype(object).replace({"": np.nan, "NaN": np.nan})
        numbers = pd.to_numeric(values).astype(np.float64)
        if self.kind == Kind.NUMBER or numbers.isna().any():
            return numbers
        if (numbers != np.floor(numbers)).any():
            raise ValueError(f"must be whole numbers. Got {numbers[numbers != np.floor(numbers)].iloc[0]:g}.")
        return numbers.astype(np.int64)


def text(meaning: str) -> Column:
    """Return a column of names or sentences."""
    return Column(Kind.TEXT, meaning)


def truth(meaning: str) -> Column:
    """Return a column of truth values; files of earlier versions have True and False."""
    return Column(Kind.TRUTH, meaning)


def integer(meaning: str, unit: str = "") -> Column:
    """Return a column of whole numbers."""
    return Column(Kind.INTEGER, meaning, unit)


def number(meaning: str, unit: str = "") -> Column:
    """Return a column of real numbers."""
    return Column(Kind.NUMBER, meaning, unit)


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        key: Columns whose values together name a row.
        columns: Name -> column, in order.
    """

    key: tuple[str, ...]
    columns: Mapping[str, Column]

    def frame(self, rows: list[dict[str, object]] | pd.DataFrame) -> pd.DataFrame:
        """Return rows as a frame with these columns, in order and in their types, even without rows.

        Raises:
            ValueError: A column is missing or unknown, or a value is of another type.
        """
        names = list(self.columns)
        frame = pd.DataFrame(rows) if len(rows) else pd.DataFrame(columns=names)
        if set(frame.columns) != set(names):
            raise ValueError(f"must have the columns {names}. Got {list(frame.columns)}.")
        cast = {}
        for name, column in self.columns.items():
            try:
                cast[name] = column.cast(frame[name])
            except (ValueError, TypeError) as error:
                raise ValueError(f"column '{name}' {error}") from error
        return pd.DataFrame(cast, columns=names).reset_index(drop=True)
