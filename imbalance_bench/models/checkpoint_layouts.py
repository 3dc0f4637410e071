"""Names of tensors in published checkpoints of vision transformers, brought to timm's.

Known are Segment Anything (`image_encoder.`), the checkpoints of DINO and DINOv2 (`backbone.`, `register_tokens`), and
Hugging Face transformers' ViT and Dinov2 (`embeddings.`, `encoder.layer.`): Phikon, Hibou and Midnight.
"""

import re

import torch
from torch import Tensor

from imbalance_bench.errors import UserError

_WRAPPERS = ("module.", "model.", "encoder.", "backbone.")
_SAM = "image_encoder."
_HUGGING_FACE = "embeddings.patch_embeddings.projection.weight"
# transformers' names within a block -> timm's; query, key and value are joined apart from these
_BLOCK = {
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",  # ViT
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layer_scale1.lambda1": "ls1.gamma",  # Dinov2
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in": "mlp.fc1",  # SwiGLU: gate and value in one matrix, in timm's order
    "mlp.weights_out": "mlp.fc2",
}
_OUTSIDE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "layernorm.": "norm.",
}
_UNUSED = ("embeddings.mask_token", "pooler.", "classifier.")


def bare(key: str) -> str:
    """Strip the wrappers that frameworks put before parameter names."""
    stripped = True
    while stripped:
        stripped = False
        for wrapper in _WRAPPERS:
            if key.startswith(wrapper):
                key, stripped = key.removeprefix(wrapper), True
    return key


def in_timm_layout(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a known layout; those of an unknown one keep their names.

    Raises:
        UserError: A layout of transformers with tensors that have no place in timm's.
    """
    if any(key.startswith(_SAM) for key in tensors):
        inside = {key.removeprefix(_SAM): value for key, value in tensors.items() if key.startswith(_SAM)}
        return {key.replace("mlp.lin", "mlp.fc"): value for key, value in inside.items()}
    prefix = next((key.removesuffix(_HUGGING_FACE) for key in tensors if key.endswith(_HUGGING_FACE)), None)
    if prefix is not None:
        tensors = _of_transformers({key.removeprefix(prefix): value for key, value in tensors.items()})
    elif any(bare(key) == "register_tokens" for key in tensors):  # DINOv2's own code
        tensors = {{"register_tokens": "reg_token"}.get(bare(key), bare(key)): value for key, value in tensors.items()}
    return _without_class_position(tensors)


def _of_transformers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename ViT's and Dinov2's tensors, joining query, key and value."""
    renamed: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", key)
        if block is None:
            if not key.startswith(_UNUSED):
                renamed[_outside(key)] = value
            continue
        number, name = block.groups()
        part = re.fullmatch(r"attention\.attention\.(query|key|value)\.(weight|bias)", name)
        if part is not None:
            joined.setdefault(f"blocks.{number}.attn.qkv.{part.group(2)}", {})[part.group(1)] = value
            continue
        renamed[f"blocks.{number}.{_inside(name)}"] = value
    for key, parts in joined.items():
        if set(parts) != {"query", "key", "value"}:
            raise UserError(f"weights in transformers' layout lack a part of {key}: only {', '.join(parts)} found.")
        renamed[key] = torch.cat([parts["query"], parts["key"], parts["value"]])
    return renamed


def _inside(name: str) -> str:
    for theirs, ours in _BLOCK.items():
        if name == theirs or name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name  # norm1, norm2, mlp.fc1 and mlp.fc2 have timm's names already


def _outside(key: str) -> str:
    for theirs, ours in _OUTSIDE.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def _without_class_position(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the class token's position to the token where registers follow: timm keeps the positions of patches alone."""
    names = {bare(key): key for key in tensors}
    if "reg_token" not in names or not {"cls_token", "pos_embed"} <= names.keys():
        return tensors
    position = tensors[names["pos_embed"]]
    if position.ndim != 3 or _is_square(position.shape[1]) or not _is_square(position.shape[1] - 1):
        return tensors
    moved = {names["cls_token"]: tensors[names["cls_token"]] + position[:, :1], names["pos_embed"]: position[:, 1:]}
    return tensors | moved


def _is_square(n: int) -> bool:
    return round(n**0.5) ** 2 == n
