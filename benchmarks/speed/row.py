"""A row of the table of speeds."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

AimIs = Literal["ratio at least", "ratio at most", "at most", "at least"]
SIGNS: dict[AimIs, str] = {"ratio at least": ">=", "ratio at most": "<=", "at most": "<=", "at least": ">="}


@dataclass(frozen=True)
class Row:
    """What was measured, beside what, and what was aimed at.

    Attributes:
        what: What was measured, and on how much.
        against: What it is compared with; "" for a bound.
        ours: Measured, in `unit`.
        theirs: Of what it is compared with; None for a bound.
        unit: Such as "CPU s".
        aim: Least or greatest ratio of `theirs` and `ours`, or value of `ours`, by `aim_is`; None: nothing is aimed at.
        aim_is: `ratio at least` (theirs / ours), `ratio at most` (ours / theirs), `at most`, or `at least`.
        note: What a reader must know.
    """

    what: str
    against: str
    ours: float
    theirs: float | None
    unit: str
    aim: float | None
    aim_is: AimIs
    note: str = ""

    @property
    def value(self) -> float:
        """What the aim is about."""
        if not self.aim_is.startswith("ratio"):
            return self.ours
        if self.theirs is None:
            raise ValueError(f"{self.what}: a ratio needs something to compare with.")
        return self.theirs / self.ours if self.aim_is == "ratio at least" else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.aim_is.endswith("at least") else self.value <= self.aim

    def as_json(self) -> dict[str, Any]:
        """Everything, for the records."""
        return asdict(self) | {"value": self.value, "met": self.met}

    def cells(self) -> list[str]:
        """Cells of a line of the table."""
        is_ratio = self.aim_is.startswith("ratio")
        there = "" if self.theirs is None else _quantity(self.theirs, self.unit)
        ratio = f"{self.value:.2f} x" if is_ratio else ""
        aim = "" if self.aim is None else f"{SIGNS[self.aim_is]} {_quantity(self.aim, 'x' if is_ratio else self.unit)}"
        met = {True: "yes", False: "no", None: ""}[self.met]
        return [self.what, self.against, _quantity(self.ours, self.unit), there, ratio, aim, met]


HEAD = ["what", "against", "here", "there", "ratio", "aim", "met"]


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table, and below it what a reader must know of each."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    noted = [f"- {row.what}: {row.note}." for row in rows if row.note]
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), *([""] if noted else []), *noted])


def _quantity(value: float, unit: str) -> str:
    number = "0" if abs(value) < 1e-9 else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()
