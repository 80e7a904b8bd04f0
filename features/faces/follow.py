"""Follows people over time. Data flow: frames > faces of each frame > paths > people by name.

A face joins the path whose last box it overlaps or lies near, at a similar size, whether that box
is one frame or one shot old. Looks are not compared.

Letters: F frames of the video, K faces of a frame, P paths.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress, pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from features.faces.detect import MIN_AFFINITY, Faces, FaceSettings, affinity
from features.faces.person import Person, absent
from features.faces.sparse import Detector, find_faces
from features.media import FrameBlock
from features.track import MAIN

LOST_WEIGHT = 0.7
"""Factor on the affinity of paths out of sight, so that those in sight are served first."""
MIN_SEEN = 3
"""Frames in which a face must be found, else it is taken for a false detection."""
TOGETHER = 0.25
"""Share of the frames in which two people must both be seen to count as two people."""


@dataclass
class _Path:
    """Faces taken for one person: rows of frames with box, landmarks and score of each."""

    rows: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    landmarks: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, row: int, time: float, faces: Faces, index: int) -> None:
        self.rows.append(row)
        self.times.append(time)
        self.boxes.append(faces.boxes[index])
        self.landmarks.append(faces.landmarks[index])
        self.scores.append(float(faces.scores[index]))


def find_people(
    blocks: Iterable[FrameBlock], detector: Detector, settings: FaceSettings
) -> list[Person]:
    """Finds the people of a video; see `find_faces` and `follow`. Only boxes are kept in memory."""
    faces: list[Faces] = []
    times: list[float] = []
    for time, found in find_faces(blocks, detector, settings):
        times.append(time)
        faces.append(found)
    return follow(faces, np.array(times), settings.max_gap)


def follow(faces: list[Faces], times: np.ndarray, max_gap: float) -> list[Person]:
    """Makes people of the faces of all frames.

    Args:
        faces: F entries.
        times: (F,) seconds.
        max_gap: Longest time between two detections that is bridged, in seconds.

    Returns:
        `main`, who fills most of the video (area times frames; never seen if there is no face),
        then `left` and `right` if two people are in view together for a quarter of it.
    """
    paths = sorted(_link(faces, times, max_gap), key=_presence, reverse=True)
    if not paths:
        return [absent(MAIN, len(times))]
    main = paths[0]
    least = TOGETHER * len(times)
    companions = [p for p in paths[1:] if len(np.intersect1d(p.rows, main.rows)) >= least]
    pair = sorted([main, companions[0]], key=_mean_x) if companions else []
    named = zip((MAIN, "left", "right"), [main, *pair], strict=False)
    return [_person(name, path, times, max_gap) for name, path in named]


def _link(faces: list[Faces], times: np.ndarray, max_gap: float) -> list[_Path]:
    """Links the faces of all frames to paths; drops paths too short to be somebody."""
    enough = min(MIN_SEEN, len(faces))
    paths: list[_Path] = []
    for row, (found, time) in enumerate(zip(faces, times.tolist(), strict=True)):
        lost = [p.rows[-1] < row - 1 and time - p.times[-1] > max_gap for p in paths]
        kept = [len(p.rows) >= enough or not gone for p, gone in zip(paths, lost, strict=True)]
        paths, lost = list(compress(paths, kept)), list(compress(lost, kept))
        joined = _match(paths, lost, found)
        for index in range(len(found)):
            if index in joined:
                path = paths[joined[index]]
            else:
                paths.append(path := _Path())
            path.add(row, time, found, index)
    return [p for p in paths if len(p.rows) >= enough]


def _match(paths: list[_Path], lost: list[bool], faces: Faces) -> dict[int, int]:
    """Which path each face joins: face to path, the best assignment of all."""
    if not (paths and len(faces)):
        return {}
    scores = affinity(np.stack([path.boxes[-1] for path in paths]), faces.boxes)
    fits = scores >= MIN_AFFINITY
    scores[lost] *= LOST_WEIGHT
    chosen = zip(*linear_sum_assignment(np.where(fits, scores, 0), maximize=True), strict=True)
    return {int(face): int(path) for path, face in chosen if fits[path, face]}


def _person(name: str, path: _Path, times: np.ndarray, max_gap: float) -> Person:
    """The path laid on all frames, its short gaps bridged by straight lines in time."""
    person = absent(name, len(times))
    rows = np.array(path.rows)
    person.found[rows] = True
    person.score[rows] = path.scores
    person.bridged[:] = _short_gaps(rows, times, max_gap)
    known = np.flatnonzero(person.valid)
    for target, values in ((person.boxes, path.boxes), (person.landmarks, path.landmarks)):
        table = np.stack(values).reshape(len(rows), -1)
        columns = [np.interp(times[known], times[rows], column) for column in table.T]
        target.reshape(len(times), -1)[known] = np.stack(columns, axis=1)
    return person


def _short_gaps(rows: np.ndarray, times: np.ndarray, max_gap: float) -> np.ndarray:
    """(F,) bool, frames between two found ones that are at most `max_gap` seconds apart."""
    bridged = np.zeros(len(times), bool)
    for before, after in pairwise(rows):
        if after - before > 1 and times[after] - times[before] <= max_gap:
            bridged[before + 1 : after] = True
    return bridged


def _presence(path: _Path) -> float:
    """Area in view summed over the frames."""
    boxes = np.stack(path.boxes)
    return float((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())


def _mean_x(path: _Path) -> float:
    return float(np.stack(path.boxes)[:, [0, 2]].mean())
