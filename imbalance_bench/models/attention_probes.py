"""What is read off the image->token attention while a decoder runs."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionStatistics:
    """What the image->token attention does with each class, averaged over images, layers, heads and image tokens.

    Attributes:
        effective_offset: Mean total logit of the class (its bias included), centred over classes, (K,) float32.
        attention_mass: Mean attention weight of the class, (K,) float32; sums to 1 without extra tokens.
    """

    effective_offset: Tensor
    attention_mass: Tensor


class LogitObserver(Protocol):
    """Is shown the image->token logits of every layer while a decoder runs."""

    def observe(self, logits: Tensor) -> None:
        """Take one layer's logits, (B, heads, N, T)."""
        ...


class AttentionProbe:
    """Averages the image->token attention of every layer over everything but the tokens."""

    def __init__(self) -> None:
        self._layers: list[tuple[Tensor, Tensor]] = []

    def observe(self, logits: Tensor) -> None:
        """Take one layer's logits, (B, heads, N, T)."""
        self._layers.append((logits.mean(dim=(0, 1, 2)), logits.softmax(-1).mean(dim=(0, 1, 2))))

    def statistics(self, extra_tokens: int) -> AttentionStatistics:
        """Average over layers and drop the tokens that are not classes."""
        offset = torch.stack([mean for mean, _ in self._layers]).mean(0)[extra_tokens:].float()
        mass = torch.stack([weight for _, weight in self._layers]).mean(0)[extra_tokens:].float()
        return AttentionStatistics(effective_offset=offset - offset.mean(), attention_mass=mass)


class AttentionMapProbe:
    """Keeps the image->token attention of every layer in its place, averaged over heads."""

    def __init__(self) -> None:
        self._layers: list[Tensor] = []

    def observe(self, logits: Tensor) -> None:
        """Take one layer's logits, (B, heads, N, T)."""
        self._layers.append(logits.float().softmax(-1).mean(1))

    def maps(self, extra_tokens: int) -> Tensor:
        """Average over layers and drop the tokens that are not classes, (B, K, N) float32."""
        return torch.stack(self._layers).mean(0)[..., extra_tokens:].transpose(1, 2)


class LastLogits:
    """Keeps the image->token logits of the last layer.

    Attributes:
        logits: (B, heads, N, T).
    """

    logits: Tensor

    def observe(self, logits: Tensor) -> None:
        """Take one layer's logits, (B, heads, N, T)."""
        self.logits = logits
