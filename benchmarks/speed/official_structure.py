"""The decoder as the official code of Dynamic Focal Attention runs it: the same weights, another order of work.

One image at a time; attention weights are held in full; each class has a perceptron of its own, called one after the
other. After `focal_mask_decoder.py`, `focal_transformer.py` and `sam_network_focal.py` of lakmali240/DFA-Imbalance at
aba5b00.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from imbalance_bench.models.attention import Attention
from imbalance_bench.models.class_query import ClassMLP, ClassQueryDecoder
from imbalance_bench.models.segmenter import enlarge


def official_logits(decoder: ClassQueryDecoder, tokens: Tensor, size_px: int) -> Tensor:
    """Decode maps of tokens, (B, C, h, w), into logits at full size, (B, K, size_px, size_px)."""
    prepared = decoder.prepare([tokens])  # of all images
    with _official_modules():
        masks = [
            enlarge(decoder.finish(replace(prepared, image=prepared.image[i : i + 1])), size_px)
            for i in range(len(tokens))
        ]
    return torch.cat(masks)


@contextmanager
def _official_modules() -> Iterator[None]:
    """Let attention and the perceptrons of classes work as in the official code meanwhile."""
    attend, classify = Attention.forward, ClassMLP.forward
    Attention.forward, ClassMLP.forward = _attend, _classify
    try:
        yield
    finally:
        Attention.forward, ClassMLP.forward = attend, classify


def _attend(
    self: Attention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    exponent: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    if exponent is not None or weights is not None:
        raise NotImplementedError("The official code has no gate and is given no weights.")
    held = self.logits(query, key, bias).softmax(-1)  # (B, heads, M, T)
    mixed = held @ self.value(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
    return self.out(mixed.transpose(1, 2).flatten(2))


def _classify(self: ClassMLP, tokens: Tensor) -> Tensor:
    found = []
    for number in range(tokens.shape[1]):
        x = tokens[:, number]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight[number] + bias[number]
            if layer < len(self.weights) - 1:
                x = functional.relu(x)
        found.append(x)
    return torch.stack(found, 1)
