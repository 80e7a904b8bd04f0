"""Faces are found where they are and followed as people."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.faces.alignment import template
from features.faces.detect import (
    NO_FACES,
    FaceDetector,
    Faces,
    FaceSettings,
    affinity,
    overlap,
)
from features.faces.person_track import FACE_COLUMNS, absent, pack, unpack
from features.media import FrameBlock, read_frames
from tests.features.faces.finding import find_people
from tests.media import face_frame, plain_frames, write_video
from tests.shared import shared_data

SETTINGS = FaceSettings()


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(SETTINGS)


def face(x: float, y: float = 100.0, side: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """Box and landmarks of a face around (x, y)."""
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    points = (template(1, 0.0) - 0.5) * side + (x, y)
    return box, points.astype(np.float32)


def seen(*centres: tuple[float, ...]) -> Faces:
    """Faces of a frame, each given by (x, y, side) or a part of it."""
    if not centres:
        return NO_FACES
    boxes, landmarks = zip(*(face(*centre) for centre in centres), strict=True)
    return Faces(np.stack(boxes), np.stack(landmarks), np.full(len(centres), 0.99, np.float32))


def clock(frames: int, fps: float = 25.0) -> np.ndarray:
    return np.arange(frames) / fps


# Detection ---------------------------------------------------------------------------------------


def test_faces_are_found_at_their_place_in_full_size_pixels(detector: FaceDetector) -> None:
    centres = [[(300, 260)], [], [(300, 260), (900, 260)]]
    images = np.stack([face_frame(1280, 512, c, size=240) for c in centres])
    found = detector.detect(images)
    assert [len(faces) for faces in found] == [1, 0, 2]
    for faces, where in zip(found, centres, strict=True):
        for box, (x, y) in zip(faces.boxes[np.argsort(faces.boxes[:, 0])], where, strict=True):
            assert abs((box[0] + box[2]) / 2 - x) < 40
            assert abs((box[1] + box[3]) / 2 - y) < 40
            assert 100 < box[2] - box[0] < 220
        boxes, points = faces.boxes.reshape(-1, 2, 1, 2), faces.landmarks[:, None]
        assert ((boxes[:, :1] < points) & (points < boxes[:, 1:])).all()
        assert (faces.scores > 0.9).all()


@pytest.mark.parametrize("shape", [(8, 8), (10, 10), (1, 400), (31, 300), (32, 32), (33, 47)])
def test_pictures_too_small_for_a_face_give_none(
    detector: FaceDetector, shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, *shape, 3), dtype=np.uint8)
    assert [len(faces) for faces in detector.detect(noise)] == [0, 0]


def test_threshold_drops_improbable_faces() -> None:
    image = face_frame(320, 240, [(160, 120)])[None]
    assert len(FaceDetector(FaceSettings(threshold=0.9)).detect(image)[0]) == 1
    assert len(FaceDetector(FaceSettings(threshold=1.01)).detect(image)[0]) == 0


def test_only_what_touches_the_result_is_in_the_key() -> None:
    key = FaceSettings().key()
    assert FaceSettings(batch=3).key() == key
    assert FaceSettings(margin=0.1).key() != key
    assert FaceSettings(min_face=40).key() != key
    assert FaceSettings(every=1).key() != key
    assert FaceSettings(tolerance=0.3).key() != key


@pytest.mark.parametrize("size", [90, 120, 400])
def test_face_that_is_roughly_known_is_refined_to_what_the_search_finds(
    detector: FaceDetector, size: int
) -> None:
    image = face_frame(640, 512, [(320, 250)], size=size)
    (searched,) = detector.detect(image[None])
    side = searched.boxes[0, 3] - searched.boxes[0, 1]
    shifts = [(0, 0, 0, 0), (0.1, 0.1, 0.1, 0.1), (0.1, 0, -0.05, 0), (0.2, 0.2, 0.2, 0.2)]
    boxes = searched.boxes + np.array(shifts, np.float32) * side
    refined = detector.refine([image] * 4, boxes)
    kept = overlap(refined.boxes, searched.boxes)
    assert (kept > 0.8).all()
    assert kept[3] > 0.9
    off = np.linalg.norm(refined.landmarks - searched.landmarks, axis=-1)
    assert off.mean() < 0.03 * side
    assert (refined.scores > 0.9).all()


def test_refined_faces_keep_the_order_of_boxes_and_are_improbable_where_nobody_is(
    detector: FaceDetector,
) -> None:
    here, there = face_frame(640, 300, [(200, 150)]), face_frame(640, 300, [(450, 150)])
    boxes = np.stack([detector.detect(image[None])[0].boxes[0] for image in (here, there)])
    refined = detector.refine([there, here, there, here], boxes[[1, 1, 0, 0]])
    assert (refined.scores > 0.9).tolist() == [True, False, False, True]
    assert (overlap(refined.boxes[[0, 3]], boxes[[1, 0]]) > 0.8).all()


@pytest.mark.parametrize("corner", [(-70, -70), (200, -300), (300, 200), (5000, 5000)])
def test_boxes_that_leave_the_picture_are_refined_to_something_finite(
    detector: FaceDetector, corner: tuple[int, int]
) -> None:
    box = np.array([[*corner, corner[0] + 100, corner[1] + 120]], np.float32)
    refined = detector.refine([face_frame(320, 240, [])], box)
    assert np.isfinite(refined.boxes).all()
    assert refined.scores[0] < 0.9


@pytest.mark.parametrize("box", [(-200, 50, -100, 150), (50, -200, 150, -80), (500, 50, 600, 160)])
def test_nothing_is_taken_from_the_other_side_of_the_picture(
    detector: FaceDetector, box: tuple[int, ...]
) -> None:
    images = [face_frame(320, 240, [(160, 120)]), np.zeros((240, 320, 3), np.uint8)]
    refined = detector.refine(images, np.array([box, box], np.float32))
    np.testing.assert_array_equal(refined.boxes[0], refined.boxes[1])


def test_faces_are_sorted_by_their_probability() -> None:
    three = seen((100,), (200,), (300,))
    faces = Faces(three.boxes, three.landmarks, np.array([0.7, 0.9, 0.8], np.float32))
    chosen = faces.sorted(np.array([0, 2, 1]))
    np.testing.assert_array_equal(chosen.scores, np.array([0.9, 0.8, 0.7], np.float32))
    np.testing.assert_array_equal(chosen.boxes, three.boxes[[1, 2, 0]])
    np.testing.assert_array_equal(chosen.landmarks, three.landmarks[[1, 2, 0]])
    assert len(faces.sorted(np.array([2]))) == 1


def test_overlap_is_shared_area_over_all_area() -> None:
    a = np.array([0, 0, 10, 10.0])
    others = np.array([[0, 0, 10, 10.0], [5, 0, 15, 10], [20, 0, 30, 10], [0, 0, 5, 5]])
    np.testing.assert_allclose(overlap(a, others), [1, 1 / 3, 0, 1 / 4])


# Following ---------------------------------------------------------------------------------------


def test_affinity_is_two_for_equal_boxes_and_zero_far_away() -> None:
    box = face(100.0)[0][None]
    assert affinity(box, box)[0, 0] == pytest.approx(2.0)
    assert affinity(box, box + 500)[0, 0] == 0.0


def test_blocks_of_any_size_give_the_same_people(detector: FaceDetector, tmp_path: Path) -> None:
    frames = [face_frame(256, 192, [(80 + 12 * i, 96)]) for i in range(9)]
    frames[4] = cv2.GaussianBlur(frames[4], (31, 31), 0)
    path = write_video(tmp_path / "v.mp4", frames)
    (whole,) = find_people(read_frames(path, 16), detector, SETTINGS)
    (parts,) = find_people(read_frames(path, 4), detector, SETTINGS)
    assert whole.found.tolist() == [True] * 4 + [False] + [True] * 4
    assert whole.bridged.tolist() == [False] * 4 + [True] + [False] * 4
    np.testing.assert_allclose(whole.boxes, parts.boxes, atol=0.5)
    assert np.all(np.diff(whole.boxes[:, 0]) > 0)


def test_people_are_where_the_search_of_every_frame_finds_them(detector: FaceDetector) -> None:
    ways = [(100 + 3 * i, 120 + 20 * np.sin(i / 8)) for i in range(40)]
    images = [face_frame(320, 240, [way]) for way in ways]
    images[16:27] = [face_frame(320, 240, [])] * 11
    block = FrameBlock(np.stack(images), clock(40), 0)
    (ours,) = find_people([block], detector, SETTINGS)
    (theirs,) = find_people([block], detector, FaceSettings(every=1))
    assert theirs.found.sum() == 29
    assert ours.valid.tolist() == theirs.valid.tolist()
    there = theirs.found
    kept = overlap(ours.boxes[there], theirs.boxes[there])
    assert kept.min() > 0.7
    assert kept.mean() > 0.85
    assert np.abs(ours.landmarks[there] - theirs.landmarks[there]).mean() < 3


def test_video_of_eight_pixels_has_nobody(detector: FaceDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(5, 8, 8))
    (main,) = find_people(read_frames(path), detector, SETTINGS)
    assert main.valid.tolist() == [False] * 5


# Tracks ------------------------------------------------------------------------------------------


def test_person_survives_packing() -> None:
    person = absent("main", 10)
    for i in (0, 1, 2, 3, 4, 5, 6, 7, 8):
        person.boxes[i], person.landmarks[i] = face(100 + i)
        (person.bridged if i == 5 else person.found)[i] = True
        person.score[i] = 0.0 if i == 5 else 0.99
    values = pack(person)
    assert values.shape == (10, len(FACE_COLUMNS))
    assert values.dtype == np.float32
    back = unpack(values, person.valid, "main")
    for name in ("boxes", "landmarks", "score", "found", "bridged"):
        np.testing.assert_array_equal(getattr(back, name), getattr(person, name))
    assert dict(zip(FACE_COLUMNS, values[0], strict=True))["nose_x"] == person.landmarks[0, 2, 0]


def test_rows_that_are_not_valid_are_packed_as_zero() -> None:
    assert not pack(absent("main", 4)).any()


# Real files --------------------------------------------------------------------------------------


def every_tenth_frame(path: Path) -> list[FrameBlock]:
    return [
        FrameBlock(block.images[::10], block.times[::10], block.first // 10)
        for block in read_frames(path, batch=20)
    ]


def test_news_footage_with_cuts_has_one_main(detector: FaceDetector) -> None:
    path = shared_data() / "clips" / "mexca_test_video_audio_5_seconds.mp4"
    people = find_people(every_tenth_frame(path), detector, SETTINGS)
    assert people[0].name == "main"
    assert 0.1 < people[0].found.mean() < 0.9


def test_speech_clip_keeps_its_boxes_with_few_searches() -> None:
    class Counting(FaceDetector):
        searched = 0

        def detect(self, images: np.ndarray) -> list[Faces]:
            self.searched += len(images)
            return super().detect(images)

    path = shared_data() / "clips" / "pyfeat_single_face.mp4"
    blocks = list(islice(read_frames(path, batch=13), 2))
    counting = Counting(SETTINGS)
    (ours,) = find_people(blocks, counting, SETTINGS)
    assert counting.searched == 4
    (theirs,) = find_people(blocks, counting, FaceSettings(every=1))
    assert ours.valid.tolist() == theirs.valid.tolist()
    assert (overlap(ours.boxes, theirs.boxes) > 0.8).mean() >= 0.98
