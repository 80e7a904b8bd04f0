"""Context over the window: frames > mean of every few > transformer layers > added to the frames.

Letters: B windows, T frames, P steps (of `stride` frames each), D channels, H heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.model.settings import ModelSettings


def make_temporal(settings: ModelSettings) -> nn.Module:
    """The temporal part that the settings ask for: (B, T, dim) and frames (B, T) to (B, T, dim)."""
    return TemporalTransformer(
        settings.dim,
        layers=settings.layers,
        heads=settings.heads,
        stride=settings.stride,
        dropout=settings.dropout,
        sinusoidal=settings.positions == "sinusoidal",
    )


class TemporalTransformer(nn.Module):
    """Transformer encoder over time that attends to real frames only.

    Pre-norm layers as in Xiong et al. (2020), "On layer normalization in the transformer
    architecture", with a feed-forward part of twice the width. They work on means of `stride`
    frames, and their result is added to each frame, which keeps its own detail.

    Args:
        dim: D, a multiple of `heads`.
        layers: Number of layers.
        heads: H.
        stride: Frames a step.
        dropout: Dropout on what each half of a layer adds.
        sinusoidal: Whether sinusoidal positions, counted from the window's start, are added.
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, stride: int, dropout: float, sinusoidal: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.sinusoidal = sinusoidal
        self.layers = nn.ModuleList(_Layer(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

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
        for layer in self.layers:
            steps = layer(steps, keys[:, None, None, :])
        return self.norm(x + steps.repeat_interleave(self.stride, dim=1)[:, : x.shape[1]])


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        x = x + self.dropout(self._attend(self.attention_norm(x), keys))
        return x + self.dropout(self.feed_forward(x))

    def _attend(self, x: Tensor, keys: Tensor) -> Tensor:
        parts = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, D/H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=keys)
        return self.out(seen.transpose(1, 2).flatten(2))


def pool(x: Tensor, frames: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Means over every `stride` frames, padding left out.

    Args:
        x: (B, T, D).
        frames: (B, T) bool, False on padding.
        stride: Frames a step; the last step may have fewer.

    Returns:
        (B, P, D) means, and (B, P) bool, whether a step has any frame.
    """
    absent = -x.shape[1] % stride
    keep = functional.pad(frames, (0, absent)).unflatten(1, (-1, stride))  # (B, P, stride)
    weight = keep.unsqueeze(-1).to(x.dtype)
    grouped = functional.pad(x, (0, 0, 0, absent)).unflatten(1, (-1, stride))
    mean = (grouped * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1.0)
    return mean, keep.any(dim=2)


def sinusoidal_positions(steps: int, dim: int) -> Tensor:
    """Positions of Vaswani et al. (2017), section 3.5: (steps, dim) float32."""
    rate = torch.exp(-math.log(10_000.0) / dim * torch.arange(0, dim, 2))
    angle = torch.arange(steps)[:, None] * rate  # (P, ceil(D / 2))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :dim]
