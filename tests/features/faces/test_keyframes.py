"""Faces are searched in few frames, and the result is as if they were searched in all."""

import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from features.faces.detect import NO_FACES, Faces, FaceSettings, overlap
from features.faces.keyframes import find_faces
from features.media import FrameBlock
from tests.features.faces.finding import find_people
from tests.features.faces.test_detect import clock, seen

EVERY = 8
SETTINGS = FaceSettings(every=EVERY)
Script = Sequence[Faces]
"""The faces that are to be seen in each frame."""


class ScriptedDetector:
    """Sees in a picture what the script says of its number; keeps which frames were searched."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.searched: list[int] = []
        self.calls: list[int] = []
        self.expected: dict[int, np.ndarray] = {}

    def detect(self, images: np.ndarray) -> list[Faces]:
        numbers = [number_of(image) for image in images]
        self.calls.append(len(numbers))
        self.searched.extend(numbers)
        return [self.script[number] for number in numbers]

    def refine(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> Faces:
        assert len(images) == len(boxes) > 0
        found = [self._nearest(number_of(i), box) for i, box in zip(images, boxes, strict=True)]
        places, landmarks, scores = zip(*found, strict=True)
        return Faces(np.stack(places), np.stack(landmarks), np.array(scores, np.float32))

    def _nearest(self, number: int, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        self.expected[number] = box
        there = self.script[number]
        shared = overlap(there.boxes, box[None])
        if not (shared > 0).any():
            return box, np.zeros((5, 2), np.float32), 0.1
        best = shared.argmax()
        return there.boxes[best], there.landmarks[best], float(there.scores[best])


def numbered(number: int) -> np.ndarray:
    return np.full((2, 3, 3), (number // 256, number % 256, 0), np.uint8)


def number_of(image: np.ndarray) -> int:
    return int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])


def blocks(times: np.ndarray, batch: int = 5) -> Iterator[FrameBlock]:
    for first in range(0, len(times), batch):
        part = times[first : first + batch]
        yield FrameBlock(np.stack([numbered(first + i) for i in range(len(part))]), part, first)


def found(
    script: Script, settings: FaceSettings = SETTINGS, batch: int = 5
) -> tuple[list[Faces], list[int]]:
    """Faces of all frames and the numbers of those that were searched."""
    detector, times = ScriptedDetector(script), clock(len(script))
    result = list(find_faces(blocks(times, batch), detector, settings))
    assert [frame.time for frame in result] == times.tolist()
    assert [number_of(frame.image) for frame in result] == list(range(len(script)))
    assert len(set(detector.searched)) == len(detector.searched)
    return [frame.faces for frame in result], sorted(detector.searched)


def assert_same(result: Script, script: Script) -> None:
    assert [len(faces) for faces in result] == [len(faces) for faces in script]
    for ours, theirs in zip(result, script, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.landmarks, theirs.landmarks)
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_steady_motion_needs_no_search_but_in_key_frames() -> None:
    script = [seen((100 + 2 * i, 200 - i)) for i in range(60)]
    result, searched = found(script)
    assert_same(result, script)
    assert searched == [*range(0, 60, EVERY), 59]


def test_boxes_are_expected_along_time_not_along_frames() -> None:
    times = np.array([0.0, 0.04, 0.08, 0.1, 0.3, 0.31, 0.32, 0.4, 0.48, 0.5, 0.9])
    script = [seen((100 + 50 * time,)) for time in times]
    detector = ScriptedDetector(script)
    list(find_faces(blocks(times), detector, SETTINGS))
    assert detector.searched == [0, 8, 10]
    assert sorted(detector.expected) == [1, 2, 3, 4, 5, 6, 7, 9]
    for row, box in detector.expected.items():
        np.testing.assert_allclose(box, script[row].boxes[0], atol=1e-3)


@pytest.mark.parametrize("change", range(EVERY + 1, 2 * EVERY + 1))
def test_jump_forces_search_on_both_sides_of_it(change: int) -> None:
    script = [seen((100,))] * change + [seen((400,))] * (40 - change)
    result, searched = found(script)
    assert_same(result, script)
    assert {change - 1, change} <= set(searched)
    assert len(searched) <= 6 + 3  # log2(8) more than the key frames


def test_faces_of_different_places_are_not_taken_for_one_on_its_way() -> None:
    script = [seen((100,))] * 9 + [seen((300,))] * 8
    detector = ScriptedDetector(script)
    list(find_faces(blocks(clock(17)), detector, SETTINGS))
    middles = [float(box[[0, 2]].mean()) for box in detector.expected.values()]
    assert set(middles) == {100.0, 300.0}


@pytest.mark.parametrize("change", [9, 12, 16])
@pytest.mark.parametrize("appears", [True, False])
def test_appearing_and_disappearing_faces_force_search(change: int, appears: bool) -> None:
    alone, both = seen((100,)), seen((100,), (300, 100, 80))
    for fewer, more in ((NO_FACES, alone), (alone, both)):
        before, after = (fewer, more) if appears else (more, fewer)
        script = [before] * change + [after] * (40 - change)
        result, searched = found(script)
        assert_same(result, script)
        assert len(searched) <= 6 + 3


def test_face_lost_between_key_frames_that_agree_is_searched_and_stays_lost() -> None:
    script = [seen((100 + i,)) for i in range(33)]
    script[10:13] = [NO_FACES] * 3
    result, searched = found(script)
    assert_same(result, script)
    assert {9, 10, 12, 13} <= set(searched)


def test_shot_between_key_frames_that_agree_is_searched() -> None:
    script = [seen((100,))] * 40
    script[18:22] = [seen((500, 300, 90), (700, 300, 90))] * 4
    result, _ = found(script)
    assert_same(result, script)


def test_improbable_face_is_searched() -> None:
    sure, unsure = seen((100,)), seen((100,))
    unsure = Faces(unsure.boxes, unsure.landmarks, unsure.scores * 0 + 0.85)
    script = [sure] * 20
    script[11] = unsure
    assert 11 in found(script)[1]
    assert 11 not in found(script, FaceSettings(every=EVERY, threshold=0.8))[1]


def test_faces_further_from_where_they_were_expected_than_tolerated_are_searched() -> None:
    script = [seen((100,))] * 20
    script[12] = seen((120,))  # two thirds of a side are shared: overlap over union is 1 / 2
    assert 12 in found(script, FaceSettings(every=EVERY, tolerance=0.45))[1]
    result, searched = found(script, FaceSettings(every=EVERY, tolerance=0.55))
    assert searched == [0, 8, 16, 19]
    assert_same(result, script)


def test_face_that_changes_size_within_a_span_is_not_taken_for_the_same() -> None:
    script = [seen((100, 100, 40))] * 9 + [seen((100, 100, 200))] * 8
    result, searched = found(script)
    assert_same(result, script)
    assert {8, 9} <= set(searched)


def test_two_people_are_tracked_whatever_the_order_of_detections() -> None:
    def pair(number: int) -> Faces:
        ordered = seen((100 + number, 100, 60), (200 - number, 100, 80))
        scores = np.array([0.95, 0.99], np.float32)[:: (-1 if number % 16 else 1)]
        return Faces(ordered.boxes, ordered.landmarks, scores).sorted(np.arange(2))

    script = [pair(number) for number in range(33)]
    result, searched = found(script)
    assert_same(result, script)
    assert searched == [0, 8, 16, 24, 32]


def test_every_frame_means_every_frame_in_the_blocks_as_they_come() -> None:
    script = [seen((100 + 3 * i,)) if i % 7 else NO_FACES for i in range(33)]
    detector, times = ScriptedDetector(script), clock(33)
    result = list(find_faces(blocks(times, 5), detector, FaceSettings(every=1)))
    assert all(ours.faces is theirs for ours, theirs in zip(result, script, strict=True))
    assert detector.calls == [5] * 6 + [3]
    assert not detector.expected


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_shortest_videos_are_searched_at_both_ends(frames: int) -> None:
    script = [seen((100,))] * frames
    result, searched = found(script)
    assert_same(result, script)
    assert searched == sorted({0, frames - 1})


def test_video_without_frames_has_no_faces() -> None:
    assert found([]) == ([], [])


def test_video_without_a_face_is_searched_in_key_frames_only() -> None:
    script = [NO_FACES] * 50
    result, searched = found(script)
    assert_same(result, script)
    assert searched == [*range(0, 50, EVERY), 49]
    (main,) = find_people(blocks(clock(50)), ScriptedDetector(script), SETTINGS)
    assert not main.valid.any()


SHOTS = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300)), max_size=2),
        st.integers(-9, 9),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(SHOTS, st.integers(1, 40), st.integers(1, 12))
def test_borders_of_blocks_do_not_matter(
    shots: list[tuple[int, list[tuple[int, int]], int]], batch: int, every: int
) -> None:
    script = [
        seen(*((x + speed * i, y) for x, y in places))
        for length, places, speed in shots
        for i in range(length)
    ]
    chosen = FaceSettings(every=every)
    result, searched = found(script, chosen, batch)
    whole, searched_whole = found(script, chosen, batch=100)
    assert_same(result, whole)
    assert searched == searched_whole
    assert set(range(0, len(script), every)) <= set(searched)


def test_frames_are_let_go_when_their_faces_are_known() -> None:
    alive: list[int] = []
    kept: list[weakref.ref[np.ndarray]] = []

    def watched() -> Iterator[FrameBlock]:
        for block in blocks(clock(200), batch=4):
            kept.append(weakref.ref(block.images))
            alive.append(sum(ref() is not None for ref in kept))
            yield block

    for _ in find_faces(watched(), ScriptedDetector([seen((100,))] * 200), SETTINGS):
        pass
    assert len(kept) == 50
    assert max(alive) <= EVERY // 4 + 2


@pytest.mark.parametrize(("every", "tolerance"), [(0, 0.4), (-3, 0.4), (8, -0.1), (8, 1.5)])
def test_settings_that_make_no_sense_are_refused_by_name(every: int, tolerance: float) -> None:
    wrong = FaceSettings(every=every, tolerance=tolerance)
    with pytest.raises(UserError, match=r"--faces\.every .* --faces\.tolerance"):
        list(find_faces(blocks(clock(3)), ScriptedDetector([NO_FACES] * 3), wrong))
