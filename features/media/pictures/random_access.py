"""Few frames of a video, without decoding all. Data flow: rows > keyframes before them > pictures.

decord is not used: where it seeks it gives other pixels than PyAV for open groups of pictures, and
it is no faster.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np

from features.media.container import MediaError, open_media
from features.media.pictures.display import Display, Painter
from features.media.pictures.video_decoder import decoded_stream, read_pictures
from features.media.timeline import Timeline, read_timeline


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
        frame, at = _next(frames), 0
        if frame is None:
            return
        painter = Painter(Display.of(stream, frame))
        targets = [timeline.ticks[timeline.keys], timeline.seeks]
        for row in (row for row in wanted if row < len(timeline.ticks)):
            key = int(np.searchsorted(timeline.keys, row, "right")) - 1
            if key >= 0 and timeline.keys[key] > at:
                at = int(timeline.keys[key])
                for clock in targets.copy():
                    container.seek(int(clock[key]), stream=stream)
                    frames = container.decode(stream)
                    frame = _at(frames, int(timeline.ticks[at]))
                    if frame is not None:
                        break
                    targets.reverse()  # the next key will be sought by what served
            while frame is not None and at < row and frame.pts == timeline.ticks[at]:
                frame, at = _next(frames), at + 1
            if frame is None or frame.pts != timeline.ticks[at]:
                return
            yield row, painter.painted(frame)


def _at(frames: Iterator[av.VideoFrame], ticks: int) -> av.VideoFrame | None:
    """The frame of that time; None if only later ones come.

    MPEG's streams are sought by when packets are decoded, and land behind a frame's packet if told
    when it is shown.
    """
    while (frame := _next(frames)) is not None and (frame.pts is None or frame.pts < ticks):
        pass
    return frame if frame is not None and frame.pts == ticks else None


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
