"""What a study supposed when its power was computed; part of the plan, and so of the plan's hash. No torch."""

from typing import Annotated

from pydantic import Field

from imbalance_bench.config_section import Section

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
    smallest_difference: Points | None = None  # found in 80 % of studies after Holm; None: none is
    result: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256 of what `power --json` printed
