"""What a study decides about its analysis before anything runs. No torch, so that the analysis can read it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imbalance_bench.config_section import Fraction, Section, Seed, untold
from imbalance_bench.errors import nearest
from imbalance_bench.power_section import PowerSection
from imbalance_bench.preregistration import INERTIA_KEPT, LARGEST_VIF, MEASURES

Hypothesis = Literal["frequency", "boundary", "morphology", "context"]  # constructs with a primary measure


class AnalysisSection(Section):
    """The analysis plan, fixed before training and hashed into the records."""

    control: str | None = None  # label of the method that the others are compared with; None: the first one
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    rope_dice: Fraction = 0.01  # differences smaller than this are practically equivalent
    resamples: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    permutations: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    reliability_floor: Annotated[float, Field(ge=0, le=1)] = 0.5  # ICC below which no correlation is interpreted
    unit: Literal["auto", "group", "image"] = "auto"  # what is independent; auto: groups where they are known
    boundary_band_um: Annotated[float, Field(gt=0)] = 2.0
    inertia_kept: Annotated[float, Field(gt=0, lt=1)] = INERTIA_KEPT  # inertia where more of the start is still there
    largest_vif: Annotated[float, Field(ge=1)] = LARGEST_VIF  # above, two measures are not told apart
    hypotheses: tuple[Hypothesis, ...] = ()  # constructs in the order of their tests; one: the primary hypothesis
    # of the constructs that another measure than the default one is to stand for
    primary_measures: Mapping[Hypothesis, str] = Field(default_factory=dict)
    # what was supposed when the power of the study was computed; None: nothing is compared with it
    power: PowerSection | None = Field(default=None, exclude_if=untold)
    seed: Seed = 0

    @model_validator(mode="after")
    def _named_once(self) -> "AnalysisSection":
        if len(set(self.hypotheses)) < len(self.hypotheses):
            raise ValueError(f"`analysis.hypotheses` must name each construct once. Got {list(self.hypotheses)}.")
        return self

    @model_validator(mode="after")
    def _known_measures(self) -> "AnalysisSection":
        for construct, measure in self.primary_measures.items():
            if measure not in MEASURES[construct]:
                raise ValueError(
                    f"`analysis.primary_measures.{construct}` must be one of {', '.join(MEASURES[construct])}. "
                    f"Got '{measure}'.{nearest(measure, MEASURES[construct])}"
                )
        return self
