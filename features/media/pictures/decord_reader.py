"""Pictures by decord, for those who ask for it. Data flow: file > decord > blocks of RGB pictures.

PyAV is as fast or faster and reads everything. decord serves where it is known to give the very
same pictures: in MP4 and Matroska, 8-bit, progressive, shown as stored, undamaged, and small, since
behind a slow reader it decodes ahead without bound.

Letters: N frames of a block.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from features.errors import UserError
from features.media.container import open_media, video_stream
from features.media.ending import say_ending
from features.media.pictures.display import Display
from features.media.timeline import Timeline, read_timeline

try:
    import decord
except ImportError:  # there are wheels for Linux on x86-64 only
    decord = None
else:
    decord.logging.set_level(decord.logging.QUIET)

DECORD_BYTES = 512 << 20
"""Largest video that decord gets, as the bytes of all its pictures."""
SOUGHT = ("mp4", "matroska")
"""Containers in which decord finds a frame by its number; in MPEG's it lands beside it."""
MIN_SIDE = 32
"""Pixels. decord returns pictures of narrower videos in a wrong shape."""


def decord_blocks(path: Path, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures (N, H, W, 3) uint8 RGB and times (N,) as far as decord serves.

    Nothing for a video that does not suit it; less than all if it cannot go on.

    Raises:
        UserError: If decord is not installed; MediaError if the file cannot be read.
    """
    if decord is None:
        raise UserError("--reader decord: decord is absent; pip install decord, or take pyav")
    timeline = read_timeline(path)
    reader = _open(path, timeline)
    if reader is None:
        return
    for first in range(0, len(timeline.times), batch):
        times = timeline.times[first : first + batch]
        try:
            images = reader.get_batch(range(first, first + len(times))).asnumpy()
        except decord.DECORDError:
            return
        yield images, times
    say_ending(path)


def _open(path: Path, timeline: Timeline) -> Any | None:
    """Decord's reader; None where it does not fit, or counts other frames."""
    if not timeline.certain or timeline.dropped:
        return None
    with open_media(path) as container:
        if not any(kind in container.format.name for kind in SOUGHT):
            return None
        stream = video_stream(container, path)
        frame = next(container.decode(stream), None)
        if frame is None or not _suits(frame, Display.of(stream, frame), len(timeline.times)):
            return None
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
    except (decord.DECORDError, RuntimeError):
        return None
    return reader if len(reader) == len(timeline.times) else None


def _suits(frame: av.VideoFrame, display: Display, frames: int) -> bool:
    """Whether decord gives the same pictures as PyAV, judged by the first."""
    plain = display.fits(frame) and not frame.interlaced_frame
    eight_bits = all(part.bits == 8 for part in frame.format.components)
    size = frames * frame.width * frame.height * 3
    return (
        plain and eight_bits and min(frame.width, frame.height) >= MIN_SIDE and size <= DECORD_BYTES
    )
