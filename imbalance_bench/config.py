"""The study file: strict, typed, frozen. Defaults of a study live here, those of a method in `methods`."""

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.cluster_sections import RaySection, SlurmSection
from imbalance_bench.config_errors import validated
from imbalance_bench.config_section import PLAIN_NAME, Fraction, Natural, Positive, Section, Seed, untold
from imbalance_bench.data_config import DatasetSection, SplitsSection
from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.errors import UserError
from imbalance_bench.method_entry import MethodEntry, outlined_method, parse_method
from imbalance_bench.tuning.section import TuningSection
from imbalance_bench.yaml_files import parse_yaml, read_yaml


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse values that do not grow."""
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"must grow from one to the next. Got {list(values)}.")
    return values


MOST_THREADS = 1024  # PyTorch crashes where it cannot start as many
Share = Annotated[float, Field(gt=0, le=1)]
Distance = Annotated[float, Field(gt=0, le=1e6)]
Distances = Annotated[tuple[Distance, ...], AfterValidator(_ascending)]
# decoders of the class-query architecture; `models.decoders` builds them
DecoderName = Literal["unet", "sam", "bottleneck", "tied", "tied_detail", "tied_orthonormal"]
TIED_STRIDE_PX: dict[Any, int] = {"tied": 4, "tied_detail": 8, "tied_orthonormal": 8}


class ModelSection(EncoderSection):
    """Architecture, on top of the encoder."""

    architecture: str = "class_query"  # or an SMP architecture: unet, fpn, deeplabv3plus, segformer, ...
    # the class-query decoder; ignored by SMP architectures
    decoder: DecoderName = Field(default="unet", exclude_if=lambda name: name == "unet")  # what bypasses its attention
    channels: Annotated[int, Field(ge=4, multiple_of=4, le=2**16)] = 128
    depth: Annotated[int, Field(ge=1, le=100)] = 2
    heads: Positive = 8
    mlp_channels: Positive = 256
    pixel_channels: tuple[Positive, Positive, Positive] = (128, 64, 32)  # at strides 16, 8, 4
    embedding_channels: Positive = 32
    # weight in the loss of a head of `decoder: sam` that estimates each class's IoU; 0: no such head
    iou_head_weight: Annotated[float, Field(ge=0)] = Field(default=0.0, exclude_if=lambda weight: weight == 0)
    # of `tied` 4, of `tied_detail` and `tied_orthonormal` 8, unless given; 24 only where tokens are an encoder's own
    token_stride_px: Literal[4, 8, 16, 24, 32] = 16

    @model_validator(mode="before")
    @classmethod
    def _stride_of_decoder(cls, content: Any) -> Any:
        """A decoder that reads masks off the attention weights needs finer image tokens."""
        stride = TIED_STRIDE_PX.get(content.get("decoder")) if isinstance(content, dict) else None
        return content if stride is None else {"token_stride_px": stride, **content}

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSection":
        if self.channels % self.heads:
            raise ValueError(f"`model.heads` must divide `model.channels` ({self.channels}). Got {self.heads}.")
        if self.decoder == "sam" and self.channels % (2 * self.heads):
            raise ValueError(
                f"`model.heads` must divide half of `model.channels` ({self.channels}) with `model.decoder: sam`. "
                f"Got {self.heads}."
            )
        if self.decoder != "unet" and self.architecture != "class_query":
            raise ValueError(
                f"`model.decoder` names a decoder of `model.architecture: class_query`. Got {self.decoder} with "
                f"{self.architecture}. Leave it out, or set that architecture."
            )
        return self

    @model_validator(mode="after")
    def _head_of_sam(self) -> "ModelSection":
        if self.iou_head_weight and (self.decoder != "sam" or self.architecture != "class_query"):
            raise ValueError(
                f"`model.iou_head_weight` is for `model.decoder: sam`. Got {self.iou_head_weight:g} with "
                f"{self.decoder}. Leave it out, or set that decoder."
            )
        return self

    @model_validator(mode="after")
    def _tokens_as_they_are(self) -> "ModelSection":
        own = self.encoder_features == "tokens"
        if own and self.decoder != "sam":
            raise ValueError(
                f"`model.encoder_features: tokens` makes no pyramid, which `model.decoder: {self.decoder}` reads. Set "
                "`decoder: sam`, or `encoder_features: last`."
            )
        if self.token_stride_px == 24 and not own:
            raise ValueError("`model.token_stride_px: 24` needs `encoder_features: tokens`. Give 4, 8, 16 or 32.")
        return self


class AugmentationSection(Section):
    """Random views of training tiles; the same for every method of a seed."""

    dihedral: bool = True  # quarter turns and flips
    stain_strength: Annotated[float, Field(ge=0, le=1)] = 0.2  # relative change of H, E and residual concentrations
    colour_strength: Annotated[float, Field(ge=0, le=1)] = 0.1  # brightness, contrast, saturation
    # largest turn of the colour circle, 0.5 being half of it
    hue_strength: Annotated[float, Field(ge=0, le=0.5)] = Field(default=0.0, exclude_if=lambda strength: strength == 0)
    # a random part of the tile, of this share of its area and a ratio of edges of 3/4 to 4/3, resized to the crop;
    # None: a crop at the tile's own scale
    resized_crop: Annotated[tuple[Share, Share], AfterValidator(_ascending)] | None = Field(
        default=None, exclude_if=untold
    )
    # views per training tile in the cache of a frozen encoder; 1: the tile itself; 0: no cache, fresh views every step
    cached_views: Natural = 8


class TrainingSection(Section):
    """One recipe for all methods."""

    steps: Positive = 600  # optimiser steps
    batch_size: Positive = 8  # crops per forward pass
    accumulate: Positive = 1  # forward passes per optimiser step
    crop_px: Annotated[int, Field(ge=32, multiple_of=32, le=2**20)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    encoder_lr_multiplier: Annotated[float, Field(gt=0)] = 0.1  # of a trained encoder
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Natural = 25
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    milestones: Annotated[tuple[Fraction, ...], AfterValidator(_ascending)] = (0.7, 0.85)  # shares of the steps
    milestone_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    validate_every: Positive = 100  # steps; also feeds methods that ask for validation feedback
    ledger_every: Positive = 25  # steps between entries of the class-parameter ledger
    checkpoint_every: Positive = 50  # steps
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on CUDA, float32 elsewhere
    data_order_seed: Seed | None = None  # None: from the run's seed
    augmentation: AugmentationSection = AugmentationSection()


class ComputeSection(Section):
    """Where and how runs execute; recorded with each run but no part of its identity."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    # CPU threads per run; results are reproducible bit for bit at a fixed number
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1
    deterministic: bool = True
    retries: Natural = 2  # further tries of a run whose process died or ran out of memory
    # disk that tiles and features of the study may take, GiB; as many views are cached as it has room for
    cache_gib: Annotated[float, Field(gt=0, le=1e6)] | None = Field(default=None, exclude_if=untold)
    saved_predictions: Natural = 24  # test images per run whose predicted mask is kept
    slurm: SlurmSection | None = Field(default=None, exclude_if=untold)  # for `run --engine slurm`
    ray: RaySection | None = Field(default=None, exclude_if=untold)  # for `run --engine ray`


