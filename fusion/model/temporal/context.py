"""Context over the window: frames > mean of every few > layers over time > added to the frames.

A temporal part takes the fused frames (B, T, dim) and which of them are real (B, T), and gives
(B, T, dim).

Letters: B windows, T frames, P steps (of `stride` frames each), D channels, H heads.
"""

import math
from typing import assert_never

import torch
from torch import Tensor, nn

from fusion.model.blocks.attention import AttentionLayer, RelativeBias
from fusion.model.blocks.steps import pool, spread
from fusion.model.blocks.tcn import MaskedTCN
from fusion.model.settings import ModelSettings, Positions
from fusion.model.temporal.pyramid import TemporalPyramid
from fusion.model.temporal.recurrent import TemporalRecurrent

FURTHEST = 32
"""Steps up to which relative positions tell distances apart."""


def make_temporal(settings: ModelSettings) -> nn.Module:
    """The temporal part that the settings ask for: (B, T, dim) and frames (B, T) to (B, T, dim).

    A pyramid gives (B, T, layers, dim), a row for each of its scales.
    """
    dim, layers = settings.dim, settings.layers
    stride, dropout = settings.stride, settings.dropout
    match settings.temporal:
        case "transformer":
            return TemporalTransformer(
                dim,
                layers=layers,
                heads=settings.heads,
                stride=stride,
                dropout=dropout,
                positions=settings.positions,
            )
        case "gru" | "lstm" as cell:
            return TemporalRecurrent(cell, dim, layers=layers, stride=stride, dropout=dropout)
        case "tcn" | "causal-tcn" as kind:
            tcn = MaskedTCN(
                dim,
                levels=layers,
                kernel=settings.kernel,
                dropout=dropout,
                causal=kind == "causal-tcn",
            )
            return TemporalTCN(tcn, dim, stride=stride)
        case "pyramid":
            return TemporalPyramid(
                dim, scales=layers, kernel=settings.kernel, stride=stride, dropout=dropout
            )
        case "none":
            return FramesAlone(dim)
        case _:
            assert_never(settings.temporal)


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
        """As `TemporalTransformer`, as far as the TCN reaches."""
        steps = self.tcn(*pool(x, frames, self.stride))
        return self.norm(x + spread(steps, x.shape[1], self.stride, causal=self.tcn.causal))


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


def sinusoidal_positions(steps: int, dim: int) -> Tensor:
    """Positions of Vaswani et al. (2017), section 3.5: (steps, dim) float32."""
    rate = torch.exp(-math.log(10_000.0) / dim * torch.arange(0, dim, 2))
    angle = torch.arange(steps)[:, None] * rate  # (P, ceil(D / 2))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :dim]
