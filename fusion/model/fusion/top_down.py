"""Top-down path over the levels of one feature hierarchy, fine to coarse (FPN):

    coarsest level > lateral + the other streams            = P_L
    level k        > lateral + P_{k+1} > smooth             = P_k, down to the finest
    P_1 ... P_L side by side > linear                       = fused frames

Letters: B windows, T frames, S streams, C channels, L levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from features.errors import UserError
from fusion.model.blocks.attention import feed_forward
from fusion.model.fusion.base import FusionSettings, FusionShape, fusions


@fusions.register("top-down")
@dataclass(frozen=True)
class TopDown(FusionSettings):
    """Settings of the top-down path.

    Attributes:
        levels: Streams that are the levels of one feature hierarchy, fine to coarse, at least two;
            the other streams enter the path at its top.
    """

    levels: tuple[str, ...] = ()

    def check(self, shape: FusionShape) -> None:
        """Raises UserError for levels that make no path, or are no streams."""
        enough, different = len(self.levels) > 1, len(set(self.levels)) == len(self.levels)
        self.require("levels", enough, "at least two streams, fine to coarse")
        self.require("levels", different, "different streams")
        if missing := [name for name in self.levels if name not in shape.streams]:
            encoders = ", ".join(dict.fromkeys(name.split(".")[0] for name in missing))
            raise UserError(
                f"{self.setting}.levels: no {', '.join(missing)} among the streams; extract with"
                f" --encoders {encoders},... and name all levels under data.streams"
            )

    def build(self, shape: FusionShape) -> nn.Module:
        """The module."""
        levels = [shape.streams.index(name) for name in self.levels]
        return TopDownFusion(len(shape.streams), shape.channels, shape.dim, levels=levels)


class TopDownFusion(nn.Module):
    """What a coarse level means, handed down to the finer ones.

    After Lin et al. (2017), "Feature pyramid networks for object detection", and FPN-MAA (He et
    al., ABAW 2, 2021), whose released code joins all levels before its heads, as here. The levels
    are streams already pooled over the picture: nothing is upsampled, and smoothing, a 3 x 3
    convolution there, is a residual perceptron of a frame. It cannot stay linear: without places
    to filter over, the whole would be no more than a concatenation. Streams that are no level
    (sound) join the coarsest one, from which they reach all.

    A level that is missing where another is there adds nothing; where all are missing, the vectors
    that stand for them tell. A frame sees no other frame.

    Args:
        streams: S.
        channels: C of the streams, and of the path.
        dim: Width of the result.
        levels: Indices of the levels among the streams, fine to coarse, at least two.
    """

    def __init__(self, streams: int, channels: int, dim: int, *, levels: Sequence[int]) -> None:
        super().__init__()
        self.at = list(levels)
        self.beside = [index for index in range(streams) if index not in self.at]
        self.laterals = nn.ModuleList(nn.Linear(channels, channels) for _ in self.at)
        self.smooths = nn.ModuleList(feed_forward(channels) for _ in self.at[:-1])
        self.others = nn.Linear(len(self.beside) * channels, channels) if self.beside else None
        self.linear = nn.Linear(len(self.at) * channels, dim)

    def forward(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Fuses (B, T, S, C) to (B, T, dim)."""
        return self.linear(torch.cat(self.levels(encoded, valid), dim=-1))

    def levels(self, encoded: Tensor, valid: Tensor) -> list[Tensor]:
        """The merged maps P_1 to P_L, fine to coarse.

        Args:
            encoded: (B, T, S, C).
            valid: (B, T, S) bool.

        Returns:
            L of (B, T, C); P_k depends on level k and the coarser ones only.
        """
        laterals = self._laterals(encoded, valid)
        merged = laterals[-1:]
        if self.others is not None:
            merged = [merged[0] + self.others(encoded[:, :, self.beside].flatten(2))]
        for lateral, smooth in zip(laterals[-2::-1], reversed(self.smooths), strict=True):
            x = lateral + merged[0]
            merged.insert(0, x + smooth(x))
        return merged

    def _laterals(self, encoded: Tensor, valid: Tensor) -> list[Tensor]:
        """What each level adds to the path, L of (B, T, C)."""
        seen = valid[:, :, self.at]
        silent = ~seen & seen.any(dim=-1, keepdim=True)  # (B, T, L)
        return [
            lateral(encoded[:, :, index]).masked_fill(silent[:, :, level, None], 0.0)
            for level, (index, lateral) in enumerate(zip(self.at, self.laterals, strict=True))
        ]
