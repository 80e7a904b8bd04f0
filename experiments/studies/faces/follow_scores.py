"""Identities that are given out, held against who is there; and the follower before looks.

Data flow: faces of a scene > identities by place, or by place and looks > switches, right faces.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from features.faces.detect import MIN_AFFINITY, Faces, FaceSettings, affinity
from features.faces.tracker import LOST_WEIGHT, MIN_SEEN, Follower
from features.store.person_names import ALL


@dataclass(frozen=True)
class Scene:
    """What was found in a scene.

    Attributes:
        times: Seconds of the frames.
        faces: Faces of each frame.
        looks: Their looks.
        whose: Who each face is; -1 for a false one.
    """

    times: list[float]
    faces: list[Faces]
    looks: list[np.ndarray]
    whose: list[np.ndarray]


@dataclass(frozen=True)
class Score:
    """How well identities were kept.

    Attributes:
        switches: Times that somebody is given another identity than when seen last (MOTA's IDSW,
            Bernardin and Stiefelhagen 2008).
        right: Faces with the identity that fits the person best, one to one (IDTP, Ristani et al.
            2016).
        faces: All faces that are somebody's.
        identities: Identities given out.
        people: People there are.
    """

    switches: int
    right: int
    faces: int
    identities: int
    people: int

    def __add__(self, other: "Score") -> "Score":
        return Score(*(a + b for a, b in zip(_numbers(self), _numbers(other), strict=True)))


def _numbers(score: Score) -> tuple[int, ...]:
    return score.switches, score.right, score.faces, score.identities, score.people


def by_looks(scene: Scene) -> list[np.ndarray]:
    """Identity of each face of each frame by the project's follower; -1 for nobody."""
    follower = Follower(FaceSettings())
    parts = zip(scene.times, scene.faces, scene.looks, strict=True)
    numbers = [follower.add(*part) for part in parts]
    known: dict[tuple[int, int], int] = {}
    for identity, one in enumerate(follower.people(ALL)):
        for row in np.flatnonzero(one.paths >= 0):
            known.setdefault((int(row), int(one.paths[row])), identity)
    return [
        np.array([known.get((row, int(number)), -1) for number in some], int)
        for row, some in enumerate(numbers)
    ]


def by_place(scene: Scene) -> list[np.ndarray]:
    """The same by the rules before looks: the path whose last box is nearest, however old it is."""
    max_gap = FaceSettings().max_gap
    last: list[tuple[int, float, np.ndarray]] = []
    given = []
    for row, (now, faces) in enumerate(zip(scene.times, scene.faces, strict=True)):
        numbers = np.full(len(faces), -1)
        if last and len(faces):
            near = affinity(np.stack([box for *_, box in last]), faces.boxes)
            fits = near >= MIN_AFFINITY
            lost = [seen < row - 1 and now - moment > max_gap for seen, moment, _ in last]
            near[lost] *= LOST_WEIGHT
            pairs = zip(*linear_sum_assignment(np.where(fits, near, 0), maximize=True), strict=True)
            for path, face in pairs:
                numbers[face] = path if fits[path, face] else -1
        for face in np.flatnonzero(numbers < 0):
            numbers[face] = len(last)
            last.append((row, now, faces.boxes[face]))
        for face, path in enumerate(numbers):
            last[path] = row, now, faces.boxes[face]
        given.append(numbers)
    seen = Counter(np.concatenate(given).tolist())
    return [np.array([n if seen[n] >= MIN_SEEN else -1 for n in some], int) for some in given]


def score(whose: list[np.ndarray], given: list[np.ndarray]) -> Score:
    """Holds identities that were given out against the people who are there."""
    people, identities = np.concatenate(whose), np.concatenate(given)
    real = people >= 0
    together = np.zeros((people.max() + 1, max(identities.max() + 1, 1)), int)
    np.add.at(together, (people[real & (identities >= 0)], identities[real & (identities >= 0)]), 1)
    right = together[linear_sum_assignment(together, maximize=True)].sum()
    switches = 0
    for person in np.unique(people[real]):
        ids = identities[(people == person) & (identities >= 0)]
        switches += int((np.diff(ids) != 0).sum())
    shown = len(np.unique(identities[identities >= 0]))
    return Score(switches, int(right), int(real.sum()), shown, len(np.unique(people[real])))
