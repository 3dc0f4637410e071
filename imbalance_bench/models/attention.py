"""Multi-head attention with an additive bias on its logits and an exponent on its weights."""

from torch import Tensor, nn
from torch.nn import functional

SMALLEST_WEIGHT = 1e-7  # keeps the slope of a power of an attention weight finite


class Attention(nn.Module):
    """Scaled dot-product attention with separate projections for queries, keys and values.

    Args:
        dim: Channels of queries, keys, values and output.
        heads: Number of heads; divides the inner channels.
        query_bias: False removes the query projection's own bias vector. In image->token attention its product with a
            class's key would be a per-class offset beside a learned class bias.
        narrowing: Inner channels are `dim` / `narrowing`.
    """

    def __init__(self, *, dim: int, heads: int, query_bias: bool = True, narrowing: int = 1) -> None:
        super().__init__()
        self.heads, inner = heads, dim // narrowing
        self.query = nn.Linear(dim, inner, bias=query_bias)
        self.key = nn.Linear(dim, inner)
        self.value = nn.Linear(dim, inner)
        self.out = nn.Linear(inner, dim)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None = None,
        exponent: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, M, dim).
            key: (B, T, dim).
            value: (B, T, dim).
            bias: (heads or 1, M or 1, T or 1), added to the logits before the softmax over T.
            exponent: (T,), power of the weights after the softmax, which are not normalised again.
            weights: (B, M, T), used by every head instead of what queries and keys would give.

        Returns:
            (B, M, dim).
        """
        if weights is not None or exponent is not None:
            chosen = weights[:, None] if weights is not None else raised(self.logits(query, key, bias), exponent)
            mixed = chosen.to(query.dtype) @ self._split(self.value(value)).to(query.dtype)
            return self.out(mixed.transpose(1, 2).flatten(2))
        mask = None if bias is None else bias.expand(self.heads, query.shape[1], key.shape[1]).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value)), attn_mask=mask
        )  # (B, heads, M, dim / heads)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def logits(self, query: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the logits before the softmax, (B, heads, M, T)."""
        q, k = self._split(self.query(query)), self._split(self.key(key))
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return logits if bias is None else logits + bias

    def _split(self, x: Tensor) -> Tensor:
        """(B, M, dim) -> (B, heads, M, dim / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def raised(logits: Tensor, exponent: Tensor | None) -> Tensor:
    """Return the weights of logits, softmax over the last axis to the power of `exponent`, float32."""
    weights = logits.float().softmax(-1)
    return weights if exponent is None else weights.clamp(min=SMALLEST_WEIGHT) ** exponent
