"""Weights of encoders from local files: read without unpickling code, renamed to timm's layout, checked key by key.

A file is loaded whole or refused. What an encoder lacks - LayerScale, register tokens, a SwiGLU MLP - is never dropped
in silence, because the features would then be those of another model.
"""

import json
import math
import pickle
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from imbalance_bench.decoding import DECODER_ERRORS
from imbalance_bench.errors import UserError, first_line
from imbalance_bench.manifest import file_hash
from imbalance_bench.models.checkpoint_layouts import bare, in_timm_layout
from imbalance_bench.models.encoder_presets import PRESETS, Rgb

NO_FILE = ("imagenet", "none")  # words that `model.encoder_weights` knows beside local files
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_CONTAINERS = ("state_dict", "model", "teacher")  # what frameworks put around a state dict; DINO keeps two networks
# parts of published files that no segmentation model uses
_HEADS = ("head.", "head_dist.", "fc.", "classifier.", "pooler.", "fc_norm.", "dino_head.", "ibot_head.", "mask_token")
_FAMILIES = {
    "LayerScale": r"(^|\.)(ls\d\.gamma|gamma_\d|layer_scale\d?(\.lambda1)?|lambda1)$",
    "register tokens": r"(^|\.)(reg_token|register_tokens)$",
    "a SwiGLU MLP": r"\.mlp\.(w12|w1|w2|w3|fc1_g|fc1_x|weights_in|weights_out)\.",
    "a class token": r"(^|\.)cls_token$",
    "position embeddings": r"(^|\.)(pos_embed|rel_pos_[hw])$",
}
_SAME_NUMBER = 2e-3  # normalisations are published with three to six digits


def weights_identity(name: str, weights: str) -> str:
    """Return what the study file says of the weights of one encoder, without loading them.

    Of a local file that is its SHA-256. What a word stands for is known when it is loaded: see `resolved_encoders`.

    Raises:
        UserError: `weights` is neither `imagenet`, `none` nor an existing file of a known kind.
    """
    if weights == "imagenet" and name in PRESETS:
        raise UserError(
            f"`model.encoder_weights` of {name} must be a local file, or none. Ask for one at {PRESETS[name].source}."
        )
    if weights in NO_FILE:
        return weights if weights == "none" else f"imagenet:{name}"
    path = Path(weights)
    if not path.is_file():
        where = f" The weights of {name} are given at {PRESETS[name].source}." if name in PRESETS else ""
        raise UserError(
            f"`model.encoder_weights` must be imagenet, none or an existing .safetensors or .pt file. Got {weights}."
            + where
        )
    if path.suffix not in SUFFIXES:
        raise UserError(f"`model.encoder_weights` must end in {', '.join(SUFFIXES)}. Got {weights}.")
    found = path.stat()
    return _hash(path.resolve(), found.st_size, found.st_mtime_ns)


def local_hash(name: str, weights: str) -> str | None:
    """Return the SHA-256 of a local file of weights; None where they are no file.

    Raises:
        UserError: As `weights_identity`.
    """
    identity = weights_identity(name, weights)
    return None if weights in NO_FILE else identity


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, modified_ns: int) -> str:  # noqa: ARG001 - a file that changed is hashed again
    return file_hash(path)


def load_encoder_weights(module: nn.Module, path: Path, *, whole: bool = False) -> None:
    """Load local weights into an encoder; one on the meta device is only compared with the file.

    Raises:
        UserError: As `fit_weights`, or the file is damaged.
    """
    fit_weights(module, read_weights(path), str(path), whole=whole)


