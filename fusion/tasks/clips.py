"""Clips: annotated (or listed) people in videos, with what is known of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from features.errors import UserError
from fusion.tasks.labels import FrameLabels, united


@dataclass(frozen=True)
class Clip:
    """One annotated (or listed) person in one video, in one part of the data.

    Attributes:
        id: Name of the annotation file's stem, e.g. `12` or `12_left`.
        video: Id of the raw video, e.g. `12`.
        split: `train`, `validation` or `test`.
        labels: One row a frame, or one for all (`ClipLabels`); no rows if nothing is known.
        group: Who or what must not be split over folds: the person if known, else the video.
        origin: What its labels are from, for messages, e.g. `RAVDESS`.
        classes: Task to the names of the classes that its data set has, over which the task is
            scored; a task that is not there has all of its classes.
    """

    id: str
    video: str
    split: str
    labels: FrameLabels
    group: str
    origin: str = ""
    classes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def labels_on(self, times: np.ndarray) -> FrameLabels:
        """A row of labels for each frame of the clip.

        Args:
            times: (F,) float64, seconds.

        Raises:
            UserError: If labels that have times are of another video.
        """
        try:
            return self.labels.on(times)
        except ValueError as error:
            raise UserError(f"{self.id}: {error}") from error


def classes_of(clips: Iterable[Clip]) -> dict[str, frozenset[str]]:
    """Task to the names of the classes that the data sets of the clips have."""
    found: dict[str, frozenset[str]] = {}
    for clip in clips:
        for task, names in clip.classes.items():
            found[task] = found.get(task, frozenset()) | names
    return found


def once_each(clips: Iterable[Clip]) -> list[Clip]:
    """One clip for each id, in order of first appearance, with the labels of all that have it.

    An id may lie in several splits, for different tasks.

    Raises:
        UserError: If two clips of one id have labels of the same task.
    """
    found: dict[str, Clip] = {}
    for clip in clips:
        first = found.setdefault(clip.id, clip)
        if first is clip:
            continue
        if both := sorted(set(first.labels.tasks()) & set(clip.labels.tasks())):
            raise UserError(
                f"'{clip.id}' has labels of {both[0].upper()} in {first.split} and in {clip.split};"
                " remove it from one of them"
            )
        found[clip.id] = replace(first, labels=united(first.labels, clip.labels))
    return list(found.values())
