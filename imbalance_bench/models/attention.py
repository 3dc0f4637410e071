"""Multi-head attention with an additive bias on its logits."""

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention with separate projections for queries, keys and values.

    Args:
        dim: Channels of queries, keys, values and output.
        heads: Number of heads; divides `dim`.
        query_bias: False removes the query projection's own bias vector. In image->token attention its product with a
            class's key would be a per-class offset beside a learned class bias.
    """

    def __init__(self, *, dim: int, heads: int, query_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=query_bias)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: (B, M, dim).
            key: (B, T, dim).
            value: (B, T, dim).
            bias: (heads or 1, M or 1, T or 1), added to the logits before the softmax over T.

        Returns:
            (B, M, dim).
        """
        mask = None if bias is None else bias.expand(self.heads, query.shape[1], key.shape[1]).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value)), attn_mask=mask
        )  # (B, heads, M, dim / heads)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def logits(self, query: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the logits before the softmax, (B, heads, M, T); for diagnostics only."""
        q, k = self._split(self.query(query)), self._split(self.key(key))
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return logits if bias is None else logits + bias

    def _split(self, x: Tensor) -> Tensor:
        """(B, M, dim) -> (B, heads, M, dim / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
