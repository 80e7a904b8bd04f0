"""Opens media files and reads their clock. Data flow: file > packets > times of the frames."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from features.cli import UserError

MIN_STEP = 1e-4
"""Seconds put between frames whose times in the container do not rise."""
USUAL_RATE = 25.0
"""Frames per second where a container gives neither times nor a rate."""
INDEX_SLACK = 2
"""Packets that an index may name in excess without the file being cut off."""


class MediaError(UserError):
    """A file that cannot be read as video or sound: one line with the file, fault and remedy."""


class NoVideo(MediaError):
    """A media file without a single video frame, e.g. a sound file."""


@dataclass(frozen=True)
class Timeline:
    """Times of a video as its packets tell them, without decoding.

    Attributes:
        times: (F,) float64, seconds from the first frame, strictly rising.
        start: Seconds of the first frame on the container's clock.
        certain: Whether packets and pictures must be one to one: every packet has a time, the
            first can be decoded by itself, there is one video stream and nothing is cut off.
        promised: Frames that the file's index promises, if its end is cut off; else None.
    """

    times: np.ndarray
    start: float
    certain: bool
    promised: int | None = None


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a file for reading; any fault of the file becomes a MediaError, inside too."""
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise MediaError(f"{path}: not a file; give a video or sound file")
    try:
        # An absolute path, since ffmpeg takes what stands before a colon for a protocol.
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            yield container
    except PermissionError as error:
        raise MediaError(f"{path}: permission denied; mend its rights") from error
    except av.error.FFmpegError as error:
        raise MediaError(
            f"{path}: not a video or sound file, or damaged; replace it or leave it out"
        ) from error


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first stream of moving pictures; NoVideo if there is none. Cover art does not count."""
    streams = _video_streams(container)
    if not streams:
        raise NoVideo(f"{path}: no video in it, or its end is missing; give a whole video file")
    return streams[0]


def read_timeline(path: Path) -> Timeline:
    """Reads the times of all frames from the packets.

    Raises:
        MediaError: If the file cannot be read; NoVideo if it holds no frame.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        packets = [packet for packet in container.demux(stream) if packet.size]
        cut = is_cut(container, stream, len(packets))
        alone = len(_video_streams(container)) == 1
        step = 1 / nominal_rate(stream)
        shown = [(seconds(p.pts, p), p.is_keyframe) for p in packets if not p.is_discard]
    if not shown:
        raise NoVideo(f"{path}: the video holds no frame; replace it or leave it out")
    known = sorted(time for time, _ in shown if time is not None)
    whole = len(known) == len(shown)
    times = np.array(list(rising(known + [None] * (len(shown) - len(known)), step)))
    certain = alone and whole and not cut and shown[0][1]
    return Timeline(times - times[0], float(times[0]), certain, stream.frames if cut else None)


def seconds(ticks: int | None, of: av.Packet | av.VideoFrame | av.AudioFrame) -> float | None:
    """A timestamp of a packet or frame in seconds."""
    return None if ticks is None else float(ticks * (of.time_base or 0))


def is_cut(container: av.container.InputContainer, stream: av.stream.Stream, packets: int) -> bool:
    """Whether the end of the file is missing: its index names more packets than there are.

    Only the MP4 family has an exact index; in others the number is a guess.
    """
    return "mp4" in container.format.name and stream.frames - packets > INDEX_SLACK


def nominal_rate(stream: av.VideoStream) -> float:
    """Frames per second as the container claims."""
    return float(stream.average_rate or stream.guessed_rate or USUAL_RATE)


def rising(times: Iterable[float | None], step: float) -> Iterator[float]:
    """Mends times so that they rise, changing as few as possible.

    A frame that does not come after its predecessor is put `MIN_STEP` behind it; one without a
    time is put `step` seconds behind it.
    """
    last: float | None = None
    for time in times:
        if time is None:
            time = 0.0 if last is None else last + step
        elif last is not None and time <= last:
            time = last + MIN_STEP
        yield time
        last = time


def _video_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]
