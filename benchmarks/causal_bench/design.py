"""What the causal bench trains: series of data sets, decoders, methods, and parts that end within 90 minutes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analysis.topics.planted import CONSTRUCT_OF
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.data.phantom import FACTORS, PhantomSpec, factorial_design
from imbalance_bench.errors import UserError
from imbalance_bench.seeding import generator
from imbalance_bench.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
STUDY_FILE = ROOT / "examples" / "causal_bench.yaml"
SERIES_SEED = 0
NOISE = "noise"
GIVEN = "given_"  # begins the label of a method whose bias is a planted level
CONTROL = "cross_entropy"
PART_MINUTES = 80.0  # of two cores, estimated: a part is to end within 90
SECONDS_PER_STEP = {"unet": 0.04, "sam": 0.04, "tied": 0.19, "tied_detail": 0.1}
"""CPU seconds of an optimiser step, batch 4, crops of 128 px, 64 channels; measured on one core of a shared machine."""
SECONDS_PER_RUN = {"unet": 2.5, "sam": 3.0, "tied": 8.0, "tied_detail": 4.0}
"""CPU seconds of the evaluation of a run of 18 test and 4 validation images of 256 px, path controls included."""
SECONDS_PER_STUDY = 15.0
"""CPU seconds of its analysis, tiles and features."""
TWICE = ("two_stage_dice_weights", "two_stage_dice_bias")  # train a baseline first
LEARNS = (CONTROL, "dfa", "dfa_cold", "token_to_image", "inverse_sqrt")


@dataclass(frozen=True)
class Arm:
    """What one decoder is trained with on every data set of a series.

    Attributes:
        decoder: Name of the decoder.
        methods: Labels of methods of the study file; empty for all.
        given: Whether the biases that planted levels give are trained too.
        seeds: Number of seeds.
        data_sets: The first so many of the series; None for all.
    """

    decoder: str
    methods: tuple[str, ...] = ()
    given: bool = False
    seeds: int = 4
    data_sets: int | None = None


# in the order in which they are trained: what answers most comes first
ARMS: tuple[tuple[str, Arm], ...] = (
    ("wide", Arm("tied_detail", given=True)),
    ("wide", Arm("unet", LEARNS)),
    ("wide", Arm("sam", (CONTROL, "dfa", "token_to_image"))),
    ("steep", Arm("tied_detail")),
    ("steep", Arm("unet", LEARNS)),
    ("wide", Arm("tied", (CONTROL, "dfa", "dfa_cold"), seeds=2, data_sets=5)),
    ("factorial", Arm("tied_detail", (CONTROL, "dfa"), seeds=2)),
)


@dataclass(frozen=True)
class Scale:
    """How large a trial is.

    Attributes:
        data_sets: At most so many of each series.
        seeds: At most so many.
        overrides: `key=value` of the study file.
        arms: How many of ARMS.
    """

    data_sets: int | None = None
    seeds: int | None = None
    overrides: tuple[str, ...] = ()
    arms: int = len(ARMS)


WHOLE = Scale()
MINIATURE = Scale(
    data_sets=2,
    seeds=1,
    arms=3,
    overrides=(
        *("training.steps=20", "training.validate_every=10", "training.augmentation.cached_views=1"),
        *("model.channels=16", "model.mlp_channels=32", "model.pixel_channels=[16,16,16]"),
        *("model.embedding_channels=16", "analysis.permutations=500", "analysis.resamples=50"),
    ),
)
"""Everything from start to end in minutes; its answers mean nothing."""


@dataclass(frozen=True)
class BenchStudy:
    """One study: one data set with one decoder.

    Attributes:
        series: Name of the phantom design.
        spec: The data set.
        arm: What is trained on it.
        scale: How large the trial is.
    """

    series: str
    spec: PhantomSpec
    arm: Arm
    scale: Scale

    @property
    def name(self) -> str:
        """Name of the study and of its folder."""
        return study_name(self.series, self.spec.name, self.arm.decoder)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its runs."""
        return tuple(range(min(self.arm.seeds, self.scale.seeds or self.arm.seeds)))

    @cached_property
    def methods(self) -> list[Any]:
        """Entries of `methods:`."""
        entries = read_yaml(STUDY_FILE)["methods"]
        chosen = [entry for entry in entries if not self.arm.methods or label_of(entry) in self.arm.methods]
        return chosen + (given_biases(self.spec) if self.arm.given else [])

    @property
    def n_runs(self) -> int:
        """Number of trainings."""
        return len(self.methods) * len(self.seeds)

    def config(self, phantom: Path) -> StudyConfig:
        """Return the study on the data set that lies at `phantom`."""
        asked = [f"name={self.name}", f"dataset.path={phantom}", f"model.decoder={self.arm.decoder}"]
        asked += [f"methods={self.methods}", f"seeds={list(self.seeds)}"]
        return load_study(STUDY_FILE, [*asked, *self.scale.overrides])

    @property
    def seconds(self) -> float:
        """Estimated CPU seconds."""
        content: dict[str, Any] = read_yaml(STUDY_FILE)["training"]
        steps = next(
            (int(each.partition("=")[2]) for each in self.scale.overrides if each.startswith("training.steps=")),
            int(content["steps"]),
        )
        trainings = sum(2 if label_of(entry) in TWICE else 1 for entry in self.methods)
        step, run = SECONDS_PER_STEP[self.arm.decoder], SECONDS_PER_RUN[self.arm.decoder]
        return SECONDS_PER_STUDY + len(self.seeds) * (trainings * steps * step + len(self.methods) * run)


