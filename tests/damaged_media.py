"""Damaged media files made from real clips, the same ones at every call.

Data flow: clips > excerpts (a second each, stream copy) > damaged bytes, or packets > mutants.
Every function takes a random generator and does the same for the same seed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from features.media import frame_times

SAME = {"fflags": "+bitexact"}
"""Option of containers: without it, Matroska's hold random numbers."""
SECONDS = 1.2
"""Length of the excerpts."""
Damage = Callable[[bytes, np.random.Generator], bytes]
Packets = list[av.Packet]
Change = Callable[..., Iterable[av.Packet]]
"""Packets, and `rng`, to packets."""


@dataclass(frozen=True)
class Mutant:
    """A file that was made.

    Attributes:
        path: The file.
        kind: How it was damaged.
        frames: Frames that must come out of it; None if the damage may reach the pictures.
    """

    path: Path
    kind: str
    frames: int | None


def make_mutants(clips: Sequence[Path], folder: Path) -> list[Mutant]:
    """Makes a file of each kind in `folder`, from the clips in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    excerpts = [folder / f".{number}.mp4" for number in range(len(clips))]
    for clip, excerpt in zip(clips, excerpts, strict=True):
        copy_packets(clip, excerpt, SECONDS)
    made = []
    for number, kind in enumerate([*DAMAGES, *REMUXES]):
        excerpt, rng = excerpts[number % len(excerpts)], np.random.default_rng(number)
        suffix, change = REMUXES.get(kind, (".mp4", _as_they_are))
        path = folder / f"{number:03d}{suffix}"
        if kind in DAMAGES:
            path.write_bytes(DAMAGES[kind](excerpt.read_bytes(), rng))
        else:
            copy_packets(excerpt, path, change=partial(change, rng=rng))
        made.append(Mutant(path, kind, len(frame_times(excerpt)) if kind in WHOLE else None))
    for excerpt in excerpts:
        excerpt.unlink()
    return made


def copy_packets(
    source: Path,
    goal: Path,
    seconds: float = 1e9,
    change: Callable[[Packets], Iterable[av.Packet]] = iter,
) -> None:
    """Copies the first seconds of picture and sound without decoding.

    Args:
        source: A video file.
        goal: File to write; its suffix chooses the container.
        seconds: Length.
        change: Takes all packets, ordered by decoding time; returns those to write.
    """
    options = SAME | ({"movflags": "faststart"} if goal.suffix == ".mp4" else {})
    with av.open(str(source)) as old, av.open(str(goal), "w", options=options) as new:
        streams = [old.streams.video[0], *old.streams.audio[:1]]
        copies = {one.index: new.add_stream_from_template(one) for one in streams}
        packets = [p for p in old.demux(streams) if p.dts is not None and _at(p) < seconds]
        for packet in change(packets):
            packet.stream = copies[packet.stream.index]
            new.mux(packet)


def _at(packet: av.Packet) -> float:
    return float((packet.dts or 0) * packet.time_base)


# Bytes -----------------------------------------------------------------------------------------


def flips(count: int, box: bytes = b"") -> Damage:
    """Flips `count` bits, in a box of the mp4 (`mdat`, `moov`) or anywhere."""

    def flip(data: bytes, rng: np.random.Generator) -> bytes:
        new = bytearray(data)
        first, last = _box(data, box)
        for at in rng.integers(first, last, count):
            new[at] ^= 1 << int(rng.integers(8))
        return bytes(new)

    return flip


def cut(share: float) -> Damage:
    """Keeps only the first part of a file."""
    return lambda data, rng: data[: int(len(data) * share)]


def blot(share: float, noise: bool = False) -> Damage:
    """Overwrites a piece of the pictures and sound with zeros or noise."""

    def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
        first, last = _box(data, b"mdat")
        length = max(1, int((last - first) * share))
        at = int(rng.integers(first, last - length + 1))
        piece = rng.bytes(length) if noise else bytes(length)
        return data[:at] + piece + data[at + length :]

    return overwrite


def head(length: int, noise: bool) -> Damage:
    """Overwrites the beginning of a file."""
    return lambda data, rng: (rng.bytes(length) if noise else bytes(length)) + data[length:]


def without(box: bytes) -> Damage:
    """Leaves a box out."""

    def leave_out(data: bytes, rng: np.random.Generator) -> bytes:
        first, last = _box(data, box)
        return data[: first - 8] + data[last:]

    return leave_out


def lost_piece(data: bytes, rng: np.random.Generator) -> bytes:
    """A hundredth of the file is missing, somewhere."""
    at, length = int(rng.integers(len(data))), len(data) // 100
    return data[:at] + data[at + length :]


def twice_a_piece(data: bytes, rng: np.random.Generator) -> bytes:
    """A hundredth of the file is there twice."""
    at, length = int(rng.integers(len(data))), len(data) // 100
    return data[: at + length] + data[at:]


def junk_behind(data: bytes, rng: np.random.Generator) -> bytes:
    """Noise follows the file."""
    return data + rng.bytes(5000)


def _box(data: bytes, name: bytes) -> tuple[int, int]:
    """First byte and end of a box's content at the top level of an mp4; the file without name."""
    at = 0
    while name and at < len(data):
        size = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == name:
            return at + 8, at + size
        at += size
    return 0, len(data)


