"""One look finds, follows and encodes everybody; a second one adds what the first could not see."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.faces.detect import NO_FACES, Faces, FaceSettings
from features.faces.person_track import Person, absent
from features.faces.tracker import Follower
from features.media import FrameBlock, MediaFile
from features.media import recording as looks
from features.pipeline import video_pass
from features.pipeline.feature_buffer import FeatureBuffer
from features.pipeline.timing import StageTimes
from features.pipeline.video_pass import MOST_FACES, VideoPass
from tests.features.faces.test_detect import clock, seen
from tests.features.pipeline.test_feature_buffer import BatchEncoder

SETTINGS = FaceSettings(every=1, batch=5)


class Watched:
    """Stands in for a video whose frames are plain pictures of their number; counts decodes."""

    def __init__(self, script: Sequence[Faces]) -> None:
        self.script, self.decodes = script, 0

    def read_frames(self, path: Path, batch: int, reader: str) -> Iterator[FrameBlock]:
        self.decodes += 1
        times = clock(len(self.script))
        for first in range(0, len(times), batch):
            part = times[first : first + batch]
            numbers = np.arange(first, first + len(part), dtype=np.uint8)[:, None, None, None]
            yield FrameBlock(np.broadcast_to(numbers, (len(part), 200, 800, 3)).copy(), part, first)

    def frames_at(self, path: Path, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        for row in rows:
            yield row, np.full((200, 800, 3), row, np.uint8)

    def detect(self, images: np.ndarray) -> list[Faces]:
        return [self.script[image[0, 0, 0]] for image in images]

    def refine(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> Faces:
        raise AssertionError("every frame is searched")


Watch = Callable[[Sequence[Faces]], Watched]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    def start(script: Sequence[Faces]) -> Watched:
        watched = Watched(script)
        monkeypatch.setattr(looks, "read_frames", watched.read_frames)
        monkeypatch.setattr(looks, "frames_at", watched.frames_at)
        monkeypatch.setattr(
            video_pass, "looks_of", lambda crops: np.ones((len(crops), 1), np.float32)
        )
        return watched

    return start


def first_look(watched: Watched) -> tuple[FeatureBuffer, Follower, np.ndarray]:
    gathered, follower = FeatureBuffer([BatchEncoder()], SETTINGS.batch), Follower(SETTINGS)
    times = VideoPass(MediaFile(Path("12.mp4")), SETTINGS, StageTimes()).first(
        watched, follower, gathered
    )
    return gathered, follower, times


def test_one_decode_gives_people_and_their_features(watch: Watch) -> None:
    watched = watch([seen((100,), (500,))] * 23)
    gathered, follower, times = first_look(watched)
    np.testing.assert_array_equal(times, clock(23))
    people = follower.people(2)
    assert [one.person.name for one in people] == ["main", "left", "right"]
    for one in people:
        values = gathered.values("mean", 1, one.paths)[:, 0]
        np.testing.assert_array_equal(values, np.arange(23))
    assert watched.decodes == 1


def test_frames_without_a_face_have_a_time_and_no_features(watch: Watch) -> None:
    watched = watch([NO_FACES] * 4 + [seen((100,))] * 5 + [NO_FACES] * 3)
    gathered, follower, times = first_look(watched)
    assert len(times) == 12
    (main,) = follower.people(1)
    assert gathered.has(main.paths).tolist() == [False] * 4 + [True] * 5 + [False] * 3


def test_a_bridged_frame_is_left_to_the_second_look(watch: Watch) -> None:
    watched = watch([seen((100,))] * 5 + [NO_FACES] * 2 + [seen((100,))] * 5)
    gathered, follower, _ = first_look(watched)
    (main,) = follower.people(1)
    missing = main.person.valid & ~gathered.has(main.paths)
    assert np.flatnonzero(missing).tolist() == [5, 6]
    VideoPass(MediaFile(Path("12.mp4")), SETTINGS, StageTimes()).second(
        {-2: (main.person, missing)}, gathered
    )
    owners = np.where(missing, -2, main.paths)
    np.testing.assert_array_equal(gathered.values("mean", 1, owners)[:, 0], np.arange(12))


def test_a_frame_that_could_not_be_decoded_shows_nobody(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its picture repeats the one before, so the detector finds a face in it."""
    watched = watch([seen((100,))] * 12)
    real = watched.read_frames

    def damaged(path: Path, batch: int, reader: str) -> Iterator[FrameBlock]:
        for block in real(path, batch, reader):
            yield replace(block, lost=tuple({4, 5, 11} & set(range(block.first, block.first + 5))))

    monkeypatch.setattr(looks, "read_frames", damaged)
    gathered, follower, times = first_look(watched)
    (main,) = follower.people(1)
    right = [row not in (4, 5, 11) for row in range(12)]
    assert len(times) == 12
    assert main.person.found.tolist() == right
    assert gathered.has(main.paths).tolist() == right


def test_of_a_crowd_only_the_largest_faces_are_encoded(watch: Watch) -> None:
    crowd = [(60 + 90 * i, 100, 40 + 5 * i) for i in range(MOST_FACES + 3)]
    gathered, follower, _ = first_look(watch([seen(*crowd)] * 6))
    people = follower.people(99)
    named = {one.person.name: gathered.has(one.paths).all() for one in people}
    assert named.pop("main")
    assert sum(named.values()) < len(named)
    assert sum(gathered.has(np.full(6, path)).all() for path in range(9)) == MOST_FACES


def test_the_second_look_sees_only_the_rows_it_is_told(watch: Watch) -> None:
    watch([NO_FACES] * 12)
    person = standing(12)
    rows = np.zeros(12, bool)
    rows[[0, 7, 11]] = True
    gathered, times = FeatureBuffer([BatchEncoder()], 5), StageTimes()
    VideoPass(MediaFile(Path("12.mp4")), SETTINGS, times).second({3: (person, rows)}, gathered)
    np.testing.assert_array_equal(gathered.has(np.full(12, 3)), rows)
    assert times.amount["encode"] == 3


def test_the_same_faces_give_the_same_features_in_either_look(watch: Watch) -> None:
    watched = watch([seen((100 + 3 * i,)) for i in range(17)])
    gathered, follower, _ = first_look(watched)
    (main,) = follower.people(1)
    again = FeatureBuffer([BatchEncoder()], SETTINGS.batch)
    VideoPass(MediaFile(Path("12.mp4")), SETTINGS, StageTimes()).second(
        {0: (main.person, main.person.valid)}, again
    )
    zeros = np.zeros(17, int)
    np.testing.assert_array_equal(
        again.values("mean", 1, zeros), gathered.values("mean", 1, main.paths)
    )


def standing(frames: int) -> Person:
    """Somebody who does not move."""
    person, face = absent("main", frames), seen((100,))
    person.boxes[:], person.landmarks[:] = face.boxes[0], face.landmarks[0]
    person.found[:] = True
    return person
