"""What is chosen on validation, and how it turns a model's scores into final values.

Data flow: scores (F, W) of each task of ONE clip > values or probabilities (F, C) > smoothed,
frames without a face filled (fusion/tasks/deciding/smoothing.py) > the task's own decision
(temperature, class bias, ...) > final values > FramePredictions.

Smoothed and interpolated are probabilities, not logits: they are bounded, so that one overconfident
frame cannot outweigh the second around it, and the mean of calibrated probabilities is the share of
the window in which an element is on. A threshold means the same in either space.

`fusion.tune` chooses a Decision; without it a checkpoint has the neutral one.

Letters: F frames of a clip, W scores and C columns of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fusion.tasks.base import Task
from fusion.tasks.clips import Clip
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import smooth
from fusion.tasks.registry import Tasks


@dataclass(frozen=True)
class RawScores:
    """What the model says of one person in one video, before anything is decided.

    Attributes:
        clip: Whose.
        times: (F,) float64 seconds.
        face: (F,) bool, whether a face was seen.
        scores: Task to its scores (F, W).
        samples: The same, drawn anew by dropout, for uncertainties; none unless asked for.
    """

    clip: Clip
    times: np.ndarray
    face: np.ndarray
    scores: Mapping[str, np.ndarray]
    samples: Sequence[Mapping[str, np.ndarray]] = ()


@dataclass(frozen=True)
class Decision:
    """What is chosen on validation, task by task.

    Attributes:
        tasks: Of which something is decided.
        by_task: Task to its decision.
    """

    tasks: Tasks
    by_task: Mapping[str, TaskDecision]

    @staticmethod
    def neutral(tasks: Tasks) -> "Decision":
        """The decision that changes nothing."""
        return Decision(tasks, {name: task.neutral() for name, task in tasks.items()})

    def apply(self, raw: RawScores) -> dict[str, np.ndarray]:
        """Task to its final values (F, C) of one clip, whatever else is predicted with it."""
        return {name: self.of(name, raw) for name in self.tasks}

    def of(self, name: str, raw: RawScores) -> np.ndarray:
        """Final values (F, C) of one task."""
        task, decision = self.tasks[name], self.by_task[name]
        return task.final(decision, smoothed(task, raw, decision))

    def thresholds(self) -> dict[str, np.ndarray]:
        """Task to the thresholds (C,) of its values, of tasks that have any."""
        found = {name: task.thresholds(self.by_task[name]) for name, task in self.tasks.items()}
        return {name: limits for name, limits in found.items() if limits is not None}

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {name: asdict(decision) for name, decision in self.by_task.items()}

    @staticmethod
    def from_state(state: Mapping[str, Any], tasks: Tasks) -> "Decision":
        """The decision that `state` was taken of.

        A task that it does not name is decided as the one of whose labels it is made, else not.
        """

        def of(name: str, task: Task) -> TaskDecision:
            own = state.get(name) or state.get(task.made_of)
            return task.decision_of(own) if own else task.neutral()

        return Decision(tasks, {name: of(name, task) for name, task in tasks.items()})


def smoothed(task: Task, raw: RawScores, decision: TaskDecision) -> np.ndarray:
    """(F, C) float64 values or probabilities of a task, smoothed."""
    return smooth(task.bounded(raw.scores[task.name]), raw.times, raw.face, decision.smoothing)
