"""Encoders from segmentation-models-pytorch and timm, and published ones by name, each with what it is fed with."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import segmentation_models_pytorch as smp
import timm
import torch
from timm.layers.mlp import SwiGLU, SwiGLUPacked
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.errors import UserError, first_line, nearest
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.models.encoder_presets import HALF, IMAGENET_MEAN, IMAGENET_STD, PRESETS, Rgb
from imbalance_bench.models.encoder_weights import (
    load_encoder_weights,
    local_hash,
    require_normalisation,
    weights_identity,
)
from imbalance_bench.models.tensor_digest import tensor_digest
from imbalance_bench.models.token_encoder import TokenEncoder, is_plain_transformer, on_meta

TIMM_PREFIX = "tu-"
DEPTH = 5  # feature levels after the image: strides 2, 4, 8, 16, 32
COARSEST_STRIDE_PX = 2**DEPTH
_SCALED_TO_HALF = ("inceptionv4", "inceptionresnetv2", "xception")  # SMP encoders with mean and std 0.5
# what a study file names by a word
_NAMED_OPTIONS = {"SwiGLUPacked": SwiGLUPacked, "SwiGLU": SwiGLU, "SiLU": nn.SiLU}


@dataclass(frozen=True)
class EncoderChoice:
    """One encoder as the study file asks for it.

    Attributes:
        name: An SMP name, `tu-` and a timm name, or a key of PRESETS.
        weights: `imagenet`, `none`, or a local file.
        kwargs: Of the timm model.
        features: `depths`, `last` or `tokens`, of a transformer.
        mean: Instead of the published one.
        std: Likewise.
        scale: Factor by which the image is resized.
    """

    name: str
    weights: str
    kwargs: Mapping[str, Any]
    features: str = "depths"
    mean: Rgb | None = None
    std: Rgb | None = None
    scale: float = 1.0

    @property
    def preset(self) -> str | None:
        """Its name, if the encoder is a published one by name."""
        return self.name if self.name in PRESETS else None

    @property
    def timm_name(self) -> str | None:
        """Name within timm, or None for an encoder of SMP."""
        if self.preset:
            return PRESETS[self.name].architecture
        return self.name.removeprefix(TIMM_PREFIX) if self.name.startswith(TIMM_PREFIX) else None

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the timm model, with classes instead of their names."""
        options = {**(PRESETS[self.name].kwargs if self.preset else {}), **self.kwargs}
        return {
            key: _NAMED_OPTIONS.get(value, value) if isinstance(value, str) else value for key, value in options.items()
        }

    @property
    def description(self) -> dict[str, Any]:
        """What changes the features beside name and weights; empty for the encoders of older versions."""
        added = {"kwargs": dict(self.kwargs), "scale": self.scale, "features": self.features}
        added |= {"mean": self.mean and list(self.mean), "std": self.std and list(self.std)}
        plain = {"kwargs": {}, "scale": 1.0, "features": "depths", "mean": None, "std": None}
        return {key: value for key, value in added.items() if value != plain[key]}


def choices(section: EncoderSection) -> list[EncoderChoice]:
    """The encoders of a study's model, in their order."""
    return [
        EncoderChoice(
            name,
            weights,
            section.encoder_kwargs,
            section.encoder_features,
            section.encoder_mean,
            section.encoder_std,
            scale,
        )
        for name, weights, scale in zip(section.encoders, section.weights, section.scales, strict=True)
    ]


def model_weights_identity(section: EncoderSection) -> str:
    """Return what the study file says of the weights of a model's encoders, without loading them: part of run ids.

    Raises:
        UserError: Some are neither `imagenet`, `none` nor an existing file of a known kind.
    """
    identities = [weights_identity(choice.name, choice.weights) for choice in choices(section)]
    return identities[0] if len(identities) == 1 else canonical_hash(identities)


