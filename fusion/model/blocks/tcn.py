"""Masked TCN: frames > (norm > mask > dilated convolution > mask > dilated convolution) + residual.

Letters: B windows, T frames, D channels.
"""

from torch import Tensor, nn
from torch.nn import functional


class MaskedTCN(nn.Module):
    """Temporal convolutional network that never looks at masked frames.

    Two convolutions a level with dilation 2^level, residual, as in Bai, Kolter and Koltun (2018),
    "An empirical evaluation of generic convolutional and recurrent networks", with two changes: it
    looks both ways unless `causal`, and a layer norm over channels replaces weight norm, because
    it keeps frames apart whatever their number. The receptive field is
    1 + 2 (kernel - 1) (2^levels - 1) frames: 57 for the defaults of `ModelSettings`.

    Args:
        channels: D, in and out.
        levels: Number of residual blocks.
        kernel: Taps of each convolution, odd.
        dropout: Probability that a channel of a block is dropped for the whole window.
        causal: Whether a frame sees only itself and the frames before it.
    """

    def __init__(
        self, channels: int, *, levels: int, kernel: int, dropout: float, causal: bool = False
    ) -> None:
        super().__init__()
        self.causal = causal
        self.blocks = nn.ModuleList(
            _Block(channels, kernel, 2**level, dropout, causal) for level in range(levels)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Filters over time.

        Args:
            x: (B, T, D) finite.
            mask: (B, T) bool; frames under False have no influence on the others.

        Returns:
            (B, T, D); rows under a False mask mean nothing.
        """
        keep = mask.unsqueeze(1).to(x.dtype)  # (B, 1, T)
        for block in self.blocks:
            x = block(x, keep)
        return x


class _Block(nn.Module):
    def __init__(
        self, channels: int, kernel: int, dilation: int, dropout: float, causal: bool
    ) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.norm = nn.LayerNorm(channels)
        self.first = nn.Conv1d(channels, channels, kernel, dilation=dilation)
        self.second = nn.Conv1d(channels, channels, kernel, dilation=dilation)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        hidden = self.norm(x).transpose(1, 2)  # (B, D, T)
        hidden = functional.relu(self._filter(self.first, hidden * keep))
        hidden = self._filter(self.second, hidden * keep)
        return x + self.dropout(hidden).transpose(1, 2)

    def _filter(self, convolution: nn.Conv1d, x: Tensor) -> Tensor:
        return convolution(functional.pad(x, self.padding))
