"""Follows people over time. Data flow: faces and looks of each frame > paths > people by name.

A face goes on with the path that it agrees with best in place and looks. In one place, only an
abrupt change of looks (a cut to somebody else) parts it from the path; anywhere else, after a gap
of any length, looks must say that it is the same person. At the end paths that nobody saw together
and that look the same become one person. Pictures are not kept.

Letters: F frames of the video, K faces of a frame, P paths, V views of a path, L length of looks.
"""

from array import array
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from features.faces.appearance import CUT, SAME, Views
from features.faces.detect import MIN_AFFINITY, Faces, FaceSettings, affinity, overlap
from features.faces.person_track import Person, absent, laid_out, without_gaps
from features.store.feature_track import MAIN
from features.store.person_names import name_people

LOOKS_WEIGHT = 20.0
"""What similarity beyond `CUT` counts in the choice of paths; the same place and size counts 2."""
LOST_WEIGHT = 0.7
"""Factor on the affinity of paths out of sight, so that those in sight are served first."""
APART = 0.1
"""Overlap of two faces of a frame from which on one hides a part of the other."""
MIN_SEEN = 3
"""Frames in which a face must be found, else it is taken for a false detection."""
WATCHED = 64
"""Most paths out of sight that may be gone on with; of more, those seen least are left alone."""
CROP = FaceSettings()
"""How faces are cut out to see their looks."""
COLUMNS = 15
"""Numbers that are kept of a face: box, landmarks, score."""


@dataclass
class _Path:
    """What is needed to go on with a path: its last face, and what it looks like."""

    number: int
    seen: int
    row: int
    time: float
    box: np.ndarray
    views: Views


@dataclass(frozen=True)
class Followed:
    """Somebody, and where their features are to be taken from.

    Attributes:
        person: Where the face is.
        paths: (F,) int32, number of the path that shows the person; -1 where not found.
    """

    person: Person
    paths: np.ndarray


