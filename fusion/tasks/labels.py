"""Tasks, classes and units of ABAW, and the labels of one annotated person, with masks.

The fillers of the files (-5, -1) stay outside: here a missing label is a False in a mask.

Letters: F frames of one annotation file.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from features.errors import UserError

TASKS = ("VA", "EXPR", "AU")
DIMENSIONS = ("valence", "arousal")
EXPRESSIONS = (
    "Neutral",
    "Anger",
    "Disgust",
    "Fear",
    "Happiness",
    "Sadness",
    "Surprise",
    "Other",
)
"""Editions 3 and later; edition 2 has the first seven."""
UNITS = (
    "AU1",
    "AU2",
    "AU4",
    "AU6",
    "AU7",
    "AU10",
    "AU12",
    "AU15",
    "AU23",
    "AU24",
    "AU25",
    "AU26",
)


BinValues = Literal["centres", "ends"]
"""What a bin of valence or arousal stands for (fusion/tasks/va_bins.py)."""
REACH = 0.6
"""Steps to the row that a frame takes: half a step, and a little for times that are not even."""


@dataclass(frozen=True)
class FrameLabels:
    """Labels of one person in one video; row i belongs to frame i + 1 of the file.

    Values under a False mask are zero and mean nothing.

    Attributes:
        va: (F, 2) float32, valence and arousal in [-1, 1].
        va_mask: (F,) bool; the two are valid together or not at all.
        expr: (F,) int64, index into `EXPRESSIONS`.
        expr_mask: (F,) bool.
        au: (F, 12) float32, 0 or 1, order of `UNITS`.
        au_mask: (F, 12) bool, per element.
    """

    va: np.ndarray
    va_mask: np.ndarray
    expr: np.ndarray
    expr_mask: np.ndarray
    au: np.ndarray
    au_mask: np.ndarray

    def __len__(self) -> int:
        return len(self.va)

    @staticmethod
    def empty(frames: int) -> "FrameLabels":
        """`frames` rows without a single label."""
        return FrameLabels(
            va=np.zeros((frames, len(DIMENSIONS)), np.float32),
            va_mask=np.zeros(frames, bool),
            expr=np.zeros(frames, np.int64),
            expr_mask=np.zeros(frames, bool),
            au=np.zeros((frames, len(UNITS)), np.float32),
            au_mask=np.zeros((frames, len(UNITS)), bool),
        )

    def resized(self, frames: int) -> "FrameLabels":
        """The same labels for a video of `frames` frames: surplus rows cut, absent rows masked."""
        out = FrameLabels.empty(frames)
        shared = min(frames, len(self))
        for name in vars(out):
            getattr(out, name)[:shared] = getattr(self, name)[:shared]
        return out

    def tasks(self) -> list[str]:
        """Tasks of which there is any label: va, expr, au."""
        return [task.lower() for task in TASKS if getattr(self, f"{task.lower()}_mask").any()]

    def of_task(self, task: str) -> Self:
        """The labels of one task (va, expr, au) alone."""
        return self.of_tasks((task,))

    def of_tasks(self, tasks: Collection[str]) -> Self:
        """The labels of some tasks (va, expr, au) alone."""
        others = {
            n: np.zeros_like(a) for n, a in vars(self).items() if n.split("_")[0] not in tasks
        }
        return replace(self, **others)

    def on(self, times: np.ndarray) -> "FrameLabels":
        """A row for each frame of a video, whose times are (F,) float64 seconds."""
        return self.resized(len(times))

    def rows_for(self, frames: int) -> int:
        """How many rows there are for a video of `frames` frames: one each if all is well."""
        return len(self)

    def spread(self, places: np.ndarray) -> "FrameLabels":
        """Row i put at row `places[i]`; rows in between are not labelled.

        Args:
            places: (F,) whole numbers from 0, each once.
        """
        out = FrameLabels.empty(int(places.max()) + 1)
        for name, array in vars(out).items():
            array[places] = getattr(self, name)
        return out


@dataclass(frozen=True)
class ClipLabels(FrameLabels):
    """Labels of a whole clip: one row (F = 1), which holds for every frame of the video."""

    @staticmethod
    def of_expression(name: str | None) -> "ClipLabels":
        """One of `EXPRESSIONS` for the whole clip and no other label; None: not even that."""
        row = FrameLabels.empty(1)
        if name is not None:
            row.expr[:], row.expr_mask[:] = EXPRESSIONS.index(name), True
        return ClipLabels(**vars(row))

    def resized(self, frames: int) -> FrameLabels:
        """The row once for each of `frames` frames."""
        return FrameLabels(**{n: np.repeat(rows, frames, axis=0) for n, rows in vars(self).items()})

    def rows_for(self, frames: int) -> int:
        """As many as there are frames."""
        return frames


@dataclass(frozen=True)
class TimedLabels(FrameLabels):
    """Labels at moments of their own, which any video can be given: row i is for `times[i]`.

    A frame takes the row whose time is nearest, if that is no further than `reach`; where the
    nearest row is further, or has no label itself, the frame has none.

    Attributes:
        times: (F,) float64, seconds from the start of the video stream, strictly rising.
    """

    times: np.ndarray

    @property
    def step(self) -> float:
        """Median distance of the rows in seconds, 0 for a single one."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else 0.0

    def reach(self, times: np.ndarray) -> float:
        """How far the row of a frame may be: `REACH` steps of the rows, or of the frames."""
        frame = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        return REACH * max(self.step, frame)

    def resized(self, frames: int) -> FrameLabels:
        """Raises TypeError: see `on`."""
        raise TypeError("labels by time need the times of the frames")

    def on(self, times: np.ndarray) -> FrameLabels:
        """The nearest row of each frame.

        Raises:
            ValueError: If most rows lie behind the last frame: they are of another video, or their
                times are no seconds.
        """
        out = FrameLabels.empty(len(times))
        if not len(times) or not len(self):
            return out
        if 2 * self.behind(times) > len(self):
            raise ValueError(
                f"its labels reach {self.times[-1]:g} s, but it ends at {times[-1]:g} s; give the"
                " time in seconds from the start of the video"
            )
        after = np.searchsorted(self.times, times).clip(1, max(len(self) - 1, 1))
        before, after = after - 1, after.clip(max=len(self) - 1)
        earlier = times - self.times[before] <= self.times[after] - times
        nearest = np.where(earlier, before, after)
        near = np.abs(self.times[nearest] - times) <= self.reach(times)
        for name, rows in vars(out).items():
            rows[near] = getattr(self, name)[nearest[near]]
        return out

    def behind(self, times: np.ndarray) -> int:
        """Rows that are too late for the last frame."""
        return int((self.times > times[-1] + self.reach(times)).sum()) if len(times) else len(self)

    def of_tasks(self, tasks: Collection[str]) -> Self:
        """The labels of some tasks (va, expr, au) alone."""
        return replace(super().of_tasks(tasks), times=self.times)

    def rows_for(self, frames: int) -> int:
        """As many as there are frames."""
        return frames


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
        expressions: Names of the expressions that its data set has, over which EXPR is scored;
            empty: all of ABAW's.
    """

    id: str
    video: str
    split: str
    labels: FrameLabels
    group: str
    origin: str = ""
    expressions: frozenset[str] = frozenset()

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
        frames = max(len(first.labels), len(clip.labels))
        parts = [vars(one.labels.resized(frames)) for one in (first, clip)]
        labels = {name: parts[0][name] + parts[1][name] for name in parts[0]}  # zero if unlabelled
        found[clip.id] = replace(first, labels=FrameLabels(**labels))
    return list(found.values())
