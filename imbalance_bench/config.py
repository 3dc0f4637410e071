"""The study file: strict, typed, frozen. Defaults of a study live here, those of a method in `methods`."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from imbalance_bench.analysis_section import AnalysisSection, Fraction, Positive, Section
from imbalance_bench.config_errors import first_error
from imbalance_bench.errors import UserError
from imbalance_bench.method_lookup import method_named
from methods.base import MethodConfig, Requirement
from methods.plugins import origin_of


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse values that do not grow."""
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"Distances must grow from one to the next. Got {list(values)}.")
    return values


Distance = Annotated[float, Field(gt=0)]
Distances = Annotated[tuple[Distance, ...], AfterValidator(_ascending)]
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class DatasetSection(Section):
    """Which prepared data set, and how it is seen. Relative paths start at the working directory."""

    path: Path
    groups: dict[str, list[str]] = Field(default_factory=dict)  # merged class -> source classes
    ignore: list[str] = Field(default_factory=list)  # classes to treat as unlabelled
    families: dict[str, str] = Field(default_factory=dict)  # class -> its kind, within which it is compared
    tile_px: Annotated[int, Field(ge=32, multiple_of=32)] = 512
    stride_px: Positive = 512

    @model_validator(mode="after")
    def _tiles_cover(self) -> "DatasetSection":
        if self.stride_px > self.tile_px:
            raise ValueError(
                f"`dataset.stride_px` must be <= `dataset.tile_px` ({self.tile_px}). Got {self.stride_px}."
            )
        return self


class SplitsSection(Section):
    """How images are divided. `published`: the split column of the data set; `grouped`: drawn; `file`: read."""

    kind: Literal["published", "grouped", "file"] = "published"
    folds: Positive = 1  # grouped: each group is tested once; with 1, `test_fraction` is tested
    repeats: Positive = 1  # grouped: divisions drawn one after the other, of `folds` folds each
    test_fraction: Fraction | None = None  # grouped, with one fold: share of the images
    path: Path | None = None  # file: JSON of `data splits --out`, or a cv.csv; relative to the working directory
    rotate: bool = False  # file, cv.csv: every fold but the test set validates once
    validation_fraction: Fraction = 0.15  # carved out of training, by group, unless published or read from a file
    seed: int = 0

    @model_validator(mode="after")
    def _keys_of_kind(self) -> "SplitsSection":
        if self.kind == "file" and self.path is None:
            raise ValueError("`splits.path` is required by `splits.kind: file`. Give a JSON of splits or a cv.csv.")
        keys = {"grouped": ("folds", "repeats", "test_fraction"), "file": ("path", "rotate")}
        defaults = SplitsSection.model_fields
        for kind, names in keys.items():
            for name in names if kind != self.kind else ():
                if getattr(self, name) != defaults[name].default:
                    raise ValueError(
                        f"`splits.{name}` means nothing to `splits.kind: {self.kind}`. Got {getattr(self, name)}. "
                        f"Leave it out, or set `splits.kind: {kind}`."
                    )
        return self


class ModelSection(Section):
    """Architecture and encoder."""

    architecture: str = "class_query"  # or an SMP architecture: unet, fpn, deeplabv3plus, segformer, ...
    encoder: str = "tu-tf_efficientnet_lite0"  # an SMP name, or tu-<timm name>
    encoder_weights: str = "none"  # imagenet, none, or a local .safetensors / .pt file
    encoder_frozen: bool = True
    # the class-query decoder; ignored by SMP architectures
    channels: Annotated[int, Field(ge=4, multiple_of=4)] = 128
    depth: Positive = 2
    heads: Positive = 8
    mlp_channels: Positive = 256
    pixel_channels: tuple[Positive, Positive, Positive] = (128, 64, 32)  # at strides 16, 8, 4
    embedding_channels: Positive = 32
    token_stride_px: Literal[4, 8, 16, 32] = 16

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSection":
        if self.channels % self.heads:
            raise ValueError(f"`model.heads` must divide `model.channels` ({self.channels}). Got {self.heads}.")
        return self


