"""Coded pictures apart from any container, to be cut and put into several. Data flow: pictures >
packets > `put` > a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.media import tone

RATE = 25
SIZE = (96, 64)
"""Width and height."""
SAME = {"x264": "threads=1", "x265": "pools=1:frame-threads=1:log-level=none"}


@dataclass(frozen=True)
class Coded:
    """Packets of a stream of pictures.

    Attributes:
        codec: ffmpeg's name of the encoder.
        options: Its options.
        packets: (bytes, pts, dts, whether it can be decoded by itself), in the order of decoding.
    """

    codec: str
    options: dict[str, str]
    packets: tuple[tuple[bytes, int, int, bool], ...]

    @property
    def keys(self) -> list[int]:
        """Numbers of the packets that can be decoded by themselves."""
        return [number for number, packet in enumerate(self.packets) if packet[3]]


def code(codec: str, count: int, group: int, between: int, open_groups: bool) -> Coded:
    """Encodes noise that moves, a brightness a frame.

    Args:
        codec: `libx264`, `libx265` or `mpeg2video`.
        count: Pictures.
        group: Pictures from one that can be decoded by itself to the next.
        between: Most pictures that are decoded by what is shown behind them, in a row.
        open_groups: Whether such pictures may lie before one that can be decoded by itself.
    """
    if codec == "mpeg2video":
        options = {"g": str(group), "bf": str(between), "qmin": "2", "qmax": "3"}
        options |= {} if open_groups else {"flags": "+cgop", "sc_threshold": "1000000000"}
    else:
        name = codec.removeprefix("lib")
        own = f"keyint={group}:min-keyint={group}:bframes={between}:b-adapt=0:scenecut=0"
        params = f"{own}:open-gop={int(open_groups)}:{SAME[name]}"
        options = {f"{name}-params": params, "crf": "18", "preset": "veryfast"}
    context = _context(codec, options)
    packets = list[av.Packet]()
    texture = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8)
    for number in range(count):
        image = np.roll(texture, 2 * number, axis=1)
        image[:16] = 10 + 4 * (number % 60)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        packets += context.encode(frame)
    packets += context.encode(None)
    kept = ((bytes(p), int(p.pts or 0), int(p.dts or 0), p.is_keyframe) for p in packets)
    return Coded(codec, options, tuple(kept))


def put(path: Path, coded: Coded, first: int = 0, sound: bool = False) -> Path:
    """Writes the packets from `first` on into a container; returns the path.

    With sound: a tone from second 0 on of what was encoded.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(coded.codec, rate=RATE, options=coded.options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        audio = container.add_stream("mp2", rate=48_000, layout="mono") if sound else None
        container.start_encoding()
        heard = _heard(audio, len(coded.packets)) if audio is not None else []
        for data, pts, dts, key in coded.packets[first:]:
            while heard and float(heard[0].pts * heard[0].time_base) * RATE <= dts:
                container.mux(heard.pop(0))
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.time_base = pts, dts, Fraction(1, RATE)
            packet.is_keyframe, packet.stream = key, stream
            container.mux(packet)
        container.mux(heard)
    return path


def _context(codec: str, options: dict[str, str]) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = *SIZE, "yuv420p"
    context.time_base, context.framerate = Fraction(1, RATE), Fraction(RATE)
    context.options = options
    return context


def _heard(stream: av.AudioStream, frames: int) -> Sequence[av.Packet]:
    samples = tone(frames / RATE, 48_000)
    packets = list[av.Packet]()
    resampler = av.AudioResampler(stream.codec_context.format.name, "mono", 48_000)
    for at in range(0, len(samples), 1152):
        part = np.ascontiguousarray(samples[None, at : at + 1152])
        frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), at
        for ready in resampler.resample(frame):
            packets += stream.encode(ready)
    return packets + list(stream.encode(None))
