"""Labels of one annotated person, task by task, with masks.

The fillers of the files (-5, -1) stay outside: here a missing label is a False in a mask. Which
tasks there are and what their values mean, the tasks say themselves (fusion/tasks/NAME.py); here
they are rows under a name.

Letters: F frames of one annotation file, C columns of a task's values.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

REACH = 0.6
"""Steps to the row that a frame takes: half a step, and a little for times that are not even."""


@dataclass(frozen=True)
class TaskLabels:
    """Labels of one task; values under a False mask are zero and mean nothing.

    Attributes:
        values: (F,) int64 classes, or (F, C) float32.
        mask: (F,) bool, or (F, C) where a row may be labelled in part.
        names: What the values are of, in the order of the data set: its classes, or its columns;
            the task that uses them puts them into its own order. Empty: they are in that already.
    """

    values: np.ndarray
    mask: np.ndarray
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | np.ndarray) -> "TaskLabels":
        """Some of the rows."""
        return TaskLabels(self.values[rows], self.mask[rows], self.names)

    @property
    def rows(self) -> np.ndarray:
        """(F,) bool: rows that have any label."""
        return self.mask if self.mask.ndim == 1 else np.asarray(self.mask.any(axis=1))

    def blank(self, frames: int) -> "TaskLabels":
        """`frames` rows of the same kind without a label."""
        return TaskLabels(
            np.zeros((frames, *self.values.shape[1:]), self.values.dtype),
            np.zeros((frames, *self.mask.shape[1:]), bool),
            self.names,
        )

    def placed(self, frames: int, places: slice | np.ndarray) -> "TaskLabels":
        """Row i at row `places[i]` of `frames` rows; the others are not labelled."""
        out = self.blank(frames)
        out.values[places], out.mask[places] = self.values, self.mask
        return out


@dataclass(frozen=True)
class FrameLabels:
    """Labels of one person in one video; row i belongs to frame i + 1 of the file.

    Attributes:
        frames: F.
        by_task: Task to its labels, F rows each; a task that is not there has no label.
    """

    frames: int
    by_task: Mapping[str, TaskLabels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, labels in self.by_task.items():
            if len(labels) != self.frames:
                raise ValueError(
                    f"{task}: labels {labels.values.shape} are not of {self.frames} frames"
                )

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, task: str) -> TaskLabels:
        """The labels of a task; KeyError if it has none at all."""
        return self.by_task[task]

    def tasks(self) -> list[str]:
        """Tasks of which there is any label."""
        return [task for task, labels in self.by_task.items() if labels.mask.any()]

    @property
    def rows(self) -> np.ndarray:
        """(F,) bool: rows that have any label of any task."""
        known = np.zeros(self.frames, bool)
        for labels in self.by_task.values():
            known |= labels.rows
        return known

    def with_task(self, task: str, labels: TaskLabels) -> Self:
        """These labels with those of a task, in place of any that it had."""
        return replace(self, by_task={**self.by_task, task: labels})

    def of_task(self, task: str) -> Self:
        """The labels of one task alone."""
        return self.of_tasks((task,))

    def of_tasks(self, tasks: Collection[str]) -> Self:
        """The labels of some tasks alone."""
        return replace(self, by_task={t: each for t, each in self.by_task.items() if t in tasks})

    def at(self, rows: slice | np.ndarray) -> "FrameLabels":
        """Some of the rows: a slice, indices or a mask (F,)."""
        count = len(np.arange(self.frames)[rows])
        return FrameLabels(count, {task: each[rows] for task, each in self.by_task.items()})

    def resized(self, frames: int) -> "FrameLabels":
        """The same labels for a video of `frames` frames: surplus rows cut, absent rows masked."""
        shared = slice(min(frames, len(self)))
        return FrameLabels(
            frames, {t: each[shared].placed(frames, shared) for t, each in self.by_task.items()}
        )

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
        frames = int(places.max()) + 1
        return FrameLabels(frames, {t: e.placed(frames, places) for t, e in self.by_task.items()})


@dataclass(frozen=True)
class ClipLabels(FrameLabels):
    """Labels of a whole clip: one row (F = 1), which holds for every frame of the video."""

    def resized(self, frames: int) -> FrameLabels:
        """The row once for each of `frames` frames."""
        return self.at(np.zeros(frames, np.int64))

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

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))

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
        if not len(times) or not len(self):
            return FrameLabels(
                len(times), {task: each.blank(len(times)) for task, each in self.by_task.items()}
            )
        if 2 * self.behind(times) > len(self):
            raise ValueError(
                f"its labels reach {self.times[-1]:g} s, but it ends at {times[-1]:g} s; give the"
                " time in seconds from the start of the video"
            )
        after = np.searchsorted(self.times, times).clip(1, max(len(self) - 1, 1))
        before, after = after - 1, after.clip(max=len(self) - 1)
        earlier = times - self.times[before] <= self.times[after] - times
        nearest = np.where(earlier, before, after)
        near = np.flatnonzero(np.abs(self.times[nearest] - times) <= self.reach(times))
        return FrameLabels(
            len(times),
            {t: each[nearest[near]].placed(len(times), near) for t, each in self.by_task.items()},
        )

    def behind(self, times: np.ndarray) -> int:
        """Rows that are too late for the last frame."""
        return int((self.times > times[-1] + self.reach(times)).sum()) if len(times) else len(self)

    def rows_for(self, frames: int) -> int:
        """As many as there are frames."""
        return frames


def one_after_another(parts: Sequence[FrameLabels]) -> FrameLabels:
    """Labels of several clips as those of one; a part without a task has no label of it."""
    like = {task: each for one in parts for task, each in one.by_task.items()}
    rows = {
        task: [one.by_task.get(task) or each.blank(len(one)) for one in parts]
        for task, each in like.items()
    }
    return FrameLabels(
        sum(map(len, parts)),
        {
            task: TaskLabels(
                np.concatenate([one.values for one in each]),
                np.concatenate([one.mask for one in each]),
                each[0].names if each else (),
            )
            for task, each in rows.items()
        },
    )


def united(first: FrameLabels, second: FrameLabels) -> FrameLabels:
    """Labels of two that have none of the same task, on as many frames as the longer has."""
    frames = max(len(first), len(second))
    ours, theirs = (one.of_tasks(one.tasks()).resized(frames) for one in (first, second))
    return FrameLabels(frames, {**ours.by_task, **theirs.by_task})
