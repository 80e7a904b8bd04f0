"""What `extract_speed` times beside the command itself: each stage alone, and the loop of a user.

Data flow: videos > one part in a process of its own > `{"video": {"amount", "wall", "processor"}}`.

    python -m experiments.benchmarks.extraction_speed.parts --part decode --videos '[a.mp4,b.mp4]'

A stage is timed on pictures that lie in memory, so that no other stage is at work meanwhile; its
networks have run once before. Amounts are frames, or seconds of sound. The classes are those that
extraction uses, with its default settings.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from features.cli.app import OK, run
from features.encoders.base import AudioEncoder, VisualEncoder
from features.encoders.registry import AUDIO, VISUAL, build_encoder
from features.errors import UserError
from features.extract import ExtractSettings
from features.faces.alignment import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.keyframes import find_faces
from features.media import FrameBlock, read_frames, read_sound

BATCHES = (1, 8, 16, 32, 64)
"""Faces that are encoded at once, for the table of rates."""
WARM = 8
"""Frames or faces that each stage sees before its clock starts."""


@dataclass
class PartSettings:
    """What to time.

    Args:
        part: Key of `PARTS`.
        videos: Files; each is timed by itself.
        cores: Cores that the process may use. None: all, with as many threads as libraries choose.
        first: The first of these cores, counted from 0.
    """

    part: str
    videos: list[Path]
    cores: int | None = None
    first: int = 0


@dataclass
class Timing:
    """What a part took of one video.

    Attributes:
        amount: Frames, or seconds of sound.
        wall: Seconds.
        processor: Seconds of the processor, of all threads of this process.
    """

    amount: float = 0.0
    wall: float = 0.0
    processor: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Adds the time inside the context."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor


Part = Callable[[Path], Timing]


def command(settings: PartSettings) -> int:
    """Times a part and prints what was found as one line of JSON."""
    if settings.part not in PARTS:
        raise UserError(f"--part {settings.part}: known are {', '.join(PARTS)}")
    if settings.cores:
        confine(settings.first, settings.cores)
    part = PARTS[settings.part]()
    print(json.dumps({str(path): asdict(part(path)) for path in settings.videos}))
    return OK


def confine(first: int, cores: int) -> None:
    """Lets this process use some cores only, with one thread a core."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[first : first + cores])
    torch.set_num_threads(cores)
    cv2.setNumThreads(cores)


# Stages ----------------------------------------------------------------------------------------


def decoding() -> Part:
    """Reads all frames of a video and drops them."""

    def part(path: Path) -> Timing:
        timing = Timing()
        with timing.running():
            for block in read_frames(path, FaceSettings.batch):
                timing.amount += len(block.times)
        return timing

    return part


def detecting(every: int) -> Part:
    """Finds the faces in all frames, searching every so many in full."""
    settings = FaceSettings(every=every)
    detector = FaceDetector(settings)

    def part(path: Path) -> Timing:
        blocks = in_memory(path)
        list(find_faces([_first(blocks)], detector, settings))
        timing = Timing(sum(len(block.times) for block in blocks))
        with timing.running():
            for _ in find_faces(blocks, detector, settings):
                pass
        return timing

    return part


def encoding() -> Part:
    """Cuts out the largest face of each frame and runs the default visual encoders on blocks."""
    encoders = visual_encoders()

    def part(path: Path) -> Timing:
        timing = Timing()
        for number, (images, landmarks) in enumerate(with_faces(in_memory(path))):
            if not number:
                _encode(encoders, crop_faces(images, landmarks, FaceSettings()))
            timing.amount += len(images)
            with timing.running():
                _encode(encoders, crop_faces(images, landmarks, FaceSettings()))
        return timing

    return part


def batching(batch: int) -> Part:
    """Runs the default visual encoders on faces that are cut out already, so many at once."""
    encoders = visual_encoders()

    def part(path: Path) -> Timing:
        faces = with_faces(in_memory(path))
        crops = np.concatenate([crop_faces(i, marks, FaceSettings()) for i, marks in faces])
        crops = np.resize(crops, (max(BATCHES) * 4, *crops.shape[1:]))  # repeats them
        _encode(encoders, crops[:batch])
        timing = Timing(len(crops))
        with timing.running():
            for first in range(0, len(crops), batch):
                _encode(encoders, crops[first : first + batch])
        return timing

    return part


