"""From several streams to one: encoded streams and where they are valid > fused frames.

A fusion takes the encoded streams (B, T, S, C) and their validity (B, T, S) and gives (B, T, dim).

Letters: B windows, T frames, C channels, S streams, A channels of attention over streams, H heads.
"""

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor, nn

from fusion.model.blocks.attention import LocalCrossAttention, feed_forward
from fusion.model.fusion.top_down import TopDownFusion
from fusion.model.settings import ModelSettings

ATTENDED = 32
"""Width of the attention over streams, as LFAN has it."""
ATTENDED_HEADS = 2
"""Its heads."""


def make_fusion(settings: ModelSettings, streams: Sequence[str]) -> nn.Module:
    """The fusion that the settings ask for, over streams of these names.

    Cross-attention takes one stream more, the static one of `static_streams`, at the end.
    """
    count, channels, dim = len(streams), settings.stream_dim, settings.dim
    match settings.fusion:
        case "concat":
            return ConcatFusion(count, channels, dim)
        case "gated":
            return GatedFusion(count, channels, dim)
        case "cross-attention":
            after = 0 if settings.causal else settings.reach // 2
            return CrossAttentionFusion(
                count,
                channels,
                dim,
                heads=settings.heads,
                before=settings.reach - after,
                after=after,
                dropout=settings.dropout,
            )
        case "leader-follower":
            leader = list(streams).index(settings.leader or streams[0])
            return LeaderFollowerFusion(count, channels, dim, leader=leader)
        case "top-down":
            levels = [list(streams).index(name) for name in settings.levels]
            return TopDownFusion(count, channels, dim, levels=levels)
        case _:
            assert_never(settings.fusion)


def static_streams(settings: ModelSettings, streams: Sequence[str]) -> list[str]:
    """The streams that the fusion wants once more, encoded frame by frame: one or none."""
    return [settings.leader or streams[0]] if settings.fusion == "cross-attention" else []


class ConcatFusion(nn.Module):
    """Concatenation of all streams and a linear layer.

    It needs no validity: the vectors of missing frames tell.
    """

    def __init__(self, streams: int, channels: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(streams * channels, dim)

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S, C) to (B, T, dim)."""
        return self.linear(encoded.flatten(2))


class GatedFusion(nn.Module):
    """Weighted mean of the streams: gates, a softmax over the valid ones, from all encodings.

    The gated multimodal unit of Arevalo et al. (2017), "Gated multimodal units for information
    fusion", with one gate a stream instead of one a channel. A stream that is missing where
    another is valid weighs exactly 0.
    """

    def __init__(self, streams: int, channels: int, dim: int) -> None:
        super().__init__()
        self.gates = nn.Linear(streams * channels, streams)
        self.values = nn.ModuleList(nn.Linear(channels, dim) for _ in range(streams))

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S, C) to (B, T, dim)."""
        values = [value(encoded[:, :, index]).tanh() for index, value in enumerate(self.values)]
        weights = self.weights(encoded, valid).unsqueeze(-1)
        return (weights * torch.stack(values, dim=2)).sum(dim=2)

    def weights(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Weight of each stream at each frame, (B, T, S), of sum 1."""
        gates = self.gates(encoded.flatten(2))
        return gates.masked_fill(~or_all(valid), -torch.inf).softmax(dim=-1)


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


class LeaderFollowerFusion(nn.Module):
    """Attention between the streams of a frame, joined with the leader as it was before.

    LFAN of Zhang et al. (2021), "Continuous emotion recognition with audio-visual leader-follower
    attentive fusion": queries, keys and values of `ATTENDED` channels from each stream, multi-head
    attention over the streams of a frame, whose results stand side by side with the leader's own
    encoding. Streams that are missing where another is valid are not attended to.

    Args:
        streams: S.
        channels: C.
        dim: Width of the result.
        leader: Index of the leading stream.
    """

    def __init__(self, streams: int, channels: int, dim: int, *, leader: int) -> None:
        super().__init__()
        self.leader = leader
        self.projections = nn.ModuleList(nn.Linear(channels, 3 * ATTENDED) for _ in range(streams))
        self.norm = nn.LayerNorm(ATTENDED)
        self.linear = nn.Linear(streams * ATTENDED + channels, dim)

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S, C) to (B, T, dim)."""
        followed = self.norm(self._attend(encoded, valid)).flatten(2)
        return self.linear(torch.cat([followed, encoded[:, :, self.leader]], dim=-1))

    def _attend(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """(B, T, S, A): what each stream gathers from the valid ones."""
        parts = [layer(encoded[:, :, i]) for i, layer in enumerate(self.projections)]
        split = torch.stack(parts, dim=2).unflatten(-1, (3, ATTENDED_HEADS, -1))
        query, key, value = split.permute(3, 0, 1, 4, 2, 5)  # (B, T, H, S, A/H)
        products = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, T, H, S, S)
        keys = or_all(valid)[:, :, None, None, :]
        weights = products.masked_fill(~keys, -torch.inf).softmax(dim=-1)
        return (weights.to(value.dtype) @ value).transpose(2, 3).flatten(3)


def or_all(valid: Tensor) -> Tensor:
    """Validity (B, T, S) of streams, all of them where none is: a softmax needs one."""
    return valid | ~valid.any(dim=-1, keepdim=True)
