"""How a task learns, in tensors: labels > targets > loss of the head's scores.

Letters: B windows, T frames of a window, C values or classes, W numbers of a frame that the model
keeps (`scores`), N elements that a teacher teaches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from features.errors import UserError
from fusion.tasks.labels import TaskLabels

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TaskSettings:
    """What every task can be told.

    Attributes:
        weight: Of its loss among those of all tasks; 0 leaves it unlearnt.
    """

    weight: float = 1.0

    def check(self, task: str) -> None:
        """Raises UserError, naming the setting, for a value out of range."""
        self._require(task, "weight", 0 <= self.weight < float("inf"), "at least 0")

    def _require_choice(self, task: str, name: str, choices: Any) -> None:
        """Raises UserError unless a setting is one of a Literal's."""
        known = get_args(choices)
        self._require(task, name, getattr(self, name) in known, f"one of {', '.join(known)}")

    def _require(self, task: str, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise UserError(f"tasks.{task}.{name} {getattr(self, name)} must be {rule}")


@dataclass
class TaskTargets:
    """Labels of one task in a batch; values under a False mask get no gradient.

    Attributes:
        values: (B, T) int64 or (B, T, C) float32.
        mask: (B, T) or (B, T, C) bool.
    """

    values: Tensor
    mask: Tensor


class Learning(ABC):
    """What a task says of its learning; ValuesLearning, ClassesLearning, BinaryLearning say it."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of a frame that its head makes."""

    @property
    def score_width(self) -> int:
        """W: numbers of a frame that are kept as its scores."""
        return self.width

    def scores(self, raw: Tensor) -> Tensor:
        """Scores (..., W) of what the head makes (..., width)."""
        return raw

    @abstractmethod
    def fit(self, labels: Iterable[TaskLabels]) -> dict[str, Tensor]:
        """What its loss takes from the training labels, e.g. weights of classes."""

    @abstractmethod
    def loss(self, scores: Tensor, targets: TaskTargets, fitted: Mapping[str, Tensor]) -> Tensor:
        """Its loss over the labelled elements of a batch; 0 with zero gradient without any.

        Args:
            scores: (B, T, W).
            targets: Of the batch.
            fitted: What `fit` found.
        """

    def feature_loss(
        self, head: nn.Module, features: Tensor, targets: Mapping[str, TaskTargets], epoch: int
    ) -> Tensor | None:
        """A loss that takes features (B, T, dim) instead of scores, of a task that has one."""
        return None

    @abstractmethod
    def taught(self, teacher: Tensor) -> Tensor:
        """Elements of which a teacher's scores (B, T, W) say something, shaped as a mask."""

    @abstractmethod
    def soft_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        taught: Tensor,
        weights: Tensor,
        temperature: float,
    ) -> Tensor:
        """The teacher's part of the loss.

        Args:
            student: (B, T, W).
            teacher: Likewise, but for what the student has not.
            taught: Mask of the N elements that are taught.
            weights: (N,) weight of each.
            temperature: Of the distributions.
        """

    @abstractmethod
    def said(self, teacher: Tensor, like: Tensor) -> Tensor:
        """What a teacher's scores (B, T, W) decide, as target values like those given."""
