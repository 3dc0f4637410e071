"""Between encoders and head: features of every encoder at the strides that the head reads, concatenated."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imbalance_bench.models.encoders import Encoder
from imbalance_bench.models.token_encoder import Pyramid, resize


class Neck(nn.Module):
    """Brings the features of one or several encoders to the strides of a head.

    A single convolutional encoder at the size of the image passes through as it is.

    Args:
        encoders: With their levels chosen.
        strides_px: That the head reads, finest first.
        pyramid_channels: Of the pyramid of each plain transformer; None: no pyramid, since the head reads one map at
            the stride that the tokens of every encoder have.

    Attributes:
        channels: Of the map at each stride.
    """

    def __init__(self, encoders: Sequence[Encoder], strides_px: Sequence[int], pyramid_channels: int | None) -> None:
        super().__init__()
        self.strides_px = tuple(strides_px)
        self._lengths = [len(encoder.levels) for encoder in encoders]
        self._passes = len(encoders) == 1 and encoders[0].token_stride_px is None and encoders[0].choice.scale == 1
        self.pyramids = nn.ModuleDict(
            {
                str(number): Pyramid(encoder.level_channels, pyramid_channels, strides_px)
                for number, encoder in enumerate(encoders)
                if encoder.token_stride_px is not None and pyramid_channels is not None
            }
        )
        of_each = [
            encoder.level_channels
            if encoder.token_stride_px is None or pyramid_channels is None
            else (pyramid_channels,) * len(strides_px)
            for encoder in encoders
        ]
        self.channels = tuple(sum(levels) for levels in zip(*of_each, strict=True))

    def forward(self, features: Sequence[Tensor], size_px: int) -> list[Tensor]:
        """Features of all encoders, one after the other, of images of `size_px` -> one map for each stride."""
        if self._passes:
            return list(features)
        of_each, start = [], 0
        for number, length in enumerate(self._lengths):
            part, start = features[start : start + length], start + length
            if str(number) in self.pyramids:
                of_each.append(self.pyramids[str(number)](part, size_px))
            else:
                edges = [size_px // stride for stride in self.strides_px]
                of_each.append([resize(feature_map, edge) for feature_map, edge in zip(part, edges, strict=True)])
        return [torch.cat(maps, 1) for maps in zip(*of_each, strict=True)]
