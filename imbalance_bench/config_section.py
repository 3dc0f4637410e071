"""What every section of the study file shares: strictness, frozen values, and the ranges that recur."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST = 2**31 - 1  # steps are counted in 32 bits
Positive = Annotated[int, Field(ge=1, le=MOST)]
Natural = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _plain_path(path: Path) -> Path:
    """Refuse what no file system takes."""
    if "\0" in str(path):
        raise ValueError(f"must be a path. Got {str(path)!r}, which holds a NUL character.")
    return path


PlainPath = Annotated[Path, AfterValidator(_plain_path)]
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


def untold(value: object) -> bool:
    """Say whether an added key is None, to be left out so that older files keep their form."""
    return value is None


class Section(BaseModel):
    """A part of the study file: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
