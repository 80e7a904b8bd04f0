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

What each aspect has to say is the `interface` of its room: learning, deciding, scoring. No module
of tasks loads torch before something is learnt.

Letters: F frames of a clip, C values or classes, K kinds of labels.
"""

import json
from abc import abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar, Generic, Literal

import numpy as np

from fusion.tasks.deciding.interface import D, Deciding
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.learning.interface import Learning, TaskSettings
from fusion.tasks.measuring.measures import Measure
from fusion.tasks.scoring.interface import S, Scoring

Kind = Literal["values", "classes", "binary"]
Level = Literal["frame", "clip"]


class Task(Learning, Deciding[D], Scoring[S], Generic[S, D]):
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

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the K quantities whose reliability is kept."""
        return self.names

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

    def further_measures(self, values: np.ndarray) -> dict[str, Measure]:
        """Measures by name that follow from its values (F, C), for files and pictures."""
        return {}

    @abstractmethod
    def value_range(self) -> tuple[float, float]:
        """Least and greatest of its values."""

    def check_values(self, values: np.ndarray) -> None:
        """Raises ValueError for values (F, C) that break the contract beyond shape and range."""
