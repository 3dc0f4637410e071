"""The committed results, as generated pages quote them: every number of a page is a cell of a committed table."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

COMMITTED = Path(__file__).parents[2] / "results" / "reference"
ANSWERS = "answers"
TABLES, VERDICTS = Path(ANSWERS, "tables"), Path(ANSWERS, "verdicts.json")


class MissingResultError(LookupError):
    """A page quotes a number that no committed table holds."""


@dataclass(frozen=True)
class Results:
    """What is committed.

    Attributes:
        root: Folder with a folder for each study.
    """

    root: Path = COMMITTED

    def has(self, study: str) -> bool:
        """Say whether a study has committed answers."""
        return (self.root / study / TABLES).is_dir()

    def table(self, study: str, name: str) -> pd.DataFrame:
        """Return a committed table, with empty fields as missing.

        Raises:
            MissingResultError: There is none.
        """
        path = self.root / study / TABLES / f"{name}.csv"
        if not path.exists():
            raise MissingResultError(f"{study} has no table {name}")
        return _read(path, path.stat().st_mtime_ns).copy()

    def rows(self, study: str, name: str, **where: object) -> pd.DataFrame:
        """Return the rows in which columns have these values."""
        frame = self.table(study, name)
        for column, value in where.items():
            frame = frame[frame[column] == value]
        return frame

    def value(self, study: str, name: str, column: str, **where: object) -> object:
        """Return the one cell that is asked for.

        Raises:
            MissingResultError: No row, or several, are as asked.
        """
        found = self.rows(study, name, **where)
        if len(found) != 1:
            raise MissingResultError(f"{study}/{name}: {len(found)} rows are {where}; one is needed")
        return found.iloc[0][column]

    def number(self, study: str, name: str, column: str, digits: int = 1, sign: str = "", **where: object) -> str:
        """Return a cell as text, so many digits after the point; `sign="+"` writes it always."""
        return format(float(str(self.value(study, name, column, **where))), f"{sign}.{digits}f")

    def interval(self, study: str, name: str, column: str, digits: int = 1, **where: object) -> str:
        """Return a cell with its 95 % interval, from the columns `low` and `high`."""
        middle, low, high = (self.number(study, name, each, digits, "+", **where) for each in (column, "low", "high"))
        return f"{middle} (95 % interval {low} to {high})"


@cache
def _read(path: Path, _changed_ns: int) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
