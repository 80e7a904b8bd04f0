"""One stream on its own: stream > projection > masked TCN > norm; and streams hidden in training.

Letters: B windows, T frames, D features of a stream, C channels, S streams.
"""

import torch
from torch import Tensor, nn

from fusion.model.blocks.tcn import MaskedTCN


class StreamEncoder(nn.Module):
    """One stream on its own: linear projection and TCN; a learned vector where it is missing.

    The projection's bias reaches the convolutions at valid frames only, so that they can tell a
    missing frame from one whose features are zero.

    Args:
        features: D of the stream.
        channels: C of the result.
        levels: Levels of the TCN.
        kernel: Taps of its convolutions.
        dropout: Dropout inside it.
        causal: Whether a frame sees only itself and the frames before it.
    """

    def __init__(
        self,
        features: int,
        channels: int,
        *,
        levels: int,
        kernel: int,
        dropout: float,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(features, channels)
        self.tcn = MaskedTCN(channels, levels=levels, kernel=kernel, dropout=dropout, causal=causal)
        self.norm = nn.LayerNorm(channels)
        self.missing = nn.Parameter(0.02 * torch.randn(channels))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encodes a stream.

        Args:
            x: (B, T, D); rows that are not valid may hold anything, NaN included.
            valid: (B, T) bool.

        Returns:
            (B, T, C).
        """
        rows = valid.unsqueeze(-1)
        projected = self.projection(torch.where(rows, x, 0.0))
        return torch.where(rows, self.norm(self.tcn(projected, valid)), self.missing)


def drop_streams(valid: Tensor, probability: float) -> Tensor:
    """Modality dropout: hides whole streams of whole windows, but never all that a window has.

    Args:
        valid: (B, T, S) bool.
        probability: Chance of each stream of each window to be hidden.

    Returns:
        (B, T, S) bool, a subset of `valid`.
    """
    draw = torch.rand(valid.shape[0], valid.shape[2], device=valid.device)
    present = valid.any(dim=1)
    saved = draw.masked_fill(~present, -1.0).argmax(dim=1, keepdim=True)  # a present stream, if any
    keep = (draw >= probability).scatter(1, saved, True)
    return valid & keep.unsqueeze(1)
