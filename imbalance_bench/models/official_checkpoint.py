"""A checkpoint of the official code of Dynamic Focal Attention as the trained part of our own model.

Lightning's state dict of `PromptSAMLateFusionFocalAttention` -> what a run stores of a model with `decoder: sam`,
`encoder_features: tokens` and `token_layout: official_ignored`. Names and order of tokens are those of
`sam_network_focal.py`, `focal_mask_decoder.py` and `focal_transformer.py` of lakmali240/DFA-Imbalance at aba5b00.

The official model has K + 1 outputs, the first for ignored pixels, which is never predicted: its softmax, and so its
probabilities, count one class more. The constant dense prompt joins the bias of the neck's last normalisation. What
encodes prompts other than that constant does not touch a mask and is left out, and so is what estimates IoU unless the
study has `iou_head_weight`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from imbalance_bench.errors import UserError
from imbalance_bench.models.checkpoint_layouts import in_timm_layout
from imbalance_bench.models.class_query import ClassQueryDecoder
from imbalance_bench.models.encoder_weights import read_weights
from imbalance_bench.models.segmenter import Segmenter
from methods.dfa import DynamicFocalBias

_DECODER, _PROMPTS = "model.mask_decoder.", "model.prompt_encoder."
_ENCODERS = ("model.image_encoder.", "extra_encoder.model.")  # of Segment Anything, of HIPT: the order of ours
_UNUSED = (
    *_ENCODERS,
    f"{_DECODER}iou_prediction_head.",
    f"{_DECODER}output_hypernetworks_mlps.0.",
    f"{_DECODER}output_hypernetworks_mlps.1.",
    f"{_PROMPTS}point_embeddings.",
    f"{_PROMPTS}not_a_point_embed.",
    f"{_PROMPTS}mask_downscaling.",
    "model.pixel_mean",
    "model.pixel_std",
)
_ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
_IN_BLOCK = {
    "self_attention": "self_attn",
    "token_to_image": "cross_attn_token_to_image",
    "image_to_token": "cross_attn_image_to_token",
    "mlp.0": "mlp.lin1",
    "mlp.2": "mlp.lin2",
    **{f"norms.{number}": f"norm{number + 1}" for number in range(4)},
}
_EXTRA = 2  # mask tokens before those of the classes: one whose output is dropped, one of ignored pixels
_BIAS = "head.two_way.attention_bias."


def read_official(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint, without the prefix of the Lightning module; only tensors are unpickled.

    Raises:
        UserError: Not readable, more than tensors, or not of this model.
    """
    tensors = {
        key.removeprefix("model."): value for key, value in read_weights(path).items() if key.startswith("model.")
    }
    if f"{_DECODER}mask_tokens.weight" not in tensors or "fusion_neck.0.weight" not in tensors:
        raise UserError(
            f"{path} must hold the state dict of the official late-fusion model (`model.fusion_neck.`, "
            "`model.model.mask_decoder.`). Give a checkpoint of lakmali240/DFA-Imbalance of type `focal_fusion`."
        )
    return tensors


def n_official_classes(tensors: Mapping[str, Tensor]) -> int:
    """Number of classes of a checkpoint, ignored pixels not among them."""
    return len(tensors[f"{_DECODER}mask_tokens.weight"]) - _EXTRA


def load_official(segmenter: Segmenter, tensors: Mapping[str, Tensor], source: str) -> None:
    """Give a model the weights of a checkpoint.

    Args:
        segmenter: With the attention bias of `token_layout: official_ignored` installed.
        tensors: What `read_official` gave.
        source: Names it in errors.

    Raises:
        UserError: A tensor is missing, of another shape or left over, or the frozen encoders are others.
    """
    assert isinstance(segmenter.head, ClassQueryDecoder)
    _require_same_encoders(segmenter, tensors, source)
    wanted = segmenter.stored_state()
    used: set[str] = set()

    def take(name: str) -> Tensor:
        if name not in tensors:
            raise UserError(
                f"{source} must hold `model.{name}`. Got none. Set the sizes and the mode that it was trained with."
            )
        used.add(name)
        return tensors[name].float()

    state = {}
    for name, value in wanted.items():
        tensor = _tensor(name, take)
        if tensor.shape != value.shape:
            raise UserError(
                f"{source}: {name} must have the shape {tuple(value.shape)} of the study's model. Got "
                f"{tuple(tensor.shape)}. Set the classes, `channels`, `heads`, `mlp_channels`, `depth` and encoders "
                "that it was trained with."
            )
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{source} must hold finite weights. Got NaN or infinity for {name}.")
        state[name] = tensor
    left = sorted(name for name in tensors.keys() - used if not name.startswith(_UNUSED))
    if left:
        raise UserError(
            f"{source} holds {len(left)} tensors that the study's model lacks (first: model.{left[0]}). Set the "
            "`depth` and the `mode` of `dfa` that it was trained with."
        )
    if isinstance(bias := segmenter.head.two_way.attention_bias, DynamicFocalBias) and bias.config.mode == "anchored":
        state[f"{_BIAS}initial"] = state[f"{_BIAS}initial"] + state[f"{_BIAS}prior"]  # the file has delta alone
    segmenter.load_stored_state({name: value.contiguous() for name, value in state.items()})