def fit_weights(module: nn.Module, tensors: dict[str, Tensor], source: str, *, whole: bool) -> None:
    """Load tensors in any known layout into an encoder; one on the meta device is only compared with them.

    Args:
        module: The encoder.
        tensors: Name -> tensor, as published.
        source: Names them in errors.
        whole: Refuse every tensor that the encoder lacks but those of heads. Otherwise only what lies in a part that
            the encoder has is refused: an encoder that ends early leaves out the parts after it.

    Raises:
        UserError: Parameters are missing, of other shapes, or more than the encoder takes.
    """
    tensors = in_timm_layout(tensors)
    wanted = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    stripped = {bare(key): key for key in tensors}
    chosen, used, missing, mismatched = {}, set(), [], {}
    for key, value in wanted.items():
        name = key if key in tensors else stripped.get(bare(key))
        if name is None:
            missing.append(key)
            continue
        used.add(name)
        tensor = _resized(tensors[name], value, module) if key.endswith("pos_embed") else tensors[name]
        if tensor.shape != value.shape:
            mismatched[key] = (tuple(tensor.shape), tuple(value.shape))
        else:
            chosen[key] = tensor
    surplus = _surplus(set(tensors) - used, set(wanted), whole=whole)
    if mismatched or missing or surplus:
        raise UserError(f"{source}: weights do not fit the encoder: {_misfit(missing, mismatched, surplus, wanted)}.")
    _require_finite(chosen, source)
    if not any(value.is_meta for value in wanted.values()):
        module.load_state_dict(chosen, strict=False)


