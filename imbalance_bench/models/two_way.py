"""The two-way decoder between class tokens and image tokens, with the named hook for a class bias.

After Kirillov et al. 2023 (Segment Anything, the mask decoder's two-way transformer), with one token per class instead
of prompt tokens. Deviations: channels are not halved in cross-attention, and the image->token query projection has no
bias vector, which would act as one more per-class offset beside a class bias. Even so a bias alone is not identified
(the mean image token times a class's key is an offset too): compare `AttentionStatistics.effective_offset`.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.models.attention import Attention
from methods.base import AttentionBias
from methods.slots import AttentionGate


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


class TwoWayBlock(nn.Module):
    """Token self-attention, token->image, MLP, image->token; each with a residual and a layer norm."""

    def __init__(self, *, dim: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attention = Attention(dim=dim, heads=heads)
        self.token_to_image = Attention(dim=dim, heads=heads)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, dim))
        self.image_to_token = Attention(dim=dim, heads=heads, query_bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(4))

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        *,
        identity: Tensor,
        position: Tensor,
        image_bias: Tensor | None,
        token_bias: Tensor | None,
        exponent: Tensor | None,
        probe: LogitObserver | None,
    ) -> tuple[Tensor, Tensor]:
        """Update both sides.

        Args:
            tokens: (B, T, dim).
            image: (B, N, dim).
            identity: (T, dim), the learned embeddings that tell tokens apart, added to queries and keys.
            position: (N, dim), positional encoding of the image tokens, likewise.
            image_bias: (heads or 1, 1, T), joins the logits of image->token attention (a softmax over tokens).
            token_bias: (heads or 1, T, 1), joins the logits of token->image attention (a softmax over pixels).
            exponent: (T,), power of the weights of image->token attention.
            probe: Observes the image->token logits.
        """
        # Which other classes are there?
        query = tokens + identity
        tokens = self.norms[0](tokens + self.self_attention(query, query, tokens))
        # Where in the image is my class?
        attended = self.token_to_image(tokens + identity, image + position, image, token_bias)
        tokens = self.norms[1](tokens + attended)
        tokens = self.norms[2](tokens + self.mlp(tokens))
        # Which class does this place belong to? The softmax runs over tokens: the class bias acts here.
        query, key = image + position, tokens + identity
        if probe is not None:
            probe.observe(self.image_to_token.logits(query, key, image_bias))
        image = self.norms[3](image + self.image_to_token(query, key, tokens, image_bias, exponent))
        return tokens, image


class TwoWayDecoder(nn.Module):
    """Exactly K class tokens (after `extra_tokens` others, 0 by default) that exchange information with the image.

    Args:
        n_classes: K.
        dim: Channels.
        depth: Number of two-way blocks.
        heads: Attention heads; divides `dim`.
        mlp_dim: Hidden channels of the token MLP.
        extra_tokens: Tokens before the class tokens that no output reads; only the official token layout of Dynamic
            Focal Attention has them.

    Attributes:
        attention_bias: The hook. None, or a module that returns (depth or 1, heads or 1, extra_tokens + K).
        attention_gate: The other hook. None, or a module that returns the exponents of the weights, (depth or 1, K).
    """

    attention_bias: AttentionBias | None
    attention_gate: AttentionGate | None

    def __init__(
        self, *, n_classes: int, dim: int, depth: int, heads: int, mlp_dim: int, extra_tokens: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.extra_tokens = heads, extra_tokens
        self.class_tokens = nn.Parameter(torch.randn(n_classes, dim))
        self.blocks = nn.ModuleList(TwoWayBlock(dim=dim, heads=heads, mlp_dim=mlp_dim) for _ in range(depth))
        self.final_token_to_image = Attention(dim=dim, heads=heads)
        self.final_norm = nn.LayerNorm(dim)
        # Drawn from a generator of its own, so that every other parameter starts equal with and without them.
        own = torch.Generator().manual_seed(0)
        self.extra = nn.Parameter(torch.randn(extra_tokens, dim, generator=own)) if extra_tokens else None
        self.attention_bias = None
        self.attention_gate = None

    def forward(self, image: Tensor, position: Tensor, probe: LogitObserver | None = None) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            image: (B, N, dim) image tokens.
            position: (N, dim) positional encoding.
            probe: Observes the image->token logits of each layer.

        Returns:
            All tokens, (B, extra_tokens + K, dim), and the image tokens, (B, N, dim).
        """
        identity = self.class_tokens if self.extra is None else torch.cat([self.extra, self.class_tokens])
        tokens = identity.expand(len(image), -1, -1)
        for layer, block in enumerate(self.blocks):
            image_bias, token_bias = self._bias_of(layer)
            tokens, image = block(
                tokens,
                image,
                identity=identity,
                position=position,
                image_bias=image_bias,
                token_bias=token_bias,
                exponent=self._exponent_of(layer),
                probe=probe,
            )
        attended = self.final_token_to_image(tokens + identity, image + position, image)
        return self.final_norm(tokens + attended), image

    def class_part(self, tokens: Tensor) -> Tensor:
        """Return the class tokens, (B, K, dim), of all tokens, (B, extra_tokens + K, dim)."""
        return tokens[:, self.extra_tokens :]

    @torch.no_grad()
    def attention_statistics(self, image: Tensor, position: Tensor) -> AttentionStatistics:
        """Run the decoder and summarise its image->token attention per class."""
        probe = AttentionProbe()
        self(image, position, probe)
        return probe.statistics(self.extra_tokens)

    def _bias_of(self, layer: int) -> tuple[Tensor | None, Tensor | None]:
        """Return (heads or 1, 1, T) for image->token and (heads or 1, T, 1) for token->image attention of a layer."""
        if self.attention_bias is None:
            return None, None
        bias = self.attention_bias()
        of_layer = bias[layer if len(bias) > 1 else 0]  # (heads or 1, T)
        if self.attention_bias.direction == "token_to_image":
            return None, of_layer[:, :, None]
        return of_layer[:, None, :], None

    def _exponent_of(self, layer: int) -> Tensor | None:
        """Return the exponent of each token's image->token weight in a layer, (T,); 1 for tokens that are no class."""
        if self.attention_gate is None:
            return None
        exponent = self.attention_gate()
        return functional.pad(exponent[layer if len(exponent) > 1 else 0], (self.extra_tokens, 0), value=1.0)