class AugmentationSection(Section):
    """Random views of training tiles; the same for every method of a seed."""

    dihedral: bool = True  # quarter turns and flips
    stain_strength: Annotated[float, Field(ge=0, le=1)] = 0.2  # relative change of H, E and residual concentrations
    colour_strength: Annotated[float, Field(ge=0, le=1)] = 0.1  # brightness, contrast, saturation
    # views per training tile in the cache of a frozen encoder; 1: the tile itself; 0: no cache, fresh views every step
    cached_views: Annotated[int, Field(ge=0)] = 8


class TrainingSection(Section):
    """One recipe for all methods."""

    steps: Positive = 600  # optimiser steps
    batch_size: Positive = 8  # crops per forward pass
    accumulate: Positive = 1  # forward passes per optimiser step
    crop_px: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    encoder_lr_multiplier: Annotated[float, Field(gt=0)] = 0.1  # of a trained encoder
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Annotated[int, Field(ge=0)] = 25
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    milestones: tuple[Fraction, ...] = (0.7, 0.85)  # shares of the steps
    milestone_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    validate_every: Positive = 100  # steps; also feeds methods that ask for validation feedback
    ledger_every: Positive = 25  # steps between entries of the class-parameter ledger
    checkpoint_every: Positive = 50  # steps
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on CUDA, float32 elsewhere
    data_order_seed: int | None = None  # None: from the run's seed
    augmentation: AugmentationSection = AugmentationSection()


class ComputeSection(Section):
    """Where and how runs execute; recorded with each run but no part of its identity."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    threads: Positive = 1  # CPU threads per run; results are reproducible bit for bit at a fixed number
    deterministic: bool = True
    saved_predictions: Annotated[int, Field(ge=0)] = 24  # test images per run whose predicted mask is kept


class EvaluationSection(Section):
    """What is counted beside the pixels of validation and test images; fixed for all runs of a study directory.

    Distances in um need a data set with a known resolution; without one they are left out. An empty list leaves a
    measure out.
    """

    boundary_diagonal: Annotated[float, Field(gt=0, lt=1)] = 0.02  # boundary IoU: width as a share of the diagonal
    boundary_um: Distances = (1.0, 2.0, 4.0)  # boundary IoU: widths of the band
    surface_um: Distances = (0.5, 1.0, 2.0, 4.0)  # surface Dice: tolerances
    trimap_um: Distances = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # outer ends of the bands around true borders
    permuted_biases: Annotated[int, Field(ge=0)] = 3  # predictions with a permuted attention bias
    dynamics_crops: Annotated[int, Field(ge=0)] = 32  # training crops watched while a model trains; 0: none


class MethodEntry(Section):
    """One method of the study: a label, and the registered methods that it is composed of (usually one)."""

    label: Annotated[str, Field(pattern=PLAIN_NAME)]
    parts: dict[str, MethodConfig]

    def resolved(self) -> dict[str, Any]:
        """Label and parts with every option spelled out; part of the run's identity and of its manifest."""
        return {"label": self.label, "parts": [_resolved_part(name, config) for name, config in self.parts.items()]}

    def requirements(self) -> frozenset[Requirement]:
        """Needs of all parts."""
        return frozenset().union(*(config.requirements() for config in self.parts.values()))


