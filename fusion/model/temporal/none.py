"""No context over time.

Letters: B windows, T frames, D channels.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from fusion.model.temporal.base import TemporalSettings, TemporalShape, temporals


@temporals.register("none")
@dataclass(frozen=True)
class Alone(TemporalSettings):
    """Settings of no context: none."""

    def build(self, shape: TemporalShape) -> nn.Module:
        """The module."""
        return FramesAlone(shape.dim)


class FramesAlone(nn.Module):
    """No context: each frame by itself, normalised as the other parts do.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """(B, T, D) to the same."""
        return self.norm(x)