def require_normalisation(path: Path, mean: Rgb, std: Rgb, *, preset: str | None) -> None:
    """Refuse a file whose neighbour `config.json` or `preprocessor_config.json` names another normalisation.

    Args:
        path: The weights.
        mean: That the encoder will be fed with.
        std: Likewise.
        preset: Its name, or None.

    Raises:
        UserError: They differ.
    """
    for name in ("config.json", "preprocessor_config.json"):
        beside = path.with_name(name)
        published = _published_normalisation(beside)
        if published is None or (_alike(published[0], mean) and _alike(published[1], std)):
            continue
        fix = f"Is this the file of {preset}?" if preset else "Set `encoder_mean` and `encoder_std` to them."
        raise UserError(
            f"{beside} names the mean {list(published[0])} and standard deviation {list(published[1])}, but the "
            f"encoder would get {list(mean)} and {list(std)}. {fix}"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a flat mapping of tensors without unpickling code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # more than tensors
        raise UserError(f"{path}: holds more than tensors and is not loaded. Save its state_dict alone.") from error
    except (SafetensorError, *DECODER_ERRORS) as error:
        raise UserError(f"{path}: not readable as weights ({first_line(error)}). Is it complete?") from error
    for container in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping from names to tensors. Got {type(content).__name__}.")
    odd = next((key for key in content if not isinstance(key, str)), None)
    if odd is not None:
        raise UserError(
            f"{path} must name its tensors by text. Got the name {odd!r}. Save the state_dict of the encoder."
        )
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights with which every feature would be NaN."""
    for name, value in tensors.items():
        if value.is_floating_point() and not value.is_meta and not torch.isfinite(value).all():
            raise UserError(f"{source} must hold finite weights. Got NaN or infinity in {name}. Get the file again.")


def _resized(embeddings: Tensor, wanted: Tensor, module: nn.Module) -> Tensor:
    """Resize absolute position embeddings, (1, tokens, C), to the encoder's grid; others are returned as they are."""
    grids = [getattr(part, "grid_size", None) for part in module.modules()]
    patches = next((grid for grid in grids if isinstance(grid, tuple)), None)
    if (
        patches is None
        or embeddings.ndim != 3
        or embeddings.shape == wanted.shape
        or embeddings.shape[-1] != wanted.shape[-1]
    ):
        return embeddings
    prefix = wanted.shape[1] - math.prod(patches)
    edge = math.isqrt(max(embeddings.shape[1] - prefix, 0))
    if prefix < 0 or edge**2 != embeddings.shape[1] - prefix:
        return embeddings
    return resample_abs_pos_embed(embeddings.float(), list(patches), [edge, edge], num_prefix_tokens=prefix)


def _surplus(left: set[str], wanted: set[str], *, whole: bool) -> list[str]:
    """Tensors that would be lost: all but heads, or those inside parts that the encoder has."""
    parts = {_part(bare(key)) for key in wanted}
    lost = [key for key in left if not bare(key).startswith(_HEADS) and not key.endswith("num_batches_tracked")]
    return sorted(key for key in lost if whole or _part(bare(key)) in parts)


def _part(key: str) -> str:
    """The part of a network that a tensor belongs to, such as `blocks.3` or `patch_embed`."""
    match = re.match(r"[^.]+\.\d+|[^.]+", key)
    return match.group() if match else key


def _misfit(
    missing: list[str],
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    surplus: list[str],
    wanted: Mapping[str, Tensor],
) -> str:
    """Say what does not fit, and what that means where it is known."""
    reasons = [
        f"{name} that it lacks" for name, pattern in _FAMILIES.items() if any(re.search(pattern, k) for k in surplus)
    ]
    for key, (file_shape, encoder_shape) in mismatched.items():
        if key.endswith("patch_embed.proj.weight") and file_shape[-1] != encoder_shape[-1]:
            reasons.append(f"the file has patches of {file_shape[-1]} px, the encoder of {encoder_shape[-1]} px")
    reasons += _gates(mismatched, wanted)
    lacking = [name for name, pattern in _FAMILIES.items() if any(re.search(pattern, key) for key in missing)]
    reasons += [f"the file lacks {name}" for name in lacking]
    parts = []
    if mismatched:
        key, (file_shape, encoder_shape) = next(iter(mismatched.items()))
        first = f"{key} {file_shape} instead of {encoder_shape}"
        parts.append(f"{len(mismatched)} of {len(wanted)} tensors of another shape (first: {first})")
    parts.append(f"{len(missing)} of {len(wanted)} tensors missing" + (f" (first: {missing[0]})" if missing else ""))
    if surplus:
        parts.append(f"{len(surplus)} tensors more than the encoder takes (first: {surplus[0]})")
    reasons = [line if line.startswith("the ") else f"the file has {line}" for line in reasons]
    return "; ".join([*reasons, ", ".join(parts)]) + ". Give weights of this encoder, or none"


def _gates(
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], wanted: Mapping[str, Tensor]
) -> list[str]:
    """Say where only one of file and encoder has a SwiGLU MLP, with a first layer twice as wide."""
    for key in wanted:
        wide = key.replace("mlp.fc2.weight", "mlp.fc1.weight")
        if key == wide or not {key, wide} & mismatched.keys():
            continue
        shapes = {name: mismatched.get(name, (tuple(wanted[name].shape),) * 2) for name in (key, wide)}
        gated_file, gated_encoder = (shapes[wide][side][0] == 2 * shapes[key][side][1] for side in (0, 1))
        if gated_file != gated_encoder:
            gated, plain = ("file", "encoder") if gated_file else ("encoder", "file")
            return [f"the {gated} has a SwiGLU MLP, the {plain} does not"]
        return ["the file has an MLP of another width"]
    return []


def _published_normalisation(path: Path) -> tuple[Rgb, Rgb] | None:
    """Mean and standard deviation that timm's or transformers' configuration file names."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    inner = content.get("pretrained_cfg", content)
    if not isinstance(inner, dict):
        return None
    for mean, std in (("mean", "std"), ("image_mean", "image_std")):
        values = [inner.get(name) for name in (mean, std)]
        numbers = [[float(n) for n in value] for value in values if isinstance(value, list) and len(value) == 3]
        if len(numbers) == 2:
            (a, b, c), (x, y, z) = numbers
            return (a, b, c), (x, y, z)
    return None


def _alike(first: Rgb, second: Rgb) -> bool:
    return all(abs(a - b) <= _SAME_NUMBER for a, b in zip(first, second, strict=True))