class BoundarySection(Section):
    """Which boundary measures are counted; fixed for all runs of a study directory.

    Distances in um need a data set with a known resolution; without one they are left out. An empty list leaves a
    measure out.
    """

    boundary_diagonal: Annotated[float, Field(gt=0, lt=1)] = 0.02  # boundary IoU: width as a share of the diagonal
    boundary_um: Distances = (1.0, 2.0, 4.0)  # boundary IoU: widths of the band
    surface_um: Distances = (0.5, 1.0, 2.0, 4.0)  # surface Dice: tolerances
    trimap_um: Distances = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # outer ends of the bands around true borders


class EvaluationSection(BoundarySection):
    """What is counted beside the pixels of validation and test images; fixed for all runs of a study directory."""

    permuted_biases: Natural = 3  # predictions with a permuted attention bias
    path_controls: Natural = 2  # test images on which the attention path is dosed; 0: no control
    dynamics_crops: Natural = 32  # training crops watched while a model trains; 0: none


def require_told_apart(labels: Sequence[str], control: str | None) -> None:
    """Refuse methods of one label, and a control that is none of them.

    Raises:
        ValueError: As pydantic wants it of a validator.
    """
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"Each method needs a `label` of its own. Got '{label}' twice.")
    if control is not None and control not in labels:
        raise ValueError(f"`analysis.control` must be the label of a method ({', '.join(labels)}). Got '{control}'.")