DAMAGES: dict[str, Damage] = {
    "3 bits flipped": flips(3),
    "30 bits flipped": flips(30),
    "300 bits flipped": flips(300),
    "3000 bits flipped": flips(3000),
    "a bit of pictures or sound flipped": flips(1, b"mdat"),
    "100 bits of pictures and sound flipped": flips(100, b"mdat"),
    "a bit of the index flipped": flips(1, b"moov"),
    "10 bits of the index flipped": flips(10, b"moov"),
    "200 bits of the index flipped": flips(200, b"moov"),
    "cut to a hundredth": cut(0.01),
    "cut in half": cut(0.5),
    "cut to nine tenths": cut(0.9),
    "last byte missing": lambda data, rng: data[:-1],
    "empty": cut(0.0),
    "zeros in place of 1 % of the pictures": blot(0.01),
    "zeros in place of 20 % of the pictures": blot(0.2),
    "noise in place of 1 % of the pictures": blot(0.01, noise=True),
    "noise in place of 50 % of the pictures": blot(0.5, noise=True),
    "first 64 bytes zero": head(64, noise=False),
    "first 1000 bytes noise": head(1000, noise=True),
    "without index": without(b"moov"),
    "without pictures and sound": without(b"mdat"),
    "a piece missing": lost_piece,
    "a piece there twice": twice_a_piece,
    "noise behind the end": junk_behind,
}

# Packets ---------------------------------------------------------------------------------------


def _pictures(packets: Packets) -> Packets:
    return [packet for packet in packets if packet.stream.type == "video"]


def drop_pictures(packets: Packets, rng: np.random.Generator) -> Packets:
    """A fifth of the pictures is missing; the first stays."""
    dropped = {id(p) for p in _pictures(packets)[1:] if rng.random() < 0.2}
    return [packet for packet in packets if id(packet) not in dropped]


def drop_first(packets: Packets, rng: np.random.Generator) -> Packets:
    """The picture that the others build on is missing."""
    first = _pictures(packets)[0]
    return [packet for packet in packets if packet is not first]


def drop_sound(packets: Packets, rng: np.random.Generator) -> Packets:
    """Half of the sound is missing."""
    return [p for p in packets if p.stream.type == "video" or rng.random() < 0.5]


def swap_pictures(packets: Packets, rng: np.random.Generator) -> Packets:
    """Coded pictures are in another order, the times are not."""
    pictures = _pictures(packets)
    others = dict(zip(map(id, pictures), rng.permutation(len(pictures)), strict=True))
    return [_with(p, bytes(pictures[others[id(p)]])) if id(p) in others else p for p in packets]


def damage_sound(packets: Packets, rng: np.random.Generator) -> Packets:
    """A tenth of the packets of sound is noise."""
    return [
        _with(p, rng.bytes(p.size)) if p.stream.type == "audio" and rng.random() < 0.1 else p
        for p in packets
    ]


def noisy_picture(packets: Packets, rng: np.random.Generator) -> Packets:
    """A picture in the middle is noise."""
    pictures = _pictures(packets)
    chosen = pictures[int(rng.integers(1, len(pictures) - 1))]
    return [_with(p, rng.bytes(p.size)) if p is chosen else p for p in packets]


def shuffle_times(packets: Packets, rng: np.random.Generator) -> Packets:
    """Pictures are shown up to three steps too late, not in their order."""
    pictures = _pictures(packets)
    step = max(1, int(np.median(np.diff([p.dts or 0 for p in pictures]))))
    for packet in pictures:
        packet.pts = (packet.dts or 0) + step * int(rng.integers(4))
    return packets


def same_times(packets: Packets, rng: np.random.Generator) -> Packets:
    """Every second picture has the time of the one before."""
    pictures = _pictures(packets)
    for packet in pictures:
        packet.pts = max(packet.pts or 0, packet.dts or 0)
    for one, other in zip(pictures[::2], pictures[1::2], strict=False):
        other.pts = max(one.pts or 0, other.dts or 0)
    return packets


def _with(packet: av.Packet, data: bytes) -> av.Packet:
    """A packet with other content."""
    new = av.Packet(data)
    new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
    new.time_base, new.stream, new.is_keyframe = packet.time_base, packet.stream, packet.is_keyframe
    return new


def _as_they_are(packets: Packets, rng: np.random.Generator) -> Packets:
    return packets


REMUXES: dict[str, tuple[str, Change]] = {
    "a fifth of the pictures dropped": (".mp4", drop_pictures),
    "the first picture dropped": (".mkv", drop_first),
    "pictures in another order": (".mp4", swap_pictures),
    "one picture is noise": (".mp4", noisy_picture),
    "one picture is noise, in Matroska": (".mkv", noisy_picture),
    "a tenth of the sound is noise": (".mp4", damage_sound),
    "half of the sound dropped": (".mkv", drop_sound),
    "times out of order": (".mkv", shuffle_times),
    "times twice": (".mp4", same_times),
    "as Matroska": (".mkv", _as_they_are),
}
"""Ending of the file, and what becomes of the packets."""
WHOLE = ("noise behind the end", "half of the sound dropped", "times twice", "as Matroska")
"""Kinds that leave the pictures as they are."""
