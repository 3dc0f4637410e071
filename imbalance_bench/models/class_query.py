"""The class-query architecture: encoder, pixel decoder, two-way class-query decoder, mask logits.

    image -> encoder -> features at strides 4, 8, 16, 32
          -> pixel decoder -> pixel map at stride 4
          -> image tokens (the map at `token_stride`) <-> K class tokens (`two_way`)
          -> pixel embeddings (the map + the refined image tokens) x per-class hypernetwork outputs -> (K, H, W)

After Segment Anything (Kirillov et al. 2023) and SAM-Path (Zhang et al. 2023): one token and one hypernetwork a class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.models.two_way import AttentionMapProbe, AttentionProbe, AttentionStatistics, TwoWayDecoder

FINEST_STRIDE_PX = 4  # of the features that the pixel decoder reads, and of the pixel map


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
class DecoderInput:
    """What the class tokens are shown of a batch of images; no class bias has acted on it yet.

    Attributes:
        pixels: (B, C, H / 4, W / 4) pixel map.
        image: (B, N, channels) image tokens.
        position: (N, channels) their positional encoding.
        grid: Rows and columns of the image tokens.
    """

    pixels: Tensor
    image: Tensor
    position: Tensor
    grid: tuple[int, int]


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


def sine_position(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Return a fixed two-dimensional sine-cosine encoding, (height * width, channels) float32.

    A quarter of the channels each: sine and cosine of the row, sine and cosine of the column, at geometrically spaced
    wavelengths. Source: Vaswani et al. 2017, section 3.5, per axis.
    """
    quarter = channels // 4
    rate = 10000.0 ** (-torch.arange(quarter, device=device) / quarter)
    rows = torch.arange(height, device=device)[:, None] * rate  # (height, quarter)
    columns = torch.arange(width, device=device)[:, None] * rate
    by_row = torch.cat([rows.sin(), rows.cos()], -1)[:, None].expand(-1, width, -1)
    by_column = torch.cat([columns.sin(), columns.cos()], -1)[None].expand(height, -1, -1)
    return torch.cat([by_row, by_column], -1).flatten(0, 1)


class ClassQueryDecoder(nn.Module):
    """Everything after the encoder.

    Args:
        encoder_channels: Of the encoder's features, finest (stride 1, the image) first.
        n_classes: K.
        size: Channels, depth, heads, strides.
        extra_tokens: See `TwoWayDecoder`.

    Attributes:
        adjust_classifier: A method's correction at inference of the class weights, (B, K, E) -> the same shape.
    """

    adjust_classifier: Callable[[Tensor], Tensor] | None

    def __init__(
        self, *, encoder_channels: Sequence[int], n_classes: int, size: ClassQuerySize, extra_tokens: int = 0
    ) -> None:
        super().__init__()
        self.size = size
        fine = size.pixel_channels[-1]
        # SMP's decoder expects the image first and drops it; stride 4 is its finest skip here.
        self.pixel_decoder = UnetDecoder(
            encoder_channels=[encoder_channels[0], *encoder_channels[2:]],
            decoder_channels=size.pixel_channels,
            n_blocks=len(size.pixel_channels),
        )
        self.to_tokens = nn.Sequential(nn.Conv2d(fine, size.channels, 1), nn.GroupNorm(1, size.channels))
        self.two_way = TwoWayDecoder(
            n_classes=n_classes,
            dim=size.channels,
            depth=size.depth,
            heads=size.heads,
            mlp_dim=size.mlp_channels,
            extra_tokens=extra_tokens,
        )
        self.from_tokens = nn.Conv2d(size.channels, fine, 1)
        self.embed = nn.Sequential(
            nn.Conv2d(fine, size.embedding_channels, 3, padding=1),
            nn.GroupNorm(1, size.embedding_channels),
            nn.GELU(),
            nn.Conv2d(size.embedding_channels, size.embedding_channels, 1),
        )
        self.hypernetworks = ClassMLP(n_classes=n_classes, channels=size.channels, out_channels=size.embedding_channels)
        self.adjust_classifier = None

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode features of strides 4, 8, 16, 32 into logits at stride 4, (B, K, H / 4, W / 4)."""
        return self.finish(self.prepare(features))

    def finish(self, prepared: DecoderInput) -> Tensor:
        """Decode what `prepare` gave into logits at stride 4, (B, K, H / 4, W / 4)."""
        tokens, image = self.two_way(prepared.image, prepared.position)
        refined = self.from_tokens(image.transpose(1, 2).unflatten(2, prepared.grid))
        pixels = prepared.pixels
        pixels = pixels + functional.interpolate(refined, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
        weights = self.hypernetworks(self.two_way.class_part(tokens))  # (B, K, E)
        if self.adjust_classifier is not None and not self.hypernetworks.training:
            weights = self.adjust_classifier(weights)
        return torch.einsum("bke,behw->bkhw", weights, self.embed(pixels))

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
        norms = self.hypernetworks(self.two_way.class_part(tokens)).float().norm(dim=-1).mean(0)
        return probe.statistics(self.two_way.extra_tokens), norms

    @torch.no_grad()
    def attention_maps(self, prepared: DecoderInput) -> Tensor:
        """Return how much each image token attends to each class, (B, K, h, w), averaged over layers and heads."""
        probe = AttentionMapProbe()
        self.two_way(prepared.image, prepared.position, probe)
        return probe.maps(self.two_way.extra_tokens).unflatten(2, prepared.grid)

    def prepare(self, features: Sequence[Tensor]) -> DecoderInput:
        """Make pixel map and image tokens of features of strides 4, 8, 16, 32: the part that no class bias changes."""
        batch, _, height, width = features[0].shape
        placeholder = features[0].new_empty(()).expand(batch, 3, height, width)
        pixels = self.pixel_decoder([placeholder, *features])
        coarse = functional.avg_pool2d(pixels, self.size.token_stride_px // FINEST_STRIDE_PX)
        grid = (coarse.shape[-2], coarse.shape[-1])
        image = self.to_tokens(coarse).flatten(2).transpose(1, 2)
        return DecoderInput(pixels, image, sine_position(*grid, self.size.channels, image.device), grid)
