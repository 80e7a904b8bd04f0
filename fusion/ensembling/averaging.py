"""Predictions of several members as one.

Data flow: folders of predictions > statistics of continuous values over all clips; a clip's
predictions of every member, weights > FramePredictions of the ensemble.

How the members of a task are averaged follows from its kind (`Task.kind`):

- classes, binary: weighted mean of log-probabilities and of logits, turned back. Thresholds are
  averaged as the probabilities are, so what all members say on is on in the ensemble.
- values: CCC-centred mean, in the manner of LFAN (Zhang et al., 2021). Each member is brought to
  mean 0 and deviation 1 over the whole folder, never by clip; the mean of the members is brought to
  deviation 1 again, since averaging shrinks it and CCC punishes that, and then to the mean of the
  members' deviations and means.

An ensemble has the tasks that all members have. A task that is made of another's labels has that
one's weights.

Letters: M members, F frames of a clip, C columns of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, softmax

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.predictions import FramePredictions
from fusion.tasks.base import Task
from fusion.tasks.registry import Tasks

FLOOR = 1e-7
"""Probabilities nearer to 0 or 1 are moved here before a logarithm is taken."""
CONSTANT = 1e-5
"""A member that deviates less adds nothing but its mean."""
TIME_TOLERANCE = 1e-3
"""Seconds by which members may differ about a frame's time."""

Weights = Mapping[str, np.ndarray]
"""Task to (M,) weights that add up to 1."""


def weighed(tasks: Tasks) -> Tasks:
    """The tasks that have weights of their own: not those made of another one's labels."""
    return {name: task for name, task in tasks.items() if task.made_of not in tasks}


def equal_weights(tasks: Tasks, members: int) -> dict[str, np.ndarray]:
    """The same weight for each member."""
    return {task: np.full(members, 1 / members) for task in weighed(tasks)}