@dataclass(frozen=True)
class Encoder:
    """An encoder with what is needed to feed and to identify it.

    Attributes:
        module: Maps (B, 3, H, W) to a list of features.
        channels: Of each feature.
        mean: Per channel, of RGB scaled to 0..1.
        std: Likewise.
        weights_hash: SHA-256 of a local file, else of the tensors; None where it was built without values.
        choice: As in the study.
        levels: Indices of the features that the head reads.
        token_stride_px: Image pixels per token of a plain transformer; None where feature i has stride 2**i.
    """

    module: nn.Module
    channels: tuple[int, ...]
    mean: Rgb
    std: Rgb
    weights_hash: str | None
    choice: EncoderChoice
    levels: tuple[int, ...] = ()
    token_stride_px: int | None = None

    def reading(self, strides_px: Sequence[int]) -> "Encoder":
        """Choose the features that a head at these strides reads: of a plain transformer all, else those of them."""
        if self.token_stride_px is not None:
            return replace(self, levels=tuple(range(len(self.channels))))
        return replace(self, levels=tuple(stride.bit_length() - 1 for stride in strides_px))

    def normalise(self, images: Tensor) -> Tensor:
        """Scale RGB in 0..255, (B, 3, H, W), to what the encoder was trained on."""
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (images / 255 - mean) / std

    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode RGB images in 0..255, (B, 3, H, W), into the features that the head reads."""
        images = images.float()
        if self.choice.scale != 1:
            edges = [round(edge * self.choice.scale) for edge in images.shape[-2:]]
            images = functional.interpolate(images, size=edges, mode="bilinear", align_corners=False, antialias=True)
        features = self.module(self.normalise(images).contiguous(memory_format=torch.channels_last))
        return [features[level] for level in self.levels]

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the features that the head reads."""
        return tuple(self.channels[level] for level in self.levels)

    def strides(self, edge_px: int = 2 * COARSEST_STRIDE_PX) -> tuple[int, ...]:
        """Image pixels per feature pixel of each level, seen on an image of `edge_px`; some architectures dilate."""
        if self.token_stride_px is not None:
            return (self.token_stride_px,) * len(self.levels)
        seen = _STRIDES.setdefault(self.module, {})
        key = (self.choice.scale, self.levels, edge_px)
        if key not in seen:
            seen[key] = self._strides(edge_px)
        return seen[key]

    @torch.inference_mode()
    def _strides(self, edge_px: int) -> tuple[int, ...]:
        """Encode an image of zeros and look at the sizes that come out."""
        device = next(self.module.parameters()).device
        training = self.module.training
        self.module.eval()
        features = self.encode(torch.zeros(1, 3, edge_px, edge_px, device=device))
        self.module.train(training)
        return tuple(edge_px // feature.shape[-1] for feature in features)


# of each network: scale, levels and edge of the image -> strides
_STRIDES: WeakKeyDictionary[nn.Module, dict[tuple[float, tuple[int, ...], int], tuple[int, ...]]] = WeakKeyDictionary()


def require_known_encoder(name: str) -> None:
    """Refuse an encoder that is no preset and that neither SMP nor timm knows.

    Raises:
        UserError: With the nearest name.
    """
    smp_encoders = smp.encoders.encoders.keys()
    if name.startswith(TIMM_PREFIX):
        timm_names = timm.list_models()
        if name.removeprefix(TIMM_PREFIX).split(".")[0] not in timm_names:
            hint = nearest(name, [TIMM_PREFIX + other for other in timm_names])
            raise UserError(f"`model.encoder`: timm knows no '{name}'.{_short(hint)}")
    elif name not in smp_encoders and name not in PRESETS:
        hint = nearest(name, [*PRESETS, *smp_encoders, *(TIMM_PREFIX + other for other in timm.list_models())])
        raise UserError(f"`model.encoder`: unknown encoder '{name}'.{_short(hint)}")


def build_encoder(choice: EncoderChoice) -> Encoder:
    """Build an encoder; on the meta device its local weights are compared with it, not loaded.

    Raises:
        UserError: Unknown encoder, options that it does not take, or weights that cannot be read or do not fit.
    """
    require_known_encoder(choice.name)
    weights_hash = local_hash(choice.name, choice.weights)
    mean, std = normalisation(choice)
    plain = choice.timm_name is not None and is_plain_transformer(choice.timm_name, choice.options)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its retries; the error below says it once
    try:
        module = _token_encoder(choice) if plain else _hierarchical_encoder(choice)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(_not_made(choice, error), exit_code=1) from error
    if weights_hash is None:
        state = module.state_dict()
        weights_hash = None if any(value.is_meta for value in state.values()) else tensor_digest(state.items())
    else:
        path = Path(choice.weights)
        require_normalisation(path, mean, std, preset=choice.preset)
        load_encoder_weights(module, path, whole=plain)
    if not isinstance(module, TokenEncoder):
        return Encoder(module, tuple(module.out_channels), mean, std, weights_hash, choice)
    stride = module.patch_px / choice.scale
    if stride != round(stride):
        raise UserError(
            f"`model.encoder_scale` {choice.scale:g} of {choice.name} makes {stride:g} px of the image one token. Give "
            f"a scale that divides its patch of {module.patch_px} px into whole pixels."
        )
    return Encoder(module, module.channels, mean, std, weights_hash, choice, token_stride_px=round(stride))


def hierarchical_options(choice: EncoderChoice) -> dict[str, Any]:
    """Options of an encoder that SMP builds; a native size that timm can relax is relaxed."""
    if choice.timm_name is None:
        if choice.kwargs:
            raise UserError(f"`model.encoder_kwargs` are for encoders of timm (tu-...). Got {choice.name}.")
        return {}
    try:
        kind = type(on_meta(choice.timm_name, choice.options))
    except (TypeError, ValueError, RuntimeError, AssertionError):
        return choice.options  # errors are reported where the encoder is built
    relaxed = {"strict_img_size": False} if "strict_img_size" in inspect.signature(kind.__init__).parameters else {}
    return relaxed | choice.options


def _token_encoder(choice: EncoderChoice) -> TokenEncoder:
    return TokenEncoder(
        str(choice.timm_name), choice.options, features=choice.features, pretrained=choice.weights == "imagenet"
    )


def _hierarchical_encoder(choice: EncoderChoice) -> Any:
    return smp.encoders.get_encoder(
        choice.name,
        in_channels=3,
        depth=DEPTH,
        weights="imagenet" if choice.weights == "imagenet" else None,
        **hierarchical_options(choice),
    )


def _not_made(choice: EncoderChoice, error: Exception) -> str:
    """Say why a library could not build an encoder."""
    reason = first_line(error)
    if "downsampling pattern" in reason:
        reason = "its features are at strides that no decoder here reads"
    if isinstance(error, TypeError) and choice.kwargs:
        reason += f"; `model.encoder_kwargs` {dict(choice.kwargs)} may not be its options"
    hint = (
        " Without a network give `model.encoder_weights` a local file, or none." if choice.weights == "imagenet" else ""
    )
    return f"`model.encoder` {choice.name} with weights '{choice.weights}' could not be made ({reason}).{hint}"


def normalisation(choice: EncoderChoice) -> tuple[Rgb, Rgb]:
    """Return mean and standard deviation that the encoder's published weights were trained with, or ImageNet's.

    SMP keeps those of its own encoders in files to be downloaded; they are ImageNet's but for the families named here.

    Raises:
        UserError: The study file gives others than those of the preset.
    """
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if choice.preset:
        preset = PRESETS[choice.name]
        if choice.mean is not None and (choice.mean, choice.std) != (preset.mean, preset.std):
            raise UserError(
                f"`model.encoder_mean` and `encoder_std` of {choice.name} are {list(preset.mean)} and "
                f"{list(preset.std)}. Got {list(choice.mean)} and {list(choice.std or ())}. Leave them out."
            )
        if choice.kwargs:
            raise UserError(f"`model.encoder_kwargs` of {choice.name} are its preset's. Leave them out.")
        return preset.mean, preset.std
    if choice.timm_name is not None:
        published = timm.get_pretrained_cfg(choice.timm_name)
        if published is not None:
            mean, std = published.mean, published.std
    elif choice.name.startswith(_SCALED_TO_HALF):
        mean, std = HALF, HALF
    if choice.mean is not None and choice.std is not None:
        mean, std = choice.mean, choice.std
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _short(hint: str) -> str:
    """Hundreds of encoder names help nobody."""
    return hint if "Did you mean" in hint else " See docs/encoders.md, segmentation-models-pytorch and timm for names."
