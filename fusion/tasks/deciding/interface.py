"""How a task decides, in arrays: scores > values > decided, and what is tuned for that.

Letters: F frames of a clip, C values or classes, W numbers of a frame that the model keeps
(`scores`), N frames of K clips, J scores.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from fusion.tasks.deciding.smoothing import NONE, Smoothing
from fusion.tasks.labels import TaskLabels


@dataclass(frozen=True)
class TaskDecision:
    """What is chosen on validation for a task.

    Attributes:
        smoothing: Of its values over time.
    """

    smoothing: Smoothing = NONE


D = TypeVar("D", bound=TaskDecision)


class Deciding(ABC, Generic[D]):
    """What a task says of its decisions; ValuesDeciding, ClassesDeciding, BinaryDeciding say it."""

    # Of one clip.

    @abstractmethod
    def bounded(self, scores: np.ndarray) -> np.ndarray:
        """Values or probabilities (F, C) float64 of scores (F, W), nothing decided."""

    @abstractmethod
    def neutral(self) -> D:
        """The decision that changes nothing."""

    @abstractmethod
    def decision_of(self, state: Mapping[str, Any]) -> D:
        """The decision of which these are the plain values."""

    @abstractmethod
    def final(self, decision: D, smoothed: np.ndarray) -> np.ndarray:
        """Final values (F, C) float32 of smoothed ones (F, C)."""

    @abstractmethod
    def decided(self, decision: D, values: np.ndarray) -> np.ndarray:
        """What is scored of final values (F, C): (F, C) numbers, (F,) classes, (F, C) on or off."""

    def thresholds(self, decision: D) -> np.ndarray | None:
        """(C,) float32 at which a value is on; None for a task without."""
        return None

    def choice(self, decision: D) -> str:
        """A decision in words, for the user to read."""
        return str(decision.smoothing)

    @abstractmethod
    def said_of(self, values: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """As `decided`, of values whose decision is known by its thresholds alone."""

    def derived(self, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Its values (F, C) from those of other tasks, of a model that has not learnt it.

        None where they do not say; see `made_of`.
        """
        return None

    # Tuning.

    @abstractmethod
    def counts(
        self, values: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, ...) that add up over K clips, of smoothed values (N, C) of clip (N,)."""

    @abstractmethod
    def count_scores(self, counts: np.ndarray) -> np.ndarray:
        """(J,) official scores from summed counts (J, ...); 0 without labels."""

    @abstractmethod
    def best(self, smoothing: Smoothing, values: np.ndarray, labels: TaskLabels) -> D:
        """The decision that is best on these frames of smoothed values (N, C)."""
