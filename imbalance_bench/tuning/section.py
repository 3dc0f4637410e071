"""The `tuning:` section of a study file."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imbalance_bench.config_section import Positive, untold

TUNING_FOLDER = "tuning"  # of a study directory: an ordinary study of all trials
CHOICES = "choices.json"  # in it: every trial with its draw and its score, and what won
CHOICES_FORMAT = 1
HALVED_FORMAT = 2  # of choices whose trials were not all trained in full
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


@dataclass(frozen=True)
class Rung:
    """One round of successive halving; without it, the only one.

    Attributes:
        steps: Of each training, where the study trains in full `training.steps`.
        trials: Trials of each method that are trained so long, the default always among them.
    """

    steps: int
    trials: int


class HalvingSection(BaseModel):
    """Successive halving: all trials are trained briefly, the better ones longer, the best of them in full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: Annotated[int, Field(ge=2)] = 3  # one trial in so many goes on, and is trained so many times as long
    min_steps: Positive = 50  # optimiser steps of the shortest trainings, at least


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
    # drop the worse trials before their end; None: every trial is trained in full
    halving: HalvingSection | None = Field(default=None, exclude_if=untold)

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, content: Any) -> Any:
        """Undo YAML 1.1, which reads a bare `on` as true."""
        if isinstance(content, dict):
            return {"on" if key is True else key: value for key, value in content.items()}
        return content

    def rungs(self, steps: int) -> tuple[Rung, ...]:
        """Return the rounds of trials in order; the last is trained in full.

        Each holds one trial in `factor` of the one before, rounded up, and two at least: the default and another. There
        are as many as the trials and `min_steps` allow.

        Args:
            steps: `training.steps`.
        """
        trials = [self.trials]
        if self.halving is None:
            return (Rung(steps, self.trials),)
        factor = self.halving.factor
        while trials[-1] > 2 and steps // factor ** len(trials) >= self.halving.min_steps:
            trials.append(max(-(-trials[-1] // factor), 2))
        return tuple(Rung(steps // factor ** (len(trials) - 1 - k), n) for k, n in enumerate(trials))
