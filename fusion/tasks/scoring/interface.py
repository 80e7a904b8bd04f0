"""How a task is scored, in arrays: decided > statistics that add up > official score.

Letters: F frames of a clip, C values or classes, K names or quantities, V videos, D draws.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.reliability import Reliability

EDITIONS = range(2, 12)
"""Of the ABAW challenge."""
LATEST = EDITIONS[-1]


@dataclass(frozen=True)
class Rules:
    """By which rules is scored.

    Attributes:
        edition: Of the challenge.
        exact: In edition 2, accuracy of binary vectors by whole frames instead of by elements.
        classes: Names of the classes that the data set has; empty: all of the task's.
    """

    edition: int = LATEST
    exact: bool = False
    classes: frozenset[str] = frozenset()


class Statistics(Protocol):
    """What is kept of scored frames, so that pieces add up exactly."""

    def merged(self, other: Self) -> Self:
        """Statistics of both together."""
        ...


S = TypeVar("S", bound=Statistics)


class Scoring(ABC, Generic[S]):
    """What a task says of its scores; ValuesScoring, ClassesScoring, BinaryScoring say it."""

    @abstractmethod
    def no_statistics(self) -> S:
        """Of no frame yet."""

    @abstractmethod
    def statistics(self, labels: TaskLabels, decided: np.ndarray) -> S:
        """What is kept of F labels and what was decided for them (see `decided`).

        Raises:
            ValueError: If a shape or type is another, or a value that counts is not finite.
        """

    @abstractmethod
    def official(self, statistics: S, rules: Rules) -> dict[str, float]:
        """Its official score under `title`, after its parts if it has any; NaN without a label."""

    def class_scores(self, statistics: S, rules: Rules) -> dict[str, float]:
        """Score of each class or value by its name; NaN without a label."""
        return {}

    @abstractmethod
    def draws(
        self, videos: Sequence[S], weights: np.ndarray, rules: Rules
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """`official` and `class_scores` (D,) of draws of videos.

        Args:
            videos: V statistics.
            weights: (D, V), how often each video is drawn.
            rules: By which is scored.
        """

    def counted(self, statistics: S, rules: Rules) -> list[str]:
        """What the score is a mean over, a line, where it is not all that there is."""
        return []

    def absent(self, statistics: S, rules: Rules) -> list[str]:
        """Names of what is neither labelled nor predicted, and counts as 0."""
        return []

    @abstractmethod
    def table(self, statistics: S, rules: Rules, kept: Reliability) -> dict[str, Any]:
        """Columns of its table: first the names (K,), under `thing`, then numbers (K,).

        A column `F1` is what `class_scores` says.
        """

    def confusion(self, statistics: S, rules: Rules) -> tuple[list[str], np.ndarray] | None:
        """Names of the K classes that count, and frames (K, C) by true and said class, if any."""
        return None

    @abstractmethod
    def clip_scores(self, statistics: S, rules: Rules) -> dict[str, float]:
        """What a table of clips says of one: frames with labels, then scores."""

    @property
    @abstractmethod
    def measures(self) -> dict[str, tuple[float, float] | None]:
        """Those of `clip_scores` that tell good clips from bad, more being better, each with the
        range of its axis; None: free.
        """

    @property
    @abstractmethod
    def quantities(self) -> tuple[str, ...]:
        """Names of the K quantities whose reliability is kept."""

    @abstractmethod
    def no_reliability(self) -> Reliability:
        """Of no frame yet."""

    @abstractmethod
    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """Adds F frames of final values (F, C) to what is kept."""

    def calibration_errors(self, kept: Reliability) -> dict[str, float]:
        """Expected calibration error under `title`; none for a task that says no probabilities."""
        return {}
