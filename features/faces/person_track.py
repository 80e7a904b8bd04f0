"""Person: where one face is in every frame. Data flow: found faces > `laid_out` > Person > track.

Stream `faces` holds people: `pack`, `unpack`.

Letters: F frames of the video.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

FACE_COLUMNS = (
    *("x0", "y0", "x1", "y1"),
    *("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y"),
    *("left_mouth_x", "left_mouth_y", "right_mouth_x", "right_mouth_y"),
    *("score", "bridged"),
)
"""Columns of the stream `faces`."""


@dataclass(frozen=True)
class Person:
    """Where somebody's face is; rows that are not valid are zero and mean nothing.

    Attributes:
        name: `main`, `left`, `right`, or `person3` and so on.
        boxes: (F, 4) float32, x0 y0 x1 y1 in pixels of the video.
        landmarks: (F, 5, 2) float32, x y of eyes, nose, corners of the mouth.
        score: (F,) float32, probability of the detection; 0 where not found.
        found: (F,) bool, whether the face was detected.
        bridged: (F,) bool, whether box and landmarks are interpolated over a short gap.
    """

    name: str
    boxes: np.ndarray
    landmarks: np.ndarray
    score: np.ndarray
    found: np.ndarray
    bridged: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(F,) bool, whether it is known where the face is."""
        return self.found | self.bridged


def absent(name: str, frames: int) -> Person:
    """A person who is never seen."""
    return Person(
        name,
        np.zeros((frames, 4), np.float32),
        np.zeros((frames, 5, 2), np.float32),
        np.zeros(frames, np.float32),
        np.zeros(frames, bool),
        np.zeros(frames, bool),
    )


def laid_out(
    name: str,
    rows: np.ndarray,
    faces: np.ndarray,
    times: np.ndarray,
    max_gap: float,
    shots: np.ndarray | None = None,
) -> Person:
    """Found faces laid on all frames, short gaps within a shot bridged by straight lines in time.

    Args:
        name: Name of the person.
        rows: (N,) frames in which the face was found, rising.
        faces: (N, 15) box, landmarks and score.
        times: (F,) seconds of the frames.
        max_gap: Longest time between two detections that is bridged, in seconds.
        shots: (F,) numbers of the shots that the frames belong to (shots.py); None: all one.
    """
    person = absent(name, len(times))
    person.found[rows] = True
    person.score[rows] = faces[:, 14]
    person.bridged[:] = _short_gaps(rows, times, max_gap, shots)
    known = np.flatnonzero(person.valid)
    for target, table in ((person.boxes, faces[:, :4]), (person.landmarks, faces[:, 4:14])):
        columns = [np.interp(times[known], times[rows], column) for column in table.T]
        target.reshape(len(times), -1)[known] = np.stack(columns, axis=1)
    return person


def without_gaps(person: Person, strange: np.ndarray) -> Person:
    """The person with every gap left open in which a frame (F,) is strange, not bridged."""
    edges = np.flatnonzero(np.diff(person.bridged, prepend=False, append=False))
    bridged = person.bridged.copy()
    for first, last in edges.reshape(-1, 2):
        if strange[first:last].any():
            bridged[first:last] = False
    gone = person.bridged & ~bridged
    boxes, landmarks = person.boxes.copy(), person.landmarks.copy()
    boxes[gone], landmarks[gone] = 0, 0
    return replace(person, boxes=boxes, landmarks=landmarks, bridged=bridged)


def _short_gaps(
    rows: np.ndarray, times: np.ndarray, max_gap: float, shots: np.ndarray | None
) -> np.ndarray:
    """(F,) bool, frames between found ones of one shot at most `max_gap` seconds apart."""
    bridged = np.zeros(len(times), bool)
    for before, after in pairwise(rows):
        short = after - before > 1 and times[after] - times[before] <= max_gap
        if short and (shots is None or shots[before] == shots[after]):
            bridged[before + 1 : after] = True
    return bridged


def pack(person: Person) -> np.ndarray:
    """Values (F, 16) float32 of a track, in the order of `FACE_COLUMNS`."""
    landmarks = person.landmarks.reshape(-1, 10)
    values = np.column_stack([person.boxes, landmarks, person.score, person.bridged])
    values[~person.valid] = 0
    return values.astype(np.float32)


def unpack(values: np.ndarray, valid: np.ndarray, name: str = "main") -> Person:
    """The person of a track: `values` (F, 16) and `valid` (F,)."""
    values = values.astype(np.float32)
    bridged = valid & (values[:, 15] > 0.5)
    landmarks = values[:, 4:14].reshape(-1, 5, 2)
    return Person(name, values[:, :4], landmarks, values[:, 14], valid & ~bridged, bridged)
