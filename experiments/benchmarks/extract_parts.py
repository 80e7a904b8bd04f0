"""What `extract_speed` times beside the command itself: each stage alone, and the loop of a user.

    python -m experiments.benchmarks.extract_parts --part decode --videos '[a.mp4,b.mp4]' --cores 1

Data flow: videos > one part in a process of its own > a `Timing` as JSON. A stage is timed on
pictures that lie in memory, so that no other stage is at work meanwhile; its networks have run once
before. Amounts are frames, or seconds of sound. The classes are those that extraction uses, with
its default settings.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.timing import Timing
from features.cli.app import OK, run
from features.encoders.base import AudioEncoder, VisualEncoder
from features.encoders.registry import build_encoder, encoder_names
from features.errors import UserError
from features.extract import ExtractSettings
from features.faces.alignment import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.keyframes import find_faces
from features.media import FrameBlock, read_frames, read_sound

WARM = 8
"""Frames that a stage sees before its clock starts."""


@dataclass
class PartSettings:
    """What to time.

    Args:
        part: Key of `PARTS`.
        videos: Files.
        cores: Cores that the process may use. None: all, with as many threads as libraries choose.
    """

    part: str
    videos: list[Path]
    cores: int | None = None


def command(settings: PartSettings) -> int:
    """Times a part and prints what was found as one line of JSON."""
    if settings.part not in PARTS:
        raise UserError(f"--part {settings.part}: known are {', '.join(PARTS)}")
    if settings.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings.cores])
        torch.set_num_threads(settings.cores)
        cv2.setNumThreads(settings.cores)
    print(json.dumps(asdict(PARTS[settings.part](settings.videos))))
    return OK


def decoding(videos: Sequence[Path]) -> Timing:
    """Reads all frames and drops them."""
    timing = Timing()
    for path in videos:
        with timing.running():
            timing.amount += sum(len(block.times) for block in read_frames(path))
    return timing


def detecting(videos: Sequence[Path]) -> Timing:
    """Finds the faces in all frames."""
    settings, timing = FaceSettings(), Timing()
    detector = FaceDetector(settings)
    for path in videos:
        blocks = list(read_frames(path, settings.batch))
        block = blocks[0]
        few = replace(block, images=block.images[:WARM], times=block.times[:WARM])
        list(find_faces([few], detector, settings))
        timing.amount += sum(len(block.times) for block in blocks)
        with timing.running():
            for _ in find_faces(blocks, detector, settings):
                pass
    return timing


def encoding(videos: Sequence[Path]) -> Timing:
    """Cuts out the largest face of each frame and runs the default visual encoders on blocks."""
    encoders, settings, timing = visual_encoders(), FaceSettings(), Timing()
    for path in videos:
        blocks = with_faces(list(read_frames(path, settings.batch)))
        for number, (images, landmarks) in enumerate(blocks):
            if not number:
                _encode(encoders, crop_faces(images, landmarks, settings))
            timing.amount += len(images)
            with timing.running():
                _encode(encoders, crop_faces(images, landmarks, settings))
    return timing


def hearing(videos: Sequence[Path]) -> Timing:
    """Reads the sound for each of the default audio encoders and runs them."""
    settings, timing = ExtractSettings(), Timing()
    names = [name for name in settings.encoders if name in encoder_names("sound")]
    built = [build_encoder(name, settings) for name in names]
    encoders = [encoder for encoder in built if isinstance(encoder, AudioEncoder)]
    for encoder in encoders:
        encoder.encode_sound([np.zeros(encoder.rate, np.float32)])
    for path in videos:
        heard = 0.0
        with timing.running():
            for encoder in encoders:
                if sound := read_sound(path, encoder.rate):
                    tokens = encoder.encode_sound(sound.blocks)
                    heard = max(heard, len(tokens.times) / encoder.token_rate)
        timing.amount += heard
    return timing


def looping(videos: Sequence[Path]) -> Timing:
    """A user's loop: a frame at a time by OpenCV, MTCNN on all of it, a face at a time."""
    from facenet_pytorch import MTCNN

    mtcnn, encoders, settings, timing = (
        MTCNN(keep_all=True),
        visual_encoders(),
        FaceSettings(),
        Timing(),
    )

    def look(image: np.ndarray) -> None:
        _, _, landmarks = mtcnn.detect(image, landmarks=True)
        for points in landmarks if landmarks is not None else []:
            _encode(encoders, crop_faces(image[None], np.asarray(points)[None], settings))

    for path in videos:
        _, picture = cv2.VideoCapture(str(path)).read()
        look(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))  # not timed: the first call is slower
        reader = cv2.VideoCapture(str(path))
        with timing.running():
            while (found := reader.read())[0]:
                look(cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB))
                timing.amount += 1
    return timing


PARTS: dict[str, Callable[[Sequence[Path]], Timing]] = {
    "decode": decoding,
    "find faces": detecting,
    "crop and encode": encoding,
    "sound": hearing,
    "loop": looping,
}


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
    names = [name for name in settings.encoders if name in encoder_names("faces")]
    built = (build_encoder(name, settings, settings.faces.margin) for name in names)
    return [encoder for encoder in built if isinstance(encoder, VisualEncoder)]


def _encode(encoders: list[VisualEncoder], crops: np.ndarray) -> None:
    for encoder in encoders:
        encoder.encode_faces(crops)


if __name__ == "__main__":
    run(
        PartSettings,
        command,
        prog="experiments.benchmarks.extract_parts",
        description=__doc__.split("\n")[0],
    )
