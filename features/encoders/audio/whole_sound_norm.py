"""A group norm whose statistics are those of a whole sound and not of the piece that is heard.

Letters: T tokens, C channels.
"""

import torch
from torch import Tensor, nn

from features.media.sound.audio_cache import Moments


class WholeSoundNorm(nn.Module):
    """A group norm with one channel a group, whose statistics are given instead of measured."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.mean = torch.zeros_like(norm.bias)
        self.deviation = torch.ones_like(norm.weight)

    def fix(self, moments: Moments) -> None:
        """Uses these statistics of C channels from now on."""
        self.mean = torch.from_numpy(moments.mean).to(self.mean)
        self.deviation = torch.from_numpy(moments.variance + self.norm.eps).sqrt().to(self.mean)

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, T) to (1, C, T)."""
        standard = (x - self.mean[:, None]) / self.deviation[:, None]
        return standard * self.norm.weight[:, None] + self.norm.bias[:, None]
