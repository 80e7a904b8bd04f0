"""Batch: what passes from the data to the model and the losses.

Letters: B windows, T frames of a window, D feature dimensions, U action units, K bins.
"""

from dataclasses import dataclass, field, replace

import torch
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
class Scores:
    """What the model says of every frame.

    Attributes:
        va: (B, T, 2) in [-1, 1].
        expr: (B, T, 8) logits.
        au: (B, T, U) logits.
        va_bins: (B, T, 2, K) logits of bins over [-1, 1], of which `va` is the expectation; None
            for a model that says the values themselves.
        compound: (B, T, 6) logits of the basic expressions, each by itself, for compound ones;
            None for a model without them.
    """

    va: Tensor
    expr: Tensor
    au: Tensor
    va_bins: Tensor | None = None
    compound: Tensor | None = None


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
        feeds: Stage name to (B, T, D) float32, features that an earlier stage's model makes.
        teacher: What an earlier stage's model says of each frame; None without a teacher.
    """

    streams: dict[str, Tensor]
    valid: dict[str, Tensor]
    frames: Tensor
    targets: Targets
    clip: Tensor
    start: Tensor
    feeds: dict[str, Tensor] = field(default_factory=dict)
    teacher: Scores | None = None

    def inputs_on(self, device: torch.device) -> "Batch":
        """The batch with what a model reads on a device; the rest stays where it is."""

        def moved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in tensors.items()}

        return replace(
            self,
            streams=moved(self.streams),
            valid=moved(self.valid),
            frames=self.frames.to(device),
            feeds=moved(self.feeds),
        )