def _tensor(name: str, take: Callable[[str], Tensor]) -> Tensor:
    """Make one tensor of ours of those that `take` gives."""
    if name.startswith("head.neck."):
        tensor = take(name.replace("head.neck.", "fusion_neck."))
        return tensor + take(f"{_PROMPTS}no_mask_embed.weight")[0] if name == "head.neck.3.bias" else tensor
    if name == "head.position.frequencies":
        return take(f"{_PROMPTS}pe_layer.positional_encoding_gaussian_matrix")
    if name == "head.two_way.class_tokens":
        return take(f"{_DECODER}mask_tokens.weight")[_EXTRA:]
    if name == "head.two_way.extra":
        return torch.cat([take(f"{_DECODER}iou_token.weight"), take(f"{_DECODER}mask_tokens.weight")[:_EXTRA]])
    if name.startswith(_BIAS):
        return _bias(name.removeprefix(_BIAS), take)
    if name.startswith("head.upscale."):
        return take(name.replace("head.upscale.", f"{_DECODER}output_upscaling."))
    if name.startswith("head.hypernetworks."):
        return _of_hypernetworks(name, take)
    if name.startswith("head.iou."):
        tensor = take(name.replace("head.iou.", f"{_DECODER}iou_prediction_head."))
        return tensor[_EXTRA:] if ".layers.2." in name else tensor  # one output for each mask token
    return take(_in_transformer(name))


def _bias(name: str, take: Callable[[str], Tensor]) -> Tensor:
    """Delta, that of ignored pixels, the prior, or the bias before training; b_0 is that of ignored pixels."""
    if name == "delta":
        return take(f"{_DECODER}bias_param")[1:].view(1, 1, -1)
    if name == "ignored":
        return take(f"{_DECODER}bias_param")[:1].view(1, 1, 1)
    return take(f"{_DECODER}{'log_prior' if name == 'prior' else 'focal_bias'}")[1:]


def _of_hypernetworks(name: str, take: Callable[[str], Tensor]) -> Tensor:
    """One layer of the perceptrons of all classes, (K, in, out) weights or (K, 1, out) biases."""
    kind, layer = name.split(".")[2:]
    own = f"{_DECODER}output_hypernetworks_mlps."
    n_classes = len(take(f"{_DECODER}mask_tokens.weight")) - _EXTRA
    part = "weight" if kind == "weights" else "bias"
    stacked = torch.stack([take(f"{own}{_EXTRA + k}.layers.{layer}.{part}") for k in range(n_classes)])
    return stacked.transpose(1, 2) if kind == "weights" else stacked.unsqueeze(1)


def _in_transformer(name: str) -> str:
    """Name of a tensor of the two-way decoder in the official code."""
    name = name.removeprefix("head.two_way.")
    for ours, theirs in _IN_BLOCK.items():
        name = re.sub(rf"^(blocks\.\d+)\.{re.escape(ours)}\.", rf"\1.{theirs}.", name)
    name = name.replace("final_token_to_image.", "final_attn_token_to_image.").replace(
        "final_norm.", "norm_final_attn."
    )
    for ours, theirs in _ATTENTION.items():
        name = re.sub(rf"\.{ours}\.(weight|bias)$", rf".{theirs}.\1", name)
    return f"{_DECODER}transformer.{name.replace('blocks.', 'layers.')}"


def _require_same_encoders(segmenter: Segmenter, tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse a checkpoint whose frozen encoders, as far as it holds them, are not those that the study loads."""
    for encoder, prefix in zip(segmenter.encoders, _ENCODERS, strict=False):
        published = in_timm_layout(
            {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith(prefix)}
        )
        published = {key.removeprefix("extra_encoder.model."): value for key, value in published.items()}
        for name, value in encoder.module.state_dict().items():
            theirs = published.get(name.removeprefix("model."))
            if theirs is None or theirs.shape != value.shape or value.is_meta:
                continue  # position embeddings are resized to the study's input
            if not torch.allclose(theirs.float(), value.float().cpu(), rtol=0, atol=1e-6):
                raise UserError(
                    f"{source} was trained on other weights of {encoder.choice.name} than `model.encoder_weights` "
                    f"{encoder.choice.weights} (first: {name}). Give the file that it was trained with."
                )
