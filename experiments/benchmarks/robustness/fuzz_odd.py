"""Odd but sound media files. Data flow: pictures and sound of an Excerpt > encoded in odd ways.

Letters: F frames, C channels.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000
"""Samples per second of an excerpt's sound."""
SAME = {"fflags": "+bitexact"}
"""Option of containers: without it, Matroska's hold random numbers."""
SAME_X264: dict[str, object] = {"qp": "22"}
"""Options of x264: with rate control, equal pictures do not always make equal bytes."""


@dataclass(frozen=True)
class Excerpt:
    """A second of a clip.

    Attributes:
        path: The file.
        clip: Name of the clip.
        count: Frames in the file.
        images: (F, H, W, 3) uint8, shrunk, sides multiples of 4.
        sound: Mono samples float32 at `RATE`.
    """

    path: Path
    clip: str
    count: int
    images: np.ndarray
    sound: np.ndarray


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
        turned: Degrees clockwise by which a player has to turn the picture.
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
    turned: int = 0


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
    if odd.turned:
        _turn(path, odd.turned)


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


def _turn(path: Path, degrees: int) -> None:
    """Writes the display matrix of the first track of an mp4, as phones do."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    one = 1 << 16
    data[start : start + 36] = struct.pack(
        ">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)


def _odd(odd: Odd, frames: int = 1000) -> Callable[[Excerpt, np.random.Generator, Path], int]:
    """Makes files of at most so many frames."""

    def make(excerpt: Excerpt, rng: np.random.Generator, path: Path) -> int:
        images = list(excerpt.images[:frames])
        write_odd(path.with_suffix(odd.suffix), images, excerpt.sound, odd)
        return len(images)

    return make


UNEVEN = tuple(float(time) for time in np.cumsum(np.tile([0.02, 0.09, 0.03, 0.2], 50)))

QUIET: dict[str, object] = {"x265-params": "log-level=none"}

ODDITIES = {
    "yuv444p": _odd(Odd(pixels="yuv444p")),
    "gray": _odd(Odd(pixels="gray")),
    "RGB": _odd(Odd(codec="libx264rgb", pixels="rgb24")),
    "with alpha": _odd(Odd(".mkv", "ffv1", "yuva420p")),
    "palette": _odd(Odd(".mov", "png", "pal8")),
    "10-bit": _odd(Odd(pixels="yuv420p10le")),
    "10-bit, H.265": _odd(Odd(codec="libx265", pixels="yuv420p10le", options=QUIET)),
    "interlaced": _odd(Odd(options={"flags": "+ildct+ilme", "preset": "ultrafast"})),
    "rotated by 90 degrees": _odd(Odd(turned=90)),
    "rotated by 180 degrees": _odd(Odd(turned=180)),
    "1 frame a second": _odd(Odd(fps=1), 4),
    "240 frames a second": _odd(Odd(fps=240)),
    "uneven times": _odd(Odd(times=UNEVEN)),
    "resolution change": _odd(Odd(".mkv", "mjpeg", "yuvj420p", smaller=True)),
    "resolution change, VP8": _odd(Odd(".webm", "libvpx", smaller=True, sounds=())),
    "sound longer than the picture": _odd(Odd(seconds=3.0)),
    "sound shorter than the picture": _odd(Odd(seconds=0.3)),
    "two sound tracks": _odd(Odd(sounds=(1, 2))),
    "5.1 sound": _odd(Odd(sounds=(6,))),
    "sound at 8 kHz": _odd(Odd(rate=8_000)),
    "silent": _odd(Odd(gain=0.0)),
    "no sound": _odd(Odd(sounds=())),
    "one frame": _odd(Odd(), 1),
    "MPEG-4 in AVI": _odd(Odd(".avi", "mpeg4")),
    "MPEG-2": _odd(Odd(".mpg", "mpeg2video", sounds=())),
}
