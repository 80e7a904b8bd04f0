"""Windows of a fixed length over a clip, and their scores put together again.

Data flow: F frames > starts of windows > model > scores of the windows > (F, ...) scores.

Letters: W windows, B windows of a batch, L frames of a window, F frames of a clip.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np


def cut(frames: int, length: int = 300, stride: int = 200) -> list[int]:
    """First frames of the windows over a clip, rising.

    Every frame lies in a window. The last window ends with the clip, so it may overlap more than
    the others. A clip shorter than `length` gives one window, to be padded behind a mask.

    >>> cut(1000), cut(300), cut(7), cut(0)
    ([0, 200, 400, 600, 700], [0], [0], [])

    Raises:
        ValueError: If a frame could fall between two windows.
    """
    if not 0 < stride <= length:
        raise ValueError(f"stride must lie between 1 and the window's length, {length}: {stride}")
    if frames <= 0:
        return []
    last = max(frames - length, 0)
    return [*range(0, last, stride), last]


def stitch(scores: Sequence[np.ndarray], starts: Sequence[int], frames: int) -> np.ndarray:
    """Overlap-add: a weighted mean of what the windows say of each frame.

    The weight is a triangle that is highest in the middle of a window, where the model sees both
    sides, and never zero. What a window says beyond the last frame (its padding) is dropped.

    Args:
        scores: W arrays (L, ...), one for each window.
        starts: W first frames, as `cut` gives them.
        frames: F.

    Returns:
        (F, ...) of the dtype of the scores; the sums are in float64.

    Raises:
        ValueError: If a frame lies in no window.
    """
    if not len(scores):
        raise ValueError("no windows to stitch")
    tail, dtype = scores[0].shape[1:], scores[0].dtype
    total, weight = np.zeros((frames, *tail)), np.zeros((frames,) + (1,) * len(tail))
    for window, start in zip(scores, starts, strict=True):
        inside = min(len(window), frames - start)
        part = _triangle(inside).reshape(-1, *(1,) * len(tail))
        total[start : start + inside] += part * window[:inside]
        weight[start : start + inside] += part
    if (weight == 0).any():
        raise ValueError(f"frame {int(np.argmin(weight.ravel()))} of {frames} lies in no window")
    return (total / weight).astype(dtype)


def _triangle(length: int) -> np.ndarray:
    """Weights 1, 2, ... 2, 1, (L,) float64."""
    ramp = np.arange(1.0, length + 1)
    return np.minimum(ramp, ramp[::-1])


@dataclass
class WindowPool:
    """Scores of windows gathered from batches, each window once.

    A distributed sampler repeats windows to fill its last batches; here the clip and the start
    name a window, so the repeats change nothing.
    """

    _windows: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)

    def add(self, clip: Iterable[int], start: Iterable[int], scores: np.ndarray) -> None:
        """Adds a batch: clips (B,), first frames (B,), scores (B, L, ...)."""
        for index, first, window in zip(clip, start, scores, strict=True):
            self._windows.setdefault(int(index), {})[int(first)] = np.asarray(window)

    def stitched(self, lengths: Sequence[int]) -> dict[int, np.ndarray]:
        """Scores (F, ...) of every clip that was added, by the clip's index, rising.

        Args:
            lengths: Frames of each clip of the data set, by the clip's index.
        """
        return {
            clip: stitch(list(windows.values()), list(windows), lengths[clip])
            for clip, windows in sorted(self._windows.items())
        }
