"""Class-query decoders over a pixel map: a U-Net decoder makes it at stride 4, image tokens are its means.

`ImageReadout` reads pixels off the image tokens, with or without the pixel map beside them. `TiedReadout` reads them
off the attention weights: what a pixel is, is made of what the classes are, so that the path that a class bias acts on
is the only one, or, with `detail`, the only one that carries anything coarser than a token.
"""

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.errors import UserError
from imbalance_bench.models.class_query import (
    ClassQueryDecoder,
    DecoderInput,
    DecoderSetting,
    hypernetworks,
    two_way_decoder,
)
from imbalance_bench.models.two_way import OURS, TwoWayForm

FINEST_STRIDE_PX = 4  # of the features that the pixel decoder reads, and of the pixel map
LOG_SCALE = 3.0  # at which the logits of the tied readout start: e^3 times a cosine


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


class PixelMapDecoder(ClassQueryDecoder):
    """A pixel map, and image tokens that are its means over `token_stride_px`.

    Args:
        setting: Sizes.
        form: Of the two-way decoder.
    """

    def __init__(self, setting: DecoderSetting, form: TwoWayForm = OURS) -> None:
        super().__init__(setting)
        size, encoder_channels = setting.size, setting.encoder_channels
        # SMP's decoder expects the image first and drops it; stride 4 is its finest skip here.
        self.pixel_decoder = UnetDecoder(
            encoder_channels=[encoder_channels[0], *encoder_channels[2:]],
            decoder_channels=size.pixel_channels,
            n_blocks=len(size.pixel_channels),
        )
        fine = size.pixel_channels[-1]
        self.to_tokens = nn.Sequential(nn.Conv2d(fine, size.channels, 1), nn.GroupNorm(1, size.channels))
        self.two_way = two_way_decoder(setting, form)

    def prepare(self, features: Sequence[Tensor]) -> DecoderInput:
        """Make pixel map and image tokens of features of strides 4, 8, 16, 32: the part that no class bias changes."""
        batch, _, height, width = features[0].shape
        placeholder = features[0].new_empty(()).expand(batch, 3, height, width)
        pixels = self.pixel_decoder([placeholder, *features])
        coarse = self.token_means(pixels)
        grid = (coarse.shape[-2], coarse.shape[-1])
        image = self.to_tokens(coarse).flatten(2).transpose(1, 2)
        return DecoderInput(pixels, image, sine_position(*grid, self.size.channels, image.device), grid)

    def token_means(self, pixels: Tensor) -> Tensor:
        """Average a pixel map, (B, C, H / 4, W / 4), over the places of image tokens, (B, C, h, w)."""
        return functional.avg_pool2d(pixels, self.size.token_stride_px // FINEST_STRIDE_PX)

    def _embedding(self) -> nn.Sequential:
        """Make what turns a pixel map into pixel embeddings."""
        fine, channels = self.size.pixel_channels[-1], self.size.embedding_channels
        return nn.Sequential(
            nn.Conv2d(fine, channels, 3, padding=1),
            nn.GroupNorm(1, channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1),
        )


class ImageReadout(PixelMapDecoder):
    """Pixel embeddings are made of the refined image tokens.

    Args:
        setting: Sizes.
        pixel_skip: The pixel map joins the pixel embeddings without passing through the two-way decoder.
        image_residual: Image tokens pass by the last image->token attention.
    """

    def __init__(self, setting: DecoderSetting, *, pixel_skip: bool, image_residual: bool) -> None:
        super().__init__(setting, TwoWayForm(last_image_residual=image_residual))
        self.pixel_skip = pixel_skip
        self.from_tokens = nn.Conv2d(self.size.channels, self.size.pixel_channels[-1], 1)
        self.embed = self._embedding()
        self.hypernetworks = hypernetworks(setting)

    def read(self, prepared: DecoderInput, image: Tensor, attended: Tensor | None, weights: Tensor) -> Tensor:  # noqa: ARG002
        """Embed pixels and compare them with the classifiers: logits at stride 4."""
        assert prepared.pixels is not None
        refined = enlarged(self.from_tokens(prepared.on_grid(image)), prepared.pixels)
        embedded = self.embed(prepared.pixels + refined if self.pixel_skip else refined)
        return torch.einsum("bke,behw->bkhw", weights, embedded)


class TiedReadout(PixelMapDecoder):
    """Pixel embeddings are attention weights times the classes' own classifiers.

        W = attention weights of the last block, mean over heads      (N, K)
        H = unit rows of the hypernetwork outputs                     (K, E)
        H <- H by Gram and Schmidt, in the order of the classes, with `orthonormal`
        E = W H at the token stride                                   (N, E)
        E <- upsampled E + e(S - mean of S over a token), with `detail`; S the pixel map, e's last layer starts at 0
        z = e^s H E^T, s learned

    Values tied to the classifiers' directions cannot be an arbitrary code: to attend to a class is to predict it. Where
    two directions are alike, attending to one class speaks for the other as well; orthonormal ones leave no such way.

    Args:
        setting: Sizes.
        detail: What the pixel map holds within a token joins the embeddings.
        orthonormal: Directions of different classes are orthogonal; needs at least K embedding channels.

    Raises:
        UserError: K orthonormal directions do not fit.
    """

    reads_attention = True

    def __init__(self, setting: DecoderSetting, *, detail: bool, orthonormal: bool = False) -> None:
        super().__init__(setting)
        if orthonormal and setting.n_classes > self.size.embedding_channels:
            raise UserError(
                f"`model.embedding_channels` must be at least the number of classes, {setting.n_classes}, for "
                f"orthonormal directions. Got {self.size.embedding_channels}."
            )
        self.orthonormal = orthonormal
        self.detail = self._embedding() if detail else None
        if self.detail is not None:
            last = self.detail[-1]
            assert isinstance(last, nn.Conv2d)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
        self.hypernetworks = hypernetworks(setting)
        self.log_scale = nn.Parameter(torch.tensor(LOG_SCALE))

    def class_weights(self, tokens: Tensor) -> Tensor:
        """Return the unit direction of each class, (B, K, E)."""
        rows = functional.normalize(super().class_weights(tokens), dim=-1)
        return orthonormalised(rows) if self.orthonormal else rows

    def read(self, prepared: DecoderInput, image: Tensor, attended: Tensor | None, weights: Tensor) -> Tensor:  # noqa: ARG002
        """Embed pixels by the classes they attend to: logits at the token stride, with `detail` at stride 4."""
        assert attended is not None
        embedded = prepared.on_grid(attended.to(weights.dtype) @ weights)
        if self.detail is not None:
            assert prepared.pixels is not None
            within = prepared.pixels - enlarged(self.token_means(prepared.pixels), prepared.pixels)
            embedded = enlarged(embedded, prepared.pixels) + self.detail(within)
        return self.log_scale.exp() * torch.einsum("bke,behw->bkhw", weights, embedded)


def orthonormalised(rows: Tensor) -> Tensor:
    """Make rows, (B, K, E), orthonormal by Gram and Schmidt: each loses what it shares with those before it."""
    basis, triangle = torch.linalg.qr(rows.float().transpose(1, 2))  # no kernel for half precision
    is_turned = triangle.diagonal(dim1=1, dim2=2)[:, None] < 0  # the factorisation leaves the sign open
    return torch.where(is_turned, -basis, basis).transpose(1, 2).to(rows.dtype)


def enlarged(values: Tensor, like: Tensor) -> Tensor:
    """Bring a map, (B, C, h, w), to the size of another, bilinearly."""
    return functional.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=False)
