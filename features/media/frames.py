"""Frames of a video with their times, in constant memory.

Data flow: file > decord (PyAV where decord is absent or does not fit) > pictures, turned upright
> blocks with the container's times.

decord decodes faster than PyAV, but it loses the container's clock, so the times are always PyAV's;
and behind a slow reader it decodes ahead without bound, so it only gets videos that fit in memory.

Letters: F frames of the video, N frames of a block.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import Any

import av
import numpy as np

from features.media.container import (
    MediaError,
    Timeline,
    nominal_rate,
    open_media,
    read_timeline,
    rising,
    seconds,
    video_stream,
)

try:
    import decord
except ImportError:  # there are wheels for Linux on x86-64 only
    decord = None
else:
    decord.logging.set_level(decord.logging.QUIET)

DECORD_BYTES = 512 << 20
"""Largest video that decord gets, as the bytes of all its pictures."""
MIN_DECORD_SIDE = 32
"""Pixels. decord returns pictures of narrower videos in a wrong shape."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        path: The file.
        width: Pixels, as shown (after rotation).
        height: Pixels, as shown.
        frames: Packets with a picture. Decoding may yield one or two fewer.
        seconds: From the first frame to the end of the last.
        rate: Frames per second on average.
        rotation: Degrees clockwise by which the stored pictures are turned: 0, 90, 180 or 270.
        has_sound: Whether there is a sound stream.
        start: Seconds of the first frame on the container's clock.
    """

    path: Path
    width: int
    height: int
    frames: int
    seconds: float
    rate: float
    rotation: int
    has_sound: bool
    start: float


@dataclass(frozen=True)
class FrameBlock:
    """Consecutive frames.

    Attributes:
        images: (N, H, W, 3) uint8, RGB, upright.
        times: (N,) float64, seconds from the first frame of the video.
        first: Index of `images[0]` in the video.
    """

    images: np.ndarray
    times: np.ndarray
    first: int


def probe(path: Path) -> VideoInfo:
    """Looks at a video without decoding more than one frame.

    Raises:
        MediaError: If it cannot be read; NoVideo for a file without a video frame, e.g. a sound
            file (`read_sound` reads those).
    """
    timeline = read_timeline(path)
    with open_media(path) as container:
        frame = _first_frame(container, path)
        turned = frame.rotation % 180 != 0
        steps, last = len(timeline.times) - 1, float(timeline.times[-1])
        rate = steps / last if steps else nominal_rate(video_stream(container, path))
        return VideoInfo(
            path=path,
            width=frame.height if turned else frame.width,
            height=frame.width if turned else frame.height,
            frames=len(timeline.times),
            seconds=last + 1 / rate,
            rate=rate,
            rotation=-frame.rotation % 360,
            has_sound=bool(container.streams.audio),
            start=timeline.start,
        )


def read_frames(path: Path, batch: int = 16) -> Iterator[FrameBlock]:
    """Reads all frames in the order they are shown, `batch` at a time.

    Times are the container's presentation times. Where they do not rise (duplicates, steps back)
    a frame is put 0.1 ms behind its predecessor.

    Raises:
        MediaError: If the file cannot be read, or decoding breaks off; names the last good frame.
    """
    first = 0
    pictures = _pictures(path)
    while pairs := list(islice(pictures, batch)):
        times = np.array([time for time, _ in pairs])
        images = np.stack([image for _, image in pairs])
        pairs.clear()  # else every picture would be held twice while the block is used
        yield FrameBlock(images, times, first)
        first += len(times)


def frame_times(path: Path) -> np.ndarray:
    """Times (F,) float64 of the frames that `read_frames` yields; MediaError as there.

    Reads packets only where they and the pictures must be one to one; decodes otherwise.
    """
    timeline = read_timeline(path)
    if timeline.certain:
        return timeline.times
    return np.array([time for time, _ in _pyav_frames(path, timeline)])


def _pictures(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """(time, picture) of every frame: decord's as far as it gets, PyAV's from there on."""
    timeline = read_timeline(path)
    done = 0
    reader = _open_decord(path, timeline)
    if reader is not None:
        for time, image in zip(timeline.times, _decord_images(reader), strict=False):
            yield float(time), image
            done += 1
        if done == len(timeline.times):
            return
    for time, frame in islice(_pyav_frames(path, timeline), done, None):
        yield time, _upright(frame)


def _open_decord(path: Path, timeline: Timeline) -> Any | None:
    """Opens decord's reader; None where it is absent, does not fit, or counts other frames."""
    if decord is None or not timeline.certain:
        return None
    with open_media(path) as container:
        frame = _first_frame(container, path)
    size = len(timeline.times) * frame.width * frame.height * 3
    narrow = min(frame.width, frame.height) < MIN_DECORD_SIDE
    if frame.rotation or narrow or size > DECORD_BYTES:
        return None
    try:
        reader = decord.VideoReader(str(path.absolute()))
    except (decord.DECORDError, RuntimeError):
        return None
    return reader if len(reader) == len(timeline.times) else None


def _decord_images(reader: Any) -> Iterator[np.ndarray]:
    """Pictures by decord up to the first that it cannot decode."""
    for _ in range(len(reader)):
        try:
            yield reader.next().asnumpy()
        except (decord.DECORDError, StopIteration):  # PyAV goes on here, or names the fault
            return


def _pyav_frames(path: Path, timeline: Timeline) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time, frame) of all frames that PyAV decodes."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        origin: float | None = None
        for time, frame in _timed(_decode(container, path, timeline), 1 / nominal_rate(stream)):
            origin = time if origin is None else origin
            yield time - origin, frame


def _timed(frames: Iterable[av.VideoFrame], step: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames with rising container times in seconds."""
    for_times, frames = tee(frames)
    yield from zip(rising((seconds(f.pts, f) for f in for_times), step), frames, strict=True)


def _decode(
    container: av.container.InputContainer, path: Path, timeline: Timeline
) -> Iterator[av.VideoFrame]:
    """Decoded frames; a fault in the middle becomes a MediaError that names the place."""
    done, expected = 0, timeline.promised or len(timeline.times)
    fault = f"of {expected}, truncated or damaged; copy or encode it again, or leave it out"
    try:
        for frame in container.decode(video_stream(container, path)):
            yield frame
            done += 1
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: breaks off after frame {done} {fault}") from error
    if timeline.promised or not done:
        raise MediaError(f"{path}: breaks off after frame {done} {fault}")


def _first_frame(container: av.container.InputContainer, path: Path) -> av.VideoFrame:
    frame = next(container.decode(video_stream(container, path)), None)
    if frame is None:
        raise MediaError(f"{path}: no frame can be decoded; replace it or leave it out")
    return frame


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) RGB, turned as the container says (PyAV counts counter-clockwise, as numpy)."""
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
