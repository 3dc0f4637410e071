"""What a study supposed when its power was computed; part of the plan, and so of the plan's hash. No torch."""

from typing import Annotated

from pydantic import Field

from imbalance_bench.config_section import Section, untold

Points = Annotated[float, Field(ge=0)]  # points of Dice


class PowerSection(Section):
    """The design and the deviations given to `imbalance-bench power`, and its result.

    `power --yaml` prints this section for a study file; `analyze` says where what was run is another study.
    """

    slides: Annotated[int, Field(ge=1)]  # independent test slides or patients
    seeds: Annotated[int, Field(ge=1)]  # per method
    methods: Annotated[int, Field(ge=1)]  # compared with their control, over all models
    slide_sd: Points  # of a difference over slides
    seed_sd: Points  # of a difference over seeds, all slides together
    noise_sd: Points = 0.0  # of slide and seed together
    # of cross-validation, each testing other slides; None: as one test set
    folds: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude_if=untold)
    # of a difference over folds, beyond what their slides make of it; None: nothing
    fold_sd: Points | None = Field(default=None, exclude_if=untold)
    smallest_difference: Points | None = None  # found in 80 % of studies after Holm; None: none is
    result: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256 of what `power --json` printed
