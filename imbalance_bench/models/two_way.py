"""The two-way decoder between class tokens and image tokens, with the named hook for a class bias.

After Kirillov et al. 2023 (Segment Anything, the mask decoder's two-way transformer), with one token per class instead
of prompt tokens. `OURS` and `SEGMENT_ANYTHING` are the two forms of its block. Ours deviates: GELU, channels are not
halved in cross-attention, the first self-attention has a residual and adds the tokens' identity, and the image->token
query projection has no bias vector, which would act as one more per-class offset beside a class bias. Even so a bias
alone is not identified (the mean image token times a class's key is an offset too): compare
`AttentionStatistics.effective_offset`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from imbalance_bench.models.attention import Attention, raised
from imbalance_bench.models.attention_probes import AttentionProbe, AttentionStatistics, LastLogits, LogitObserver
from methods.base import AttentionBias
from methods.slots import AttentionGate


@dataclass(frozen=True)
class TwoWayForm:
    """In what the forms of the two-way decoder differ.

    Attributes:
        activation: Of the token MLP.
        narrowing: Inner channels of cross-attention are the channels divided by this.
        query_bias: The image->token query projection has a bias vector.
        plain_first_self_attention: The first self-attention replaces the tokens: no residual, no identity added.
        last_image_residual: Image tokens pass by the last image->token attention; without it, all that is known of a
            place after the last block is what it attended to.
    """

    activation: type[nn.Module] = nn.GELU
    narrowing: int = 1
    query_bias: bool = False
    plain_first_self_attention: bool = False
    last_image_residual: bool = True


OURS = TwoWayForm()
SEGMENT_ANYTHING = TwoWayForm(activation=nn.ReLU, narrowing=2, query_bias=True, plain_first_self_attention=True)


class TwoWayBlock(nn.Module):
    """Token self-attention, token->image, MLP, image->token; each with a layer norm and, by default, a residual.

    Args:
        dim: Channels.
        heads: Attention heads; divides the inner channels of cross-attention.
        mlp_dim: Hidden channels of the token MLP.
        form: Activation, inner channels, bias vector.
        plain_self_attention: No residual around the self-attention and no identity in it.
        image_residual: A residual around the image->token attention.
    """

    def __init__(
        self,
        *,
        dim: int,
        heads: int,
        mlp_dim: int,
        form: TwoWayForm = OURS,
        plain_self_attention: bool = False,
        image_residual: bool = True,
    ) -> None:
        super().__init__()
        self.plain_self_attention, self.image_residual = plain_self_attention, image_residual
        self.self_attention = Attention(dim=dim, heads=heads)
        self.token_to_image = Attention(dim=dim, heads=heads, narrowing=form.narrowing)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), form.activation(), nn.Linear(mlp_dim, dim))
        self.image_to_token = Attention(dim=dim, heads=heads, query_bias=form.query_bias, narrowing=form.narrowing)
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
        weights: Tensor | None = None,
        hidden: int = 0,
        probe: LogitObserver | None,
    ) -> tuple[Tensor, Tensor]:
        """Update both sides.

        Args:
            tokens: (B, T, dim).
            image: (B, N, dim).
            identity: (T, dim), the learned embeddings that tell tokens apart, added to queries and keys.
            position: (N, dim), positional encoding of the image tokens, likewise.
            image_bias: (heads or 1, 1, T - hidden), joins the logits of image->token attention (a softmax over tokens).
            token_bias: (heads or 1, T, 1), joins the logits of token->image attention (a softmax over pixels).
            exponent: (T - hidden,), power of the weights of image->token attention.
            weights: (B, N, T - hidden), instead of the weights of image->token attention.
            hidden: Number of tokens, the first ones, that image tokens do not attend to.
            probe: Observes the image->token logits, unless weights are given instead.
        """
        # Which other classes are there?
        query = tokens if self.plain_self_attention else tokens + identity
        attended = self.self_attention(query, query, tokens)
        tokens = self.norms[0](attended if self.plain_self_attention else tokens + attended)
        # Where in the image is my class?
        attended = self.token_to_image(tokens + identity, image + position, image, token_bias)
        tokens = self.norms[1](tokens + attended)
        tokens = self.norms[2](tokens + self.mlp(tokens))
        # Which class does this place belong to? The softmax runs over tokens: the class bias acts here.
        shown = tokens[:, hidden:]
        query, key = image + position, shown + identity[hidden:]
        if probe is not None and weights is None:
            probe.observe(self.image_to_token.logits(query, key, image_bias))
        attended = self.image_to_token(query, key, shown, image_bias, exponent, weights)
        return tokens, self.norms[3](image + attended if self.image_residual else attended)


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
        iou_token: Hold a token that an IoU head reads. The official layout has one, the first of its extra tokens;
            without extra tokens it is one that image tokens do not attend to, so that they attend to K classes alone.
        form: Of its blocks.

    Attributes:
        attention_bias: The hook. None, or a module that returns (depth or 1, heads or 1, extra_tokens + K).
        attention_gate: The other hook. None, or a module that returns the exponents of the weights, (depth or 1, K).
        given_weights: For controls at inference. None, or (B, N, K), the image->token weights of every layer and head
            instead of its own; extra tokens then get none.
    """

    attention_bias: AttentionBias | None
    attention_gate: AttentionGate | None
    given_weights: Tensor | None

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        extra_tokens: int = 0,
        iou_token: bool = False,
        form: TwoWayForm = OURS,
    ) -> None:
        super().__init__()
        self.heads, self.extra_tokens = heads, extra_tokens
        self.class_tokens = nn.Parameter(torch.randn(n_classes, dim))
        self.blocks = nn.ModuleList(
            TwoWayBlock(
                dim=dim,
                heads=heads,
                mlp_dim=mlp_dim,
                form=form,
                plain_self_attention=form.plain_first_self_attention and layer == 0,
                image_residual=form.last_image_residual or layer < depth - 1,
            )
            for layer in range(depth)
        )
        self.final_token_to_image = Attention(dim=dim, heads=heads, narrowing=form.narrowing)
        self.final_norm = nn.LayerNorm(dim)
        # Drawn from a generator of its own, so that every other parameter starts equal with and without them.
        own = torch.Generator().manual_seed(0)
        self.extra = nn.Parameter(torch.randn(extra_tokens, dim, generator=own)) if extra_tokens else None
        self.hidden_tokens = int(iou_token and not extra_tokens)
        own = torch.Generator().manual_seed(1)
        self.hidden = nn.Parameter(torch.randn(1, dim, generator=own)) if self.hidden_tokens else None
        self.attention_bias = None
        self.attention_gate = None
        self.given_weights = None

    def forward(self, image: Tensor, position: Tensor, probe: LogitObserver | None = None) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            image: (B, N, dim) image tokens.
            position: (N, dim) positional encoding.
            probe: Observes the image->token logits of each layer.

        Returns:
            All tokens, (B, hidden_tokens + extra_tokens + K, dim), and the image tokens, (B, N, dim).
        """
        identity = torch.cat([part for part in (self.hidden, self.extra, self.class_tokens) if part is not None])
        tokens, weights = identity.expand(len(image), -1, -1), self._given()
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
                weights=weights,
                hidden=self.hidden_tokens,
                probe=probe,
            )
        attended = self.final_token_to_image(tokens + identity, image + position, image)
        return self.final_norm(tokens + attended), image

    def last_weights(self, observed: LastLogits) -> Tensor:
        """Return how much each image token attended to each class in the last layer, (B, N, K), mean over heads."""
        if self.given_weights is not None:
            return self.given_weights
        weights = raised(observed.logits, self._exponent_of(len(self.blocks) - 1))
        return weights.mean(1)[..., self.extra_tokens :]

    def class_part(self, tokens: Tensor) -> Tensor:
        """Return the class tokens, (B, K, dim), of all tokens."""
        return tokens[:, self.hidden_tokens + self.extra_tokens :]

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
            return None, functional.pad(of_layer, (self.hidden_tokens, 0))[:, :, None]
        return of_layer[:, None, :], None

    def _given(self) -> Tensor | None:
        """Return the given weights of all tokens, (B, N, extra_tokens + K)."""
        return None if self.given_weights is None else functional.pad(self.given_weights, (self.extra_tokens, 0))

    def _exponent_of(self, layer: int) -> Tensor | None:
        """Return the exponent of each token's image->token weight in a layer, (T,); 1 for tokens that are no class."""
        if self.attention_gate is None:
            return None
        exponent = self.attention_gate()
        return functional.pad(exponent[layer if len(exponent) > 1 else 0], (self.extra_tokens, 0), value=1.0)
