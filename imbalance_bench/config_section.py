"""What every section of the study file shares: strictness, frozen values, and the ranges that recur."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class Section(BaseModel):
    """A part of the study file: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
