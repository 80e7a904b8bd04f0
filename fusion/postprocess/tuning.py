"""Chooses a Decision on validation clips, and says honestly what it is worth.

Data flow: raw scores + labels > every smoothing, once > for each fold of people: the best choice on
the others, applied to the fold > pooled official score (cross-fitted); the best choice on all clips
> Decision (and its in-sample score).

Smoothing is chosen first, then thresholds, temperature and bias on the smoothed values. A task
whose cross-fitted score is not above the neutral one keeps the neutral decision.

Letters: N frames of all clips, K clips, J smoothings, C columns of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from features.cli.progress import ProgressReport
from fusion.data.folds import linked, person_folds
from fusion.metrics.official import TOTAL, MetricAccumulator
from fusion.postprocess.decision import Decision, RawScores
from fusion.tasks.base import Task
from fusion.tasks.clips import classes_of
from fusion.tasks.deciding.smoothing import (
    NONE,
    Kind,
    Smoothing,
    filter_faces,
    interpolate_gaps,
    smooth,
)
from fusion.tasks.labels import TaskLabels, one_after_another
from fusion.tasks.registry import Tasks

SECONDS = (0.5, 1.0, 2.0, 10 / 3, 6.0)
"""Widths that are tried; 10/3 s are +-50 frames at 30 fps."""
FILTERS = (NONE, *(Smoothing(k, s) for k in get_args(Kind) if k != "none" for s in SECONDS))
CANDIDATES = tuple(Smoothing(f.kind, f.seconds, fill) for f in FILTERS for fill in (False, True))
"""Each filter without and with interpolation where there is no face; of equals the first wins."""
SEED = 0
"""Of the folds."""


class Pool:
    """Labelled clips one after the other.

    Attributes:
        raws: K clips with their scores.
        tasks: Of which the clips have scores.
        labels: Of all N frames.
        clip: (N,) int64, index of each frame's clip.
        groups: K names; clips that share a person or a video share the name.
        classes: Task to the names of the classes that the data set has.
    """

    def __init__(self, raws: Sequence[RawScores], tasks: Tasks) -> None:
        self.raws, self.tasks = list(raws), dict(tasks)
        self.labels = one_after_another([raw.clip.labels_on(raw.times) for raw in raws])
        self.clip = np.repeat(np.arange(len(raws)), [len(raw.times) for raw in raws])
        clips = [raw.clip for raw in raws]
        self.groups = linked([clip.group for clip in clips], [clip.video for clip in clips])
        self.classes = classes_of(clips)

    def folds(self, k: int) -> list[np.ndarray]:
        """Indices of the clips that each of k folds holds out, at most as many as there are people.

        Raises:
            UserError: If there are fewer than two people.
        """
        frames = np.bincount(self.clip, minlength=len(self.raws)).tolist()
        return person_folds(self.groups, min(k, max(len(set(self.groups)), 2)), SEED, frames)

    def labels_of(self, task: Task) -> TaskLabels:
        """Labels of a task, N rows."""
        return task.labels_in(self.labels)

    def smoothed(self, task: Task, smoothing: Smoothing) -> np.ndarray:
        """(N, C) float64 of a task, each clip smoothed alone."""
        return np.concatenate(
            [
                smooth(task.bounded(raw.scores[task.name]), raw.times, raw.face, smoothing)
                for raw in self.raws
            ]
        )

    def smoothing_counts(self) -> dict[str, np.ndarray]:
        """Task to (J, K, ...), the counts of every candidate (see `Task.counts`)."""
        values = [
            np.concatenate([t.bounded(raw.scores[n]) for n, t in self.tasks.items()], axis=1)
            for raw in self.raws
        ]
        counts: dict[str, list[np.ndarray]] = {task: [] for task in self.tasks}
        with ProgressReport("smoothings", len(FILTERS)) as progress:
            for filter_ in FILTERS:
                clips = [
                    filter_faces(rows, raw.times, raw.face, filter_)
                    for rows, raw in zip(values, self.raws, strict=True)
                ]
                self._count(clips, counts)
                filled = zip(clips, self.raws, strict=True)
                self._count([interpolate_gaps(c, r.times, r.face) for c, r in filled], counts)
                progress.step(str(filter_.kind))
        return {task: np.stack(of_candidates) for task, of_candidates in counts.items()}

    def _count(self, clips: list[np.ndarray], counts: dict[str, list[np.ndarray]]) -> None:
        """Adds the counts of one candidate to those of each task."""
        every = np.concatenate(clips)
        ends = np.cumsum([len(task.columns) for task in self.tasks.values()])
        columns = np.split(every, ends[:-1], axis=1)
        for (name, task), values in zip(self.tasks.items(), columns, strict=True):
            labels = self.labels_of(task)
            counts[name].append(task.counts(values, labels, self.clip, len(self.raws)))


@dataclass(frozen=True)
class Tuned:
    """A decision and what it is worth: official scores by the titles of the tasks, and `P`.

    Attributes:
        decision: Best on all clips; neutral in the tasks in which tuning does not help.
        tuned: Those in which it helps.
        folds: Number of folds.
        neutral: Scores without any decision.
        cross_fitted: Each person decided by what was chosen on the others, in all tasks.
        in_sample: Chosen and scored on the same clips: too good.
        quoted: Of the decision as it is kept: cross-fitted where tuned, neutral elsewhere.
        counted: What scores are means over, a line each, where it is not all that there is.
        by_fold: What gives the quoted scores: indices of the clips of each fold, and the decision
            chosen on the others.
    """

    decision: Decision
    tuned: tuple[str, ...]
    folds: int
    neutral: dict[str, float]
    cross_fitted: dict[str, float]
    in_sample: dict[str, float]
    quoted: dict[str, float]
    counted: tuple[str, ...] = ()
    by_fold: tuple[tuple[np.ndarray, Decision], ...] = ()


def tune_clips(raws: Sequence[RawScores], tasks: Tasks, folds: int) -> Tuned:
    """Chooses the decision on labelled clips with cross-fitting over people.

    Args:
        raws: What the model says of them; labels are in `RawScores.clip`.
        tasks: What is decided.
        folds: Most folds of people.

    Raises:
        UserError: If the clips are of fewer than two people.
    """
    every, tasks = tasks, {name: task for name, task in tasks.items() if not task.made_of}
    pool = Pool(raws, tasks)
    held_out = pool.folds(folds)
    counts = pool.smoothing_counts()
    neutral = Decision.neutral(tasks).by_task
    chosen: dict[str, Any] = {}
    of_folds: dict[str, list[Any]] = {}
    decided: dict[str, dict[str, np.ndarray]] = {"neutral": {}, "cross": {}, "in": {}}
    with ProgressReport("choices", len(tasks)) as progress:
        for name, task in tasks.items():
            chosen[name] = choose(pool, task, counts[name], np.arange(len(pool.raws)))
            decided["neutral"][name] = _decided(pool, task, neutral[name])
            of_folds[name] = choices_of_folds(pool, task, counts[name], held_out)
            decided["cross"][name] = _decided_by_folds(pool, task, held_out, of_folds[name])
            decided["in"][name] = _decided(pool, task, chosen[name])
            progress.step(task.title)
    scores = {name: _scores(pool, of_tasks) for name, of_tasks in decided.items()}
    tuned = tuple(
        name for name, t in tasks.items() if scores["cross"][t.title] > scores["neutral"][t.title]
    )
    kept = {name: decided["cross" if name in tuned else "neutral"][name] for name in tasks}
    return Tuned(
        decision=_of_all(every, {n: (chosen if n in tuned else neutral)[n] for n in tasks}),
        tuned=tuned,
        folds=len(held_out),
        neutral=scores["neutral"],
        cross_fitted=scores["cross"],
        in_sample=scores["in"],
        quoted=_scores(pool, kept),
        counted=tuple(_pooled(pool, kept).counted()),
        by_fold=tuple(
            (
                clips,
                _of_all(every, {n: of_folds[n][fold] if n in tuned else neutral[n] for n in tasks}),
            )
            for fold, clips in enumerate(held_out)
        ),
    )


def _of_all(tasks: Tasks, chosen: Mapping[str, Any]) -> Decision:
    """The decision of all tasks: one that is made of another's labels is decided as that one."""
    return Decision.from_state({name: asdict(one) for name, one in chosen.items()}, tasks)


