"""Finds faces in few frames and tracks them through the others.

Data flow: blocks of frames > key frames, every k-th and the last > full search > spans between them
> faces of both ends matched > boxes expected between > the detector's late stages on each > faces.

The late stages (`FaceDetector.refine`) cost a small part of the full search: they correct a box
that is roughly known, find its landmarks and give the same probability of a face. A span is
uncertain if its ends show different faces or if one frame inside does not confirm what was
expected: then the frame in its middle is searched in full, and both halves are tried again, down to
single frames. What is searched depends on the frames, not on how they come in blocks. Only a face
that comes and goes between two key frames without touching those that stay is never seen.

Letters: N frames at hand, K faces of a frame, B boxes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from features.errors import UserError
from features.faces.detect import MIN_AFFINITY, NO_FACES, Faces, FaceSettings, affinity, overlap
from features.media import FrameBlock


class Detector(Protocol):
    """What is asked of a detector, e.g. of `FaceDetector`."""

    def detect(self, images: np.ndarray) -> list[Faces]:
        """Faces of each of the pictures (N, H, W, 3)."""
        ...

    def refine(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> Faces:
        """The face at each of the boxes (B, 4), given its picture (H, W, 3); in their order."""
        ...


@dataclass(frozen=True)
class FrameFaces:
    """A frame and the faces in it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        time: Seconds from the first frame of the video.
        faces: Its faces.
    """

    image: np.ndarray
    time: float
    faces: Faces


Span = tuple[int, int]
"""Rows of two frames whose faces are known."""


@dataclass
class _Frames:
    """Consecutive frames at hand, the first of which is a key frame.

    Attributes:
        images: N pictures (H, W, 3).
        times: N seconds.
        faces: Faces by row, as far as they are known.
    """

    images: list[np.ndarray] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    faces: dict[int, Faces] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    def add(self, block: FrameBlock) -> None:
        self.images.extend(block.images)
        self.times.extend(block.times.tolist())

    def take(self, count: int) -> list[FrameFaces]:
        """Hands out the first frames, whose faces are known, and forgets them."""
        rows = range(count)
        taken = [FrameFaces(self.images[r], self.times[r], self.faces[r]) for r in rows]
        del self.images[:count], self.times[:count]
        self.faces = {row - count: found for row, found in self.faces.items() if row >= count}
        return taken


def find_faces(
    blocks: Iterable[FrameBlock], detector: Detector, settings: FaceSettings
) -> Iterator[FrameFaces]:
    """Finds the faces of every frame.

    Args:
        blocks: All frames of a video; one block and `every` frames before it are held at most.
        detector: Finds and refines faces.
        settings: When to search (`every`) and when to doubt (`tolerance`, `threshold`).

    Yields:
        Each frame with its faces.

    Raises:
        UserError: If a setting makes no sense.
    """
    every = settings.every
    if every < 1 or not 0 <= settings.tolerance <= 1:
        raise UserError(
            f"--faces.every {every} must be at least 1 and --faces.tolerance {settings.tolerance}"
            " between 0 and 1"
        )
    if every == 1:
        for block in blocks:
            found = detector.detect(block.images)
            yield from map(FrameFaces, block.images, block.times.tolist(), found)
        return
    frames = _Frames()
    for block in blocks:
        frames.add(block)
        keys = range(0, len(frames), every)
        _fill(frames, keys, detector, settings)
        yield from frames.take(keys[-1])
    if frames:
        _fill(frames, sorted({0, len(frames) - 1}), detector, settings)
        yield from frames.take(len(frames))


def _fill(frames: _Frames, keys: Sequence[int], detector: Detector, settings: FaceSettings) -> None:
    """Finds the faces in the key frames and in all frames between them."""
    _search(frames, [key for key in keys if key not in frames.faces], detector)
    spans = list(pairwise(keys))
    while spans := [span for span in spans if span[1] - span[0] > 1]:
        doubtful = _track(frames, spans, detector, settings)
        middles = [(first + last) // 2 for first, last in doubtful]
        _search(frames, middles, detector)
        halves = zip(doubtful, middles, strict=True)
        spans = [part for (first, last), mid in halves for part in ((first, mid), (mid, last))]


def _search(frames: _Frames, rows: Sequence[int], detector: Detector) -> None:
    """Searches some of the frames in full."""
    if rows:
        found = detector.detect(np.stack([frames.images[row] for row in rows]))
        frames.faces.update(zip(rows, found, strict=True))


def _track(
    frames: _Frames, spans: Sequence[Span], detector: Detector, settings: FaceSettings
) -> list[Span]:
    """Finds the faces inside spans from those at their ends; returns the spans where it cannot."""
    guesses = {span: guess for span in spans if (guess := _expect(frames, span)) is not None}
    expected = np.concatenate([NO_FACES.boxes, *(g.reshape(-1, 4) for g in guesses.values())])
    seen = detector.refine(_pictures(frames, guesses), expected) if len(expected) else NO_FACES
    sure = seen.scores >= settings.threshold
    sure &= overlap(seen.boxes, expected) >= 1 - settings.tolerance
    followed, done = set(), 0
    for span, guess in guesses.items():
        inside, people = guess.shape[:2]
        chosen = done + np.arange(inside * people).reshape(inside, people)
        done += inside * people
        if sure[chosen].all():
            followed.add(span)
            rows = range(span[0] + 1, span[1])
            frames.faces.update(zip(rows, map(seen.sorted, chosen), strict=True))
    return [span for span in spans if span not in followed]


def _expect(frames: _Frames, span: Span) -> np.ndarray | None:
    """Boxes (N, K, 4) of the faces in the N frames inside a span: straight lines in time.

    None if the ends do not show the same number of faces, each near one of the other end.
    """
    first, last = (frames.faces[row] for row in span)
    if len(first) != len(last):
        return None
    scores = affinity(first.boxes, last.boxes)
    pairs = linear_sum_assignment(scores, maximize=True)
    if (scores[pairs] < MIN_AFFINITY).any():
        return None
    times = np.array(frames.times[span[0] : span[1] + 1])
    share = ((times[1:-1] - times[0]) / (times[-1] - times[0])).astype(np.float32)[:, None, None]
    return first.boxes[pairs[0]] * (1 - share) + last.boxes[pairs[1]] * share


def _pictures(frames: _Frames, guesses: dict[Span, np.ndarray]) -> list[np.ndarray]:
    """The picture of each expected box."""
    return [
        frames.images[row]
        for (first, last), guess in guesses.items()
        for row in range(first + 1, last)
        for _ in range(guess.shape[1])
    ]
