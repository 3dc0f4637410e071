"""The options of a method and what it declares of itself: what a study file is checked against.

Nothing here imports torch, so that a wrong study file is answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from methods.base import BuildContext, Components
    from methods.class_counts import ClassStatistics


class Requirement(StrEnum):
    """What a method needs from the study; the runner refuses a study that lacks it before anything trains."""

    CLASS_QUERY = "class_query"
    VALIDATION_FEEDBACK = "validation_feedback"
    SEVERAL_CROPS = "several_crops"
    CLASSIFIER_NORM = "classifier_norm"


class Group(StrEnum):
    """The families of the catalogue."""

    BASE = "base"
    FREQUENCY = "frequency reweighting"
    PIXEL = "pixel difficulty"
    OVERLAP = "overlap"
    BOUNDARY = "boundaries and regions"
    MARGIN = "margins and logits"
    ESTIMATOR = "difficulty estimators"
    SAMPLING = "sampling and stages"
    REPRESENTATION = "representation level"


@dataclass(frozen=True)
class Card:
    """What `imbalance-bench methods NAME` prints, beside the fields of the configuration.

    Attributes:
        group: Family in the catalogue.
        title: One line.
        formula: Plain-text formula; p = pixel share, n = count, z = logits, y = label, K classes.
        source: Author, year, equation or section.
        deviations: How this differs from the source, and why; "none" if it does not.
        requires: Needs of every configuration of this method.
        cost: What it costs beside the base, where that is more than half a training more; else empty.
        same_as: Name of the method that this is a second name for: its components are built by that one's
            configuration. Empty for a method of its own; only these are counted (`methods.distinct_methods`).
    """

    group: Group
    title: str
    formula: str
    source: str
    deviations: str = "none"
    requires: frozenset[Requirement] = frozenset()
    cost: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Stage:
    """One training within a run.

    Attributes:
        name: For the records and the progress bar.
        carry_weights: Start from the weights of the stage before instead of the run's initial weights.
        trains: `classifier` freezes everything before the classifier, statistics of normalisation included, and starts
            the classifier again from its initial weights.
        share: Optimiser steps of the stage, as a share of the study's `training.steps`.
    """

    name: str
    carry_weights: bool = False
    trains: Literal["model", "classifier"] = "model"
    share: float = 1.0

    def steps(self, of_study: int) -> int:
        """Optimiser steps of the stage, at least 1."""
        return max(round(self.share * of_study), 1)


class MethodConfig(BaseModel):
    """Options of a method: frozen, validated, unknown names refused. Subclasses state each default exactly once.

    Attributes:
        card: What the catalogue prints.
        nothing_to_tune: Why no option has a search space; empty where one has (`methods.search_space`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    card: ClassVar[Card]
    nothing_to_tune: ClassVar[str] = ""

    def requirements(self) -> frozenset[Requirement]:
        """Needs of this configuration; those of the card unless an option adds to them."""
        return self.card.requires

    def stages(self) -> tuple[Stage, ...]:
        """The trainings of one run, in order; one unless the method estimates something first."""
        return (Stage("main"),)

    def start_options(self) -> frozenset[str]:
        """Return the options that decide where a learned class bias starts and nothing else; usually none.

        Configurations that are equal but for these are one method with several starts.
        """
        return frozenset()

    def remarks(self, statistics: ClassStatistics) -> tuple[str, ...]:  # noqa: ARG002
        """Return what a user should know of this configuration on these data: one sentence each, usually none.

        Args:
            statistics: Of the training split.
        """
        return ()

    def build(self, context: BuildContext) -> Components:
        """Build the components of stage `context.stage`."""
        raise NotImplementedError
