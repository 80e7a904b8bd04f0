"""Few frames of a video, without decoding all. Data flow: rows > keyframes before them > pictures.

decord is not used: where it seeks it gives other pixels than PyAV for open groups of pictures, and
it is no faster.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np

from features.media.container import MediaError, Timeline, open_media, read_timeline
from features.media.decode import decoded_stream, read_pictures
from features.media.display import Display, Painter


def frames_at(path: Path, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures of some rows, the same that `read_frames` gives, each as soon as it is decoded.

    Seeks where the packets tell the place of every frame; reads from the beginning otherwise.

    Args:
        path: A video file.
        rows: Indices of frames in the video, in any order.

    Yields:
        Row and picture (H, W, 3) uint8, RGB, as shown; rows rise, none comes twice.

    Raises:
        MediaError: If the file cannot be read, or ends before a row.
    """
    wanted = sorted({int(row) for row in rows})
    done = -1
    for row, image in _seek(path, read_timeline(path), wanted):
        yield row, image
        done = row
    yield from _read(path, [row for row in wanted if row > done])


def _seek(path: Path, timeline: Timeline, wanted: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures up to the first that is not where the packets say, e.g. behind damage."""
    if not timeline.certain:
        return
    with open_media(path) as container:
        stream = decoded_stream(container, path)
        frames = container.decode(stream)
        frame = _next(frames)
        if frame is None:
            return
        painter, at = Painter(Display.of(stream, frame)), 0
        for row in (row for row in wanted if row < len(timeline.ticks)):
            key = int(timeline.keys[timeline.keys <= row][-1])
            if key > at:
                container.seek(int(timeline.ticks[key]), stream=stream)
                frames = container.decode(stream)
                frame = _next(frames)
            while frame is not None and (frame.pts or 0) < timeline.ticks[row]:
                frame = _next(frames)
            if frame is None or frame.pts != timeline.ticks[row]:
                return
            at = row
            yield row, painter.painted(frame)


def _next(frames: Iterator[av.VideoFrame]) -> av.VideoFrame | None:
    """The next frame; None at the end and at a fault, which a reading from the start will name."""
    try:
        return next(frames, None)
    except av.error.FFmpegError:
        return None


def _read(path: Path, wanted: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures, decoded from the beginning."""
    if not wanted:
        return
    painter: Painter | None = None
    last, rows = wanted[-1], set(wanted)
    for row, picture in enumerate(read_pictures(path)):
        painter = painter or Painter(picture.display)
        if row in rows:
            yield row, painter.painted(picture.frame)
        if row == last:
            return
    raise MediaError(f"{path}: has no frame {last}; extract it again")
