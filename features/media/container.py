"""Opens media files and tells what their headers say. Data flow: file > container > streams."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av

from features.cli.progress import beat
from features.errors import UserError
from features.media.kinds import LOCAL

MIN_STEP = 1e-4
"""Seconds put between frames whose times in the container do not rise."""
AHEAD = 16
"""Times that are looked at where one falls or leaps."""
LEAP = 0.2
"""Seconds from one frame to the next from which on the later one is doubted."""
USUAL_RATE = 25.0
"""Frames per second where a container gives neither times nor a rate."""
LONGEST_LOSS = 1.0
"""Seconds of pictures or sound that may be undecodable in one go, if decoding takes up again."""
ALIVE_EVERY = 1000
"""Packets between signs of life."""
INDEX_SLACK = 2
"""Packets that an index may name in excess without the file being cut off."""


class MediaError(UserError):
    """A file that cannot be read as video or sound: one line with the file, fault and remedy."""


class NoVideo(MediaError):
    """A media file without a single video frame, e.g. a sound file."""


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a file for reading; any fault of the file becomes a MediaError, inside too."""
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise MediaError(f"{path}: not a file; give a video or sound file")
    fault = MediaError(f"{path}: not a video or sound file, or damaged; replace it or leave it out")
    try:
        # An absolute path, since ffmpeg takes what stands before a colon for a protocol.
        container = av.open(str(path.absolute()), options=LOCAL, metadata_errors="replace")
    except PermissionError as error:  # decoders raise it too, of damaged data
        raise MediaError(f"{path}: permission denied; mend its rights") from error
    except av.error.FFmpegError as error:
        raise fault from error
    try:
        with container:
            yield container
    except av.error.FFmpegError as error:
        raise fault from error


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first stream of moving pictures; NoVideo if there is none. Cover art does not count."""
    streams = video_streams(container)
    if not streams:
        raise NoVideo(f"{path}: no video in it, or its end is missing; give a whole video file")
    require_decoder(streams[0], path)
    return streams[0]


def require_decoder(stream: av.stream.Stream, path: Path) -> None:
    """Raises MediaError if a stream is of a kind that ffmpeg does not know."""
    if stream.codec_context is None:
        raise MediaError(
            f"{path}: no decoder for its {stream.type}, or its header is damaged; encode it again"
        )


def alive(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """The packets, with signs of life: a share may take minutes for those of hours."""
    for number, packet in enumerate(packets):
        if number % ALIVE_EVERY == 0:
            beat()
        yield packet


def seconds(ticks: int | None, of: av.Packet | av.VideoFrame | av.AudioFrame) -> float | None:
    """A timestamp of a packet or frame in seconds."""
    return None if ticks is None else float(ticks * (of.time_base or 0))


def is_cut(container: av.container.InputContainer, stream: av.stream.Stream, packets: int) -> bool:
    """Whether the end of the file is missing: its index names more packets than there are.

    The index counts, not the number of samples in the header, which for PCM is not that of packets
    and leaves edit lists out of account.
    """
    return has_index(container, stream) and len(stream.index_entries) - packets > INDEX_SLACK


def cut_off(path: Path, frames: int, promised: int) -> MediaError:
    """What is said of a video with fewer frames than its index or its packets promise."""
    return MediaError(
        f"{path}: breaks off after frame {frames} of {promised}, truncated or damaged; copy or"
        " encode it again, or leave it out"
    )


def has_index(container: av.container.InputContainer, stream: av.stream.Stream) -> bool:
    """Whether all packets are in an index: only the MP4 family has one that is exact.

    One in fragments has not: each tells of its own packets only, and so they become more than the
    header counts.
    """
    return "mp4" in container.format.name and 0 < len(stream.index_entries) <= stream.frames


def shown_entries(stream: av.stream.Stream) -> list[av.index.IndexEntry]:
    """Packets that the index names, without those that an edit list hides."""
    return [entry for entry in stream.index_entries if not entry.is_discard]


def is_key(stream: av.stream.Stream, packet: av.Packet) -> bool:
    """Whether a packet can be decoded by itself, or could before it was damaged: the index knows.

    It need not name all such packets, but the first.
    """
    entry, at = next(iter(stream.index_entries), None), packet.pts
    if packet.is_keyframe or entry is None or at is None:
        return packet.is_keyframe
    return bool(entry.is_keyframe and entry.timestamp <= at)


def nominal_rate(stream: av.VideoStream) -> float:
    """Frames per second as the container claims."""
    return float(stream.average_rate or stream.guessed_rate or USUAL_RATE)


def rising(times: Iterable[float | None], step: float) -> Iterator[float]:
    """Mends times so that they rise, moving as few as possible.

    Of the next `AHEAD` times those are kept that make the longest rising row, the earlier ones of
    two that are as long; so one wild time moves itself and not all that follow. A frame that is
    moved is put `MIN_STEP` behind its predecessor, or less, before the next that is kept; one
    without a time is put `step` seconds behind it. Times are looked at ahead only where they fall
    or leap.
    """
    source, ahead = iter(times), deque[float | None]()
    last: float | None = None
    while True:
        ahead.extend(islice(source, max(0, 2 - len(ahead))))
        if not ahead:
            return
        if _is_doubtful(last, ahead):
            ahead.extend(islice(source, AHEAD - len(ahead)))
            last = _mended(last, ahead)
        else:
            last = ahead[0] if ahead[0] is not None else 0.0 if last is None else last + step
        ahead.popleft()
        yield last


def _is_doubtful(last: float | None, ahead: Sequence[float | None]) -> bool:
    """Whether the first time, or the second, falls, or the first leaps."""
    time, after = ahead[0], ahead[1] if len(ahead) > 1 else None
    if time is None:
        return False
    falls = (last is not None and time <= last) or (after is not None and after <= time)
    return falls or (last is not None and time - last > LEAP)


def _mended(last: float | None, ahead: Sequence[float | None]) -> float:
    """The first time, or another if the longest rising row does without it."""
    times = list(ahead)
    lengths = [0] * len(times)  # of the longest rising row that begins here
    for i, here in reversed(list(enumerate(times))):
        if here is not None and (last is None or here > last):
            rest = zip(times[i + 1 :], lengths[i + 1 :], strict=True)
            later = (length for time, length in rest if time is not None and time > here)
            lengths[i] = 1 + max(later, default=0)
    longest = max(lengths)
    if lengths[0] == longest and longest:
        return float(times[0] or 0.0)
    if longest == 0:  # nothing comes after the last
        return (last or 0.0) + MIN_STEP
    kept = lengths.index(longest)
    goal = float(times[kept] or 0.0)
    if last is None:
        return goal - kept * MIN_STEP
    return last + min(MIN_STEP, (goal - last) / (kept + 1))


def video_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Streams of moving pictures: cover art does not count."""
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]