def hearing() -> Part:
    """Reads the sound for each of the default audio encoders and runs them."""
    encoders = audio_encoders()
    for encoder in encoders:
        encoder.encode_sound([np.zeros(encoder.rate, np.float32)])

    def part(path: Path) -> Timing:
        timing = Timing()
        with timing.running():
            for encoder in encoders:
                sound = read_sound(path, encoder.rate)
                if sound is not None:
                    tokens = encoder.encode_sound(sound.blocks)
                    timing.amount = max(timing.amount, len(tokens.times) / encoder.token_rate)
        return timing

    return part


# The loop of a user ------------------------------------------------------------------------------


def looping() -> Part:
    """A frame at a time by OpenCV, MTCNN as it comes on the whole frame, a face at a time."""
    from facenet_pytorch import MTCNN

    mtcnn, encoders, settings = MTCNN(keep_all=True), visual_encoders(), FaceSettings()

    def look(image: np.ndarray) -> None:
        _, _, landmarks = mtcnn.detect(image, landmarks=True)
        for points in landmarks if landmarks is not None else []:
            _encode(encoders, crop_faces(image[None], np.asarray(points)[None], settings))

    def part(path: Path) -> Timing:
        timing, reader = Timing(), cv2.VideoCapture(str(path))
        _, picture = reader.read()
        look(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))  # not timed: the first call is slower
        reader = cv2.VideoCapture(str(path))
        with timing.running():
            while (found := reader.read())[0]:
                look(cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB))
                timing.amount += 1
        return timing

    return part


PARTS: dict[str, Callable[[], Part]] = {
    "decode": decoding,
    "detect on every frame": partial(detecting, 1),
    "detect at default": partial(detecting, FaceSettings.every),
    "crop and encode": encoding,
    "sound": hearing,
    "loop": looping,
    **{f"encode {batch}": partial(batching, batch) for batch in BATCHES},
}

# What the stages work on ------------------------------------------------------------------


def in_memory(path: Path) -> list[FrameBlock]:
    """All frames of a video: samples are short."""
    return list(read_frames(path, FaceSettings.batch))


def with_faces(blocks: list[FrameBlock]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures (N, H, W, 3) of each block that show a face, and landmarks (N, 5, 2) of the first.

    Raises:
        UserError: If no picture shows one.
    """
    settings, seen = FaceSettings(), False
    found = (frame.faces for frame in find_faces(blocks, FaceDetector(settings), settings))
    for block in blocks:
        faces = [next(found) for _ in block.times]
        there = [row for row, each in enumerate(faces) if len(each)]
        seen = seen or bool(there)
        if there:
            yield block.images[there], np.stack([faces[row].landmarks[0] for row in there])
    if not seen:
        raise UserError("no face in any frame of a sample; give clips that show one")


def visual_encoders() -> list[VisualEncoder]:
    """The visual encoders that extraction runs by default."""
    settings = ExtractSettings()
    names = [name for name in settings.encoders if name in VISUAL]
    built = (build_encoder(name, settings, settings.faces.margin) for name in names)
    return [encoder for encoder in built if isinstance(encoder, VisualEncoder)]


def audio_encoders() -> list[AudioEncoder]:
    """The audio encoders that extraction runs by default."""
    settings = ExtractSettings()
    built = (build_encoder(name, settings) for name in settings.encoders if name in AUDIO)
    return [encoder for encoder in built if isinstance(encoder, AudioEncoder)]


def _encode(encoders: list[VisualEncoder], crops: np.ndarray) -> None:
    for encoder in encoders:
        encoder.encode_faces(crops)


def _first(blocks: list[FrameBlock]) -> FrameBlock:
    """The first few frames."""
    block = blocks[0]
    return replace(block, images=block.images[:WARM], times=block.times[:WARM])


if __name__ == "__main__":
    run(
        PartSettings,
        command,
        prog="experiments.benchmarks.extraction_speed.parts",
        description=__doc__.split("\n")[0],
    )
