"""The class-query architecture: what all of its decoders share.

    image -> encoder -> features at strides 4, 8, 16, 32
          -> `prepare` -> image tokens at `token_stride_px`, in most decoders beside a pixel map at stride 4
          -> image tokens <-> K class tokens (`two_way`), each class token -> classifier (`hypernetworks`)
          -> `read`: pixel embeddings x classifiers -> (K, H, W)

After Segment Anything (Kirillov et al. 2023) and SAM-Path (Zhang et al. 2023): one token and one hypernetwork a class.
Decoders differ in `prepare` and `read` (`models.decoders` names them): in what reaches the pixel embeddings without
passing through the attention that a class bias acts on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.models.attention_probes import AttentionMapProbe, AttentionProbe, AttentionStatistics, LastLogits
from imbalance_bench.models.iou_head import IouHead
from imbalance_bench.models.two_way import TwoWayDecoder, TwoWayForm


@dataclass(frozen=True)
class ClassQuerySize:
    """Size of the decoder.

    Attributes:
        channels: Of the image and class tokens.
        depth: Two-way blocks.
        heads: Attention heads.
        mlp_channels: Hidden channels of the token MLP.
        pixel_channels: Of the pixel decoder at strides 16, 8 and 4.
        embedding_channels: Of the pixel embeddings and hypernetwork outputs.
        token_stride_px: Image pixels per image token along each axis.
    """

    channels: int
    depth: int
    heads: int
    mlp_channels: int
    pixel_channels: tuple[int, int, int]
    embedding_channels: int
    token_stride_px: int


@dataclass(frozen=True)
class DecoderSetting:
    """What every decoder is built from.

    Attributes:
        encoder_channels: Of the encoder's features, finest (stride 1, the image) first; of the only map, if
            `only_tokens`.
        n_classes: K.
        size: Channels, depth, heads, strides.
        extra_tokens: See `TwoWayDecoder`.
        only_tokens: There is one map, at the token stride.
        iou_head_weight: Of the loss of a head that estimates IoU; 0: none.
    """

    encoder_channels: Sequence[int]
    n_classes: int
    size: ClassQuerySize
    extra_tokens: int = 0
    only_tokens: bool = False
    iou_head_weight: float = 0.0


@dataclass(frozen=True)
class DecoderInput:
    """What the class tokens are shown of a batch of images; no class bias has acted on it yet.

    Attributes:
        pixels: (B, C, H / 4, W / 4) pixel map; None for a decoder that has none.
        image: (B, N, channels) image tokens.
        position: (N, channels) their positional encoding.
        grid: Rows and columns of the image tokens.
    """

    pixels: Tensor | None
    image: Tensor
    position: Tensor
    grid: tuple[int, int]

    def on_grid(self, tokens: Tensor) -> Tensor:
        """Put image tokens in their place, (B, N, C) -> (B, C, h, w)."""
        return tokens.transpose(1, 2).unflatten(2, self.grid)


class ClassMLP(nn.Module):
    """One three-layer perceptron per class, evaluated for all classes at once."""

    def __init__(self, *, n_classes: int, channels: int, out_channels: int) -> None:
        super().__init__()
        sizes = [channels, channels, channels, out_channels]
        self.weights = nn.ParameterList(torch.empty(n_classes, i, o) for i, o in pairwise(sizes))
        self.biases = nn.ParameterList(torch.empty(n_classes, 1, o) for o in sizes[1:])
        for weight, bias in zip(self.weights, self.biases, strict=True):
            bound = weight.shape[1] ** -0.5  # as nn.Linear
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, K, channels) -> (B, K, out_channels)."""
        x = tokens.transpose(0, 1)  # (K, B, channels)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < len(self.weights) - 1:
                x = functional.relu(x)
        return x.transpose(0, 1)


