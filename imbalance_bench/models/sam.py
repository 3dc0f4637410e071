"""The class-query decoder as SAM-Path and the official code of Dynamic Focal Attention have it.

    feature map at the token stride -> neck (1 x 1 and 3 x 3 convolution) -> image tokens <-> class tokens
    -> refined image tokens, enlarged four times by transposed convolutions -> x classifiers

Nothing of the image reaches the masks without passing through the image tokens; these pass by the attention on
residuals.

Source: Zhang et al. 2023 (SAM-Path, arXiv 2307.09570), Kirillov et al. 2023, and `focal_mask_decoder.py`,
`focal_transformer.py` and `sam_network_focal.py` of lakmali240/DFA-Imbalance at aba5b00.
Deviations: no constant dense prompt, which the
neck's last normalisation already holds; a head that estimates IoU only with `iou_head_weight`, and its token is not
attended to by image tokens; no mask token whose output is dropped (the official token layouts of `dfa` bring such
tokens back, and the IoU token's part in attention); a pyramid before the neck, unless
`encoder_features: tokens` gives it the encoders' own maps, concatenated; all images of a batch at once; the embedding
has `embedding_channels` instead of an eighth of the channels (the same at 256 and 32); positions count official tokens
from the first one, so that a crop and a tile agree, and equal the official ones on a 64 x 64 grid.
"""

import math
from collections.abc import Sequence

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from imbalance_bench.models.class_query import (
    ClassQueryDecoder,
    DecoderInput,
    DecoderSetting,
    hypernetworks,
    two_way_decoder,
)
from imbalance_bench.models.iou_head import IouHead
from imbalance_bench.models.two_way import SEGMENT_ANYTHING

GRID = 64  # tokens along each axis of the official image, 1024 px, over which positions run from 0 to 1
FINEST_LEVEL = 2  # log2 of the stride of the first feature


class RandomFourierPosition(nn.Module):
    """Sines and cosines of fixed random projections of a place (Tancik et al. 2020, as in Segment Anything)."""

    frequencies: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, channels // 2))

    def forward(self, height: int, width: int) -> Tensor:
        """Return (height * width, channels)."""
        like = {"device": self.frequencies.device, "dtype": self.frequencies.dtype}
        y, x = ((torch.arange(n, **like) + 0.5) / GRID for n in (height, width))
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)  # (height * width, 2), column first
        phase = 2 * math.pi * ((2 * places - 1) @ self.frequencies)
        return torch.cat([phase.sin(), phase.cos()], -1)


class SamDecoder(ClassQueryDecoder):
    """Neck, two-way decoder of Segment Anything's form, transposed convolutions.

    Args:
        setting: Sizes; `pixel_channels` mean nothing here.
    """

    def __init__(self, setting: DecoderSetting) -> None:
        super().__init__(setting)
        size = setting.size
        level = -1 if setting.only_tokens else int(math.log2(size.token_stride_px))
        self.level = level if setting.only_tokens else level - FINEST_LEVEL
        self.neck = nn.Sequential(
            nn.Conv2d(setting.encoder_channels[level], size.channels, 1, bias=False),
            LayerNorm2d(size.channels),
            nn.Conv2d(size.channels, size.channels, 3, padding=1, bias=False),
            LayerNorm2d(size.channels),
        )
        self.position = RandomFourierPosition(size.channels)
        self.two_way = two_way_decoder(setting, SEGMENT_ANYTHING)
        between = size.channels // 4
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(size.channels, between, 2, stride=2),
            LayerNorm2d(between),
            nn.GELU(),
            nn.ConvTranspose2d(between, size.embedding_channels, 2, stride=2),
            nn.GELU(),
        )
        self.hypernetworks = hypernetworks(setting)
        if setting.iou_head_weight:  # last, so that all else starts equal with and without it
            self.iou = IouHead(n_classes=setting.n_classes, channels=size.channels, weight=setting.iou_head_weight)

    def prepare(self, features: Sequence[Tensor]) -> DecoderInput:
        """Make image tokens of the feature map at the token stride, or of the only one."""
        tokens = self.neck(features[self.level])
        grid = (tokens.shape[-2], tokens.shape[-1])
        return DecoderInput(None, tokens.flatten(2).transpose(1, 2), self.position(*grid), grid)

    def read(self, prepared: DecoderInput, image: Tensor, attended: Tensor | None, weights: Tensor) -> Tensor:  # noqa: ARG002
        """Enlarge the image tokens and compare them with the classifiers: logits at a quarter of the token stride."""
        return torch.einsum("bke,behw->bkhw", weights, self.upscale(prepared.on_grid(image)))
