"""Attention between the streams of a frame, beside a leader (LFAN).

Letters: B windows, T frames, C channels, S streams, A channels of attention over streams, H heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusion.model.fusion.base import FusionSettings, FusionShape, fusions, or_all

ATTENDED = 32
"""Width of the attention over streams, as LFAN has it."""
ATTENDED_HEADS = 2
"""Its heads."""


@fusions.register("leader-follower")
@dataclass(frozen=True)
class LeaderFollower(FusionSettings):
    """Settings of the leader and its followers.

    Attributes:
        leader: Leading stream; empty for the first one.
    """

    leader: str = ""

    def check(self, shape: FusionShape) -> None:
        """Raises UserError for a leader that is no stream."""
        if self.leader:
            self.require_among("leader", shape.streams)

    def build(self, shape: FusionShape) -> nn.Module:
        """The module."""
        leader = shape.streams.index(self.leader or shape.streams[0])
        return LeaderFollowerFusion(len(shape.streams), shape.channels, shape.dim, leader=leader)


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
