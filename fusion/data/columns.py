"""Scores as columns of one array, in which form they are stitched and stored.

    Scores > `joined` > (..., C) > `parted` > Scores

Columns are those of the tasks, one after the other, as many of each as `Task.score_width`.

Letters: C columns; `...` windows and frames.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from fusion.data.batch import Scores
from fusion.tasks.registry import Tasks

A = TypeVar("A", Tensor, np.ndarray)


def joined(scores: Scores, tasks: Tasks) -> Tensor:
    """(..., C) float32 of the scores of all tasks."""
    return torch.cat([scores[name].float() for name in tasks], dim=-1)


def parted(columns: A, tasks: Tasks) -> dict[str, A]:
    """Task to its columns (..., W) of (..., C) that `joined` has joined."""
    found, start = {}, 0
    for name, task in tasks.items():
        found[name] = columns[..., start : start + task.score_width]
        start += task.score_width
    return found


def width(tasks: Tasks) -> int:
    """C."""
    return sum(task.score_width for task in tasks.values())
