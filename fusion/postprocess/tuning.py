"""Chooses a Decision on validation clips, and says honestly what it is worth.

Data flow: raw scores + labels > every smoothing, once > for each fold of people: the best choice on
the others, applied to the fold > pooled official score (cross-fitted); the best choice on all clips
> Decision (and its in-sample score).

Smoothing is chosen first, then thresholds, temperature and bias on the smoothed values. A task
whose cross-fitted score is not above the neutral one keeps the neutral decision.

Letters: N frames of all clips, K clips, J smoothings, C columns of a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from features.cli.progress import ProgressReport
from fusion.data.folds import linked, person_folds
from fusion.metrics.official import MetricAccumulator
from fusion.postprocess.decision import SPLIT_AT, Decision, RawScores, bounded
from fusion.postprocess.objectives import CRITERIA
from fusion.postprocess.smoothing import (
    NONE,
    Kind,
    Smoothing,
    filter_faces,
    interpolate_gaps,
    smooth,
)
from fusion.tasks.labels import TASKS, FrameLabels

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
        labels: Of all N frames.
        clip: (N,) int64, index of each frame's clip.
        groups: K names; clips that share a person or a video share the name.
        expressions: Names of the expressions that the data set has; empty: all.
    """

    def __init__(self, raws: Sequence[RawScores]) -> None:
        self.raws = list(raws)
        matched = [raw.clip.labels_on(raw.times) for raw in raws]
        self.labels = FrameLabels(
            **{name: np.concatenate([getattr(one, name) for one in matched]) for name in _FIELDS}
        )
        self.clip = np.repeat(np.arange(len(raws)), [len(raw.times) for raw in raws])
        clips = [raw.clip for raw in raws]
        self.groups = linked([clip.group for clip in clips], [clip.video for clip in clips])
        self.expressions = frozenset[str]().union(*(clip.expressions for clip in clips))

    def folds(self, k: int) -> list[np.ndarray]:
        """Indices of the clips that each of k folds holds out, at most as many as there are people.

        Raises:
            UserError: If there are fewer than two people.
        """
        frames = np.bincount(self.clip, minlength=len(self.raws)).tolist()
        return person_folds(self.groups, min(k, max(len(set(self.groups)), 2)), SEED, frames)

    def labels_of(self, frames: np.ndarray) -> FrameLabels:
        """Labels of the frames under a mask (N,)."""
        return FrameLabels(**{name: getattr(self.labels, name)[frames] for name in _FIELDS})

    def smoothed(self, task: str, smoothing: Smoothing) -> np.ndarray:
        """(N, C) float64 of a task, each clip smoothed alone."""
        index = TASKS.index(task)
        return np.concatenate(
            [smooth(bounded(r.scores)[index], r.times, r.face, smoothing) for r in self.raws]
        )

    def smoothing_counts(self) -> dict[str, np.ndarray]:
        """(J, K, ...) of each task: the counts of every candidate (see
        fusion.postprocess.objectives).
        """
        values = [np.concatenate(bounded(raw.scores), axis=1) for raw in self.raws]
        counts: dict[str, list[np.ndarray]] = {task: [] for task in TASKS}
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
        columns = np.split(np.concatenate(clips), SPLIT_AT, axis=1)
        for task, values in zip(TASKS, columns, strict=True):
            counts[task].append(
                CRITERIA[task].counts(values, self.labels, self.clip, len(self.raws))
            )


_FIELDS = tuple(vars(FrameLabels.empty(0)))


