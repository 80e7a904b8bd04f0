"""Scores of what a model says of windows: windows of all clips > each clip whole > official scores.

Validation keeps the scores of all windows, puts each clip together again and scores all valid
frames of the split at once, as `fusion.evaluate` does; nothing is averaged over batches.

Letters: N real frames of a window, F frames of a clip, C columns of scores.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fusion.data.batch import Batch, Scores
from fusion.data.columns import joined, parted
from fusion.data.windowing import stitch
from fusion.metrics.official import MetricAccumulator
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import Tasks


@dataclass(frozen=True)
class ScoredWindow:
    """What the model says of one window, and the truth, without padding.

    Attributes:
        clip: Index of the clip in its data set.
        start: First frame.
        scores: (N, C) float32, columns as in fusion/data/columns.py.
        labels: N frames.
    """

    clip: int
    start: int
    scores: np.ndarray
    labels: FrameLabels


def scored_windows(batch: Batch, scores: Scores, tasks: Tasks) -> list[ScoredWindow]:
    """Takes a batch apart, padding left behind."""
    columns = joined(scores, tasks).cpu().numpy()
    labels = {
        name: TaskLabels(each.values.cpu().numpy(), each.mask.cpu().numpy())
        for name, each in batch.targets.items()
    }
    windows = []
    for row, count in enumerate(batch.frames.sum(dim=1).tolist()):
        own = {
            name: TaskLabels(each.values[row, :count], each.mask[row, :count])
            for name, each in labels.items()
        }
        clip, start = int(batch.clip[row]), int(batch.start[row])
        windows.append(ScoredWindow(clip, start, columns[row, :count], FrameLabels(count, own)))
    return windows


def official_window_scores(
    windows: Iterable[ScoredWindow],
    tasks: Tasks,
    judges: Tasks,
    classes: Mapping[str, frozenset[str]],
) -> dict[str, float]:
    """Official scores over all frames of all clips, nothing decided but what is neutral.

    Args:
        windows: Of all clips; one that comes twice counts once.
        tasks: Of which the windows have scores.
        judges: Those that are scored.
        classes: Task to the names of the classes that the data set has.
    """
    clips: dict[int, dict[int, ScoredWindow]] = {}
    for window in windows:
        clips.setdefault(window.clip, {})[window.start] = window
    metrics = MetricAccumulator(judges, classes=classes)
    for _, parts in sorted(clips.items()):
        labels, scores = _whole_clip([parts[start] for start in sorted(parts)])
        columns = parted(scores, tasks)
        values = {
            name: task.final(task.neutral(), task.bounded(columns[name]))
            for name, task in judges.items()
        }
        metrics.add(labels, values)
    return metrics.scores()


def _whole_clip(windows: list[ScoredWindow]) -> tuple[FrameLabels, np.ndarray]:
    """Labels of F frames and scores (F, C) from the windows of one clip."""
    frames = max(window.start + len(window.labels) for window in windows)
    labels = FrameLabels(frames, {n: e.blank(frames) for n, e in windows[0].labels.by_task.items()})
    for window in windows:
        part = slice(window.start, window.start + len(window.labels))
        for name, each in window.labels.by_task.items():
            labels[name].values[part], labels[name].mask[part] = each.values, each.mask
    scores = stitch([window.scores for window in windows], [w.start for w in windows], frames)
    return labels, scores