class ClassQueryDecoder(nn.Module):
    """Everything after the encoder; subclasses say what the tokens are made of and how pixels are read.

    Args:
        setting: Sizes.

    Attributes:
        size: Channels, depth, heads, strides.
        two_way: Class tokens and image tokens exchange information here.
        hypernetworks: Class tokens -> classifiers.
        iou: Estimates the IoU of each class while the model trains; None in most decoders.
        adjust_classifier: A method's correction at inference of the class weights, (B, K, E) -> the same shape.
        reads_attention: `read` receives how much each place attended to each class.
    """

    reads_attention: ClassVar[bool] = False
    two_way: TwoWayDecoder
    hypernetworks: ClassMLP
    iou: IouHead | None
    adjust_classifier: Callable[[Tensor], Tensor] | None

    def __init__(self, setting: DecoderSetting) -> None:
        super().__init__()
        self.size = setting.size
        self.adjust_classifier = None
        self.iou = None

    def prepare(self, features: Sequence[Tensor]) -> DecoderInput:
        """Make image tokens of features of strides 4, 8, 16, 32: the part that no class bias changes."""
        raise NotImplementedError

    def read(self, prepared: DecoderInput, image: Tensor, attended: Tensor | None, weights: Tensor) -> Tensor:
        """Turn what the two sides have become into logits.

        Args:
            prepared: What `prepare` gave.
            image: (B, N, channels) image tokens after the last block.
            attended: (B, N, K) how much each attended to each class in the last block; None unless `reads_attention`.
            weights: (B, K, E) classifiers.

        Returns:
            (B, K, h, w); the stride is the decoder's own.
        """
        raise NotImplementedError

    def class_weights(self, tokens: Tensor) -> Tensor:
        """Return the classifier of each class, (B, K, E), of all tokens, (B, T, channels)."""
        return self.hypernetworks(self.two_way.class_part(tokens))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode features of strides 4, 8, 16, 32 into logits, (B, K, h, w)."""
        return self.finish(self.prepare(features))

    def finish(self, prepared: DecoderInput) -> Tensor:
        """Decode what `prepare` gave into logits, (B, K, h, w)."""
        last = LastLogits() if self.reads_attention else None
        tokens, image = self.two_way(prepared.image, prepared.position, last)
        if self.iou is not None and self.training:
            self.iou.observe(tokens[:, 0])
        weights = self.class_weights(tokens)
        if self.adjust_classifier is not None and not self.hypernetworks.training:
            weights = self.adjust_classifier(weights)
        return self.read(prepared, image, None if last is None else self.two_way.last_weights(last), weights)

    @torch.no_grad()
    def attention_statistics(self, features: Sequence[Tensor]) -> AttentionStatistics:
        """Summarise what each class receives of the image->token attention on these features."""
        return self.class_statistics(features)[0]

    @torch.no_grad()
    def class_statistics(self, features: Sequence[Tensor]) -> tuple[AttentionStatistics, Tensor]:
        """Return the same, and the mean norm of each class's weights before any correction, (K,) float32."""
        prepared = self.prepare(features)
        probe = AttentionProbe()
        tokens, _ = self.two_way(prepared.image, prepared.position, probe)
        norms = self.class_weights(tokens).float().norm(dim=-1).mean(0)
        return probe.statistics(self.two_way.extra_tokens), norms

    @torch.no_grad()
    def attention_maps(self, prepared: DecoderInput) -> Tensor:
        """Return how much each image token attends to each class, (B, K, h, w), averaged over layers and heads."""
        probe = AttentionMapProbe()
        self.two_way(prepared.image, prepared.position, probe)
        return probe.maps(self.two_way.extra_tokens).unflatten(2, prepared.grid)


def two_way_decoder(setting: DecoderSetting, form: TwoWayForm) -> TwoWayDecoder:
    """Build the two-way part of a decoder."""
    size = setting.size
    return TwoWayDecoder(
        n_classes=setting.n_classes,
        dim=size.channels,
        depth=size.depth,
        heads=size.heads,
        mlp_dim=size.mlp_channels,
        extra_tokens=setting.extra_tokens,
        iou_token=setting.iou_head_weight > 0,
        form=form,
    )


def hypernetworks(setting: DecoderSetting) -> ClassMLP:
    """Build what turns class tokens into classifiers."""
    size = setting.size
    return ClassMLP(n_classes=setting.n_classes, channels=size.channels, out_channels=size.embedding_channels)
