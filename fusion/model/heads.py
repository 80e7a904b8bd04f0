"""Heads: frames of context > VA, EXPR and AU, side by side, each at a scale of time of its
own, or in a stream (streaming.py).

Letters: B windows, T frames, D channels, K bins, S scales.
"""

from collections.abc import Mapping
from typing import assert_never

import torch
from torch import Tensor, nn

from fusion.data.batch import Scores
from fusion.model.settings import ModelSettings
from fusion.model.streaming import StreamingHeads
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS, BinValues
from fusion.tasks.va_bins import expectation

BASIC = 6
"""Expressions of which compound ones are made: all but Neutral and Other."""


def make_heads(settings: ModelSettings) -> nn.Module:
    """The heads that the settings ask for: (B, T, dim) to Scores.

    Those at scales take (B, T, scales, dim).
    """
    parallel = ParallelHeads(
        settings.dim,
        bins=settings.va_bins,
        values=settings.bin_values,
        compound=settings.compound,
    )
    match settings.head:
        case "parallel":
            return parallel
        case "streaming":
            return StreamingHeads(settings.dim, order=settings.order, mutual=settings.mutual)
        case "scales":
            return ScaleHeads(parallel, settings.scales)
        case _:
            assert_never(settings.head)


class ParallelHeads(nn.Module):
    """One small perceptron a task, none of which sees another's.

    Args:
        dim: D of the frames.
        bins: K bins of valence, and of arousal; 0: the values themselves, through tanh.
        values: What a bin stands for.
        compound: Whether there are six sigmoids for compound expressions.
    """

    def __init__(
        self,
        dim: int,
        *,
        bins: int = 0,
        values: BinValues = "centres",
        compound: bool = False,
    ) -> None:
        super().__init__()
        self.bins, self.values = bins, values
        self.va = task_head(dim, len(DIMENSIONS) * max(bins, 1))
        self.expr = task_head(dim, len(EXPRESSIONS))
        self.au = task_head(dim, len(UNITS))
        self.compound = task_head(dim, BASIC) if compound else None

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, D)."""
        return self.read(va=x, expr=x, au=x)

    def read(self, *, va: Tensor, expr: Tensor, au: Tensor) -> Scores:
        """Scores of frames (B, T, D) for each task; compound expressions are read as EXPR is."""
        compound = None if self.compound is None else self.compound(expr)
        if not self.bins:
            return Scores(torch.tanh(self.va(va)), self.expr(expr), self.au(au), compound=compound)
        bins = self.va(va).unflatten(-1, (len(DIMENSIONS), self.bins))
        va = expectation(bins, self.values)
        return Scores(va, self.expr(expr), self.au(au), bins, compound)

    def compound_frames(self, x: Tensor) -> Tensor:
        """What the sigmoids for compound expressions read of (B, T, D)."""
        return x


class ScaleHeads(nn.Module):
    """Heads that each read their task's own scale of a temporal pyramid.

    Args:
        heads: Of frames (B, T, D); compound expressions are read at the scale of EXPR.
        scales: Scale of each of au, expr and va, from 0, the fastest.
    """

    def __init__(self, heads: ParallelHeads, scales: Mapping[str, int]) -> None:
        super().__init__()
        self.scales = dict(scales)
        self.heads = heads

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, S, D)."""
        return self.heads.read(**{task: x[:, :, scale] for task, scale in self.scales.items()})

    @property
    def compound(self) -> nn.Module | None:
        """The sigmoids for compound expressions."""
        return self.heads.compound

    def compound_frames(self, x: Tensor) -> Tensor:
        """What they read of (B, T, S, D)."""
        return x[:, :, self.scales["expr"]]


def task_head(dim: int, out: int) -> nn.Sequential:
    """A perceptron with one hidden layer of half the width."""
    return nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, out))
