"""Decoders of segmentation-models-pytorch for features that come from no encoder of theirs."""

from collections.abc import Sequence
from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from torch import nn

_NAME = "imbalance-bench-features"


class _Features(nn.Module):
    """Stands in for an encoder while SMP builds a decoder for its channels."""

    def __init__(self, out_channels: Sequence[int], depth: int, output_stride: int = 32) -> None:
        super().__init__()
        self.out_channels, self.output_stride, self._depth = list(out_channels), output_stride, depth

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:
        """Nothing depends on it."""

    def make_dilated(self, output_stride: int) -> None:
        """Refuse architectures that change the strides of their encoder."""
        raise NotImplementedError(f"it needs features at stride {output_stride} at most, which a pyramid does not have")


def smp_model_for(architecture: str, channels: Sequence[int], n_classes: int) -> Any:
    """Build an SMP model whose decoder reads features of these channels, the image's first, at strides 1, 2, ...

    Raises:
        NotImplementedError: The architecture changes the strides of its encoder.
    """
    entry = {"encoder": _Features, "pretrained_settings": {}, "params": {"out_channels": tuple(channels)}}
    smp_encoders[_NAME] = entry
    try:
        return smp.create_model(architecture, encoder_name=_NAME, encoder_weights=None, classes=n_classes)
    finally:
        del smp_encoders[_NAME]
