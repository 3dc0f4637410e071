"""What fills the slots that change what a model sees or computes: tiles drawn, batches mixed, attention gated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from methods.late_torch import Module

if TYPE_CHECKING:
    from torch import Tensor


class Sampler(Protocol):
    """Chooses which training tiles an epoch draws."""

    def __call__(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return tile indices for one epoch, (n,) int64, n >= 1.

        Args:
            tile_pixels: (n_tiles, K) int64, labelled pixels of each class in each training tile.
            rng: The epoch's own generator; the only source of randomness.
        """
        ...


@dataclass(frozen=True)
class TrainingBatch:
    """One forward pass worth of crops, as the model is about to see them.

    Attributes:
        maps: What the model reads, each (B, C, S / stride, S / stride) float: the images themselves, or the cached
            features of a frozen encoder, finest first.
        strides_px: Image pixels per map pixel of each; divides S.
        target: (B, S, S) int64 in 0..K-1.
        valid: (B, S, S) bool.
    """

    maps: Sequence[Tensor]
    strides_px: tuple[int, ...]
    target: Tensor
    valid: Tensor


class BatchTransform(Protocol):
    """Mixes the crops of one training batch with their labels; never called in validation or inference."""

    def __call__(self, batch: TrainingBatch, rng: np.random.Generator) -> TrainingBatch:
        """Return the batch to train on.

        Args:
            batch: As drawn and augmented; not to be modified.
            rng: The batch's own generator; the only source of randomness.
        """
        ...


class AttentionGate(Module):
    """Raises the class-query decoder's image->token attention weights to a power."""

    def forward(self) -> Tensor:
        """Return the exponent of each class's attention weight, (layers or 1, K) float >= 0."""
        raise NotImplementedError

    def class_parameters(self) -> dict[str, Tensor]:
        """Whatever the gate holds per class: name -> (K,) tensor. For the ledger."""
        return {}
