"""Pyramid over time: frames > steps at several rates, slower and slower > back down to the frames.

    frames > mean of every few > TCN block                  = C_0
    C_{k-1} > mean of every 2  > TCN block                  = C_k, up to the slowest
    lateral(C_k) + M_{k+1} spread to its steps > smooth     = M_k, down to the fastest
    M_k spread to the frames + the frames themselves > norm = scale k

Letters: B windows, T frames, K scales, P steps of a scale, D channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusion.model.blocks.steps import pool, spread
from fusion.model.blocks.tcn import MaskedTCN
from fusion.model.temporal.base import TemporalSettings, TemporalShape, temporals

TAPS = 3
"""Of the smoothing convolutions, as FPN has them."""


@temporals.register("pyramid")
@dataclass(frozen=True)
class Pyramid(TemporalSettings):
    """Settings of the pyramid; heads read it by `model.head: scales`.

    Attributes:
        scales: Scales of time, each half as fast as the one before.
        stride: Frames a step of the fastest scale.
    """

    scales: int = 3
    stride: int = 2

    @property
    def rows(self) -> int:
        """K."""
        return self.scales

    def check(self, shape: TemporalShape) -> None:
        """Raises UserError for no scale, or no frame a step."""
        self.require("scales", self.scales >= 1, "at least 1")
        self.require("stride", self.stride >= 1, "at least 1")

    def build(self, shape: TemporalShape) -> nn.Module:
        """The module."""
        return TemporalPyramid(
            shape.dim,
            scales=self.scales,
            kernel=shape.kernel,
            stride=self.stride,
            dropout=shape.dropout,
        )


class TemporalPyramid(nn.Module):
    """Scales of time with a path from the slowest down, for heads at scales of their own.

    FPN's path (Lin et al. 2017) with time in place of the picture: bottom-up, each scale has half
    as many steps as the one before; top-down, each takes what the slower ones say. The slowest has
    nothing from above to be smoothed. It looks both ways in time.

    Args:
        dim: D.
        scales: K; step k lasts stride * 2^k frames.
        kernel: Taps of the bottom-up convolutions, odd.
        stride: Frames a step of the fastest scale.
        dropout: Dropout in the bottom-up convolutions.
    """

    def __init__(self, dim: int, *, scales: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.stride = stride
        self.blocks = nn.ModuleList(
            MaskedTCN(dim, levels=1, kernel=kernel, dropout=dropout) for _ in range(scales)
        )
        self.laterals = nn.ModuleList(nn.Linear(dim, dim) for _ in range(scales))
        self.smooths = nn.ModuleList(_Smooth(dim) for _ in range(scales - 1))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Every frame at every scale.

        Args:
            x: (B, T, D).
            frames: (B, T) bool, False on padding, which no frame sees.

        Returns:
            (B, T, K, D), fastest scale first; rows on padding mean nothing.
        """
        each = [
            x + spread(steps, x.shape[1], self.stride * 2**scale)
            for scale, steps in enumerate(self._top_down(*self._bottom_up(x, frames)))
        ]
        return self.norm(torch.stack(each, dim=2))

    def _bottom_up(self, x: Tensor, keep: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """C_0 to C_{K-1}, each (B, P, D), and which of their steps are real, each (B, P)."""
        maps, kept = [], []
        for scale, block in enumerate(self.blocks):
            x, keep = pool(x, keep, 2 if scale else self.stride)
            x = block(x, keep)
            maps.append(x)
            kept.append(keep)
        return maps, kept

    def _top_down(self, maps: list[Tensor], kept: list[Tensor]) -> list[Tensor]:
        """M_0 to M_{K-1}, each (B, P, D); M_k depends on no lateral of a faster scale."""
        laterals = [lateral(steps) for lateral, steps in zip(self.laterals, maps, strict=True)]
        merged = laterals[-1:]
        for scale in reversed(range(len(self.smooths))):
            above = spread(merged[0], laterals[scale].shape[1], 2)
            merged.insert(0, self.smooths[scale](laterals[scale] + above, kept[scale]))
        return merged


class _Smooth(nn.Module):
    """Wears off the stairs of a slower scale: a convolution over real steps, residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(dim, dim, TAPS, padding=TAPS // 2)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """Smooths (B, P, D); `keep`: (B, P) bool."""
        real = (x * keep.unsqueeze(-1).to(x.dtype)).transpose(1, 2)
        return x + self.convolution(real).transpose(1, 2)
