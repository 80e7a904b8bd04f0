"""A small copy of a clip that every browser plays: 480 lines of H.264, and AAC.

Data flow: frames as shown with their times + sound with its offset > mp4 on the page's clock.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np

from features.media import read_frames, read_sound

LINES, RATE, TICKS = 480, 44_100, 90_000
"""Shorter side in pixels at most, samples per second, ticks of the clock per second."""


def write_proxy(media: Path, copy: Path, picture: bool) -> None:
    """Writes the copy; its second 0 is the first frame, or the first sample without pictures.

    Raises:
        MediaError: If the file cannot be read.
    """
    with av.open(str(copy), "w", options={"movflags": "faststart"}) as container:
        frames = _frames(media) if picture else iter(())
        first = next(frames, None)
        video = None
        if first is not None:
            video = container.add_stream("libx264", rate=Fraction(30))
            video.height, video.width = first[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.options = {"preset": "veryfast", "crf": "26", "bf": "0"}
            video.codec_context.time_base = Fraction(1, TICKS)
        sound = read_sound(media, RATE)
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        if video is not None and first is not None:
            _write_frames(container, video, chain([first], frames))
        if audio is not None and sound is not None:
            _write_sound(container, audio, sound.blocks, sound.offset)


def _frames(media: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Small pictures of even sides, with their seconds."""
    for block in read_frames(media):
        height, width = block.images.shape[1:3]
        share = min(1.0, LINES / min(height, width))
        size = tuple(max(2, round(side * share / 2) * 2) for side in (width, height))
        for image, time in zip(block.images, block.times, strict=True):
            yield cv2.resize(image, size, interpolation=cv2.INTER_AREA), float(time)


def _write_frames(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    frames: Iterator[tuple[np.ndarray, float]],
) -> None:
    for image, time in frames:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _write_sound(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    blocks: Iterator[np.ndarray],
    offset: float,
) -> None:
    """Sound from second 0 on: what comes earlier is cut, what begins late stays late."""
    at = round(offset * RATE)
    for block in blocks:
        part = block[max(0, -at) :]
        at += len(block)
        if not len(part):
            continue
        samples = np.ascontiguousarray(part[None], np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = at - len(part)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
