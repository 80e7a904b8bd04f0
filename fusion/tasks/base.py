"""Task: one thing that is learnt, said of each frame, decided, scored and drawn.

Data flow: labels > targets > loss of the head's scores; scores > values > decided > statistics >
official score. Everything that depends on what is learnt is asked of the task; whoever trains,
predicts or scores holds a `dict[str, Task]` and names none.

A task is a class in a file of its own, fusion/tasks/NAME.py. Most are of a kind that is there
already and say little more than their names:

    kind      values of a frame              learnt by      decided by     scored by
    values    (C,) numbers in a range        ValuesLearning  ValuesDeciding  ValuesScoring
    classes   one of C classes               ClassesLearning ClassesDeciding ClassesScoring
    binary    each of C on or off            BinaryLearning  BinaryDeciding  BinaryScoring

No module of tasks loads torch before something is learnt.

Letters: B windows, T frames of a window, F frames of a clip, C values or classes, W numbers of a
frame that the model keeps (`scores`), V videos, D draws.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np

from features.errors import UserError
from fusion.tasks.deciding.smoothing import NONE, Smoothing
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.scoring.reliability import Reliability

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["values", "classes", "binary"]
Level = Literal["frame", "clip"]
EDITIONS = range(2, 12)
"""Of the ABAW challenge."""
LATEST = EDITIONS[-1]


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

    def _require(self, task: str, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise UserError(f"tasks.{task}.{name} {getattr(self, name)} must be {rule}")


@dataclass(frozen=True)
class TaskDecision:
    """What is chosen on validation for a task.

    Attributes:
        smoothing: Of its values over time.
    """

    smoothing: Smoothing = NONE


@dataclass
class TaskTargets:
    """Labels of one task in a batch; values under a False mask get no gradient.

    Attributes:
        values: (B, T) int64 or (B, T, C) float32.
        mask: (B, T) or (B, T, C) bool.
    """

    values: Tensor
    mask: Tensor


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
D = TypeVar("D", bound=TaskDecision)


class Task(ABC, Generic[S, D]):
    """One thing that is learnt.

    Attributes:
        name: Key in recipes, scores, files, e.g. `va`.
        title: As people call it, and its official score's name, e.g. `VA`.
        thing: What one of its names is called, e.g. `unit`.
        report_name: Of its table in a report.
        kind: What its values are; pictures, ensembles and streaming heads go by it.
        Settings: Class of its settings.
        table_text: Column of `labels.csv` that holds its classes by name; empty: there is none.
        table_prefix: What columns of `labels.csv` with its values begin with; empty: none do.
        made_of: Task whose labels it learns from; empty: its own.
        by_features: Whether it learns by `feature_loss`, from what its head reads.
        logged: Name of its score in the logs of a training; empty: its title.
        drawn: Whether it has a lane in pictures.
        colours: One for each of `names`, for pictures; empty: chosen there.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    thing: ClassVar[str]
    report_name: ClassVar[str]
    kind: ClassVar[Kind]
    Settings: ClassVar[type[TaskSettings]] = TaskSettings
    table_text: ClassVar[str] = ""
    table_prefix: ClassVar[str] = ""
    made_of: ClassVar[str] = ""
    by_features: ClassVar[bool] = False
    logged: ClassVar[str] = ""
    drawn: ClassVar[bool] = True
    colours: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: TaskSettings | None = None) -> None:
        self.settings: Any = settings or self.Settings()
        self.settings.check(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({json.dumps(self.description())})"

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What its C values are called."""

    @property
    def heading(self) -> str:
        """What it is about, over its part of a report."""
        return self.title

    @property
    def level(self) -> Level:
        """Whether a frame is scored, or a clip as a whole by the mean over its frames."""
        return getattr(self.settings, "level", "frame")

    @property
    def weight(self) -> float:
        """Of its loss."""
        return float(self.settings.weight)

    def description(self) -> dict[str, Any]:
        """Its settings as plain values, by which `make_task` makes it again."""
        return asdict(self.settings)

    # Labels, as arrays.

    @abstractmethod
    def empty(self, frames: int) -> TaskLabels:
        """`frames` rows without a label."""

    def labels_in(self, labels: FrameLabels) -> TaskLabels:
        """Its labels among those of a clip; empty ones if there are none.

        Raises:
            UserError: If they are of classes that it has not, or of values out of its range.
        """
        found = labels.by_task.get(self.name)
        if found is None:
            return self.empty(len(labels))
        return found if found.names in ((), self.names) else self.in_own_order(found)

    @abstractmethod
    def in_own_order(self, labels: TaskLabels) -> TaskLabels:
        """Labels whose classes or columns have names, in the order of the task's own."""

    def balance_codes(self, labels: TaskLabels) -> np.ndarray:
        """(F,) int64 from 0: what a frame shows, whose frequency balanced sampling evens out.

        All alike for a task that shows many things at once.
        """
        return np.zeros(len(labels), np.int64)

    def amounts(self, labels: TaskLabels) -> np.ndarray:
        """(K,) float64, at least 0: how much of each kind of label there is, for even folds."""
        return np.zeros(0)

    def scored_rows(self, labels: TaskLabels, values: np.ndarray) -> tuple[TaskLabels, np.ndarray]:
        """What is scored of a clip: its frames, or at clip level the one row of their mean.

        Args:
            labels: F rows.
            values: (F, C).
        """
        if self.level == "frame" or not len(labels):
            return labels, values
        known = np.flatnonzero(labels.rows)
        first = known[0] if len(known) else 0
        return labels[first : first + 1], values.mean(axis=0, keepdims=True)

    # Learning, in tensors.

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

    # Deciding, in arrays of one clip.

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

    # Scoring.

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
    def quantities(self) -> tuple[str, ...]:
        """Names of the K quantities whose reliability is kept."""
        return self.names

    @abstractmethod
    def no_reliability(self) -> Reliability:
        """Of no frame yet."""

    @abstractmethod
    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """Adds F frames of final values (F, C) to what is kept."""

    def calibration_errors(self, kept: Reliability) -> dict[str, float]:
        """Expected calibration error under `title`; none for a task that says no probabilities."""
        return {}

    # Files.

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its C columns in files of predictions."""
        return self.names

    def further_columns(
        self, values: np.ndarray, thresholds: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Columns that follow from its values (F, C), for people to read."""
        return {}

    @abstractmethod
    def value_range(self) -> tuple[float, float]:
        """Least and greatest of its values."""

    def check_values(self, values: np.ndarray) -> None:
        """Raises ValueError for values (F, C) that break the contract beyond shape and range."""
