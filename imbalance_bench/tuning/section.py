"""The `tuning:` section of a study file."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TUNING_FOLDER = "tuning"  # of a study directory: an ordinary study of all trials
CHOICES = "choices.json"  # in it: every trial with its draw and its score, and what won
CHOICES_FORMAT = 1
SharedOption = Literal["learning_rate", "weight_decay"]
SHARED_OPTIONS: tuple[SharedOption, ...] = ("learning_rate", "weight_decay")
Selection = Literal["macro_dice", "macro_iou", "worst_dice"]
Draws = Literal["sobol", "random", "latin"]


class SharedRange(BaseModel):
    """The range of an option of the recipe that all methods share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]
    log: bool = True

    @model_validator(mode="after")
    def _has_an_extent(self) -> "SharedRange":
        if self.low >= self.high:
            raise ValueError(f"A range of `tuning.shared` must have low < high. Got {self.low} and {self.high}.")
        return self


class TuningSection(BaseModel):
    """How options are chosen. Trial 0 is every method as the study file has it; the others are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trials: Annotated[int, Field(ge=2)] = 8  # of every method, the untuned one included
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]  # none of the study's own
    select: Selection = "macro_dice"  # of the pooled counts of a run's validation images; mean over runs
    on: Literal["validation"] = "validation"
    draws: Draws = "sobol"
    shared: dict[SharedOption, SharedRange] = {}  # drawn alike for every method; empty: the recipe stays
    seed: Annotated[int, Field(ge=0)] = 0  # of the draws

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, content: Any) -> Any:
        """Undo YAML 1.1, which reads a bare `on` as true."""
        if isinstance(content, dict):
            return {"on" if key is True else key: value for key, value in content.items()}
        return content
