"""TCN over time: frames > mean of every few > dilated convolutions > added to the frames.

Letters: B windows, T frames, P steps (of `stride` frames each), D channels.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from fusion.model.blocks.steps import pool, spread
from fusion.model.blocks.tcn import MaskedTCN
from fusion.model.temporal.base import Layered, TemporalShape, temporals


@temporals.register("tcn")
@dataclass(frozen=True)
class Tcn(Layered):
    """Settings of the TCN; its `layers` are levels with dilations 1, 2, 4, ..."""

    def build(self, shape: TemporalShape) -> nn.Module:
        """The module."""
        tcn = MaskedTCN(
            shape.dim,
            levels=self.layers,
            kernel=shape.kernel,
            dropout=shape.dropout,
            causal=self.causal,
        )
        return TemporalTCN(tcn, shape.dim, stride=self.stride)


@temporals.register("causal-tcn")
@dataclass(frozen=True)
class CausalTcn(Tcn):
    """Settings of the TCN that looks at no later frame."""

    causal: ClassVar[bool] = True


class TemporalTCN(nn.Module):
    """Temporal convolutional network over steps.

    With a causal one a frame gets the last step that has ended by then: it depends on no later
    frame.

    Args:
        tcn: (B, P, D) to the same.
        dim: D.
        stride: Frames a step.
    """

    def __init__(self, tcn: MaskedTCN, dim: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.tcn = tcn
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Lets every frame (B, T, D) see as much of the window as the TCN reaches."""
        steps = self.tcn(*pool(x, frames, self.stride))
        return self.norm(x + spread(steps, x.shape[1], self.stride, causal=self.tcn.causal))
