"""Transformer: frames > mean of every few > attention over the window > added to the frames.

Letters: B windows, T frames, P steps (of `stride` frames each), D channels, H heads.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fusion.model.blocks.attention import AttentionLayer, RelativeBias
from fusion.model.blocks.steps import pool, spread
from fusion.model.temporal.base import TemporalSettings, TemporalShape, temporals

FURTHEST = 32
"""Steps up to which relative positions tell distances apart."""
Positions = Literal["none", "sinusoidal", "relative"]


@temporals.register("transformer")
@dataclass(frozen=True)
class Transformer(TemporalSettings):
    """Settings of the transformer.

    Attributes:
        layers: Number of layers, or 0.
        heads: Attention heads.
        stride: Frames whose mean is one step, whose answer is added to each of them. 2 trains about
            1.6 times as fast as 1, and context moves slowly.
        positions: What it knows of time besides what the streams' TCNs tell it: `none`,
            `sinusoidal` from the window's start, which is an arbitrary instant of the clip, or
            `relative`, a learned bias per head and distance.
    """

    layers: int = 2
    heads: int = 4
    stride: int = 2
    positions: Positions = "none"

    def check(self, shape: TemporalShape) -> None:
        """Raises UserError for heads that do not fit, or positions without a layer."""
        self.require("layers", self.layers >= 0, "at least 0")
        self.require("heads", self.heads >= 1, "at least 1")
        self.require("stride", self.stride >= 1, "at least 1")
        fits = shape.dim % self.heads == 0
        self.require("heads", fits, f"a divisor of model.dim ({shape.dim})")
        known = self.positions != "relative" or self.layers > 0
        self.require("positions", known, f"none with {self.setting}.layers 0")

    def build(self, shape: TemporalShape) -> nn.Module:
        """The module."""
        return TemporalTransformer(
            shape.dim,
            layers=self.layers,
            heads=self.heads,
            stride=self.stride,
            dropout=shape.dropout,
            positions=self.positions,
        )


class TemporalTransformer(nn.Module):
    """Transformer encoder over time that attends to real frames only.

    Its layers work on means of `stride` frames, and their result is added to each frame, which
    keeps its own detail.

    Args:
        dim: D, a multiple of `heads`.
        layers: Number of layers.
        heads: H.
        stride: Frames a step.
        dropout: Dropout on what each half of a layer adds.
        positions: `none`, `sinusoidal` from the window's start, or `relative`, a bias of attention.
    """

    def __init__(
        self,
        dim: int,
        *,
        layers: int,
        heads: int,
        stride: int,
        dropout: float,
        positions: Positions = "none",
    ) -> None:
        super().__init__()
        self.stride = stride
        self.sinusoidal = positions == "sinusoidal"
        self.layers = nn.ModuleList(AttentionLayer(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.bias = RelativeBias(heads, FURTHEST) if positions == "relative" else None

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Lets every frame see the whole window.

        Args:
            x: (B, T, D).
            frames: (B, T) bool, False on padding, which nobody attends to.

        Returns:
            (B, T, D); rows on padding mean nothing.
        """
        steps, keys = pool(x, frames, self.stride)
        if self.sinusoidal:
            steps = steps + sinusoidal_positions(steps.shape[1], steps.shape[2]).to(steps)
        mask = self._mask(keys)
        for layer in self.layers:
            steps = layer(steps, mask)
        return self.norm(x + spread(steps, x.shape[1], self.stride))

    def _mask(self, keys: Tensor) -> Tensor:
        """Bool (B, 1, 1, P), or float (B, H, P, P) with relative positions."""
        if self.bias is None:
            return keys[:, None, None, :]
        return self.bias(keys.shape[1]).masked_fill(~keys[:, None, None, :], -torch.inf)


def sinusoidal_positions(steps: int, dim: int) -> Tensor:
    """Positions of Vaswani et al. (2017), section 3.5: (steps, dim) float32."""
    rate = torch.exp(-math.log(10_000.0) / dim * torch.arange(0, dim, 2))
    angle = torch.arange(steps)[:, None] * rate  # (P, ceil(D / 2))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :dim]
