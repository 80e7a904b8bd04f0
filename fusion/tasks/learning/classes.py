"""Learning one class of several: a head of logits, weighted cross-entropy.

Letters: B windows, T frames, C classes, N elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.errors import UserError
from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.learning.interface import TaskSettings, TaskTargets
from fusion.tasks.scoring.interface import S

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassesSettings(TaskSettings):
    """How classes are learnt.

    Attributes:
        balance: How far rare classes are weighted up: their weight is the inverse of their
            frequency in the training labels to this power. 0: not at all; 1: all classes count
            the same, however rare; .5, the square root, keeps a class with a handful of frames
            from drowning the rest.
        label_smoothing: Share of each label that is spread over all classes.
    """

    balance: float = 0.5
    label_smoothing: float = 0.1

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        self._require(task, "balance", 0 <= self.balance < float("inf"), "at least 0")
        self._require(task, "label_smoothing", 0 <= self.label_smoothing <= 1, "from 0 to 1")


class ClassesLearning(Task[S, D]):
    """Learning of one of C classes of a frame."""

    kind = "classes"
    Settings = ClassesSettings
    settings: ClassesSettings

    def empty(self, frames: int) -> TaskLabels:
        """See `Task.empty`."""
        return TaskLabels(np.zeros(frames, np.int64), np.zeros(frames, bool))

    def in_own_order(self, labels: TaskLabels) -> TaskLabels:
        """Raises UserError for a class that occurs and is none of the task's."""
        places = np.array([*map(self._place, labels.names), -1], np.int64)
        values = np.where(labels.mask, places[labels.values], 0)
        if (values < 0).any():
            name = labels.names[int(labels.values[values < 0][0])]
            raise UserError(
                f"tasks.{self.name}: labels are of '{name}', which is none of its classes"
                f" ({', '.join(self.names)}); add it to tasks.{self.name}.classes"
            )
        return TaskLabels(values, labels.mask)

    def _place(self, name: str) -> int:
        """Which of the classes a name is, -1 for none; letter case does not count."""
        names = [own.lower() for own in self.names]
        return names.index(name.lower()) if name.lower() in names else -1

    def value_range(self) -> tuple[float, float]:
        """Of probabilities."""
        return 0.0, 1.0

    def balance_codes(self, labels: TaskLabels) -> np.ndarray:
        """The class."""
        return labels.values

    def amounts(self, labels: TaskLabels) -> np.ndarray:
        """Frames of each class."""
        counts = np.bincount(labels.values[labels.mask], minlength=len(self.names))
        return counts.astype(np.float64)

    @property
    def width(self) -> int:
        """C."""
        return len(self.names)

    def fit(self, labels: Iterable[TaskLabels]) -> dict[str, Tensor]:
        """`weights`: (C,) float32, of each class in the cross-entropy."""
        counts = np.zeros(len(self.names), np.int64)
        for each in labels:
            counts += np.bincount(each.values[each.mask], minlength=len(self.names))
        return {"weights": class_weights(counts, self.settings.balance)}

    def loss(self, scores: Tensor, targets: TaskTargets, fitted: Mapping[str, Tensor]) -> Tensor:
        """Class-weighted cross-entropy; a weighted mean over the valid frames."""
        from torch.nn import functional

        chosen = scores[targets.mask].float()
        if not len(chosen):
            return chosen.sum()
        return functional.cross_entropy(
            chosen,
            targets.values[targets.mask],
            weight=fitted["weights"],
            label_smoothing=self.settings.label_smoothing,
        )

    def taught(self, teacher: Tensor) -> Tensor:
        """Frames of which every logit is finite."""
        return teacher.isfinite().all(dim=-1)

    def soft_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        taught: Tensor,
        weights: Tensor,
        temperature: float,
    ) -> Tensor:
        """By the distribution over the classes."""
        from fusion.tasks.learning.teaching import divergence, mean_of

        return mean_of(weights * divergence(student[taught], teacher[taught], temperature))

    def said(self, teacher: Tensor, like: Tensor) -> Tensor:
        """The class of the highest logit."""
        return teacher.argmax(dim=-1)


def class_weights(counts: np.ndarray, balance: float) -> Tensor:
    """Weight of each class in the cross-entropy, (C,) float32.

    frequency^-balance, scaled to a mean of 1 over the training labels. A class that never occurs
    in training gets 1; it can only matter through label smoothing.

    Args:
        counts: (C,) int64, labelled frames of each class.
        balance: Power.
    """
    import torch

    seen = counts > 0
    share = counts[seen] / max(counts.sum(), 1)
    weights = np.ones(len(counts), np.float32)
    if seen.any():
        raw = share**-balance
        weights[seen] = raw / (raw * share).sum()
    return torch.from_numpy(weights)
