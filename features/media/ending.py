"""Files whose end is missing: said, and what is there is used.

Data flow: packets as they are read > where they end; header, last bytes > where they should.

Only an MP4 without its end cannot be used, for its index tells exactly what lacks (container.py).
A Matroska file, or what a recorder was still writing, is good up to the place where it stops.
"""

import logging
import struct
from mmap import ACCESS_READ, mmap
from pathlib import Path

import av

from features.media.container import has_index, nominal_rate, open_media, seconds, video_stream

SLACK = 0.25
"""Seconds, besides a frame, by which files may end before their header says, as muxers round."""
HEADED = frozenset({"matroska", "flv", "rm", "mxf", "asf", "aiff", "au", "flac", "mp4"})
"""Containers whose header tells a duration; in others ffmpeg takes it from what is there."""
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Name of the part of an ASF header that tells size and duration."""
TS_PACKETS = ((0, 188), (4, 192))
"""Where the first byte that marks a packet of a transport stream lies, and the packet's length."""
CLUSTER = bytes.fromhex("1f43b675")
"""Name of the parts of a Matroska file that hold packets."""
TAIL = 1 << 17
"""Bytes at the end of a file that are looked at: more than two pages of Ogg."""

log = logging.getLogger(__name__)


class Ending:
    """Watches the packets of a stream; says so if the file should go on behind them.

    Args:
        path: The file.
        container: It, opened.
        stream: The stream that is read.
    """

    def __init__(
        self, path: Path, container: av.container.InputContainer, stream: av.stream.Stream
    ) -> None:
        self._path, self._container, self._stream = path, container, stream
        self._ticks, self._broken = 0, False

    def watch(self, packet: av.Packet) -> None:
        """Takes note of a packet."""
        at = packet.dts if packet.pts is None else packet.pts
        if packet.size and at is not None:
            self._ticks = max(self._ticks, at + (packet.duration or 0))
            self._broken = packet.is_corrupt

    def say(self) -> None:
        """Says, behind the last packet, what is missing."""
        promised, end = _promised(self._path, self._container), self._seconds()
        if promised > end + self._slack():  # another stream may be longer
            end = max(end, _last_second(self._path))
        if promised > end + self._slack():
            log.warning(
                "%s: its header promises %.2f s, but it ends at %.2f s: cut off, or never"
                " finished; what is there is used",
                *(self._path, promised, end),
            )
        elif self._stops():
            log.warning(
                "%s: it breaks off at %.2f s: cut off, or never finished; what is there is used",
                *(self._path, max(end, _last_second(self._path))),
            )

    def _seconds(self) -> float:
        return float(self._ticks * (self._stream.time_base or 0))

    def _slack(self) -> float:
        stream = self._stream
        return SLACK + (1 / nominal_rate(stream) if isinstance(stream, av.VideoStream) else 0.0)

    def _stops(self) -> bool:
        """Whether the last packet, or the file by its kind, is not complete."""
        kind = self._container.format.name
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            head = file.read(12)
            file.seek(max(0, size - TAIL))
            tail = file.read()
        if kind == "wav":
            riff = struct.unpack_from("<I", head.ljust(12), 4)[0] if head[:4] == b"RIFF" else 0
            return size < riff + 8 < 1 << 31  # larger ones are written where nothing is known
        if kind == "ogg":
            return not all(_ogg_ends(tail).values())
        if kind == "mpegts":
            return any(head[at:][:1] == b"G" and size % of for at, of in TS_PACKETS)
        if "matroska" in kind:
            return _cluster_stops(self._path)
        if kind == "gif":
            return b";" not in tail[-2:]
        return self._broken and bool(self._container.streams.video)


def say_ending(path: Path) -> None:
    """Says what is missing at the end of a video, for those who do not read its packets."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        ending = Ending(path, container, stream)
        for packet in container.demux(stream):
            ending.watch(packet)
        ending.say()


def _promised(path: Path, container: av.container.InputContainer) -> float:
    """Seconds at which the file ends as its header says; 0 if it says nothing."""
    kinds = set(container.format.name.split(","))
    if "avi" in kinds:
        return max((s.frames / nominal_rate(s) for s in container.streams.video), default=0.0)
    if not kinds & HEADED or any(has_index(container, stream) for stream in container.streams):
        return 0.0
    if "asf" in kinds and not container.duration:
        return _promised_by_asf(path)
    return (container.duration or 0) / av.time_base


def _promised_by_asf(path: Path) -> float:
    """Seconds that an ASF header tells, which ffmpeg does not believe if the file is shorter."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = head.find(ASF_FILE)
    if at < 0 or len(head) < at + 96:
        return 0.0
    length, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    return 0.0 if flags & 1 else length / 1e7 - preroll / 1e3  # 1: still being written


def _ogg_ends(tail: bytes) -> dict[int, bool]:
    """Whether the last page of each stream is marked as its last (RFC 3533, 6)."""
    ends: dict[int, bool] = {}
    at = tail.find(b"OggS")
    while 0 <= at <= len(tail) - 27:
        ends[struct.unpack_from("<I", tail, at + 14)[0]] = bool(tail[at + 5] & 4)
        at = tail.find(b"OggS", at + 27)
    return ends


def _cluster_stops(path: Path) -> bool:
    """Whether the file ends within an element of its last cluster (RFC 9559, 5.1.3)."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        at = data.rfind(CLUSTER)
        while 0 <= at < len(data):
            name = _vint_bytes(data[at])
            length = _vint_bytes(data[at + name]) if at + name < len(data) else 9
            size = data[at + name : at + name + length]
            if not name or len(size) < length:
                return True
            inside = int.from_bytes(size, "big") & ((1 << 7 * length) - 1)
            unknown = inside == (1 << 7 * length) - 1  # as recorders write it
            into = unknown or data[at : at + name] == CLUSTER
            at += name + length + (0 if into else inside)
        return at > len(data)


def _vint_bytes(first: int) -> int:
    """Bytes of a name or size that begins so (RFC 8794, 4); 0 if none does."""
    return 9 - first.bit_length() if first else 0


def _last_second(path: Path) -> float:
    """Where the last packet of all streams ends."""
    last = 0.0
    with open_media(path) as container:
        for packet in container.demux():
            at = seconds(packet.dts if packet.pts is None else packet.pts, packet)
            if packet.size and at is not None:
                last = max(last, at + (seconds(packet.duration, packet) or 0.0))
    return last
