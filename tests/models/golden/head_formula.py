"""Sizes, weights and input of the official head by formula: the official code and ours are given the same."""

import math
from collections.abc import Mapping, Sequence
from zlib import crc32

import torch
from torch import Tensor

DIM, HEADS, MLP = 16, 2, 24
CHANNELS = (12, 8)  # of the two encoders' maps
FEATURES = sum(CHANNELS)
CLASSES = 3
FREQUENCIES = (0.5, 0.3, 0.2)
GRID = 64  # tokens along an axis, as of the official image of 1024 px
SHOWN = 32  # every 32nd row and column of the logits is kept


def checkpoint(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return a state dict in Lightning's names, each tensor float32 within +-1 (the bias +-3) by its own name."""
    return {f"model.{name}": _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def features() -> Tensor:
    """Return the concatenated maps of both encoders, (1, FEATURES, GRID, GRID) float32."""
    return 2 * _tensor("features", (1, FEATURES, GRID, GRID))


def _tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    n = math.prod(shape)
    phase = 2.399963 * torch.arange(n, dtype=torch.float64) + crc32(name.encode()) % 1000
    scale = 3.0 if name.endswith("bias_param") else 1.0
    return (scale * torch.sin(1.0 + phase * (1 + 0.001 * torch.arange(n, dtype=torch.float64)))).reshape(shape).float()
