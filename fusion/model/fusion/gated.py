"""Gates: a mean of the streams with weights of its own at each frame.

Letters: B windows, T frames, C channels, S streams.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusion.model.fusion.base import FusionSettings, FusionShape, fusions, or_all


@fusions.register("gated")
@dataclass(frozen=True)
class Gated(FusionSettings):
    """Settings of the gates: none."""

    def build(self, shape: FusionShape) -> nn.Module:
        """The module."""
        return GatedFusion(len(shape.streams), shape.channels, shape.dim)


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