def study_name(series: str, data_set: str, decoder: str) -> str:
    """Return the name of a study, by its data set of a series and its decoder."""
    return f"{series}-{data_set.rpartition('-')[2]}-{decoder}"


def label_of(entry: Any) -> str:
    """Return the label of an entry of `methods:`."""
    return entry if isinstance(entry, str) else str(entry.get("label", entry["name"]))


def planted_levels(spec: PhantomSpec) -> dict[str, np.ndarray]:
    """Return the planted level of each class, factor -> (K,), larger where the class is harder or rarer.

    Frequency is minus the logarithm of the share; the other factors are as planted.
    """
    levels = {factor: np.array([getattr(each, factor) for each in spec.classes]) for factor in FACTORS}
    return levels | {"share": -np.log(levels["share"])}


def given_biases(spec: PhantomSpec) -> list[dict[str, Any]]:
    """Return methods whose attention bias is a planted level, standardised over classes, and one of random numbers.

    Classes that are rarer or harder are attended to more; all have the same spread, so that their effects compare.
    """
    noise = generator(spec.seed, "causal bench", NOISE).normal(size=len(spec.classes))
    entries = []
    for cause, levels in (planted_levels(spec) | {NOISE: noise}).items():
        standard = (levels - levels.mean()) / levels.std()
        values = {each.name: round(float(value), 4) for each, value in zip(spec.classes, standard, strict=True)}
        options = {"prior": "given", "mode": "fixed", "values": values}
        entries.append({"name": "dfa", "label": GIVEN + cause, **options})
    return entries


CAUSES = (*FACTORS, NOISE)
EXPECTED = {GIVEN + factor: CONSTRUCT_OF[factor] for factor in FACTORS} | {GIVEN + NOISE: ""}
"""Label of a given bias -> the construct that it must be attributed to; "" for none."""


def studies(scale: Scale = WHOLE) -> list[BenchStudy]:
    """Return every study, in the order in which they are trained."""
    found = []
    for series, arm in ARMS[: scale.arms]:
        specs = factorial_design(series, SERIES_SEED)
        limits = [limit for limit in (arm.data_sets, scale.data_sets) if limit is not None]
        found += [BenchStudy(series, spec, arm, scale) for spec in specs[: min(limits, default=len(specs))]]
    return found


@dataclass(frozen=True)
class Part:
    """Studies that are trained at one go.

    Attributes:
        number: From 1.
        studies: In their order.
    """

    number: int
    studies: tuple[BenchStudy, ...]

    @property
    def core_minutes(self) -> float:
        """Estimated processor time."""
        return sum(study.seconds for study in self.studies) / 60

    @property
    def title(self) -> str:
        """Series and decoders, with the number of data sets."""
        counts: dict[tuple[str, str], int] = {}
        for study in self.studies:
            counts[study.series, study.arm.decoder] = counts.get((study.series, study.arm.decoder), 0) + 1
        return ", ".join(f"{series} x {n}, {decoder}" for (series, decoder), n in counts.items())


def parts(scale: Scale = WHOLE, minutes: float = PART_MINUTES, cores: int = 2) -> list[Part]:
    """Divide the studies, in their order, into parts of at most so many minutes by the clock."""
    found: list[list[BenchStudy]] = [[]]
    spent = 0.0
    for study in studies(scale):
        if found[-1] and spent + study.seconds > 60 * minutes * cores:
            found.append([])
            spent = 0.0
        found[-1].append(study)
        spent += study.seconds
    return [Part(number, tuple(members)) for number, members in enumerate(found, start=1)]


def chosen(every: Sequence[Part], numbers: Sequence[int]) -> list[Part]:
    """Return the parts of these numbers, all without any.

    Raises:
        UserError: No part has such a number.
    """
    for number in numbers:
        if not 1 <= number <= len(every):
            raise UserError(f"--part must be one of 1 to {len(every)}. Got {number}.")
    return [part for part in every if not numbers or part.number in numbers]


def plan_lines(every: Sequence[Part]) -> Iterator[str]:
    """Yield the plan as a Markdown table with its estimated cost."""
    yield "| part | series x data sets, decoder | runs | core-minutes |"
    yield "|---|---|---|---|"
    for part in every:
        runs = sum(study.n_runs for study in part.studies)
        yield f"| {part.number} | {part.title} | {runs} | {part.core_minutes:.0f} |"
    total = sum(part.core_minutes for part in every)
    n_runs = sum(study.n_runs for part in every for study in part.studies)
    yield f"| all | | {n_runs} | {total:.0f} ({total / 60:.1f} core-hours) |"
