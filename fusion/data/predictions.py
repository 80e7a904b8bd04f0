"""Frame-level predictions of one person in one video.

Data flow: scores of the model > FramePredictions > file (`prediction_files`), report, pandas.

Letters: F frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from features.cli.wording import counted
from fusion.tasks.measuring.measures import Measures
from fusion.tasks.registry import Tasks


@dataclass(frozen=True)
class FramePredictions:
    """What the model says of one person in one video; row i belongs to frame i + 1.

    Attributes:
        id: Name of the person's track, e.g. `12` or `12_left`.
        video: Id of the video, e.g. `12`.
        times: (F,) float64, seconds from the start of the video stream, strictly rising.
        face: (F,) bool, whether a face was seen; if not, the scores rest on the other streams and
            on the frames around.
        tasks: What is said of each frame.
        values: Task to (F, C) float32: values, or probabilities.
        thresholds: Task to (C,) float32, of tasks whose values are on or off: on where a
            probability reaches its threshold.
        provenance: What made them, e.g. the checkpoint's hash and each stream's revision.
        measures: Further columns by name, see fusion/tasks/measuring/measures.py.

    Raises:
        ValueError: If shapes, types or ranges break the contract.
    """

    id: str
    video: str
    times: np.ndarray
    face: np.ndarray
    tasks: Tasks
    values: Mapping[str, np.ndarray]
    thresholds: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    measures: Measures = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = len(self.times)
        _expect("times", self.times, (frames,), np.float64, -np.inf, np.inf)
        _expect("face", self.face, (frames,), np.bool_, 0, 1)
        if list(self.tasks) != list(self.values):
            raise ValueError(f"tasks {list(self.tasks)}, but values of {list(self.values)}")
        for name, task in self.tasks.items():
            width = len(task.columns)
            low, high = task.value_range()
            _expect(name, self.values[name], (frames, width), np.float32, low, high)
            task.check_values(self.values[name])
            if name in self.thresholds:
                limits = self.thresholds[name]
                _expect("thresholds", limits, (width,), np.float32, -np.inf, np.inf)
        for name, measure in self.measures.items():
            if len(measure) != frames:
                raise ValueError(
                    f"{name}: {counted(len(measure), 'row')}, but {counted(frames, 'frame')}"
                )
        if (np.diff(self.times) <= 0).any():
            raise ValueError("times must rise strictly")

    def __len__(self) -> int:
        return len(self.times)

    def decided(self, task: str) -> np.ndarray:
        """What is scored of a task: (F, C) numbers, (F,) classes, or (F, C) on or off."""
        return self.tasks[task].said_of(self.values[task], self.thresholds.get(task))

    def first(self, frames: int) -> "FramePredictions":
        """At most so many of the first frames."""
        return replace(
            self,
            times=self.times[:frames],
            face=self.face[:frames],
            values={name: rows[:frames] for name, rows in self.values.items()},
            measures={name: measure.first(frames) for name, measure in self.measures.items()},
        )


def _expect(
    name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type, low: float, high: float
) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{name} must be {shape} {dtype.__name__}, not {array.shape} {array.dtype}"
        )
    if not (np.isfinite(array) & (array >= low) & (array <= high)).all():
        raise ValueError(f"{name} must be finite and in [{low:g}, {high:g}]")
