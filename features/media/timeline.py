"""When the frames of a video are shown, by its packets alone. Data flow: packets > Timeline.

A packet need not give a frame: an edit list hides some; a decoder drops what comes before the first
frame that can be decoded by itself, and what is shown before that one though it comes behind it
(leading pictures of an open group). So the first frame is decoded, and tells where they begin.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from features.media.container import (
    NoVideo,
    alive,
    is_cut,
    is_key,
    nominal_rate,
    open_media,
    rising,
    shown_entries,
    video_stream,
    video_streams,
)

VP8_SHOWN = 0x10
"""Bit of the first byte of a VP8 frame (RFC 6386, 9.1) without which it is never shown."""


@dataclass(frozen=True)
class Timeline:
    """Times of a video as its packets tell them.

    Attributes:
        times: (F,) float64, seconds from the first frame, strictly rising. Evenly spaced guesses if
            a packet has no time.
        start: Seconds of the first frame on the container's clock.
        certain: Whether frame and row must be one to one: every packet has a time of its own, the
            order of the packets fits it, there is one video stream, nothing is damaged or cut off.
        promised: Frames that the file's index promises, if its end is cut off; else None.
        dropped: Packets at the beginning that give no frame, though no edit list hides them.
        ticks: (F,) int64, times on the container's own clock; empty if a packet has none.
        keys: (K,) int64, rows of the frames that can be decoded by themselves; empty as `ticks`.
        seeks: (K,) int64, just before those are decoded, on the container's clock: what some
            containers seek by.
    """

    times: np.ndarray
    start: float
    certain: bool
    promised: int | None = None
    dropped: int = 0
    ticks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    seeks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def read_timeline(path: Path) -> Timeline:
    """Reads the times of all frames; those of the last few files are remembered.

    Raises:
        MediaError: If the file cannot be read; NoVideo if it holds no frame.
    """
    try:
        state = path.stat()
    except OSError:  # opening will tell why
        return _read(path)
    return _remembered(path, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=4)
def _remembered(path: Path, *_: int) -> Timeline:
    """The timeline of a file in one state: of an hour, it takes seconds to read."""
    return _read(path)


def _read(path: Path) -> Timeline:
    with open_media(path) as container:
        stream = video_stream(container, path)
        opening, marks = _Opening(stream), list[_Mark]()
        for packet in alive(container.demux(stream)):
            opening.look(packet)
            if packet.size:
                marks.append(_mark(packet, stream))
        cut = is_cut(container, stream, len(marks))
        promised = len(shown_entries(stream)) if cut else None
        plain = not cut and len(video_streams(container)) == 1 and has_times(container, stream)
        plain = plain and _in_order(marks, stream.codec_context.has_b_frames)
        step, tick = 1 / nominal_rate(stream), stream.time_base or Fraction(0)
    shown = [mark for mark in marks if mark.shown]
    if not shown:
        raise NoVideo(f"{path}: the video holds no frame; replace it or leave it out")
    if any(mark.ticks is None for mark in shown):
        start = next((t for t in (opening.ticks, *(m.ticks for m in shown)) if t is not None), 0)
        before = next((row for row, mark in enumerate(shown) if mark.key), 0)
        times = np.arange(len(shown) - before) * step
        return Timeline(times, float(start * tick), False, promised, before)
    first = min(mark.ticks or 0 for mark in shown) if opening.ticks is None else opening.ticks
    dropped = sum((mark.ticks or 0) < first for mark in shown)
    shown = sorted(shown, key=lambda mark: mark.ticks or 0)[dropped:]
    ticks = np.array([mark.ticks for mark in shown], np.int64)
    times = np.array(list(rising((float((mark.ticks or 0) * tick) for mark in shown), step)))
    keys = np.flatnonzero([mark.key for mark in shown])
    clean = marks[0].key or bool(shown[0].key)  # else some decoders give pictures of nothing
    certain = plain and clean and opening.ticks == ticks[0] and bool((np.diff(ticks) > 0).all())
    seeks = np.array([m.ticks if m.decoded is None else m.decoded - 1 for m in shown])[keys]
    begin = float(times[0])
    return Timeline(times - begin, begin, certain, promised, dropped, ticks, keys, seeks)


def has_times(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether packets tell when they are shown: AVI's tell only when they are decoded."""
    return "avi" not in container.format.name or not stream.codec_context.has_b_frames


class _Mark(NamedTuple):
    """What is kept of a packet: all packets of an hour are as large as the file."""

    ticks: int | None
    decoded: int | None
    key: bool
    shown: bool
    damaged: bool


def _mark(packet: av.Packet, stream: av.VideoStream) -> _Mark:
    hidden = packet.is_discard
    if stream.codec_context.name == "vp8":
        hidden = hidden or not memoryview(packet)[0] & VP8_SHOWN
    return _Mark(packet.pts, packet.dts, packet.is_keyframe, not hidden, packet.is_corrupt)


def _in_order(marks: Sequence[_Mark], reorders: bool) -> bool:
    """Whether the order of the packets fits their times, and nothing was lost on the way.

    A frame that can be decoded by itself is shown after all that come before it in the file; where
    a decoder does not reorder, so is every frame.
    """
    last: int | None = None
    for mark in marks:
        if mark.ticks is None or mark.damaged:
            return False
        if last is not None and mark.ticks <= last and (mark.key or not reorders):
            return False
        last = mark.ticks if last is None else max(mark.ticks, last)
    return True


class _Opening:
    """Decodes the first frame of a stream.

    Attributes:
        ticks: Its time on the container's clock, reckoned from the next that has one if need be;
            None if the first that can be decoded by itself is damaged, which is for those to judge
            who decode.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self.ticks: int | None = None
        self._stream = stream
        self._looking, self._untimed, self._keyed = True, 0, False
        self._step = round(1 / (nominal_rate(stream) * float(stream.time_base or 1)))
        stream.codec_context.thread_count = 1

    def look(self, packet: av.Packet) -> None:
        """Decodes the next packet as long as no frame with a time has come."""
        if not self._looking:
            return
        self._keyed = self._keyed or is_key(self._stream, packet)
        try:
            frames = packet.decode()
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            self._looking = not self._keyed
            return
        for frame in frames:
            if frame.pts is not None:
                self.ticks, self._looking = frame.pts - self._untimed * self._step, False
                return
            self._untimed += 1
