"""Heads: frames of context > VA, EXPR and AU, side by side or in a stream (streaming.py).

Letters: B windows, T frames, D channels.
"""

import torch
from torch import Tensor, nn

from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS
from fusion.batch import Scores
from fusion.model.settings import ModelSettings
from fusion.model.streaming import StreamingHeads


def make_heads(settings: ModelSettings) -> nn.Module:
    """The heads that the settings ask for: (B, T, dim) to Scores."""
    if settings.head == "streaming":
        return StreamingHeads(settings.dim, order=settings.order, mutual=settings.mutual)
    return ParallelHeads(settings.dim)


class ParallelHeads(nn.Module):
    """One small perceptron a task, none of which sees another's.

    Args:
        dim: D of the frames.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.va = _head(dim, len(DIMENSIONS))
        self.expr = _head(dim, len(EXPRESSIONS))
        self.au = _head(dim, len(UNITS))

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, D)."""
        return Scores(va=torch.tanh(self.va(x)), expr=self.expr(x), au=self.au(x))


def _head(dim: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, out))
