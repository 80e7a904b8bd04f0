"""What each member of an ensemble weighs, chosen on labelled frames and judged honestly.

Data flow: labelled frames of all members > TaskFrames of each task > weights > scores in-sample,
and cross-fitted: on the people of each fold with weights chosen on the people of the others.

Letters: M members, N labelled frames of a task, C columns of a task.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.errors import UserError
from fusion.data.folds import folds_of, linked
from fusion.data.predictions import FramePredictions
from fusion.ensembling.averaging import VaMoments, VaStatistics, log_probabilities, logits
from fusion.metrics.official import UndefinedScore, ccc, expression_score, mean_binary_f1
from fusion.metrics.sufficient_statistics import confusion_of
from fusion.tasks.labels import EXPRESSIONS, TASKS, Clip

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
        task: `VA`, `EXPR` or `AU`.
        members: (M, N, C) float32 in the space where members are averaged: standardised valence
            and arousal, log-probabilities, or logits above the threshold's.
        truth: (N, 2) float32, (N,) int64, or (N, 12) float32.
        mask: (N, 12) bool for AU; (N,) otherwise, all True.
        fold: (N,) fold of the person.
        statistics: Of valence and arousal over the folder.
        expressions: Names of the expressions that the data set has; empty: all.
    """

    task: str
    members: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    fold: np.ndarray
    statistics: VaStatistics
    expressions: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.truth)

    def rows(self, keep: np.ndarray) -> "TaskFrames":
        """Only the frames where (N,) `keep` is True."""
        parts = {name: getattr(self, name)[keep] for name in ("truth", "mask", "fold")}
        return replace(self, members=self.members[:, keep], **parts)

    def only(self, members: np.ndarray) -> "TaskFrames":
        """The same frames as (m,) of the members see them."""
        return replace(
            self, members=self.members[members], statistics=self.statistics.only(members)
        )

    def decided(self, weights: np.ndarray) -> np.ndarray:
        """What the members together say of each frame: values, classes, or units on."""
        used = np.flatnonzero(weights)
        mean = np.tensordot(weights[used].astype(np.float32), self.members[used], axes=1)
        return self.decide(mean, weights)

    def decide(self, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The same from the members' weighted mean (N, C)."""
        if self.task == "VA":
            return self.statistics.restored(mean, weights)
        return mean.argmax(axis=1) if self.task == "EXPR" else mean >= 0

    def score(self, decided: np.ndarray) -> float:
        """Official score of the task; NaN without a labelled frame."""
        if not len(self):
            return math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedScore)
            if self.task == "VA":
                return (
                    ccc(self.truth[:, 0], decided[:, 0]) + ccc(self.truth[:, 1], decided[:, 1])
                ) / 2
            if self.task == "EXPR":
                counts = confusion_of(self.truth, decided, len(EXPRESSIONS))
                return float(expression_score(counts, expressions=self.expressions))
            return mean_binary_f1(self.truth, decided, self.mask)


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
            scores.append(frames.score(frames.decide((total + member) / taken, weights)))
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
    return [frames.score(frames.decided(one)) for one in np.eye(len(frames.members))]


def cross_fitted(frames: TaskFrames, choose: Chooser) -> float:
    """Score over all frames, each decided with weights chosen on people of other folds."""
    parts = []
    for fold in np.unique(frames.fold):
        held_out = frames.fold == fold
        weights = choose(frames.rows(~held_out))
        parts.append((np.flatnonzero(held_out), frames.rows(held_out).decided(weights)))
    if not parts:
        return math.nan
    order = np.argsort(np.concatenate([index for index, _ in parts]))
    return frames.score(np.concatenate([decided for _, decided in parts])[order])


def collect(
    clips: Sequence[Clip], predictions: Callable[[str], list[FramePredictions]]
) -> dict[str, TaskFrames]:
    """Labelled frames of each task.

    Args:
        clips: With labels.
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
    for fold, held_out in enumerate(folds_of(clips, min(FOLDS, people))):
        fold_of[held_out] = fold
    pieces: dict[str, list[tuple[np.ndarray, ...]]] = {task: [] for task in TASKS}
    moments: VaMoments | None = None
    for clip, fold in zip(clips, fold_of.tolist(), strict=True):
        members = predictions(clip.id)
        moments = moments or VaMoments(len(members))
        moments.add(np.stack([one.va for one in members]))
        for task, piece in _pieces(clip, members).items():
            pieces[task].append((*piece, np.full(len(piece[1]), fold)))
    assert moments is not None
    statistics = moments.statistics()
    expressions = frozenset[str]().union(*(clip.expressions for clip in clips))
    return {
        task: replace(_joined(task, pieces[task], statistics), expressions=expressions)
        for task in TASKS
    }


def _pieces(clip: Clip, members: list[FramePredictions]) -> dict[str, tuple[np.ndarray, ...]]:
    """By task: members (M, n, C), truth and mask of the clip's labelled frames."""
    labels = clip.labels_on(members[0].times)
    values = {
        "VA": [one.va for one in members],
        "EXPR": [log_probabilities(one.expr) for one in members],
        "AU": [logits(one.au) - logits(one.thresholds) for one in members],
    }
    pieces: dict[str, tuple[np.ndarray, ...]] = {}
    for task, arrays in values.items():
        truth, mask = getattr(labels, task.lower()), getattr(labels, f"{task.lower()}_mask")
        seen = mask.any(axis=1) if mask.ndim == 2 else mask
        stacked = np.stack(arrays).astype(np.float32)
        pieces[task] = (stacked[:, seen], truth[seen], mask[seen])
    return pieces


def _joined(
    task: str, pieces: list[tuple[np.ndarray, ...]], statistics: VaStatistics
) -> TaskFrames:
    """Pieces of all clips as one."""
    members = np.concatenate([piece[0] for piece in pieces], axis=1)
    if task == "VA":
        members = statistics.standardised(members).astype(np.float32)
    truth, mask, fold = (np.concatenate([piece[i] for piece in pieces]) for i in (1, 2, 3))
    return TaskFrames(task, members, truth, mask, fold, statistics)