def choose(pool: Pool, task: Task, counts: np.ndarray, clips: np.ndarray) -> Any:
    """A task's decision that is best on some clips, given the counts (J, K, ...) of all."""
    best = int(np.argmax(task.count_scores(counts[:, clips].sum(axis=1))))
    frames = np.isin(pool.clip, clips)
    values = pool.smoothed(task, CANDIDATES[best])[frames]
    return task.best(CANDIDATES[best], values, pool.labels_of(task)[frames])


def cross_fitted(
    pool: Pool, task: Task, counts: np.ndarray, folds: Sequence[np.ndarray]
) -> np.ndarray:
    """(N, ...) decided values, those of each fold by what is best on the other folds."""
    return _decided_by_folds(pool, task, folds, choices_of_folds(pool, task, counts, folds))


def choices_of_folds(
    pool: Pool, task: Task, counts: np.ndarray, folds: Sequence[np.ndarray]
) -> list[Any]:
    """For each fold of clips the task's decision that is best on the other folds."""
    every = np.arange(len(pool.raws))
    return [choose(pool, task, counts, np.setdiff1d(every, held_out)) for held_out in folds]


def _decided_by_folds(
    pool: Pool, task: Task, folds: Sequence[np.ndarray], choices: Sequence[Any]
) -> np.ndarray:
    """(N, ...) decided values, the clips of each fold by its own decision."""
    parts = []
    for held_out, choice in zip(folds, choices, strict=True):
        parts.append((np.isin(pool.clip, held_out), _decided(pool, task, choice)))
    out = np.empty_like(parts[0][1])
    for frames, values in parts:
        out[frames] = values[frames]
    return out


def _decided(pool: Pool, task: Task, decision: Any) -> np.ndarray:
    values = task.final(decision, pool.smoothed(task, decision.smoothing))
    return task.decided(decision, values)


def _pooled(pool: Pool, decided: dict[str, np.ndarray]) -> MetricAccumulator:
    metrics = MetricAccumulator(pool.tasks, pool.classes)
    metrics.add_decided(pool.labels, decided)
    return metrics


def _scores(pool: Pool, decided: dict[str, np.ndarray]) -> dict[str, float]:
    """Official scores of decided values of all tasks."""
    scores = _pooled(pool, decided).scores()
    return {name: scores[name] for name in (*(t.title for t in pool.tasks.values()), TOTAL)}