class StudyConfig(Section):
    """A whole study."""

    name: Annotated[str, Field(pattern=PLAIN_NAME)]
    dataset: DatasetSection
    splits: SplitsSection = SplitsSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    compute: ComputeSection = ComputeSection()
    methods: Annotated[tuple[MethodEntry, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    analysis: AnalysisSection = AnalysisSection()

    @model_validator(mode="after")
    def _unambiguous(self) -> "StudyConfig":
        labels = [method.label for method in self.methods]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"Each method needs a `label` of its own. Got '{label}' twice.")
        if self.analysis.control is not None and self.analysis.control not in labels:
            raise ValueError(
                f"`analysis.control` must be the label of a method ({', '.join(labels)}). "
                f"Got '{self.analysis.control}'."
            )
        if self.training.crop_px > self.dataset.tile_px:
            raise ValueError(
                f"`training.crop_px` must be <= `dataset.tile_px` ({self.dataset.tile_px}). "
                f"Got {self.training.crop_px}."
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` must differ from each other. Got {list(self.seeds)}.")
        return self

    @property
    def control(self) -> str:
        """Label of the method that the others are compared with."""
        return self.analysis.control or self.methods[0].label

    @property
    def uses_feature_cache(self) -> bool:
        """True if training reads cached features of a frozen encoder instead of images."""
        return self.model.encoder_frozen and self.training.augmentation.cached_views > 0

    def dump(self) -> dict[str, Any]:
        """The resolved study as plain JSON values, in the form of a study file."""
        content = self.model_dump(mode="json", exclude={"methods"})
        content["methods"] = [method.resolved() for method in self.methods]
        return content


def load_study(path: Path, overrides: Iterable[str] = ()) -> StudyConfig:
    """Read a study file and apply `key=value` overrides (dotted keys, YAML values).

    Raises:
        UserError: The file cannot be read, or something in it is unknown or out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist. Give the path of a study file, such as examples/consep.yaml."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not readable as YAML ({error}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of study keys. Got {type(content).__name__}.")
    for override in overrides:
        _apply(content, override)
    return parse_study(content, source=str(path))


def parse_study(content: Mapping[str, Any], *, source: str) -> StudyConfig:
    """Validate the content of a study file; `source` names it in errors."""
    content = dict(content)
    if isinstance(content.get("methods"), list):
        content["methods"] = tuple(_parse_method(entry, source) for entry in content["methods"])
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, StudyConfig)}") from error


def _parse_method(entry: object, source: str) -> MethodEntry:
    """Accept `focal`, `{name: focal, gamma: 1, label: x}` or `{label: x, parts: [...]}`."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {entry!r}.")
    options = dict(entry)
    label = options.pop("label", None)
    if "parts" in options:
        parts = options.pop("parts")
        if options or not isinstance(parts, list) or not parts:
            raise UserError(f"{source}: a composed method must hold `label` and a list `parts`. Got {dict(entry)!r}.")
        configs = dict(_parse_part(part, source) for part in parts)
        label = label or "+".join(configs)
    else:
        configs = dict([_parse_part(options, source)])
        label = label or next(iter(configs))
    try:
        return MethodEntry(label=label, parts=configs)
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, MethodEntry)}") from error


def _parse_part(part: object, source: str) -> tuple[str, MethodConfig]:
    """Return the registered name and the validated options."""
    options = {"name": part} if isinstance(part, str) else dict(part) if isinstance(part, Mapping) else {}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {part!r}.")
    method, recorded = method_named(name, source), options.pop("plugin", None)
    if recorded != origin_of(name) and recorded is not None:
        raise UserError(
            f"{source}: method '{name}' is of {recorded}, and installed is {origin_of(name) or 'none'}. "
            "Install the one that is named, or give another --out."
        )
    try:
        return name, method.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, method, of=name)}") from error


def _resolved_part(name: str, config: MethodConfig) -> dict[str, Any]:
    """Every option of a part and, of a plug-in, distribution and version: another version is another method."""
    origin = origin_of(name)
    return {"name": name} | ({"plugin": origin} if origin else {}) | config.model_dump(mode="json")


def _apply(content: dict[str, Any], override: str) -> None:
    """Set one dotted key in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set takes key=value, such as training.steps=300. Got '{override}'.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not readable as YAML ({error}).") from error
    *sections, last = key.split(".")
    for name in sections:
        below = content.setdefault(name, {})
        if not isinstance(below, dict):
            raise UserError(f"--set {key}: '{name}' is not a section of the study.")
        content = below
    content[last] = value
