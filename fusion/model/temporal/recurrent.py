"""Recurrent context: frames > mean of every few > GRU or LSTM both ways > added to the frames.

Letters: B windows, T frames, P steps (of `stride` frames each), D channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from features.errors import UserError
from fusion.model.blocks.steps import pool, spread
from fusion.model.temporal.base import Layered, TemporalShape, temporals

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True)
class _Recurrent(Layered):
    def check(self, shape: TemporalShape) -> None:
        """Raises UserError if the width cannot be halved between both ways."""
        super().check(shape)
        if shape.dim % 2:
            raise UserError(f"model.dim {shape.dim} must be even with {self.setting} {self.name}")

    def build(self, shape: TemporalShape) -> nn.Module:
        """The module."""
        return TemporalRecurrent(
            self.name, shape.dim, layers=self.layers, stride=self.stride, dropout=shape.dropout
        )


@temporals.register("gru")
@dataclass(frozen=True)
class Gru(_Recurrent):
    """Settings of the GRU."""


@temporals.register("lstm")
@dataclass(frozen=True)
class Lstm(_Recurrent):
    """Settings of the LSTM."""


class TemporalRecurrent(nn.Module):
    """Bidirectional GRU or LSTM that padding does not reach.

    Padding lies at a window's end, so the way forth meets it last; the way back reads the real
    steps alone in reverse, which needs no lengths on the host, as packed sequences do.

    Args:
        cell: Kind of unit, gru or lstm.
        dim: D, even: half of it is the state of each direction.
        layers: Number of layers.
        stride: Frames a step.
        dropout: Dropout on what each layer gives.
    """

    def __init__(self, cell: str, dim: int, *, layers: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.stride = stride
        self.forth = nn.ModuleList(_one_way(cell, dim) for _ in range(layers))
        self.back = nn.ModuleList(_one_way(cell, dim) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Lets every frame see the whole window.

        Args:
            x: (B, T, D).
            frames: (B, T) bool, False on padding, which lies at the end.

        Returns:
            (B, T, D); rows on padding mean nothing.
        """
        steps, keys = pool(x, frames, self.stride)
        order = reversal(keys).unsqueeze(-1)
        for forth, back in zip(self.forth, self.back, strict=True):
            ahead = forth(steps)[0]
            behind = back(steps.gather(1, order.expand_as(steps)))[0]
            behind = behind.gather(1, order.expand_as(behind))
            steps = self.dropout(torch.cat([ahead, behind], dim=-1))
        return self.norm(x + spread(steps, x.shape[1], self.stride))


def reversal(keys: Tensor) -> Tensor:
    """Indices (B, P) that put the real steps of each window in reverse, and undo it.

    Args:
        keys: (B, P) bool, real steps first.
    """
    last = keys.sum(dim=1, keepdim=True) - 1
    return (last - torch.arange(keys.shape[1], device=keys.device)) % keys.shape[1]


def _one_way(cell: str, dim: int) -> nn.Module:
    return CELLS[cell](dim, dim // 2, batch_first=True)
