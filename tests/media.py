"""Small videos for tests, written on the fly: real codecs, any frame times, sound that starts late.

Data flow: pictures + times + samples > `write_video` > an mp4 (H.264 + AAC).
"""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut

TICKS = 90_000
"""Ticks of the video clock per second."""
FACE_BOX = (150, 0, 310, 230)
"""x0 y0 x1 y1 around the head in scikit-image's `astronaut`."""


def write_video(
    path: Path,
    images: Iterable[np.ndarray],
    *,
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = 44_100,
    sound_start: float = 0.0,
    sound_gap: tuple[float, float] | None = None,
    rotation: int = 0,
    fast_start: bool = False,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    sound_codec: str = "aac",
    pixel: Fraction | None = None,
    layout: dict[str, str] | None = None,
) -> Path:
    """Writes a video and returns its path.

    Args:
        path: File to write; the suffix chooses the container.
        images: RGB pictures (H, W, 3) uint8 of equal, even size.
        fps: Frames per second, where `times` is None.
        times: Seconds of every frame, rising.
        sound: (samples,) or (channels, samples) float32; None writes no sound stream.
        sound_rate: Sampling rate of `sound` in Hz.
        sound_start: Seconds at which the sound starts.
        sound_gap: Seconds (from, to) of the sound that are left out of the file.
        rotation: Degrees clockwise that a player has to turn the picture (metadata, mp4 only).
        fast_start: Whether an mp4's index comes first, so that a cut file can still be opened.
        codec: ffmpeg's name of the video encoder.
        options: Options of the video encoder.
        sound_codec: ffmpeg's name of the encoder of the sound.
        pixel: Width of a pixel by its height.
        layout: Options of the container.
    """
    images = list(images)
    moments = [i / fps for i in range(len(images))] if times is None else list(times)
    layout = (layout or {}) | ({"movflags": "faststart"} if fast_start else {})
    with av.open(str(path), "w", options=layout) as container:
        video = _add_video(container, images, fps, codec, options or {})
        if pixel is not None:
            video.codec_context.sample_aspect_ratio = pixel
        audio = (
            None
            if sound is None
            else _add_audio(container, np.atleast_2d(sound), sound_rate, sound_codec)
        )
        container.start_encoding()  # so that a video without frames has its header too
        for image, moment in zip(images, moments, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.time_base = clock = video.codec_context.time_base or 1 / video.codec_context.rate
            frame.pts = round(moment / clock)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            sound = np.atleast_2d(sound)
            _write_sound(container, audio, sound, sound_rate, sound_start, sound_gap)
    if rotation:
        set_rotation(path, rotation)
    return path


def write_sound(path: Path, sound: np.ndarray, rate: int, codec: str) -> Path:
    """Writes a file with sound only, e.g. codec `pcm_s16le` for wav; returns its path."""
    with av.open(str(path), "w") as container:
        audio = _add_audio(container, np.atleast_2d(sound), rate, codec)
        _write_sound(container, audio, np.atleast_2d(sound), rate, 0.0)
    return path


def plain_frames(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Grey pictures, each of its own brightness (10 + 4 i): a reader can tell which is which."""
    return [np.full((height, width, 3), 10 + 4 * (i % 60), np.uint8) for i in range(count)]


def brightness_index(image: np.ndarray) -> int:
    """Which of `plain_frames` a decoded picture is (modulo 60)."""
    return round((float(image.mean()) - 10) / 4)


def face_picture(size: int = 160) -> np.ndarray:
    """A photographed face (size, size, 3) uint8 that MTCNN finds."""
    x0, y0, x1, y1 = FACE_BOX
    return cv2.resize(astronaut()[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_AREA)


def face_frame(
    width: int, height: int, centres: Sequence[tuple[float, float]], size: int = 120
) -> np.ndarray:
    """A grey picture (height, width, 3) with a face of `size` pixels around each centre (x, y)."""
    image = np.full((height, width, 3), 128, np.uint8)
    face = face_picture(size)
    for x, y in centres:
        left, top = round(x - size / 2), round(y - size / 2)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = max(min(left + size, width), x0), max(min(top + size, height), y0)
        image[y0:y1, x0:x1] = face[y0 - top : y1 - top, x0 - left : x1 - left]
    return image


def tone(seconds: float, rate: int = 44_100, hertz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    """A sine (samples,) float32."""
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def click(seconds: float, at: float, rate: int = 44_100) -> np.ndarray:
    """Silence (samples,) float32 with a 10 ms burst of 1 kHz that starts `at` seconds in."""
    sound = np.zeros(round(seconds * rate), np.float32)
    burst = tone(0.01, rate, 1000.0, 0.8)
    start = round(at * rate)
    sound[start : start + len(burst)] = burst
    return sound


def set_rotation(path: Path, degrees: int) -> None:
    """Writes the rotation matrix of the first track of an mp4, as phones do."""
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    set_matrix(path, (cos, sin, -sin, cos))


def set_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Writes the display matrix (a, b, c, d) of the first track (`tkhd`) of an mp4."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes lie between the name and the matrix
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def trim(path: Path, first: float, seconds: float) -> Path:
    """Has the edit lists of an mp4 show `seconds` from `first` on, as lossless trims do.

    Nothing is cut out: players leave out what comes before and after. Returns the path.
    """
    data = bytearray(path.read_bytes())
    at, movie = 0, int.from_bytes(data[(header := data.index(b"mvhd")) + 16 : header + 20], "big")
    while (at := data.find(b"elst", at + 1)) > 0:  # version 0, one edit: duration, media time
        clock = data.index(b"mdhd", at) + 16
        ticks = int.from_bytes(data[clock : clock + 4], "big")
        delay = struct.unpack_from(">i", data, at + 16)[0]
        struct.pack_into(">ii", data, at + 12, round(seconds * movie), delay + round(first * ticks))
    path.write_bytes(data)
    return path


def _add_video(container, images, fps, codec, options):
    stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
    height, width = images[0].shape[:2] if images else (64, 96)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    if codec == "libx264":
        options = {"preset": "veryfast", "crf": "12", "threads": "1"} | options
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
    elif codec == "mpeg4":
        options = {"qmin": "1", "qmax": "2"} | options
    stream.options = options
    return stream


def _add_audio(container, sound, rate, codec="aac"):
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    stream = container.add_stream(codec, rate=rate)
    stream.layout = layout
    return stream


def _write_sound(container, stream, sound, rate, start, gap=None):
    context = stream.codec_context
    format_name = context.format.name
    resampler = av.AudioResampler(format=format_name, layout=stream.layout.name, rate=rate)
    block = context.frame_size or 1024
    for first in range(0, sound.shape[1], block):
        part = np.ascontiguousarray(sound[:, first : first + block], np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        for ready in resampler.resample(frame):
            for packet in stream.encode(ready):
                at = float(packet.pts * packet.time_base) - start
                if gap is None or not gap[0] <= at < gap[1]:
                    container.mux(packet)
    container.mux(stream.encode())
