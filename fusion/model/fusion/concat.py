"""Concatenation: streams side by side > linear = fused frames."""

from dataclasses import dataclass

from torch import Tensor, nn

from fusion.model.fusion.base import FusionSettings, FusionShape, fusions


@fusions.register("concat")
@dataclass(frozen=True)
class Concat(FusionSettings):
    """Settings of the concatenation: none."""

    def build(self, shape: FusionShape) -> nn.Module:
        """The module."""
        return ConcatFusion(len(shape.streams), shape.channels, shape.dim)


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
