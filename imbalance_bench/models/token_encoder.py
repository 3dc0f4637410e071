"""Plain vision transformers: all blocks see the same grid of tokens, from which a pyramid is made.

Features are read at four depths by timm's `forward_intermediates`, without prefix tokens (class and registers). They
are what a cache holds; the pyramid above them is trained with the decoder.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.errors import UserError, first_line

DEPTHS = 4  # at a quarter, half, three quarters and all of the blocks


def is_plain_transformer(name: str, options: Mapping[str, Any]) -> bool:
    """True if a model of timm keeps one grid of tokens from its first to its last block.

    Raises:
        UserError: timm does not build it with these options.
    """
    try:
        model = on_meta(name, {"num_classes": 0, **options})
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        if not options:
            return False  # SMP's way may still build it, and says why not
        raise UserError(f"timm does not build {name} with {dict(options)}: {first_line(error)}.") from error
    stages = getattr(model, "feature_info", None)
    if not isinstance(stages, list) or not hasattr(model, "forward_intermediates") or not hasattr(model, "blocks"):
        return False
    return len({(stage["reduction"], stage["num_chs"]) for stage in stages}) == 1


def on_meta(name: str, options: Mapping[str, Any]) -> Any:
    """Build a model of timm without memory for its weights; no random number is drawn."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return timm.create_model(name, **options)


class TokenEncoder(nn.Module):
    """A plain vision transformer that returns maps of tokens.

    Args:
        name: Of timm.
        options: Keyword arguments of the timm model.
        features: `depths`: after a quarter, half, three quarters and all of the blocks, as they are; `last`: after the
            last block, with the network's final normalisation (SAM: without its neck, as SAM-Path reads it); `tokens`:
            the same.
        pretrained: Load timm's published weights.

    Attributes:
        channels: Of each map.
        patch_px: Pixels of the encoder's input per token along each axis.
    """

    def __init__(self, name: str, options: Mapping[str, Any], *, features: str, pretrained: bool) -> None:
        super().__init__()
        sizing = {"dynamic_img_size": True}
        try:
            self.model: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, **{**sizing, **options})
        except TypeError:  # SAM, XCiT and others take any size as they are
            self.model = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        stages = self.model.feature_info
        n, last = len(stages), features != "depths"
        depths = {max(n * part // DEPTHS - 1, 0) for part in range(1, DEPTHS + 1)}
        self._indices = [n - 1] if last else sorted(depths)
        self._normed = last and not hasattr(self.model, "neck")
        self.channels = (int(stages[-1]["num_chs"]),) * len(self._indices)
        self.patch_px = int(stages[0]["reduction"])

    @property
    def blocks(self) -> nn.Sequential | nn.ModuleList:
        """The transformer blocks, first to last."""
        return self.model.blocks

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encode normalised images, (B, 3, H, W), into maps of tokens, each (B, C, H / patch, W / patch)."""
        return self.model.forward_intermediates(
            images, indices=self._indices, norm=self._normed, intermediates_only=True
        )


class Pyramid(nn.Module):
    """Maps of one grid of tokens -> maps at the strides that a decoder reads.

    Earlier blocks give the finer maps. Each is normalised over its channels, projected, resized and smoothed.

    Args:
        in_channels: Of each map of tokens, from the first depth to the last.
        channels: Of each map that comes out.
        strides_px: Wanted, finest first.

    Source: the simple feature pyramid of ViTDet (Li et al. 2022, section 3).
    Deviation: Several depths instead of the last block alone; bilinear resizing instead of transposed convolutions, so
        that grids of 14 px patches can be brought to strides of powers of two.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, strides_px: Sequence[int]) -> None:
        super().__init__()
        self.strides_px = tuple(strides_px)
        spare = len(strides_px) - len(in_channels)  # the finest maps share the first depth, coarsest get the last
        self.sources = [min(max(level - spare, 0), len(in_channels) - 1) for level in range(len(strides_px))]
        self.project = nn.ModuleList(
            nn.Sequential(LayerNorm2d(in_channels[source]), nn.Conv2d(in_channels[source], channels, 1))
            for source in self.sources
        )
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), LayerNorm2d(channels)) for _ in strides_px
        )

    def forward(self, maps: Sequence[Tensor], size_px: int) -> list[Tensor]:
        """(B, C, h, w) each, of images of `size_px` -> (B, channels, size_px / stride, size_px / stride) each."""
        levels = []
        for source, stride, project, smooth in zip(
            self.sources, self.strides_px, self.project, self.smooth, strict=True
        ):
            edge = size_px // stride
            levels.append(smooth(resize(project(maps[source]), edge)))
        return levels


def resize(maps: Tensor, edge: int) -> Tensor:
    """Bring (B, C, h, w) to (B, C, edge, edge), averaging where it shrinks."""
    if maps.shape[-1] == edge:
        return maps
    if not maps.shape[1]:  # SMP's placeholder for a stride that an encoder lacks
        return maps.new_zeros((len(maps), 0, edge, edge))
    shrinks = edge < maps.shape[-1]
    return functional.interpolate(maps, size=(edge, edge), mode="bilinear", align_corners=False, antialias=shrinks)
