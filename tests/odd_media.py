"""Odd but sound media files: pictures and sound, encoded in odd ways.

Letters: C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000
"""Samples per second of the sound that is given."""
SAME = {"fflags": "+bitexact"}
"""Option of containers: without it, Matroska's hold random numbers."""
SAME_X264: dict[str, object] = {"qp": "22"}
"""Options of x264: with rate control, equal pictures do not always make equal bytes."""


@dataclass(frozen=True)
class Odd:
    """How an excerpt is encoded.

    Attributes:
        suffix: Container.
        codec: ffmpeg's name of the encoder of the pictures.
        pixels: ffmpeg's name of their format.
        fps: Frames per second.
        times: Seconds of each frame instead.
        options: Options of the encoder.
        seconds: Length of the sound; None: as it is.
        sounds: Channels of each stream of sound.
        rate: Samples per second of the sound.
        gain: Factor on the sound.
        smaller: From the middle on, pictures are half as wide and high.
    """

    suffix: str = ".mp4"
    codec: str = "libx264"
    pixels: str = "yuv420p"
    fps: int = 25
    times: tuple[float, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    seconds: float | None = None
    sounds: tuple[int, ...] = (1,)
    rate: int = RATE
    gain: float = 1.0
    smaller: bool = False


def write_odd(path: Path, images: Sequence[np.ndarray], sound: np.ndarray, odd: Odd) -> None:
    """Encodes pictures (H, W, 3) uint8 and mono sound at `RATE`."""
    with av.open(str(path), "w", options=SAME) as container:
        video = container.add_stream(odd.codec, rate=odd.fps)
        assert isinstance(video, av.VideoStream)
        height, width = images[0].shape[:2]
        video.width, video.height, video.pix_fmt = width, height, odd.pixels
        video.options = odd.options if "264" not in odd.codec else odd.options | SAME_X264
        audios = [_sound_stream(container, channels, odd) for channels in odd.sounds]
        container.start_encoding()
        for packet in _coded(video, images, odd):
            container.mux(packet)
        for audio, channels in zip(audios, odd.sounds, strict=True):
            _add_sound(container, audio, _spoken(sound, channels, odd), odd.rate)


def _coded(video: av.VideoStream, images: Sequence[np.ndarray], odd: Odd) -> list[av.Packet]:
    """Packets of the pictures; a second encoder makes those of another size."""
    clock = Fraction(1, 90_000) if odd.times else Fraction(1, odd.fps)
    video.codec_context.time_base = clock
    packets = list[av.Packet]()
    small: av.VideoCodecContext | None = None
    for number, image in enumerate(images):
        time = Fraction(odd.times[number]) if odd.times else Fraction(number, odd.fps)
        frame = _frame(image, odd.pixels)
        if odd.smaller and 2 * number >= len(images):
            frame = frame.reformat(image.shape[1] // 2, image.shape[0] // 2)
            small = small or _half(video)
        frame.pts, frame.time_base = round(time / clock), clock
        coder = video if small is None else small
        new = coder.encode(frame)
        packets += new
    packets += video.encode()
    packets += small.encode() if small else []
    packets.sort(key=lambda packet: packet.dts or 0)
    for packet in packets:
        packet.stream = video
    return packets


def _frame(image: np.ndarray, pixels: str) -> av.VideoFrame:
    if pixels != "pal8":
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
            format=pixels
        )
    grey = np.ascontiguousarray(image[..., 1])
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
    palette[:, 0] = 255  # ARGB
    return av.VideoFrame.from_ndarray((grey, palette), "pal8")  # type: ignore[arg-type]


def _half(video: av.VideoStream) -> av.VideoCodecContext:
    small = av.CodecContext.create(video.codec_context.name, "w")
    assert isinstance(small, av.VideoCodecContext)
    small.width, small.height = video.width // 2, video.height // 2
    small.pix_fmt, small.time_base = video.pix_fmt, video.codec_context.time_base
    small.framerate = video.codec_context.framerate
    return small


def _sound_stream(
    container: av.container.OutputContainer, channels: int, odd: Odd
) -> av.AudioStream:
    stream = container.add_stream("aac", rate=odd.rate)
    stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    return stream


def _spoken(sound: np.ndarray, channels: int, odd: Odd) -> np.ndarray:
    """The sound (C, samples) at the rate wanted, by leaving samples out."""
    length = len(sound) if odd.seconds is None else round(odd.seconds * RATE)
    looped = np.resize(sound, length) if len(sound) else np.zeros(length, np.float32)
    return np.repeat(odd.gain * looped[None, :: RATE // odd.rate], channels, axis=0)


def _add_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, sound: np.ndarray, rate: int
) -> None:
    for first in range(0, sound.shape[1], 1024):
        block = np.ascontiguousarray(sound[:, first : first + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
