"""Batch: what passes from the data to the model and the losses.

Letters: B windows, T frames of a window, D feature dimensions, W numbers of a task's scores.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from fusion.tasks.learning.interface import TaskTargets

Targets = dict[str, TaskTargets]
"""Task to its labels with masks; a task that is not there has none."""
Scores = dict[str, Tensor]
"""Task to what a model says of every frame, (B, T, W): see `Task.scores`."""


@dataclass
class Batch:
    """Windows of aligned streams.

    Attributes:
        streams: Stream name to (B, T, D) float32, normalised; rows that are not valid are zero.
        valid: Stream name to (B, T) bool.
        frames: (B, T) bool, False on the padding of clips shorter than a window.
        targets: Labels of the tasks.
        clip: (B,) int64, index of the clip in the dataset.
        start: (B,) int64, index of the window's first frame in the clip.
        feeds: Stage name to (B, T, D) float32, features that an earlier stage's model makes.
        teacher: What earlier stages' models say of each frame, of the tasks that they teach.
    """

    streams: dict[str, Tensor]
    valid: dict[str, Tensor]
    frames: Tensor
    targets: Targets
    clip: Tensor
    start: Tensor
    feeds: dict[str, Tensor] = field(default_factory=dict)
    teacher: Scores = field(default_factory=dict)

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
