"""A clip anew, with people's boxes, words and a timeline in its pictures, or their faces blurred.

Data flow: frames as shown with their times > drawn (drawing.py) > H.264 on the same clock; sound
with its own offset > AAC > one mp4, whole or not there.

Frames keep their times, however uneven, and the sound its distance to them.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from features.errors import UserError
from features.media import probe, read_frames, read_sound
from features.store.atomic_file import replacing
from fusion.data.predictions import FramePredictions
from fusion.reporting.film import Faces
from fusion.reporting.film.drawing import STRIP, annotate, blurred, held, shown, strip

RATE, TICKS = 44_100, 90_000
Told = Callable[[float], object]


def write_overlay(
    media: Path,
    people: list[FramePredictions],
    out: Path,
    faces: Faces = "boxes",
    progress: Told | None = None,
) -> None:
    """Writes the clip with what was predicted of it.

    Args:
        media: The clip.
        people: What was predicted of everybody in it.
        out: An mp4.
        faces: What is done to the faces. Only those that were predicted are known of.
        progress: Is told the share that is done.

    Raises:
        UserError: If the clip has no pictures, cannot be read, is not the one that was predicted,
            or would be overwritten.
    """
    if out.resolve() == media.resolve():
        raise UserError(f"{out}: is the clip itself; name another file for the overlay")
    if out.suffix != ".mp4":
        raise UserError(f"{out}: an overlay is an .mp4; name it so")
    frames = probe(media).frames
    longest = max(map(len, people), default=0)
    if abs(frames - longest) > 2:
        raise UserError(f"{media}: {frames} frames, but {longest} were predicted; predict it again")
    with replacing(out) as file, av.open(file, "w", format="mp4") as container:
        write_clip(container, media, _drawn(media, people, faces, frames, progress))


def _drawn(
    media: Path,
    people: list[FramePredictions],
    faces: Faces,
    frames: int,
    progress: Told | None,
) -> Iterator[tuple[np.ndarray, float]]:
    """Pictures of even sides with their seconds."""
    persons = shown(people)
    places = [held(one) for one in persons]
    line: tuple[np.ndarray, float, float] | None = None
    for block in read_frames(media):
        for number, (picture, time) in enumerate(zip(block.images, block.times, strict=True)):
            frame = block.first + number
            if faces == "blur":
                rows = [p[frame] for p in places if frame < len(p) and not np.isnan(p[frame]).any()]
                picture = blurred(picture, rows)
            elif faces == "boxes":
                picture = annotate(picture, persons, frame)
            if line is None:
                line = strip(persons, picture.shape[1], max(24, round(picture.shape[0] * STRIP)))
            yield _even(np.vstack([picture, _cursor(line, float(time))])), float(time)
        if progress:
            progress((block.first + len(block.times)) / frames)


def _cursor(line: tuple[np.ndarray, float, float], time: float) -> np.ndarray:
    """The timeline with the present marked."""
    image, start, end = line
    image = image.copy()
    x = round((time - start) / max(end - start, 1e-9) * (image.shape[1] - 1))
    image[:, max(0, min(x, image.shape[1] - 1))] = 255
    return image


def _even(picture: np.ndarray) -> np.ndarray:
    """A picture whose sides the codec can halve."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])


def write_clip(
    container: av.container.OutputContainer,
    media: Path,
    frames: Iterator[tuple[np.ndarray, float]],
) -> None:
    """Pictures of one size and even sides at their seconds, with the sound of a clip.

    Raises:
        UserError: If there is no picture, or the clip cannot be read.
    """
    first = next(frames, None)
    if first is None:
        raise UserError(f"{media}: no picture in it, so there is nothing to draw on")
    video = container.add_stream("libx264", rate=Fraction(30))
    video.height, video.width = first[0].shape[:2]
    video.pix_fmt, video.options = "yuv420p", {"preset": "veryfast", "crf": "23", "bf": "0"}
    video.codec_context.time_base = Fraction(1, TICKS)
    sound = read_sound(media, RATE)
    audio = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
    for picture, time in chain([first], frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        container.mux(video.encode(frame))
    container.mux(video.encode())
    if audio is not None and sound is not None:
        write_sound(container, audio, sound.blocks, sound.offset)


def write_sound(
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
