"""Cross-attention: a frame of the leading stream asks all streams what they say around it.

Letters: B windows, T frames, C channels, S streams, H heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from fusion.model.blocks.attention import LocalCrossAttention, feed_forward
from fusion.model.fusion.base import FusionSettings, FusionShape, fusions


@fusions.register("cross-attention")
@dataclass(frozen=True)
class CrossAttention(FusionSettings):
    """Settings of cross-attention.

    Attributes:
        leader: Leading stream, which asks; empty for the first one.
        reach: Frames around the present one that are looked at; of a causal model, before it.
        heads: Attention heads.
    """

    leader: str = ""
    reach: int = 30
    heads: int = 4

    def check(self, shape: FusionShape) -> None:
        """Raises UserError for a leader that is no stream, no reach, or unfit heads."""
        if self.leader:
            self.require_among("leader", shape.streams)
        self.require("reach", self.reach >= 1, "at least 1")
        self.require("heads", self.heads >= 1, "at least 1")
        fits = shape.dim % self.heads == 0
        self.require("heads", fits, f"a divisor of model.dim ({shape.dim})")

    def build(self, shape: FusionShape) -> nn.Module:
        """The module."""
        after = 0 if shape.causal else self.reach // 2
        return CrossAttentionFusion(
            len(shape.streams),
            shape.channels,
            shape.dim,
            heads=self.heads,
            before=self.reach - after,
            after=after,
            dropout=shape.dropout,
        )

    def static(self, streams: Sequence[str]) -> list[str]:
        """The leader, whose frames ask before they have seen any other."""
        return [self.leader or streams[0]]


class CrossAttentionFusion(nn.Module):
    """A frame of one stream asks all streams what they say around it.

    After Zhang et al. (2022), "Transformer-based multimodal information fusion for facial
    expression analysis": the query is the static feature of the present frame, which has seen no
    other frame; keys and values are the encoded frames of all streams around it. One transformer
    layer, pre-norm.

    Args:
        streams: S, without the static one.
        channels: C.
        dim: Width of the result, a multiple of `heads`.
        heads: H.
        before: Frames looked at before the present one.
        after: Frames looked at after it.
        dropout: Dropout on what each half of the layer adds.
    """

    def __init__(
        self,
        streams: int,
        channels: int,
        dim: int,
        *,
        heads: int,
        before: int,
        after: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.static = nn.Linear(channels, dim)
        self.norm = nn.LayerNorm(dim)
        self.attention = LocalCrossAttention(
            channels, streams=streams, dim=dim, heads=heads, before=before, after=after
        )
        self.feed_forward = feed_forward(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S + 1, C), the last of them static, to (B, T, dim)."""
        x = self.static(encoded[:, :, -1])
        asked = self.attention(self.norm(x), encoded[:, :, :-1], valid[:, :, :-1])
        x = x + self.dropout(asked)
        return x + self.dropout(self.feed_forward(x))
