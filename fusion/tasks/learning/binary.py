"""Learning a binary vector: a logit for each element, weighted cross-entropy, ZLPR.

Letters: B windows, T frames, C elements, N elements that count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.learning.interface import TaskSettings, TaskTargets
from fusion.tasks.scoring.interface import S

if TYPE_CHECKING:
    from torch import Tensor

BinaryLoss = Literal["bce", "zlpr+bce"]
MOST_ON = 50.0
"""Greatest weight of an element that is on."""


@dataclass(frozen=True)
class BinarySettings(TaskSettings):
    """How a binary vector is learnt.

    Attributes:
        loss: `bce`: binary cross-entropy; `zlpr+bce`: ZLPR added to it.
        balance: 'On' weighs (frames off / frames on) to this power, at most 50. With 1 an element
            is said to be on where that is likelier than on the average frame, which is what F1
            wants of rare ones; with 0 hardly ever.
    """

    loss: BinaryLoss = "bce"
    balance: float = 1.0

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        self._require_choice(task, "loss", BinaryLoss)
        self._require(task, "balance", 0 <= self.balance < float("inf"), "at least 0")


class BinaryLearning(Task[S, D]):
    """Learning of C elements of a frame, each on or off."""

    kind = "binary"
    Settings = BinarySettings
    settings: BinarySettings

    def empty(self, frames: int) -> TaskLabels:
        """See `Task.empty`."""
        shape = (frames, len(self.names))
        return TaskLabels(np.zeros(shape, np.float32), np.zeros(shape, bool))

    def in_own_order(self, labels: TaskLabels) -> TaskLabels:
        """Columns that the data set lacks are not labelled; those that are no names are left."""
        own, names = self.empty(len(labels)), list(labels.names)
        for i, name in enumerate(self.names):
            if name in names:
                own.values[:, i] = labels.values[:, names.index(name)]
                own.mask[:, i] = labels.mask[:, names.index(name)]
        return own

    def value_range(self) -> tuple[float, float]:
        """Of probabilities."""
        return 0.0, 1.0

    def amounts(self, labels: TaskLabels) -> np.ndarray:
        """Frames on which each element is on."""
        return np.asarray((labels.values * labels.mask).sum(axis=0, dtype=np.float64))

    @property
    def width(self) -> int:
        """C."""
        return len(self.names)

    def fit(self, labels: Iterable[TaskLabels]) -> dict[str, Tensor]:
        """`pos_weights`: (C,) float32, weight of 'on' of each element."""
        on, off = np.zeros(len(self.names), np.int64), np.zeros(len(self.names), np.int64)
        for each in labels:
            on += ((each.values > 0.5) & each.mask).sum(axis=0)
            off += ((each.values <= 0.5) & each.mask).sum(axis=0)
        return {"pos_weights": on_weights(on, off, self.settings.balance)}

    def loss(self, scores: Tensor, targets: TaskTargets, fitted: Mapping[str, Tensor]) -> Tensor:
        """Over the valid elements."""
        from fusion.tasks.learning.multilabel import binary_loss

        kind, weights = self.settings.loss, fitted["pos_weights"]
        return binary_loss(kind, scores.float(), targets.values, targets.mask, weights)

    def taught(self, teacher: Tensor) -> Tensor:
        """Elements whose logit is finite."""
        return teacher.isfinite()

    def soft_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        taught: Tensor,
        weights: Tensor,
        temperature: float,
    ) -> Tensor:
        """By the distribution of each element over on and off."""
        from fusion.tasks.learning.teaching import divergence, mean_of, on_off

        apart = divergence(on_off(student[taught]), on_off(teacher[taught]), temperature)
        return mean_of(weights * apart)

    def said(self, teacher: Tensor, like: Tensor) -> Tensor:
        """On where the logit is at least 0."""
        return (teacher.detach() >= 0).to(like)


def on_weights(on: np.ndarray, off: np.ndarray, balance: float) -> Tensor:
    """Weight of 'on' against 'off' of each element, (C,) float32: (off / on)^balance, at most 50.

    An element that training never shows on, or never off, gets 1. With balance 1, the cap
    (`MOST_ON`) holds for those that are on in less than 2 % of the frames: without it, a handful of
    frames, true or mistaken, would outweigh all others.

    Args:
        on: (C,) int64, labelled frames with the element on.
        off: Likewise, off.
        balance: Power.
    """
    import torch

    both = (on > 0) & (off > 0)
    ratio = np.divide(off, on, out=np.ones(len(both)), where=both)
    return torch.from_numpy(np.minimum(ratio**balance, MOST_ON).astype(np.float32))