class Follower:
    """Follows the faces of one video, frame by frame.

    Args:
        settings: `max_gap` is the longest time between two detections that is bridged.
    """

    def __init__(self, settings: FaceSettings) -> None:
        self._max_gap = settings.max_gap
        self._times = array("d")
        self._shots = array("i")
        self._rows, self._paths = array("i"), array("i")
        self._faces = array("f")
        self._watched: list[_Path] = []
        self._begun = 0

    def add(self, time: float, faces: Faces, looks: np.ndarray, shot: int = 0) -> np.ndarray:
        """Takes the next frame.

        Args:
            time: Seconds, rising.
            faces: K faces.
            looks: (K, L) float32 of their aligned crops; see `looks_of`.
            shot: Number of the shot that the frame belongs to; see `Shots`.

        Returns:
            (K,) int64 numbers of the paths that the faces belong to, counted from 0.
        """
        row = len(self._times)
        self._times.append(time)
        self._shots.append(shot)
        self._forget(row, time)
        joined = self._match(row, time, faces, looks)
        for index in range(len(faces)):
            path = joined.get(index) or self._begin(looks[index])
            path.seen, path.row, path.time = path.seen + 1, row, time
            path.box = faces.boxes[index]
            path.views.add(looks[index], clear=_is_clear(faces.boxes, index))
            joined[index] = path
        numbers = [joined[index].number for index in range(len(faces))]
        self._keep(row, faces, numbers)
        return np.array(numbers, np.int64)

    def people(self, persons: int = 2) -> list[Followed]:
        """Who was seen, by name; see `name_people`.

        Args:
            persons: Most people; see `parse_persons`.
        """
        times = np.array(self._times)
        rows, paths = np.array(self._rows, int), np.array(self._paths, np.int32)
        faces = np.array(self._faces, np.float32).reshape(-1, COLUMNS)
        found = _split(self._whose(rows, paths)[paths])
        named = name_people([(rows[f], faces[f, :4]) for f in found], len(times), persons)
        result = []
        for name, one in named:
            of_rows = np.full(len(times), -1, np.int32)
            of_rows[rows[found[one]]] = paths[found[one]]
            there = rows[found[one]]
            person = laid_out(
                name, there, faces[found[one]], times, self._max_gap, np.array(self._shots)
            )
            others = ~np.isin(np.arange(len(rows)), found[one])
            person = without_gaps(person, _taken(person, rows[others], faces[others, :4]))
            result.append(Followed(person, of_rows))
        return result or [Followed(absent(MAIN, len(times)), np.full(len(times), -1, np.int32))]

    def _whose(self, rows: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """(P,) which person each path shows, counted from 0; -1 if too short to be somebody.

        Paths that are still watched, look the same and share no frame are of one person.
        """
        there = [rows[entries] for entries in _split(paths)]
        views = {path.number: path.views for path in self._watched}
        whose = np.full(self._begun, -1)
        people: list[tuple[Views | None, np.ndarray]] = []
        for path in sorted(range(self._begun), key=lambda path: -len(there[path])):
            if len(there[path]) < min(MIN_SEEN, len(self._times)):
                break
            look = views.get(path)
            one = _who(people, look, there[path])
            if one is None:
                whose[path] = len(people)
                people.append((look, there[path]))
            else:
                whose[path] = one
                people[one] = people[one][0], np.concatenate([people[one][1], there[path]])
        return whose

    def _match(self, row: int, time: float, faces: Faces, looks: np.ndarray) -> dict[int, _Path]:
        """Which path each face joins; faces that fit none are out.

        Paths out of sight are looked at only if somebody may have come or been exchanged.
        """
        seen = [path for path in self._watched if self._in_view(path, row, time)]
        joined = _assigned(seen, len(seen), faces, looks)
        sure = [index for index, (_, alike) in joined.items() if alike >= SAME]
        if len(sure) < len(faces) and len(seen) < len(self._watched):
            lost = [path for path in self._watched if not self._in_view(path, row, time)]
            joined = _assigned(seen + lost, len(seen), faces, looks)
        return {index: path for index, (path, _) in joined.items()}

    def _in_view(self, path: _Path, row: int, time: float) -> bool:
        """Whether the path was seen in the last frame, or a moment ago."""
        return path.row >= row - 1 or time - path.time <= self._max_gap

    def _begin(self, look: np.ndarray) -> _Path:
        """A new path."""
        path = _Path(self._begun, 0, 0, 0.0, np.zeros(4, np.float32), Views(look))
        self._begun += 1
        self._watched.append(path)
        return path

    def _keep(self, row: int, faces: Faces, numbers: list[int]) -> None:
        """Writes the faces of a frame down."""
        self._rows.extend([row] * len(numbers))
        self._paths.extend(numbers)
        table = np.column_stack([faces.boxes, faces.landmarks.reshape(-1, 10), faces.scores])
        self._faces.frombytes(table.astype(np.float32).tobytes())

    def _forget(self, row: int, time: float) -> None:
        """No longer watches false detections, and those least seen of too many out of sight."""
        lost = [path for path in self._watched if not self._in_view(path, row, time)]
        if len(lost) <= WATCHED and all(path.seen >= MIN_SEEN for path in lost):
            return
        ranked = sorted(lost, key=lambda path: (-path.seen, -path.row, path.number))
        gone = {p.number for i, p in enumerate(ranked) if i >= WATCHED or p.seen < MIN_SEEN}
        self._watched = [path for path in self._watched if path.number not in gone]


def _assigned(
    paths: list[_Path], in_view: int, faces: Faces, looks: np.ndarray
) -> dict[int, tuple[_Path, float]]:
    """The best assignment of faces to paths, the first of which are in view.

    Returns:
        Path and similarity of each face that fits one.
    """
    if not (paths and len(faces)):
        return {}
    near = affinity(np.stack([path.box for path in paths]), faces.boxes)
    alike = np.stack([path.views.similarity(looks, i < in_view) for i, path in enumerate(paths)])
    fits = (alike >= SAME) | ((near >= MIN_AFFINITY) & (alike >= CUT))
    near[in_view:] *= LOST_WEIGHT
    scores = np.where(fits, near + LOOKS_WEIGHT * (alike - CUT), 0)
    chosen = zip(*linear_sum_assignment(scores, maximize=True), strict=True)
    return {int(f): (paths[p], float(alike[p, f])) for p, f in chosen if fits[p, f]}


def _taken(person: Person, rows: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(F,) bool, frames in which another face (N,) is where the person's should be."""
    taken = np.zeros(len(person.found), bool)
    near = overlap(person.boxes[rows], boxes) > APART
    taken[rows[near & person.bridged[rows]]] = True
    return taken


def _split(labels: np.ndarray) -> list[np.ndarray]:
    """Where each label is, from 0 to the largest; negative ones are left out."""
    order = np.argsort(labels, kind="stable")
    borders = np.searchsorted(labels[order], np.arange(labels.max(initial=-1) + 2))
    return [order[first:last] for first, last in pairwise(borders)]


def _is_clear(boxes: np.ndarray, index: int) -> bool:
    """Whether no other face of the frame hides a part of this one."""
    others = np.delete(boxes, index, axis=0)
    return not (overlap(boxes[index], others) > APART).any()


def _who(
    people: list[tuple[Views | None, np.ndarray]], look: Views | None, rows: np.ndarray
) -> int | None:
    """The person whom a path that was seen at `rows` looks most like, None if there is none."""
    if look is None:
        return None
    alike = [0.0 if views is None else look.likeness(views) for views, _ in people]
    for one in np.argsort(alike, kind="stable")[::-1]:
        if alike[one] < SAME:
            return None
        if not np.isin(rows, people[one][1]).any():
            return int(one)
    return None
