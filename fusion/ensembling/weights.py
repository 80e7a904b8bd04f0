"""What each member of an ensemble weighs, chosen on labelled frames and judged honestly.

Data flow: labelled frames of all members > TaskFrames of each task > weights > scores in-sample,
and cross-fitted: on the people of each fold with weights chosen on the people of the others.

Letters: M members, N labelled frames of a task, C columns of a task.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.errors import UserError
from fusion.data.folds import folds_of, linked
from fusion.data.predictions import FramePredictions
from fusion.ensembling.averaging import (
    FolderMoments,
    ValueStatistics,
    from_space,
    logits,
    to_space,
)
from fusion.tasks.base import Task
from fusion.tasks.clips import Clip, classes_of
from fusion.tasks.labels import TaskLabels
from fusion.tasks.registry import Tasks
from fusion.tasks.scoring.interface import Rules

FOLDS = 5
"""Most folds of cross-fitting."""
ROUNDS = 30
"""Most members, repeated ones counted again, that forward selection takes."""
GAIN = 1e-6
"""A score must rise by more than this for another member to be taken."""


@dataclass(frozen=True)
class TaskFrames:
    """Labelled frames of one task, as the members see them.

    Attributes:
        task: Which one.
        members: (M, N, C) float32 in the space where members are averaged (`to_space`); logits are
            those above the threshold's.
        labels: N rows.
        clip: (N,) index of the clip.
        fold: (N,) fold of the person.
        statistics: Of continuous values over the folder; None for another kind of task.
        classes: Names of the classes that the data set has; empty: all.
    """

    task: Task
    members: np.ndarray
    labels: TaskLabels
    clip: np.ndarray
    fold: np.ndarray
    statistics: ValueStatistics | None = None
    classes: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, keep: np.ndarray) -> "TaskFrames":
        """Only the frames where (N,) `keep` is True."""
        parts = {name: getattr(self, name)[keep] for name in ("labels", "clip", "fold")}
        return replace(self, members=self.members[:, keep], **parts)

    def only(self, members: np.ndarray) -> "TaskFrames":
        """The same frames as (m,) of the members see them."""
        statistics = self.statistics and self.statistics.only(members)
        return replace(self, members=self.members[members], statistics=statistics)

    def said(self, weights: np.ndarray) -> np.ndarray:
        """(N, C) what the members together say: values or probabilities, on from .5."""
        used = np.flatnonzero(weights)
        mean = np.tensordot(weights[used].astype(np.float32), self.members[used], axes=1)
        return from_space(self.task, mean, weights, self.statistics)

    def score(self, values: np.ndarray) -> float:
        """Official score of values (N, C); NaN without a labelled frame."""
        labels = self.labels
        if self.task.level == "clip" and len(self):
            clips = [self.clip == one for one in np.unique(self.clip)]
            rows = [self.task.scored_rows(labels[one], values[one]) for one in clips]
            labels, values = _joined([one for one, _ in rows]), np.concatenate([v for _, v in rows])
        statistics = self.task.statistics(labels, self.task.said_of(values, None))
        return self.task.official(statistics, Rules(classes=self.classes))[self.task.title]


Chooser = Callable[[TaskFrames], np.ndarray]
"""From labelled frames to (M,) weights that add up to 1."""


def equal(frames: TaskFrames) -> np.ndarray:
    """All members alike."""
    return np.full(len(frames.members), 1 / len(frames.members))


def by_score(frames: TaskFrames) -> np.ndarray:
    """Each member as its own score, 0 if that is negative; all alike if none is above 0."""
    scores = np.array(member_scores(frames)).clip(min=0)
    return scores / scores.sum() if scores.sum() > 0 else equal(frames)


def forward(frames: TaskFrames) -> np.ndarray:
    """Greedy forward selection with replacement (Caruana et al., 2004).

    Starts with the best member, then takes each time the one (maybe again) with which the mean
    scores best, until none gains.
    """
    count, best = np.zeros(len(frames.members)), -math.inf
    total = np.zeros(frames.members.shape[1:], np.float32)
    for taken in range(1, ROUNDS + 1):
        scores = []
        for index, member in enumerate(frames.members):
            weights = (count + (np.arange(len(count)) == index)) / taken
            mean = (total + member) / taken
            said = from_space(frames.task, mean, weights, frames.statistics)
            scores.append(frames.score(said))
        pick = int(np.argmax(scores))
        if not scores[pick] > best + GAIN:
            break
        best = scores[pick]
        count[pick] += 1
        total += frames.members[pick]
    return count / count.sum() if count.any() else equal(frames)


CHOOSERS: dict[str, Chooser] = {"equal": equal, "score": by_score, "forward": forward}


def member_scores(frames: TaskFrames) -> list[float]:
    """Score of each member on its own."""
    return [frames.score(frames.said(one)) for one in np.eye(len(frames.members))]


def cross_fitted(frames: TaskFrames, choose: Chooser) -> float:
    """Score over all frames, each decided with weights chosen on people of other folds."""
    if not len(frames):
        return math.nan
    said = np.empty(frames.members.shape[1:], np.float32)
    for fold in np.unique(frames.fold):
        held_out = frames.fold == fold
        said[held_out] = frames.rows(held_out).said(choose(frames.rows(~held_out)))
    return frames.score(said)


def collect(
    clips: Sequence[Clip], tasks: Tasks, predictions: Callable[[str], list[FramePredictions]]
) -> dict[str, TaskFrames]:
    """Labelled frames of each task.

    Args:
        clips: With labels.
        tasks: Those that are weighed.
        predictions: The members' predictions of an id, of the same frames.

    Raises:
        UserError: If the clips are of one person or video only.
    """
    people = len(set(linked([clip.group for clip in clips], [clip.video for clip in clips])))
    if people < 2:
        raise UserError(
            "weights are chosen and judged on different people, but the labelled clips are of"
            f" {people}; give clips of more people, or --weights equal --select all"
        )
    fold_of = np.zeros(len(clips), np.int64)
    for fold, held_out in enumerate(folds_of(clips, min(FOLDS, people), tasks)):
        fold_of[held_out] = fold
    pieces: dict[str, list[tuple[int, np.ndarray, TaskLabels]]] = {task: [] for task in tasks}
    moments: FolderMoments | None = None
    for number, clip in enumerate(clips):
        members = predictions(clip.id)
        moments = moments or FolderMoments(tasks, len(members))
        moments.add(members)
        labels = clip.labels_on(members[0].times)
        for name, task in tasks.items():
            own = task.labels_in(labels)
            kept = own.rows if task.level == "frame" else np.full(len(own), own.rows.any())
            numbers = np.stack([_numbers(task, one) for one in members])
            pieces[name].append((number, numbers[:, kept], own[kept]))
    assert moments is not None
    statistics, classes = moments.statistics(), classes_of(clips)
    found = {}
    for name, task in tasks.items():
        one = _frames(task, pieces[name], fold_of, statistics.get(name))
        found[name] = replace(one, classes=classes.get(name, frozenset()))
    return found


def _numbers(task: Task, one: FramePredictions) -> np.ndarray:
    """(F, C) float32 of a member in the space of averages; continuous values as they are."""
    values = one.values[task.name]
    if task.kind == "values":
        return values
    numbers = to_space(task, values, None)
    if task.name in one.thresholds:
        numbers -= logits(one.thresholds[task.name])
    return numbers.astype(np.float32)


def _frames(
    task: Task,
    pieces: Sequence[tuple[int, np.ndarray, TaskLabels]],
    fold_of: np.ndarray,
    statistics: ValueStatistics | None,
) -> TaskFrames:
    """Number of the clip, members and labels of all clips as one."""
    members = np.concatenate([numbers for _, numbers, _ in pieces], axis=1)
    if statistics is not None:
        members = statistics.standardised(members).astype(np.float32)
    labels = _joined([labels for *_, labels in pieces])
    clip = np.repeat([number for number, *_ in pieces], [len(own) for *_, own in pieces])
    return TaskFrames(task, members, labels, clip, fold_of[clip], statistics)


def _joined(labels: Sequence[TaskLabels]) -> TaskLabels:
    """Labels one after another."""
    values = np.concatenate([one.values for one in labels])
    return TaskLabels(values, np.concatenate([one.mask for one in labels]))
