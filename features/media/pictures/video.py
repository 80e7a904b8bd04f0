"""Frames of a video with their times, in constant memory.

Data flow: file > pictures (video_decoder.py) > RGB as shown (display.py) > blocks with the
container's
times.

Letters: F frames of the video, N frames of a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import av
import numpy as np

from features.media.container import (
    MediaError,
    nominal_rate,
    open_media,
    video_stream,
)
from features.media.pictures.decord_reader import decord_blocks
from features.media.pictures.display import Display, Painter
from features.media.pictures.video_decoder import Picture, read_pictures
from features.media.timeline import read_timeline

Reader = Literal["pyav", "decord"]
"""Who decodes pictures."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        path: The file.
        width: Pixels, as shown: upright, and square.
        height: Pixels, as shown.
        frames: Packets with a picture. Decoding may yield one or two fewer.
        seconds: From the first frame to the end of the last.
        rate: Frames per second on average.
        rotation: Degrees clockwise by which the stored pictures are turned: 0, 90, 180 or 270.
        mirrored: Whether left and right of the stored pictures are swapped, before they are turned.
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
    mirrored: bool
    has_sound: bool
    start: float


@dataclass(frozen=True)
class FrameBlock:
    """Consecutive frames.

    Attributes:
        images: (N, H, W, 3) uint8, RGB, as shown: upright, with square pixels.
        times: (N,) float64, seconds from the first frame of the video.
        first: Index of `images[0]` in the video.
        lost: Indices in the video of frames that could not be decoded: their pictures repeat the
            one before.
    """

    images: np.ndarray
    times: np.ndarray
    first: int
    lost: tuple[int, ...] = ()

    def first_frames(self, count: int) -> "FrameBlock":
        """The first `count` frames of the block."""
        lost = tuple(row for row in self.lost if row < self.first + count)
        return FrameBlock(self.images[:count], self.times[:count], self.first, lost)


def probe(path: Path) -> VideoInfo:
    """Looks at a video without decoding more than one frame.

    Raises:
        MediaError: If it cannot be read; NoVideo for a file without a video frame, e.g. a sound
            file (`read_sound` reads those).
    """
    timeline = read_timeline(path)
    with open_media(path) as container:
        frame = _first_frame(container, path)
        display = Display.of(video_stream(container, path), frame)
        width, height = display.size
        steps, last = len(timeline.times) - 1, float(timeline.times[-1])
        rate = steps / last if steps else nominal_rate(video_stream(container, path))
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            frames=len(timeline.times),
            seconds=last + 1 / rate,
            rate=rate,
            rotation=display.rotation,
            mirrored=display.mirrored,
            has_sound=bool(container.streams.audio),
            start=timeline.start,
        )


def read_frames(
    path: Path, batch: int = 16, threads: int | None = None, reader: Reader = "pyav"
) -> Iterator[FrameBlock]:
    """Reads all frames in the order they are shown, `batch` at a time.

    Times are the container's presentation times. Where they do not rise (duplicates, steps back)
    a frame is put 0.1 ms behind its predecessor. Where the resolution changes, frames are scaled
    to the size of the first.

    Args:
        path: A video file.
        batch: Frames of a block.
        threads: Threads that decode; one by default. More are of use only where cores lie idle;
            what a damaged video shows beside the damage may depend on their number.
        reader: `decord` decodes where it gives the same pictures; PyAV does all else.

    Raises:
        MediaError: If the file cannot be read, or decoding breaks off; names the last good frame.
    """
    first, painter = 0, None
    for images, times in decord_blocks(path, batch) if reader == "decord" else ():
        yield FrameBlock(images, times, first)
        first += len(times)
    if first and first == len(read_timeline(path).times):
        return
    pictures = islice(read_pictures(path, threads or 1), first, None)
    while (opening := next(pictures, None)) is not None:
        painter = painter or Painter(opening.display)
        block = _block(chain([opening], islice(pictures, batch - 1)), painter, batch, first)
        first += len(block.times)
        yield block
        del block  # else there would be two while the next is made


def frame_times(path: Path) -> np.ndarray:
    """Times (F,) float64 of the frames that `read_frames` yields; MediaError as there.

    Reads packets only where they and the pictures must be one to one; decodes otherwise.
    """
    timeline = read_timeline(path)
    if timeline.certain:
        return timeline.times.copy()
    return np.array([picture.time for picture in read_pictures(path)])


def _block(pictures: Iterator[Picture], painter: Painter, batch: int, first: int) -> FrameBlock:
    """Decodes at most `batch` pictures straight into an array."""
    images = np.empty((batch, *painter.shape), np.uint8)
    times, lost = list[float](), list[int]()
    for row, picture in enumerate(pictures):
        painter.paint(picture.frame, images[row])
        times.append(picture.time)
        if picture.lost:
            lost.append(first + row)
    return FrameBlock(images[: len(times)], np.array(times), first, tuple(lost))


def _first_frame(container: av.container.InputContainer, path: Path) -> av.VideoFrame:
    frame = next(container.decode(video_stream(container, path)), None)
    if frame is None:
        raise MediaError(f"{path}: no frame can be decoded; replace it or leave it out")
    return frame