class StudyConfig(Section):
    """A whole study."""

    name: Annotated[str, Field(pattern=PLAIN_NAME, max_length=200)]
    dataset: DatasetSection
    splits: SplitsSection = SplitsSection()
    one_model: ModelSection = Field(default=ModelSection(), alias="model")  # every method is trained with it
    models: tuple[ModelSection, ...] = ()  # instead of `model`: every method is trained with each of them
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    compute: ComputeSection = ComputeSection()
    methods: Annotated[tuple[MethodEntry, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0, 1, 2)
    analysis: AnalysisSection = AnalysisSection()
    tuning: TuningSection | None = None

    @model_validator(mode="after")
    def _tuned_apart(self) -> "StudyConfig":
        common = sorted({*self.seeds} & {*self.tuning.seeds}) if self.tuning else []
        if common:
            raise ValueError(
                f"`tuning.seeds` must differ from `seeds`, or the chosen setting is tested on what it was chosen by. "
                f"Got {common[0]} in both."
            )
        if self.tuning and len(self.models) > 1:
            raise ValueError(
                f"`tuning` chooses one setting of each method for one model. Got {len(self.models)} `models`. Make a "
                "study of each, or leave `tuning` out."
            )
        return self

    @model_validator(mode="after")
    def _halves_before_the_end(self) -> "StudyConfig":
        if self.tuning is None or self.tuning.halving is None:
            return self
        steps, warmup, least = self.training.steps, self.training.warmup_steps, self.tuning.halving.min_steps
        if len(self.tuning.rungs(steps)) == 1:
            raise ValueError(
                f"`tuning.halving` needs 3 `trials` and `training.steps` of `factor` x `min_steps` or more. Got "
                f"{self.tuning.trials} trials, {steps} steps and {self.tuning.halving.factor} x {least}."
            )
        if least <= warmup:
            raise ValueError(
                f"`tuning.halving.min_steps` must be > `training.warmup_steps` ({warmup}), or trials are dropped "
                f"before they reach their learning rate. Got {least}."
            )
        return self

    @model_validator(mode="after")
    def _unambiguous(self) -> "StudyConfig":
        require_told_apart([method.label for method in self.methods], self.analysis.control)
        if self.training.crop_px > self.dataset.tile_px:
            raise ValueError(
                f"`training.crop_px` must be <= `dataset.tile_px` ({self.dataset.tile_px}). "
                f"Got {self.training.crop_px}."
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` must differ from each other. Got {list(self.seeds)}.")
        return self

    @model_validator(mode="after")
    def _crops_of_images(self) -> "StudyConfig":
        augmentation = self.training.augmentation
        frozen = any(model.encoder_frozen for model in self.each_model)
        if augmentation.resized_crop is not None and frozen and augmentation.cached_views:
            raise ValueError(
                "`training.augmentation.resized_crop` needs images, and a frozen encoder trains on cached features. "
                f"Got `cached_views: {augmentation.cached_views}`. Set it to 0, or leave `resized_crop` out."
            )
        return self

    @model_validator(mode="after")
    def _models_told_apart(self) -> "StudyConfig":
        if self.models and "one_model" in self.model_fields_set:
            raise ValueError("`model` and `models` exclude each other. Put the model into the list `models`.")
        if self.one_model.label is not None:
            raise ValueError("`model.label` is for the models of a list `models`. Leave it out.")
        labels = [model.label for model in self.models]
        for number, model in enumerate(self.models):
            if model.label is None:
                raise ValueError(f"`models`: each model needs a `label`. Got none for number {number + 1}.")
            if labels.count(model.label) > 1:
                raise ValueError(f"`models`: each model needs a `label` of its own. Got '{model.label}' twice.")
            for other in self.models[:number]:
                if model.model_copy(update={"label": other.label}) == other:
                    raise ValueError(f"`models`: '{other.label}' and '{model.label}' are the same model. Drop one.")
        return self

    @model_validator(mode="after")
    def _random_encoder_by_name(self) -> "StudyConfig":
        for model in self.each_model:
            if model.leaves_random_encoder_unsaid:
                key = f"`encoder_weights` of model '{model.label}'" if model.label else "`model.encoder_weights`"
                raise ValueError(
                    f"{key} is missing, so the frozen encoder would be random. Give a local weights file or imagenet, "
                    "train it with `encoder_tuning: full`, or write `encoder_weights: none` if random is meant."
                )
        return self

    @property
    def each_model(self) -> tuple[ModelSection, ...]:
        """Every model of the study."""
        return self.models or (self.one_model,)

    @property
    def model(self) -> ModelSection:
        """The model of a study with one; `only` makes such a study of one with several."""
        if self.models:
            raise RuntimeError("A study of several models has no `model`; narrow it with `only` first.")
        return self.one_model

    def only(self, model: ModelSection) -> "StudyConfig":
        """Return the same study with one of its models alone."""
        return self.model_copy(update={"one_model": model, "models": ()})

    @property
    def control(self) -> str:
        """Label of the method that the others are compared with."""
        return self.analysis.control or self.methods[0].label

    @property
    def comparisons(self) -> int:
        """Number of methods that are compared with their control over all models, as each model has a control."""
        return (len(self.methods) - 1) * len(self.each_model)

    @property
    def uses_feature_cache(self) -> bool:
        """True if training reads cached features of a frozen encoder instead of images."""
        return self.model.encoder_frozen and self.training.augmentation.cached_views > 0

    def dump(self) -> dict[str, Any]:
        """The resolved study as plain JSON values, in the form of a study file."""
        content = self.model_dump(
            mode="json",
            exclude={"methods", "one_model" if self.models else "models", *(() if self.tuning else ("tuning",))},
            by_alias=True,
        )
        content["methods"] = [method.resolved() for method in self.methods]
        return content


def load_study(path: Path, overrides: Iterable[str] = ()) -> StudyConfig:
    """Read a study file and apply `key=value` overrides (dotted keys, YAML values).

    Raises:
        UserError: The file cannot be read, or something in it is unknown or out of range.
    """
    content = read_yaml(path, "Give the path of a study file, such as examples/consep.yaml.")
    for override in overrides:
        _apply(content, override)
    return parse_study(content, source=str(path))


def parse_study(content: dict[str, Any], *, source: str) -> StudyConfig:
    """Validate the content of a study file; `source` names it in errors."""
    checked, methods = copy(content), content.get("methods")
    if isinstance(methods, list):  # options of methods last, since the class of a plug-in may import torch
        checked["methods"] = tuple(outlined_method(entry, source) for entry in methods)
        validated(StudyConfig, checked, source)
        checked["methods"] = tuple(parse_method(entry, source) for entry in methods)
    return validated(StudyConfig, checked, source)


def _apply(content: dict[str, Any], override: str) -> None:
    """Set one dotted key in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set takes key=value, such as training.steps=300. Got '{override}'.")
    value = parse_yaml(text, f"--set {override}")
    *sections, last = key.split(".")
    for name in sections:
        below = content.setdefault(name, {})
        if not isinstance(below, dict):
            raise UserError(f"--set {key}: '{name}' is not a section of the study.")
        content = below
    content[last] = value
