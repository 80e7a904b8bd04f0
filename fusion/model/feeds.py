"""Features of earlier stages joined with the model's own: fused frames + feeds > frames.

Letters: B windows, T frames, D width.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from features.errors import UserError


class SummedFeeds(nn.Module):
    """The sum of a frame and what earlier stages have made of it: f = x + f_1 + f_2 + ...

    Beside streams of the model's own, a perceptron D-D with dropout follows, as in Liu et al.
    (ABAW 7, 2024), stage 2. A model without streams gets the sum as it is; one without feeds its
    frames as they are. Feeds come normed out of the stage that made them.

    Args:
        names: Of the feeds.
        dim: D.
        dropout: After the perceptron.
        beside: Whether the model has streams of its own.
    """

    def __init__(self, names: Sequence[str], dim: int, dropout: float, *, beside: bool) -> None:
        super().__init__()
        self.names, self.dim = tuple(names), dim
        joined = beside and bool(names)
        self.perceptron = (
            nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Dropout(dropout)) if joined else None
        )

    def forward(self, x: Tensor | None, feeds: Mapping[str, Tensor]) -> Tensor:
        """Joins frames (B, T, D), None for a model without streams, and feeds (B, T, D).

        Raises:
            UserError: If a feed is missing, or not D wide.
        """
        parts = ([] if x is None else [x]) + [self._checked(name, feeds) for name in self.names]
        total = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        return total if self.perceptron is None else self.perceptron(total)

    def _checked(self, name: str, feeds: Mapping[str, Tensor]) -> Tensor:
        if name not in feeds:
            raise UserError(f"the model is fed by stage '{name}', whose features are not there")
        if feeds[name].shape[-1] != self.dim:
            raise UserError(
                f"stage '{name}' makes {feeds[name].shape[-1]} features of a frame, but is fed to"
                f" a stage of model.dim {self.dim}; give both stages the same width"
            )
        return feeds[name]