@dataclass(frozen=True)
class ValueStatistics:
    """Moments of the members' values of a task over a folder.

    Attributes:
        mean: (C, M) float64.
        deviation: (C, M) float64, 0 for a constant.
        correlation: (C, M, M) float64, 0 for a constant.
    """

    mean: np.ndarray
    deviation: np.ndarray
    correlation: np.ndarray

    def only(self, members: np.ndarray) -> "ValueStatistics":
        """Those of (m,) of the members."""
        correlation = self.correlation[:, members][:, :, members]
        return ValueStatistics(self.mean[:, members], self.deviation[:, members], correlation)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """(M, F, C) values with mean 0 and deviation 1 over the folder; constants become 0."""
        scale = np.where(self.deviation > 0, self.deviation, 1)
        return (values - self.mean.T[:, None]) / scale.T[:, None]

    def restored(self, centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(F, C) values from the weighted mean of standardised ones."""
        # Variance of a weighted sum of variables with deviation 1.
        spread = np.einsum("m,dmn,n->d", weights, self.correlation, weights) ** 0.5
        gain = self.deviation @ weights / np.where(spread > CONSTANT, spread, np.inf)
        return centred * gain + self.mean @ weights


class ValueMoments:
    """Collects a task's values clip by clip, then gives their statistics.

    Args:
        columns: C.
        members: M.
    """

    def __init__(self, columns: int, members: int) -> None:
        self._count = 0
        self._sum = np.zeros((columns, members))
        self._products = np.zeros((columns, members, members))

    def add(self, values: np.ndarray) -> None:
        """Adds a clip: (M, F, C) near [-1, 1], so that plain sums lose no digits that matter."""
        rows = values.astype(np.float64).transpose(2, 0, 1)
        self._count += values.shape[1]
        self._sum += rows.sum(axis=2)
        self._products += rows @ rows.transpose(0, 2, 1)

    def statistics(self) -> ValueStatistics:
        """Statistics of everything added."""
        mean = self._sum / max(1, self._count)
        covariance = self._products / max(1, self._count) - mean[:, :, None] * mean[:, None]
        deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2).clip(min=0))
        deviation = np.where(deviation > CONSTANT, deviation, 0)
        scale = deviation[:, :, None] * deviation[:, None]
        correlation = np.where(scale > 0, covariance / np.where(scale > 0, scale, 1), 0)
        return ValueStatistics(mean, deviation, correlation)


class FolderMoments:
    """Statistics of every task with continuous values, from the members' predictions of clips."""

    def __init__(self, tasks: Tasks, members: int) -> None:
        self._of = {
            name: ValueMoments(len(task.columns), members)
            for name, task in tasks.items()
            if task.kind == "values"
        }

    def add(self, members: Sequence[FramePredictions]) -> None:
        """Adds one clip's predictions of all members."""
        for name, moments in self._of.items():
            moments.add(np.stack([one.values[name] for one in members]))

    def statistics(self) -> dict[str, ValueStatistics]:
        """Task to the statistics of everything added."""
        return {name: moments.statistics() for name, moments in self._of.items()}


def blend(
    members: Sequence[FramePredictions],
    tasks: Tasks,
    weights: Weights,
    statistics: Mapping[str, ValueStatistics],
    provenance: Mapping[str, str],
) -> FramePredictions:
    """One clip's predictions of all members as one.

    Args:
        members: Checked to be of the same frames (`require_same_frames`).
        tasks: Those that all members have.
        weights: Of the members, by task.
        statistics: Of the members over all clips of the folder, by task.
        provenance: What is said of the result.
    """
    values, thresholds = {}, {}
    for name, task in tasks.items():
        own = weights[task.made_of if task.made_of in tasks else name]
        moments = statistics.get(name)
        mean = _mean(to_space(task, np.stack([p.values[name] for p in members]), moments), own)
        values[name] = from_space(task, mean, own, moments)
        if all(name in one.thresholds for one in members):
            limits = logits(np.stack([one.thresholds[name] for one in members]))
            thresholds[name] = expit(_mean(limits, own)).astype(np.float32)
    return FramePredictions(
        id=members[0].id,
        video=members[0].video,
        times=members[0].times,
        face=np.any([one.face for one in members], axis=0),
        tasks=tasks,
        values=values,
        thresholds=thresholds,
        provenance=dict(provenance),
    )


def to_space(task: Task, values: np.ndarray, moments: ValueStatistics | None) -> np.ndarray:
    """Values (M, F, C) of a task as numbers (M, F, C) that may be averaged.

    Args:
        task: Whose values.
        values: Of all members.
        moments: Of a task with continuous values.
    """
    if moments is not None:
        return moments.standardised(values)
    return log_probabilities(values) if task.kind == "classes" else logits(values)


def from_space(
    task: Task, mean: np.ndarray, weights: np.ndarray, moments: ValueStatistics | None
) -> np.ndarray:
    """Values (F, C) float32 of a task from the weighted mean (F, C) of the members' numbers."""
    if moments is not None:
        found = moments.restored(mean, weights).clip(*task.value_range())
    else:
        found = softmax(mean, axis=1) if task.kind == "classes" else expit(mean)
    return np.asarray(found, np.float32)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Natural logarithms, float64; probabilities below `FLOOR` count as that."""
    return np.log(probabilities.astype(np.float64).clip(min=FLOOR))


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds, float64; finite."""
    return logit(probabilities.astype(np.float64).clip(FLOOR, 1 - FLOOR))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the members of (M, ...)."""
    return np.tensordot(weights, values, axes=1)


def require_same_frames(members: Sequence[FramePredictions], names: Sequence[str]) -> None:
    """Checks that the members' predictions of a clip are of the same frames.

    Raises:
        UserError: If they differ in number or in time; names the first that does.
    """
    first = members[0]
    for one, name in zip(members[1:], names[1:], strict=True):
        if len(one) != len(first):
            raise UserError(
                f"{name}: {counted(len(one), 'frame')} of '{one.id}', but {len(first)} in"
                f" {names[0]}; predict both from the same tracks"
            )
        if len(one) and np.abs(one.times - first.times).max() > TIME_TOLERANCE:
            raise UserError(
                f"{name}: other times of '{one.id}' than in {names[0]};"
                " predict both from the same tracks"
            )


def joint_provenance(members: Sequence[FramePredictions], ensemble: str) -> dict[str, str]:
    """What all members come from: a key with other values in several members gets a number."""
    joint = {"ensemble": ensemble}
    for number, member in enumerate(members, 1):
        for key, value in member.provenance.items():
            if joint.setdefault(key, value) != value:
                joint[f"{key} #{number}"] = value
    return joint
