"""Clips made longer or shorter without encoding them again.

Data flow: packets of a clip > again and again, each round later by the clip's length > a file.
"""

from collections.abc import Iterable
from pathlib import Path

import av

from features.errors import UserError
from features.media import NoVideo, probe
from features.media.container import open_media, video_stream
from features.pipeline.discovery import find_sources

Streams = dict[int, av.stream.Stream]


def loop_clip(clip: Path, target: Path, seconds: float) -> Path:
    """Copies the packets of picture and sound over and over, up to a length.

    A round lasts as long as the longer of picture and sound, so both stay in step; the last one is
    cut where both are long enough. The file appears under its name only when it is whole.

    Args:
        clip: Any video, whose first picture can be decoded by itself.
        target: File to write, e.g. `.mp4`; its folder is made.
        seconds: Length of the result: from the first packet up to the last that begins before.

    Returns:
        `target`.

    Raises:
        MediaError: If the clip cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    length = _round_length(clip)
    with av.open(str(partial), "w") as out:
        copies: Streams = {}
        for number in range(int(seconds / length) + 1):
            _append(clip, out, copies, number * length, seconds)
    partial.replace(target)
    return target


def videos_of(paths: Iterable[Path]) -> list[Path]:
    """All videos of files and folders, in the order of their names.

    Raises:
        UserError: If there is none.
    """
    paths = list(paths)
    found = [source.video for path in paths for source in find_sources(path) if source.video]
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no video in it; give files or folders")
    return found


def kind_of(clip: Path) -> str:
    """Size and rate of a video, whichever way it is held: `1280x720, 30 fps`."""
    try:
        info = probe(clip)
    except NoVideo as error:
        raise UserError(f"{clip}: has no picture; leave it out") from error
    long, short = max(info.width, info.height), min(info.width, info.height)
    return f"{long}x{short}, {round(info.rate)} fps"


def _round_length(clip: Path) -> float:
    """Seconds from the first to the end of the last packet of picture and sound."""
    starts: list[float] = []
    ends: list[float] = []
    with open_media(clip) as container:
        for packet in container.demux(_streams(container, clip)):
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                starts.append(at)
                ends.append(at + float((packet.duration or 0) * packet.time_base))
    if not starts or max(ends) <= min(starts):
        raise NoVideo(f"{clip}: its packets have no times; take another clip")
    return max(ends) - min(starts)


def _append(
    clip: Path, out: av.container.OutputContainer, copies: Streams, shift: float, until: float
) -> None:
    """Adds one round of a clip, `shift` seconds late, up to `until` seconds."""
    with open_media(clip) as container:
        streams = _streams(container, clip)
        if not copies:
            copies.update({s.index: out.add_stream_from_template(s) for s in streams})
        first: dict[int, float] = {}
        for packet in container.demux(streams):
            if packet.dts is None:  # the empty packet at the end
                continue
            at = float(packet.dts * packet.time_base)
            if shift + at - first.setdefault(packet.stream.index, at) >= until:
                continue
            ticks = round(shift / packet.time_base)
            packet.dts += ticks
            if packet.pts is not None:
                packet.pts += ticks
            packet.stream = copies[packet.stream.index]
            out.mux(packet)


def _streams(
    container: av.container.InputContainer, clip: Path
) -> list[av.VideoStream | av.AudioStream]:
    return [video_stream(container, clip), *container.streams.audio[:1]]
