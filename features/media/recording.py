"""A recording to be extracted: a file, or arrays in memory. Data flow: either > blocks and sound.

Letters: F frames, N samples, C channels.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from features.errors import UserError
from features.media.pictures.random_access import frames_at
from features.media.pictures.video import FrameBlock, Reader, read_frames
from features.media.sound.audio import Sound
from features.media.sound.audio_cache import SpooledSound, spool, spool_sound


class Recording(Protocol):
    """What is asked of a recording."""

    def blocks(self, batch: int) -> Iterator[FrameBlock]:
        """All frames, at most `batch` at a time; see `read_frames`."""
        ...

    def frames_at(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Pictures of some rows; see `features.media.frames_at`."""
        ...

    def sound(
        self, rates: Iterable[int], most: float | None = None
    ) -> AbstractContextManager[SpooledSound | None]:
        """The sound at some rates; see `spool_sound`."""
        ...


@dataclass(frozen=True)
class MediaFile:
    """A video or sound file.

    Attributes:
        path: The file.
        reader: Who decodes its pictures.
    """

    path: Path
    reader: Reader = "pyav"

    def blocks(self, batch: int) -> Iterator[FrameBlock]:
        """See `Recording`."""
        return read_frames(self.path, batch, reader=self.reader)

    def frames_at(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Recording`."""
        return frames_at(self.path, rows)

    def sound(
        self, rates: Iterable[int], most: float | None = None
    ) -> AbstractContextManager[SpooledSound | None]:
        """See `Recording`."""
        return spool_sound(self.path, rates, most)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A clip in memory.

    Args:
        frames: F pictures (H, W, 3) uint8 RGB of one size, upright; None: there are none.
        times: (F,) seconds of the frames, rising.
        samples: (N,), or (N, C) whose mean is heard; float from -1 to 1, or integers of full
            scale. None: there is no sound.
        rate: Samples per second.
        start: Seconds of the first sample, on the clock of the frames.

    Raises:
        UserError: If these do not fit each other.
    """

    frames: Sequence[np.ndarray] | np.ndarray | None = None
    times: Sequence[float] | np.ndarray | None = None
    samples: np.ndarray | None = None
    rate: int = 0
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.frames is None and self.samples is None:
            raise UserError("neither frames nor samples; give one of them, or both")
        if self.frames is not None:
            count = len(self.frames)
            shapes = {np.shape(frame) for frame in self.frames}
            if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[2] != 3:
                raise UserError(f"frames must be pictures (H, W, 3) of one size, not {shapes}")
            if any(np.asarray(frame).dtype != np.uint8 for frame in self.frames):
                raise UserError("frames must be uint8, RGB from 0 to 255")
            times = np.asarray([] if self.times is None else self.times, float)
            if times.shape != (count,) or not (np.diff(times) > 0).all():
                raise UserError(f"times must be ({count},) rising seconds, one a frame")
        if self.samples is not None:
            shape, kind = np.shape(self.samples), np.asarray(self.samples).dtype.kind
            if len(shape) not in (1, 2) or shape[-1] > shape[0] or kind not in "fi":
                raise UserError(f"samples must be (N,) or (N, C), floats or integers, not {shape}")
            if self.rate <= 0:
                raise UserError("samples need their rate in Hz")

    @cached_property
    def digest(self) -> str:
        """sha256 of all that is in it."""
        digest = hashlib.sha256(repr((self.rate, self.start)).encode())
        for array in (*(() if self.frames is None else self.frames), self.times, self.samples):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def mono(self) -> np.ndarray:
        """(N,) float32."""
        samples = np.asarray(self.samples)
        scale = np.iinfo(samples.dtype).max + 1.0 if samples.dtype.kind == "i" else 1.0
        heard = samples / scale if samples.ndim == 1 else samples.mean(axis=1) / scale
        return heard.astype(np.float32)

    def blocks(self, batch: int) -> Iterator[FrameBlock]:
        """See `Recording`."""
        frames, times = self.frames, np.asarray(self.times, np.float64)
        assert frames is not None
        for first in range(0, len(times), batch):
            rows = slice(first, first + batch)
            yield FrameBlock(np.stack(list(frames[rows])), times[rows], first)

    def frames_at(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Recording`."""
        assert self.frames is not None
        for row in sorted({int(row) for row in rows}):
            yield row, np.asarray(self.frames[row])

    def sound(
        self, rates: Iterable[int], most: float | None = None
    ) -> AbstractContextManager[SpooledSound | None]:
        """See `Recording`."""
        native = None
        if self.samples is not None:
            native = Sound(self.rate, self.start, _cut(self.mono, self.rate))
        return spool(native, rates, most)


def _cut(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (samples[first : first + size] for first in range(0, len(samples), size))
