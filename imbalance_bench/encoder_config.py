"""The part of `model:` that says which encoder reads the image, with which weights, and how much of it is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from imbalance_bench.config_section import PLAIN_NAME, Positive, Section

Rgb = tuple[float, float, float]
Scale = Annotated[float, Field(gt=0, le=4)]
Tuning = Literal["frozen", "lora", "last_blocks", "full"]
# Keys that older study files do not have. A key at its default is left out of the resolved study, so that the runs of
# those files keep their ids; `encoder_frozen` says the rest of `encoder_tuning`.
_ADDED = (
    "label",
    "encoder_scale",
    "encoder_kwargs",
    "encoder_features",
    "pyramid_channels",
    "encoder_mean",
    "encoder_std",
)
_ADDED += ("lora_rank", "lora_alpha", "last_blocks", "encoder_layer_decay", "activation_checkpointing")


class EncoderSection(Section):
    """Encoder, weights and tuning. Several encoders are fused: their features are concatenated."""

    label: Annotated[str, Field(pattern=PLAIN_NAME)] | None = None  # required in `models:`, unknown to `model:`
    encoder: str | tuple[str, ...] = "tu-tf_efficientnet_lite0"  # an SMP name, tu-<timm name>, or a preset
    encoder_weights: str | tuple[str, ...] = "none"  # imagenet, none, or a local .safetensors / .pt / .pth / .bin file
    encoder_scale: Scale | tuple[Scale, ...] = 1.0  # the image is resized by this factor for the encoder
    encoder_kwargs: dict[str, bool | int | float | str] = Field(default={})  # of a timm model, such as init_values
    # of a transformer: at four depths; of the last block, through the same pyramid; `tokens`: of the last block, as
    # they are, for `decoder: sam`
    encoder_features: Literal["depths", "last", "tokens"] = "depths"
    pyramid_channels: Annotated[int, Field(ge=4)] = 128  # of a transformer's features at each stride
    encoder_mean: Rgb | None = None  # of RGB in 0..1; None: what the encoder was published with
    encoder_std: Rgb | None = None
    encoder_frozen: bool = True  # older form of `encoder_tuning`: true is frozen, false is full
    encoder_tuning: Tuning = "frozen"  # last_blocks and lora are for transformers
    lora_rank: Positive = 8
    lora_alpha: Annotated[float, Field(gt=0)] = 16.0  # the update is scaled by alpha / rank
    last_blocks: Positive = 2  # blocks that `encoder_tuning: last_blocks` trains
    encoder_layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # factor of the learning rate per block from the top
    activation_checkpointing: bool = False  # less memory for a trained transformer, about a third more time

    @model_validator(mode="before")
    @classmethod
    def _one_word_for_tuning(cls, content: Any) -> Any:
        """Derive `encoder_frozen` and `encoder_tuning` from each other."""
        if not isinstance(content, dict):
            return content
        tuning, frozen = content.get("encoder_tuning"), content.get("encoder_frozen")
        if tuning is None and isinstance(frozen, bool):
            return content | {"encoder_tuning": "frozen" if frozen else "full"}
        if isinstance(tuning, str) and isinstance(frozen, bool) and frozen != (tuning == "frozen"):
            raise ValueError(
                f"`encoder_frozen: {str(frozen).lower()}` contradicts `encoder_tuning: {tuning}`. Drop it."
            )
        return content | {"encoder_frozen": tuning == "frozen"} if isinstance(tuning, str) else content

    @model_validator(mode="after")
    def _lists_agree(self) -> "EncoderSection":
        names = self.encoders
        if not names:
            raise ValueError("`encoder` must name at least one encoder. Got an empty list.")
        for key in ("encoder_weights", "encoder_scale"):
            value = getattr(self, key)
            if isinstance(value, tuple) and len(value) != len(names):
                raise ValueError(f"`{key}` must hold one value for each encoder ({len(names)}). Got {len(value)}.")
        alone = ("encoder_kwargs", "encoder_mean", "encoder_std")
        for key in alone if len(names) > 1 else ():
            if getattr(self, key):
                raise ValueError(f"`{key}` cannot be set for fused encoders. Use presets for them.")
        if (self.encoder_mean is None) != (self.encoder_std is None):
            raise ValueError("`encoder_mean` and `encoder_std` belong together. Give both or neither.")
        if self.encoder_std is not None and min(self.encoder_std) <= 0:
            raise ValueError(f"`encoder_std` must be > 0. Got {list(self.encoder_std)}.")
        return self

    @model_validator(mode="after")
    def _keys_of_tuning(self) -> "EncoderSection":
        """Refuse a value that the chosen tuning would ignore."""
        keys = {"lora": ("lora_rank", "lora_alpha"), "last_blocks": ("last_blocks",)}
        for tuning, names in keys.items():
            for name in names if tuning != self.encoder_tuning else ():
                if getattr(self, name) != EncoderSection.model_fields[name].default:
                    raise ValueError(
                        f"`{name}` does not apply to `encoder_tuning: {self.encoder_tuning}`. "
                        f"Got {getattr(self, name)}. Leave it out, or set `encoder_tuning: {tuning}`."
                    )
        if self.encoder_tuning == "frozen" and (self.activation_checkpointing or self.encoder_layer_decay != 1.0):
            name = "activation_checkpointing" if self.activation_checkpointing else "encoder_layer_decay"
            raise ValueError(
                f"`{name}` does not apply to a frozen encoder. Set `encoder_tuning: full`, or leave it out."
            )
        return self

    @model_serializer(mode="wrap")
    def _as_older_files(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out added keys at their defaults, in the order of older files."""
        content = handler(self)
        for key in _ADDED:
            if getattr(self, key) == EncoderSection.model_fields[key].default:
                content.pop(key, None)
        if self.encoder_tuning in ("frozen", "full"):
            content.pop("encoder_tuning", None)
        first = [key for key in ("label", "architecture") if key in content]
        return {key: content[key] for key in first} | content

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders; several are fused."""
        return (self.encoder,) if isinstance(self.encoder, str) else self.encoder

    @property
    def weights(self) -> tuple[str, ...]:
        """Weights of each encoder."""
        weights = self.encoder_weights
        return (weights,) * len(self.encoders) if isinstance(weights, str) else weights

    @property
    def scales(self) -> tuple[float, ...]:
        """Factor by which the image is resized for each encoder."""
        scale = self.encoder_scale
        return scale if isinstance(scale, tuple) else (scale,) * len(self.encoders)

    @property
    def encoder_name(self) -> str:
        """For people and for tables."""
        return " + ".join(self.encoders)

    @property
    def leaves_random_encoder_unsaid(self) -> bool:
        """True if a frozen encoder would have random weights although nobody asked for that."""
        return self.encoder_tuning == "frozen" and "encoder_weights" not in self.model_fields_set


def without_folders(weights: str | Sequence[str]) -> str | list[str]:
    """Return `encoder_weights` with names of files in place of their paths; its hash says which file it was."""
    return Path(weights).name if isinstance(weights, str) else [Path(weight).name for weight in weights]
