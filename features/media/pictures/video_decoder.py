"""Decodes pictures packet by packet. Data flow: packets > PyAV > pictures with their times.

A packet that cannot be decoded does not end a video: if its place is known from the other packets
and decoding soon takes up again, the picture before it stands in, marked as lost.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import av
import numpy as np

from features.media.container import (
    LONGEST_LOSS,
    MIN_STEP,
    MediaError,
    cut_off,
    is_cut,
    is_key,
    nominal_rate,
    open_media,
    rising,
    seconds,
    video_stream,
)
from features.media.ending import Ending
from features.media.pictures.display import Display
from features.media.timeline import Timeline, has_times, read_timeline

log = logging.getLogger(__name__)

MOST_PACKETS = 2
"""Packets that may make up a frame: those of its fields."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        time: Seconds from the first picture.
        frame: As decoded: neither RGB nor turned upright.
        display: How the frames of this video are shown.
        lost: Whether it could not be decoded; `frame` is the one before it.
    """

    time: float
    frame: av.VideoFrame
    display: Display
    lost: bool = False


def read_pictures(path: Path, threads: int = 1) -> Iterator[Picture]:
    """All pictures of a video in the order they are shown.

    Raises:
        MediaError: If the file cannot be read, or decoding breaks off; names the last good frame.
    """
    with open_media(path) as container:
        stream = decoded_stream(container, path, threads)
        clock, shown = tee(_Decoding(path, container, stream).pictures())
        times = rising((picture[0] for picture in clock), 1 / nominal_rate(stream))
        origin, display = 0.0, None
        for time, (_, frame, lost) in zip(times, shown, strict=True):
            if display is None:
                origin, display = time, Display.of(stream, frame)
            yield Picture(time - origin, frame, display, lost)


def decoded_stream(
    container: av.container.InputContainer, path: Path, threads: int = 1
) -> av.VideoStream:
    """The video stream, set to decode with so many threads."""
    stream = video_stream(container, path)
    stream.thread_type = "FRAME"
    stream.codec_context.thread_count = threads
    return stream


class _Decoding:
    """Decodes one stream; from the first fault on it knows where each frame belongs."""

    def __init__(
        self, path: Path, container: av.container.InputContainer, stream: av.VideoStream
    ) -> None:
        self._path, self._container, self._stream = path, container, stream
        self._rows = 0
        self._plan: Timeline | None = None
        self._clock = None if has_times(container, stream) else read_timeline(path)
        self._opens: float | None = None  # seconds of the first packet that is to be shown
        self._first: float | None = None  # seconds of the first picture
        self._gone = list[float]()  # seconds of pictures for which others stand in

    def pictures(self) -> Iterator[tuple[float | None, av.VideoFrame, bool]]:
        """(seconds on the container's clock, frame, lost) of every picture."""
        last: av.VideoFrame | None = None
        try:
            for frame in self._decode():
                time = seconds(frame.pts, frame)
                row = self._row_of(time)
                if row < self._rows:
                    continue  # noise may decode to pictures that no packet promised
                for lost in self._lost(row):
                    if last is None:
                        raise self._broken()
                    self._gone.append(lost)
                    yield lost, last, True
                    self._rows += 1
                self._first = time if self._rows == 0 else self._first
                yield self._shown_at(time), frame, False
                self._rows += 1
                last = frame
        except av.error.FFmpegError as error:
            raise self._broken() from error
        self._say()

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Frames of the packets that can be decoded."""
        packets, hidden, keyed = 0, 0, False
        ending = Ending(self._path, self._container, self._stream)
        for packet in self._container.demux(self._stream):
            packets += bool(packet.size)
            hidden += packet.is_discard
            keyed = keyed or is_key(self._stream, packet)
            ending.watch(packet)
            if self._opens is None and not packet.is_discard:
                self._opens = seconds(packet.pts, packet)
            try:
                frames = packet.decode()
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                # The last of a file whose end is missing, or what comes before the first key.
                if packet.is_corrupt or not keyed:
                    continue
                self._plan = self._plan or read_timeline(self._path)
                if not self._plan.certain:
                    raise
                continue
            yield from frames
        if is_cut(self._container, self._stream, packets) or self._too_few(packets - hidden):
            raise self._broken()
        ending.say()

    def _say(self) -> None:
        """Says what of the video is not shown as it was recorded."""
        if self._opens is not None and self._first is not None:
            late = self._first - self._opens
            if late > LONGEST_LOSS:
                log.warning(
                    "%s: its first %.2f s of pictures cannot be decoded, since the file begins"
                    " between keyframes; frames are counted from there on",
                    *(self._path, late),
                )
        if self._gone:
            log.warning(
                "%s: %d of its pictures, first at %.2f s, cannot be decoded; the ones before stand"
                " in, without a face",
                *(self._path, len(self._gone), self._gone[0] - (self._first or 0.0)),
            )

    def _too_few(self, packets: int) -> bool:
        """Whether frames are missing, of so many packets that are to be shown."""
        if self._plan is None and self._rows >= max(1, packets / MOST_PACKETS):
            return False
        damaged, self._plan = self._plan is not None, self._plan or read_timeline(self._path)
        return self._rows < max(1, len(self._plan.times) / (1 if damaged else MOST_PACKETS))

    def _shown_at(self, time: float | None) -> float | None:
        """Seconds at which the next row is shown, by the container's clock."""
        if time is None and self._rows == 0:
            return read_timeline(self._path).start
        if self._clock is None or self._rows >= len(self._clock.times):
            return None if self._clock else time
        return float(self._clock.start + self._clock.times[self._rows])

    def _row_of(self, time: float | None) -> int:
        """Row of a frame; after a fault they need not follow each other."""
        if self._plan is None or time is None:
            return self._rows
        moment = time - self._plan.start - MIN_STEP / 2
        return int(np.searchsorted(self._plan.times, moment))

    def _lost(self, row: int) -> list[float]:
        """Times on the container's clock of the pictures that are missing before a row."""
        if self._plan is None or row == self._rows:
            return []
        times = [*self._plan.times, np.inf]
        if times[row] - times[self._rows] > LONGEST_LOSS:
            raise self._broken()
        return [float(time + self._plan.start) for time in times[self._rows : row]]

    def _broken(self) -> MediaError:
        plan = self._plan or read_timeline(self._path)
        return cut_off(self._path, self._rows, plan.promised or len(plan.times))
