"""Heads: frames of context > scores of each task, side by side, each at a scale of time of its
own, or in a stream (streaming.py).

Letters: B windows, T frames, D channels, S scales, W numbers of a task's scores.
"""

from collections.abc import Mapping
from typing import assert_never

from torch import Tensor, nn

from fusion.data.batch import Scores
from fusion.model.blocks.naming import key_of
from fusion.model.settings import ModelSettings, scales_of
from fusion.model.streaming import StreamingHeads
from fusion.tasks.registry import Tasks


def make_heads(settings: ModelSettings, tasks: Tasks) -> nn.Module:
    """The heads that the settings ask for: (B, T, dim) to Scores.

    Those at scales take (B, T, scales, dim).
    """
    match settings.head:
        case "parallel":
            return ParallelHeads(settings.dim, tasks)
        case "streaming":
            return StreamingHeads(settings.dim, tasks, settings.order, mutual=settings.mutual)
        case "scales":
            return ScaleHeads(ParallelHeads(settings.dim, tasks), scales_of(settings, tasks))
        case _:
            assert_never(settings.head)


class ParallelHeads(nn.ModuleDict):
    """One small perceptron a task, none of which sees another's.

    Args:
        dim: D of the frames.
        tasks: What is said.
    """

    def __init__(self, dim: int, tasks: Tasks) -> None:
        super().__init__({key_of(n): task_head(dim, task.width) for n, task in tasks.items()})
        self.tasks = dict(tasks)

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, D)."""
        return self.read(dict.fromkeys(self.tasks, x))

    def read(self, frames: Mapping[str, Tensor]) -> Scores:
        """Scores of frames (B, T, D) for each task."""
        return {n: task.scores(self.head_of(n)(frames[n])) for n, task in self.tasks.items()}

    def head_of(self, task: str) -> nn.Module:
        """The head of a task."""
        return self[key_of(task)]

    def frames_of(self, task: str, x: Tensor) -> Tensor:
        """What the head of a task reads of (B, T, D)."""
        return x


class ScaleHeads(nn.Module):
    """Heads that each read their task's own scale of a temporal pyramid.

    Args:
        heads: Of frames (B, T, D).
        scales: Task to its scale, from 0, the fastest.
    """

    def __init__(self, heads: ParallelHeads, scales: Mapping[str, int]) -> None:
        super().__init__()
        self.heads, self.scales = heads, dict(scales)

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, S, D)."""
        return self.heads.read({task: self.frames_of(task, x) for task in self.scales})

    def head_of(self, task: str) -> nn.Module:
        """The head of a task."""
        return self.heads.head_of(task)

    def frames_of(self, task: str, x: Tensor) -> Tensor:
        """What the head of a task reads of (B, T, S, D)."""
        return x[:, :, self.scales[task]]


def task_head(dim: int, out: int) -> nn.Sequential:
    """A perceptron with one hidden layer of half the width."""
    return nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, out))
