"""Batch: what passes from the data to the model and the losses.

Letters: B windows, T frames of a window, D feature dimensions, U action units.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Targets:
    """Labels with masks; values under a False mask mean nothing and get no gradient.

    Attributes:
        va: (B, T, 2) float32.
        va_mask: (B, T) bool.
        expr: (B, T) int64.
        expr_mask: (B, T) bool.
        au: (B, T, U) float32.
        au_mask: (B, T, U) bool.
    """

    va: Tensor
    va_mask: Tensor
    expr: Tensor
    expr_mask: Tensor
    au: Tensor
    au_mask: Tensor


@dataclass
class Batch:
    """Windows of aligned streams.

    Attributes:
        streams: Stream name to (B, T, D) float32, normalised; rows that are not valid are zero.
        valid: Stream name to (B, T) bool.
        frames: (B, T) bool, False on the padding of clips shorter than a window.
        targets: Labels, all masks False where there are none.
        clip: (B,) int64, index of the clip in the dataset.
        start: (B,) int64, index of the window's first frame in the clip.
    """

    streams: dict[str, Tensor]
    valid: dict[str, Tensor]
    frames: Tensor
    targets: Targets
    clip: Tensor
    start: Tensor


@dataclass
class Scores:
    """What the model says of every frame.

    Attributes:
        va: (B, T, 2) in [-1, 1].
        expr: (B, T, 8) logits.
        au: (B, T, U) logits.
    """

    va: Tensor
    expr: Tensor
    au: Tensor
