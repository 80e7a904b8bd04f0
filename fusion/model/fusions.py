"""From several streams to one: encoded streams and where they are valid > fused frames.

A fusion takes the encoded streams (B, T, S, C) and their validity (B, T, S) and gives (B, T, dim).

Letters: B windows, T frames, C channels, S streams.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from fusion.model.settings import ModelSettings


def make_fusion(settings: ModelSettings, streams: Sequence[str]) -> nn.Module:
    """The fusion that the settings ask for, over streams of these names."""
    return ConcatFusion(len(streams), settings.stream_dim, settings.dim)


class ConcatFusion(nn.Module):
    """Concatenation of all streams and a linear layer.

    It needs no validity: the vectors of missing frames tell.
    """

    def __init__(self, streams: int, channels: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(streams * channels, dim)

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S, C) to (B, T, dim)."""
        return self.linear(encoded.flatten(2))
