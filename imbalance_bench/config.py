"""The study file: strict, typed, frozen. Defaults of a study live here, those of a method in `methods`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imbalance_bench.errors import UserError, nearest
from methods import REGISTRY
from methods.base import MethodConfig, Requirement

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class Section(BaseModel):
    """A part of the study file: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSection(Section):
    """Which prepared data set, and how it is seen. Relative paths start at the working directory."""

    path: Path
    groups: dict[str, list[str]] = {}  # merged class -> source classes
    ignore: list[str] = []  # classes to treat as unlabelled
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
    """How images are divided. `published` takes the split column of the data set; `grouped` makes folds."""

    kind: Literal["published", "grouped"] = "published"
    folds: Positive = 1  # grouped: number of folds, each group is tested once
    validation_fraction: Fraction = 0.15  # carved out of training, by group, where no validation split is published
    seed: int = 0


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


class AnalysisSection(Section):
    """The analysis plan, fixed before training and hashed into the records."""

    control: str | None = None  # label of the method that the others are compared with; None: the first one
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    rope_dice: Fraction = 0.01  # differences smaller than this are practically equivalent
    resamples: Positive = 10_000
    permutations: Positive = 100_000
    reliability_floor: Annotated[float, Field(ge=0, le=1)] = 0.5  # ICC below which no correlation is interpreted
    unit: Literal["auto", "group", "image"] = "auto"  # what is independent; auto: groups where they are known
    boundary_band_um: Annotated[float, Field(gt=0)] = 2.0
    seed: int = 0


class MethodEntry(Section):
    """One method of the study: a label, and the registered methods that it is composed of (usually one)."""

    label: Annotated[str, Field(pattern=PLAIN_NAME)]
    parts: dict[str, MethodConfig]

    def resolved(self) -> dict[str, Any]:
        """Label and parts with every option spelled out; part of the run's identity and of its manifest."""
        parts = [{"name": name, **config.model_dump(mode="json")} for name, config in self.parts.items()]
        return {"label": self.label, "parts": parts}

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
        raise UserError(f"{source}: {_sentence(error, StudyConfig)}") from error


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
        raise UserError(f"{source}: {_sentence(error, MethodEntry)}") from error


def _parse_part(part: object, source: str) -> tuple[str, MethodConfig]:
    """Return the registered name and the validated options."""
    options = {"name": part} if isinstance(part, str) else dict(part) if isinstance(part, Mapping) else {}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {part!r}.")
    if name not in REGISTRY:
        raise UserError(
            f"{source}: unknown method '{name}'.{nearest(name, REGISTRY)} `imbalance-bench methods` lists all."
        )
    try:
        return name, REGISTRY[name].model_validate(options)
    except ValidationError as error:
        raise UserError(f"{source}: {_sentence(error, REGISTRY[name], of=name)}") from error


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


_LIMITS = {"greater_than_equal": (">=", "ge"), "greater_than": (">", "gt"), "less_than_equal": ("<=", "le")}
_LIMITS |= {"less_than": ("<", "lt"), "multiple_of": ("a multiple of", "multiple_of")}


def _sentence(error: ValidationError, model: type[BaseModel], *, of: str = "") -> str:
    """Turn the first of pydantic's errors into one sentence: "`steps` must be >= 1. Got 0."."""
    first = error.errors(include_url=False)[0]
    kind, location, context = first["type"], [str(part) for part in first["loc"]], first.get("ctx", {})
    key = "`" + ".".join(location) + "`" + (f" of {of}" if of else "")
    if kind == "extra_forbidden":
        return f"unknown key {key}.{nearest(location[-1], _keys_beside(model, location))}"
    if kind == "missing":
        return f"{key} is required."
    if kind == "value_error":
        return str(context.get("error", first["msg"]))
    if kind in _LIMITS:
        symbol, name = _LIMITS[kind]
        return f"{key} must be {symbol} {context[name]}. Got {first['input']!r}."
    if kind == "literal_error":
        return f"{key} must be one of {context['expected']}. Got {first['input']!r}."
    if kind == "string_pattern_mismatch":
        return f"{key} must hold letters, digits, '_', '.', '+' or '-' only. Got {first['input']!r}."
    expectation = first["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{key}: {expectation}. Got {first['input']!r}."


def _keys_beside(model: type[BaseModel], location: list[str]) -> list[str]:
    """Names that the section at `location` knows."""
    for name in location[:-1]:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
