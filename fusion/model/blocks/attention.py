"""Attention over time: over a whole window, or over the frames around each; biases that tell where.

Letters: B windows, T frames (or steps of several), S streams, C channels of a stream, D width,
H heads, N blocks of L queries, W frames that a block looks at, R furthest distance.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class AttentionLayer(nn.Module):
    """Self-attention and feed-forward part, each with a norm before it and a residual around it.

    As in Xiong et al. (2020), "On layer normalization in the transformer architecture", with a
    feed-forward part of twice the width.

    Args:
        dim: D, a multiple of `heads`.
        heads: H.
        dropout: Dropout on what each half adds.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = feed_forward(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Lets frames see one another.

        Args:
            x: (B, T, D).
            mask: Bool, False where a key is hidden, or float, added to the products; of a shape
                that goes with (B, H, T, T).

        Returns:
            (B, T, D).
        """
        x = x + self.dropout(self._attend(self.attention_norm(x), mask))
        return x + self.dropout(self.feed_forward(x))

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, D/H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(seen.transpose(1, 2).flatten(2))


class RelativeBias(nn.Module):
    """A learned number per head and distance, added to the products of self-attention.

    The scalar bias of Raffel et al. (2020), "Exploring the limits of transfer learning" (T5),
    section 2.1, shared by all layers, with each distance on its own up to a furthest one, as in
    Shaw et al. (2018), "Self-attention with relative position representations". It starts at zero:
    as no positions at all.

    Args:
        heads: H.
        furthest: R; all that lies further away is as far as this.
    """

    def __init__(self, heads: int, furthest: int) -> None:
        super().__init__()
        self.furthest = furthest
        self.table = nn.Parameter(torch.zeros(heads, 2 * furthest + 1))

    def forward(self, steps: int) -> Tensor:
        """(H, steps, steps): of a query (row) to a key (column)."""
        at = torch.arange(steps, device=self.table.device)
        distance = (at - at[:, None]).clamp(-self.furthest, self.furthest)
        return self.table[:, distance + self.furthest]


class LocalCrossAttention(nn.Module):
    """Every frame's query looks at all streams in the frames around it.

    Frames are taken in blocks of as many as a query sees, so that memory and time are linear in T.
    A learned bias per head, stream and offset (as in `RelativeBias`, from zero) tells keys apart. A
    query with nothing valid around it sees its own frame, whose encodings say that it is missing.

    Args:
        channels: C of the streams.
        streams: S.
        dim: D of the queries and of the result, a multiple of `heads`.
        heads: H.
        before: Frames seen before the query's own.
        after: Frames seen after it; 0 to look at no later frame.
    """

    def __init__(
        self, channels: int, *, streams: int, dim: int, heads: int, before: int, after: int
    ) -> None:
        super().__init__()
        self.before, self.after, self.heads = before, after, heads
        self.length = before + after + 1
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(channels, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(heads, streams, self.length))

    def forward(self, query: Tensor, encoded: Tensor, valid: Tensor) -> Tensor:
        """Gathers what the streams say around each frame.

        Args:
            query: (B, T, D).
            encoded: (B, T, S, C).
            valid: (B, T, S) bool; what is not valid is not looked at.

        Returns:
            (B, T, D).
        """
        frames = query.shape[1]
        absent = -frames % self.length
        queries = functional.pad(self.query(query), (0, 0, 0, absent))
        queries = queries.unflatten(1, (-1, self.length)).unflatten(-1, (self.heads, -1))
        around = self._around(self.key_value(encoded), absent)  # (B, N, S, 2 D, W)
        key, value = around.unflatten(3, (2, self.heads, -1)).permute(3, 0, 1, 4, 6, 2, 5)
        seen = functional.scaled_dot_product_attention(
            queries.transpose(2, 3).flatten(0, 1),  # (B N, H, L, D/H)
            key.flatten(0, 1).flatten(2, 3),  # (B N, H, W S, D/H)
            value.flatten(0, 1).flatten(2, 3),
            attn_mask=self._mask(self._around(valid, absent)).to(key.dtype),
        )
        return self.out(seen.transpose(1, 2).reshape(len(query), -1, query.shape[2])[:, :frames])

    def _around(self, x: Tensor, absent: int) -> Tensor:
        """The frames around each block of (B, T, ...): (B, N, ..., W)."""
        width = self.before + self.length + self.after
        padding = [0, 0] * (x.ndim - 2) + [self.before, absent + self.after]
        return functional.pad(x, padding).unfold(1, width, self.length)

    def _mask(self, valid: Tensor) -> Tensor:
        """(B N, H, L, W S): bias, and -inf where a query may not look; `valid`: (B, N, S, W)."""
        row = torch.arange(self.length, device=valid.device)[:, None]
        offset = torch.arange(valid.shape[-1], device=valid.device) - row  # (L, W), from `before`
        inside = ((offset >= 0) & (offset < self.length)).unsqueeze(-1)  # (L, W, 1)
        seen = valid.flatten(0, 1).transpose(1, 2).unsqueeze(1) & inside  # (B N, L, W, S)
        lost = ~seen.flatten(2).any(dim=2)[:, :, None, None]
        seen = seen | (lost & (offset == self.before).unsqueeze(-1))
        bias = self.bias[:, :, offset.clamp(0, self.length - 1)].permute(0, 2, 3, 1)  # (H, L, W, S)
        return bias.masked_fill(~seen.unsqueeze(1), -torch.inf).flatten(3)


def feed_forward(dim: int) -> nn.Sequential:
    """The second half of a transformer layer: norm, twice the width, GELU, back."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
    )
