"""Encoders from segmentation-models-pytorch and timm, with weights that are checked key by key."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import file_hash

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TIMM_PREFIX = "tu-"
DEPTH = 5  # feature levels after the image: strides 2, 4, 8, 16, 32
_SCALED_TO_HALF = ("inceptionv4", "inceptionresnetv2", "xception")  # SMP encoders with mean and std 0.5
_WRAPPERS = ("module.", "model.", "encoder.", "backbone.")


@dataclass(frozen=True)
class Encoder:
    """An encoder with what is needed to feed and to identify it.

    Attributes:
        module: Maps (B, 3, H, W) to a list of features, finest (the input itself) first.
        channels: Of each feature.
        mean: Per channel, of RGB scaled to 0..1.
        std: Likewise.
        weights_hash: Identifies the weights: SHA-256 of a local file, or the name of a published set.
    """

    module: nn.Module
    channels: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_hash: str

    def normalise(self, images: Tensor) -> Tensor:
        """Scale RGB in 0..255, (B, 3, H, W), to what the encoder was trained on."""
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (images / 255 - mean) / std


def require_known_encoder(name: str) -> None:
    """Refuse an encoder that neither SMP nor timm knows.

    Raises:
        UserError: With the nearest name.
    """
    known = smp.encoders.encoders.keys()
    if name.startswith(TIMM_PREFIX):
        timm_names = timm.list_models()
        if name.removeprefix(TIMM_PREFIX).split(".")[0] not in timm_names:
            hint = nearest(name, [TIMM_PREFIX + other for other in timm_names])
            raise UserError(f"`model.encoder`: timm knows no '{name}'.{_short(hint)}")
    elif name not in known:
        hint = nearest(name, [*known, *(TIMM_PREFIX + other for other in timm.list_models())])
        raise UserError(f"`model.encoder`: unknown encoder '{name}'.{_short(hint)}")


def weights_identity(name: str, weights: str) -> str:
    """Return what identifies an encoder's weights, without loading them.

    Raises:
        UserError: `weights` is neither `imagenet`, `none` nor an existing file of a known kind.
    """
    if weights in ("imagenet", "none"):
        return weights if weights == "none" else f"imagenet:{name}"
    path = Path(weights)
    if not path.is_file():
        raise UserError(
            f"`model.encoder_weights` must be imagenet, none or an existing .safetensors or .pt file. Got {weights}."
        )
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise UserError(f"`model.encoder_weights` must end in .safetensors, .pt or .pth. Got {weights}.")
    return file_hash(path)


def build_encoder(name: str, weights: str) -> Encoder:
    """Build an encoder.

    Args:
        name: An SMP encoder name, or `tu-` and a timm name.
        weights: `imagenet` (downloaded by the library where it is not on disk yet), `none`, or a local file.

    Raises:
        UserError: Unknown encoder, or weights that cannot be read or do not fit.
    """
    require_known_encoder(name)
    identity = weights_identity(name, weights)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its retries; the error below says it once
    try:
        module = smp.encoders.get_encoder(
            name, in_channels=3, depth=DEPTH, weights="imagenet" if weights == "imagenet" else None
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"`model.encoder` {name} with weights '{weights}' could not be made ({first_line}). Without a network give "
            "`model.encoder_weights` a local file, or none.",
            exit_code=1,
        ) from error
    if weights not in ("imagenet", "none"):
        load_encoder_weights(module, Path(weights))
    mean, std = _normalisation(name)
    return Encoder(module, tuple(module.out_channels), mean, std, identity)


def load_encoder_weights(module: nn.Module, path: Path) -> None:
    """Load local weights into an encoder. Every parameter must be found with its shape; extra keys are left out.

    Raises:
        UserError: The file is damaged, lacks parameters, or holds other shapes.
    """
    found = _read_weights(path)
    wanted = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    stripped = {_bare(key): value for key, value in found.items()}
    chosen, missing, mismatched = {}, [], []
    for key, value in wanted.items():
        held = found.get(key, stripped.get(_bare(key)))
        if held is None:
            missing.append(key)
        elif held.shape != value.shape:
            mismatched.append(f"{key} {tuple(held.shape)} instead of {tuple(value.shape)}")
        else:
            chosen[key] = held
    if mismatched or missing:
        what = f"{len(missing)} of {len(wanted)} tensors missing" + (f" (first: {missing[0]})" if missing else "")
        if mismatched:
            what = f"{len(mismatched)} of {len(wanted)} tensors of another shape (first: {mismatched[0]}), {what}"
        raise UserError(f"{path}: weights do not fit the encoder: {what}. Give weights of this encoder, or none.")
    module.load_state_dict(chosen, strict=False)


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a flat mapping of tensors without unpickling code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UserError(f"{path}: not readable as weights ({str(error).splitlines()[0]}). Is it complete?") from error
    except Exception as error:
        # torch.load raises pickle.UnpicklingError for a file that holds more than tensors.
        raise UserError(f"{path}: holds more than tensors and is not loaded. Save its state_dict alone.") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping from names to tensors. Got {type(content).__name__}.")
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _bare(key: str) -> str:
    """Strip the wrappers that frameworks put before parameter names."""
    stripped = True
    while stripped:
        stripped = False
        for wrapper in _WRAPPERS:
            if key.startswith(wrapper):
                key, stripped = key.removeprefix(wrapper), True
    return key


def _normalisation(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation that the encoder's published weights were trained with; ImageNet's by default.

    SMP keeps those of its own encoders in files to be downloaded; they are ImageNet's but for the families named here.
    """
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if name.startswith(TIMM_PREFIX):
        published = timm.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX))
        if published is not None:
            mean, std = published.mean, published.std
    elif name.startswith(_SCALED_TO_HALF):
        mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _short(hint: str) -> str:
    """Hundreds of encoder names help nobody."""
    return hint if "Did you mean" in hint else " See segmentation-models-pytorch and timm for names."
