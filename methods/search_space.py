"""What may be tuned: a range or a list of choices, declared on the field of the option itself.

    gamma: Annotated[float, Range(0.5, 5.0)] = Field(default=2.0, ge=0, description="..")

A draw is one number in [0, 1) for each option; `at` turns it into a value. So the same quasi-random point serves every
method, and a range says its prior by its scale: uniform in the value, or uniform in its logarithm.
"""

import math
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Uniform in the logarithm instead of in the value; needs `low` > 0.
        integer: Whole numbers alone.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        """Refuse a range without extent, or a logarithm of nothing."""
        if not self.low < self.high:
            raise ValueError(f"A range must have low < high. Got {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"A range on a logarithmic scale must have low > 0. Got {self.low}.")

    def at(self, quantile: float) -> float | int:
        """Return the value below which this share of the prior lies.

        Args:
            quantile: In [0, 1].
        """
        if self.log:
            value = math.exp(math.log(self.low) + quantile * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + quantile * (self.high - self.low)
        value = min(max(value, self.low), self.high)  # no rounding error beyond the ends
        return round(value) if self.integer else value

    def holds(self, value: object) -> bool:
        """Whether a value lies in the range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        scale = "log-uniform" if self.log else "uniform"
        return f"{self.low:g} to {self.high:g}, {scale}" + (", whole numbers" if self.integer else "")


@dataclass(frozen=True)
class Choice:
    """A few values, equally likely.

    Attributes:
        values: The values, at least two.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Refuse a choice of one."""
        if len(self.values) < 2:
            raise ValueError(f"A choice must have at least two values. Got {list(self.values)}.")

    def at(self, quantile: float) -> Any:
        """Return the value in whose share of [0, 1) the quantile lies."""
        return self.values[min(int(quantile * len(self.values)), len(self.values) - 1)]

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return " | ".join(str(value) for value in self.values)


Search = Range | Choice


def search_space(model: type[BaseModel]) -> dict[str, Search]:
    """Return the options that may be tuned, in the order of the fields; empty where there is nothing to tune."""
    space = {}
    for name, field in model.model_fields.items():
        declared = [annotation for annotation in field.metadata if isinstance(annotation, Range | Choice)]
        if declared:
            space[name] = declared[-1]
    return space
