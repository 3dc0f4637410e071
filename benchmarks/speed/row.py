"""A row of the table of speeds."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """What was measured, beside what, and what was aimed at.

    Attributes:
        what: What was measured, and on how much.
        against: What it is compared with; "" for a bound.
        ours: Measured, in `unit`.
        theirs: Of what it is compared with; None for a bound.
        unit: Such as "CPU s".
        aim: Least ratio theirs / ours, or the greatest value of `ours`, by `aim_is`.
        aim_is: `ratio at least`, `ratio at most` (ours / theirs), or `at most`.
        note: What a reader must know.
    """

    what: str
    against: str
    ours: float
    theirs: float | None
    unit: str
    aim: float
    aim_is: str
    note: str = ""

    @property
    def value(self) -> float:
        """What the aim is about."""
        if self.aim_is == "at most":
            return self.ours
        if self.theirs is None:
            raise ValueError(f"{self.what}: a ratio needs something to compare with.")
        return self.theirs / self.ours if self.aim_is == "ratio at least" else self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.value >= self.aim if self.aim_is == "ratio at least" else self.value <= self.aim

    def as_json(self) -> dict[str, Any]:
        """Everything, for the records."""
        return asdict(self) | {"value": self.value, "met": self.met}

    def cells(self) -> list[str]:
        """Cells of a line of the table."""
        theirs = "" if self.theirs is None else f"{self.theirs:.3g} {self.unit}"
        sign = {"ratio at least": ">=", "ratio at most": "<=", "at most": "<="}[self.aim_is]
        ratio = "" if self.theirs is None else f"{self.value:.2f} x"
        aim = f"{sign} {self.aim:g}" + (" x" if self.theirs is not None else f" {self.unit}")
        return [
            self.what,
            self.against,
            f"{self.ours:.3g} {self.unit}",
            theirs,
            ratio,
            aim,
            "yes" if self.met else "no",
        ]


HEAD = ["what", "against", "here", "there", "ratio", "aim", "met"]
