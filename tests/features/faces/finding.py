"""Everybody in a video, in one go."""

from collections.abc import Iterable

from features.faces.alignment import crop_faces
from features.faces.appearance import looks_of
from features.faces.detect import FaceSettings
from features.faces.keyframes import Detector, find_faces
from features.faces.person_track import Person
from features.faces.shots import Shots
from features.faces.tracker import CROP, Follower
from features.media import FrameBlock


def find_people(
    blocks: Iterable[FrameBlock], detector: Detector, settings: FaceSettings, persons: int = 2
) -> list[Person]:
    """The people of a video, found and followed as extraction does."""
    follower, shots = Follower(settings), Shots()
    for frame in find_faces(blocks, detector, settings):
        pictures = [frame.image] * len(frame.faces)
        looks = looks_of(crop_faces(pictures, frame.faces.landmarks, CROP))
        follower.add(frame.time, frame.faces, looks, shots.add(frame.image))
    return [followed.person for followed in follower.people(persons)]