@dataclass(frozen=True)
class Tuned:
    """A decision and what it is worth: official scores by `VA`, `EXPR`, `AU`, `P`.

    Attributes:
        decision: Best on all clips; neutral in the tasks in which tuning does not help.
        tuned: Those in which it helps.
        folds: Number of folds.
        neutral: Scores without any decision.
        cross_fitted: Each person decided by what was chosen on the others, in all tasks.
        in_sample: Chosen and scored on the same clips: too good.
        quoted: Of the decision as it is kept: cross-fitted where tuned, neutral elsewhere.
        counted: What EXPR and AU are means over, a line each, where it is not all that there is.
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


def tune_clips(raws: Sequence[RawScores], folds: int) -> Tuned:
    """Chooses the decision on labelled clips with cross-fitting over people.

    Args:
        raws: What the model says of them; labels are in `RawScores.clip`.
        folds: Most folds of people.

    Raises:
        UserError: If the clips are of fewer than two people.
    """
    pool = Pool(raws)
    held_out = pool.folds(folds)
    counts = pool.smoothing_counts()
    neutral = dict(zip(TASKS, vars(Decision()).values(), strict=True))
    chosen: dict[str, Any] = {}
    of_folds: dict[str, list[Any]] = {}
    decided: dict[str, dict[str, np.ndarray]] = {"neutral": {}, "cross": {}, "in": {}}
    with ProgressReport("choices", len(TASKS)) as progress:
        for task in TASKS:
            chosen[task] = choose(pool, task, counts[task], np.arange(len(pool.raws)))
            decided["neutral"][task] = _decided(pool, task, neutral[task])
            of_folds[task] = choices_of_folds(pool, task, counts[task], held_out)
            decided["cross"][task] = _decided_by_folds(pool, task, held_out, of_folds[task])
            decided["in"][task] = _decided(pool, task, chosen[task])
            progress.step(task)
    scores = {name: _scores(pool, of_tasks) for name, of_tasks in decided.items()}
    tuned = tuple(t for t in TASKS if scores["cross"][t] > scores["neutral"][t])
    kept = {t: decided["cross" if t in tuned else "neutral"][t] for t in TASKS}
    return Tuned(
        decision=Decision(*(chosen[t] if t in tuned else neutral[t] for t in TASKS)),
        tuned=tuned,
        folds=len(held_out),
        neutral=scores["neutral"],
        cross_fitted=scores["cross"],
        in_sample=scores["in"],
        quoted=_scores(pool, kept),
        counted=tuple(_pooled(pool, kept).counted()),
        by_fold=tuple(
            (clips, Decision(*(of_folds[t][fold] if t in tuned else neutral[t] for t in TASKS)))
            for fold, clips in enumerate(held_out)
        ),
    )


def choose(pool: Pool, task: str, counts: np.ndarray, clips: np.ndarray) -> Any:
    """A task's decision that is best on some clips, given the counts (J, K, ...) of all."""
    criterion = CRITERIA[task]
    best = int(np.argmax(criterion.scores(counts[:, clips].sum(axis=1))))
    frames = np.isin(pool.clip, clips)
    values = pool.smoothed(task, CANDIDATES[best])[frames]
    return criterion.fit(CANDIDATES[best], values, pool.labels_of(frames))


def cross_fitted(
    pool: Pool, task: str, counts: np.ndarray, folds: Sequence[np.ndarray]
) -> np.ndarray:
    """(N, ...) decided values, those of each fold by what is best on the other folds."""
    return _decided_by_folds(pool, task, folds, choices_of_folds(pool, task, counts, folds))


def choices_of_folds(
    pool: Pool, task: str, counts: np.ndarray, folds: Sequence[np.ndarray]
) -> list[Any]:
    """For each fold of clips the task's decision that is best on the other folds."""
    every = np.arange(len(pool.raws))
    return [choose(pool, task, counts, np.setdiff1d(every, held_out)) for held_out in folds]


def _decided_by_folds(
    pool: Pool, task: str, folds: Sequence[np.ndarray], choices: Sequence[Any]
) -> np.ndarray:
    """(N, ...) decided values, the clips of each fold by its own decision."""
    parts = []
    for held_out, choice in zip(folds, choices, strict=True):
        parts.append((np.isin(pool.clip, held_out), _decided(pool, task, choice)))
    out = np.empty_like(parts[0][1])
    for frames, values in parts:
        out[frames] = values[frames]
    return out


def _decided(pool: Pool, task: str, decision: Any) -> np.ndarray:
    return CRITERIA[task].decided(decision, pool.smoothed(task, decision.smoothing))


def _pooled(pool: Pool, decided: dict[str, np.ndarray]) -> MetricAccumulator:
    metrics = MetricAccumulator(expressions=pool.expressions)
    metrics.add(pool.labels, *(decided[task] for task in TASKS))
    return metrics


def _scores(pool: Pool, decided: dict[str, np.ndarray]) -> dict[str, float]:
    """Official scores of decided values of all three tasks."""
    scores = _pooled(pool, decided).scores()
    return {name: scores[name] for name in (*TASKS, "P")}
