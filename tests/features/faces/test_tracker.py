"""Faces are followed by place and looks."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.faces.appearance import CUT, SAME
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.person_track import Person
from features.faces.tracker import WATCHED, Followed, Follower
from features.media import FrameBlock, read_frames
from features.store.person_names import ALL
from tests.features.faces.finding import find_people
from tests.features.faces.test_detect import clock, face, seen
from tests.media import face_frame
from tests.shared import shared_data

ANN, BEN, CYD, DAN = np.eye(8, dtype=np.float32)[:4]
"""Looks of four people who are nothing alike."""
Frame = Sequence[tuple[np.ndarray, tuple[float, ...]]]
"""Looks and place, (x, y, side) or a part of it, of each face."""


def alike(look: np.ndarray, other: np.ndarray, similarity: float) -> np.ndarray:
    """A look between two, this similar to the first."""
    return (similarity * look + np.sqrt(1 - similarity**2) * other).astype(np.float32)


def follower_of(frames: Sequence[Frame], times: np.ndarray | None = None) -> Follower:
    follower = Follower(FaceSettings(max_gap=0.4))
    for time, frame in zip(clock(len(frames)) if times is None else times, frames, strict=True):
        looks = np.stack([look for look, _ in frame]) if frame else np.zeros((0, 8), np.float32)
        numbers = follower.add(float(time), seen(*(place for _, place in frame)), looks)
        assert numbers.shape == (len(frame),)
        assert len(set(numbers.tolist())) == len(frame)
    return follower


def follow(
    frames: Sequence[Frame], times: np.ndarray | None = None, persons: int = 2
) -> list[Person]:
    return [one.person for one in follower_of(frames, times).people(persons)]


def names(people: Sequence[Person]) -> list[str]:
    return [person.name for person in people]


def at(*xs: float, look: np.ndarray = ANN) -> list[Frame]:
    return [[(look, (x,))] for x in xs]


# One person --------------------------------------------------------------------------------------


def test_video_without_a_face_has_a_main_who_is_never_seen() -> None:
    (one,) = follower_of([[]] * 12).people(ALL)
    assert one.person.name == "main"
    assert one.person.boxes.shape == (12, 4)
    assert one.person.landmarks.shape == (12, 5, 2)
    assert not one.person.valid.any()
    assert one.paths.tolist() == [-1] * 12


def test_video_without_frames_has_a_main_without_rows() -> None:
    (one,) = Follower(FaceSettings()).people(2)
    assert one.person.name == "main"
    assert len(one.person.boxes) == len(one.paths) == 0


def test_moving_face_is_one_person_and_faceless_frames_stay_in_place() -> None:
    frames = [*at(*range(100, 260, 8)), *[[]] * 15, *at(*range(230, 260, 2))]
    (main,) = follow(frames)
    assert main.found.tolist() == [True] * 20 + [False] * 15 + [True] * 15
    assert not main.bridged.any()
    assert not main.boxes[~main.valid].any()
    np.testing.assert_array_equal(main.boxes[7], face(156)[0])


def test_short_gap_is_bridged_along_time_and_marked() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 1.2])
    frames = [*at(100, 100), [], [], *at(130), [], [], *at(130)]
    (main,) = follow(frames, times)
    assert main.bridged.tolist() == [False, False, True, True, False, False, False, False]
    middle = main.boxes[:, [0, 2]].mean(axis=1)
    assert middle[2] == pytest.approx(110)  # a third of the way in time, not in frames
    assert middle[3] == pytest.approx(115)
    np.testing.assert_allclose(main.landmarks[2], face(110.0)[1], atol=1e-3)
    assert main.score[2] == 0
    assert not main.valid[5:7].any()


def test_slow_video_is_followed_though_its_frames_are_further_apart_than_any_gap() -> None:
    (main,) = follow(at(*[100] * 10), clock(10, fps=1.0))
    assert main.found.all()


def test_one_frame_video_has_its_face() -> None:
    (main,) = follow(at(100))
    assert main.found.tolist() == [True]


# Identity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [200, 215, 600])
@pytest.mark.parametrize("seconds", [1, 60])
def test_person_who_returns_goes_on_wherever_that_is(where: float, seconds: float) -> None:
    frames = [*at(*[200] * 20), *at(*[where] * 20)]
    times = np.concatenate([clock(20), clock(20) + seconds])
    (main,) = follower_of(frames, times).people(ALL)
    assert main.person.found.all()
    assert set(main.paths.tolist()) == {0}


def test_one_who_left_is_known_again_at_the_place_of_somebody_much_alike() -> None:
    ben = alike(ANN, BEN, (CUT + SAME) / 2)
    frames = [*at(*[600] * 20, look=ben), *at(*[200] * 20), *at(*[200] * 20, look=ben)]
    one = follower_of(frames).people(ALL)[0]
    assert one.person.found.tolist() == [True] * 20 + [False] * 20 + [True] * 20
    assert set(one.paths.tolist()) == {0, -1}


def test_somebody_else_at_the_place_of_the_one_who_left_is_somebody_else() -> None:
    frames = [*at(*[200] * 20), *[[]] * 20, *at(*[200] * 15, look=BEN)]
    main, other = follow(frames, persons=ALL)
    assert main.found.tolist() == [True] * 20 + [False] * 35
    assert other.found.tolist() == [False] * 40 + [True] * 15


def test_cut_from_one_to_the_other_and_back_keeps_both_apart() -> None:
    frames = [*at(*[200] * 12), *at(*[200] * 10, look=BEN), *at(*[200] * 12)]
    main, other = follow(frames, persons=ALL)
    assert main.found.tolist() == [True] * 12 + [False] * 10 + [True] * 12
    assert other.found.tolist() == [not there for there in main.found]


def test_two_who_swap_places_by_a_cut_keep_their_identity() -> None:
    before: Frame = [(ANN, (100, 100, 80)), (BEN, (400, 100, 80))]
    after: Frame = [(ANN, (400, 100, 80)), (BEN, (100, 100, 80))]
    first, second = follower_of([before] * 20 + [after] * 20).people(ALL)[1:]
    for one in (first, second):
        assert len(set(one.paths.tolist())) == 1
        middle = one.person.boxes[:, [0, 2]].mean(axis=1)
        assert middle[19] == 500 - middle[20]


def test_looks_decide_between_two_who_are_near_each_other() -> None:
    near: Frame = [(ANN, (200, 100, 80)), (BEN, (225, 100, 80))]
    swapped: Frame = [(BEN, (200, 100, 80)), (ANN, (225, 100, 80))]
    people = follower_of([near, swapped] * 10).people(2)
    assert all(len(set(one.paths.tolist())) == 1 for one in people)


def test_two_who_look_much_alike_are_still_told_apart_when_they_swap() -> None:
    ben = alike(ANN, BEN, 0.88)  # so that either would pass for the other alone
    before: Frame = [(ANN, (200, 100, 80)), (ben, (260, 100, 80))]
    after: Frame = [(ben, (200, 100, 80)), (ANN, (260, 100, 80))]
    people = follower_of([before] * 10 + [after] * 10).people(2)
    for one in people:
        assert len(set(one.paths.tolist())) == 1
        assert one.person.boxes[9, 0] != one.person.boxes[10, 0]


@pytest.mark.parametrize("similarity", [0.0, 0.5])
def test_two_who_cross_with_one_hidden_keep_their_identity(similarity: float) -> None:
    ben = alike(ANN, BEN, similarity)
    frames: list[Frame] = []
    for i in range(41):
        ann_x, ben_x = 100.0 + 10 * i, 500.0 - 10 * i
        hidden = abs(ann_x - ben_x) < 50
        frames.append([(ANN, (ann_x,)), *([] if hidden else [(ben, (ben_x,))])])
    main, left, right = follower_of(frames).people(2)
    assert main.person.found.sum() == 41
    assert sorted([left.person.found.sum(), right.person.found.sum()]) == [36, 41]
    for one in (left, right):
        assert np.unique(np.sign(np.diff(one.person.boxes[one.person.valid, 0]))).size == 1


def test_of_two_who_look_alike_the_one_in_sight_is_gone_on_with() -> None:
    """Though the one out of sight was nearer when last seen."""
    ben = alike(ANN, BEN, 0.8)
    between = (ANN + ben) / np.linalg.norm(ANN + ben)
    face = alike(between, CYD, 0.845 / float(between @ ANN))  # might be either, surely neither
    assert CUT < face @ ANN < SAME
    assert face @ ben == pytest.approx(face @ ANN, abs=1e-6)
    frames = [*at(*[100] * 10, look=ben), *at(*[130] * 20), *at(110, look=face)]
    follower = Follower(FaceSettings(max_gap=0.4))
    numbers = [
        follower.add(row / 25, seen(place), look[None])[0]
        for row, [(look, place)] in enumerate(frames)
    ]
    assert numbers == [0] * 10 + [1] * 21


def test_looks_that_change_slowly_are_one_person() -> None:
    turns = np.linspace(0, np.pi / 2, 60)
    frames = [[(np.cos(t) * ANN + np.sin(t) * BEN, (100.0,))] for t in turns]
    (main,) = follow(frames, persons=ALL)
    assert main.found.all()


def test_face_that_is_half_hidden_by_another_teaches_no_looks() -> None:
    frames = at(*[200] * 10)
    for share in np.linspace(1, 0, 30):
        mixed = (alike(ANN, BEN, share), (200.0,))
        frames.append([mixed, (BEN, (225.0,))])
    frames += [[]] * 20 + at(*[200] * 10, look=BEN)
    ann = next(one for one in follow(frames, persons=ALL) if one.found[0])
    assert ann.found.tolist() == [True] * 40 + [False] * 30


def test_paths_that_turn_out_to_look_the_same_are_one_person_at_the_end() -> None:
    angles = np.linspace(1.2, 0, 8)  # e.g. half hidden at first
    turning = [alike(ANN, CYD, np.cos(angle)) for angle in angles]
    frames = [*at(*[100] * 40), *[[]] * 20]
    frames += [[(look, (500.0,))] for look in turning] + at(*[500] * 32)
    (main,) = follower_of(frames).people(ALL)
    assert main.person.found.tolist() == [True] * 40 + [False] * 20 + [True] * 40
    assert len(set(main.paths.tolist()) - {-1}) == 2
    assert (main.paths >= 0).tolist() == main.person.found.tolist()


# Gaps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_gap_in_which_somebody_else_is_at_the_place_is_not_bridged(count: int) -> None:
    frames = [*at(*[100] * 12), *at(*[110] * count, look=BEN), *at(*[100] * 12)]
    people = {person.name: person for person in follow(frames, persons=ALL)}
    there = [True] * 12 + [False] * count + [True] * 12
    assert people["main"].valid.tolist() == there
    assert not people["main"].boxes[12 : 12 + count].any()
    assert not people["main"].landmarks[12 : 12 + count].any()
    if count >= 3:  # fewer are taken for a false detection
        assert people["person2"].valid.tolist() == [not one for one in there]


def test_a_gap_beside_which_somebody_else_is_seen_is_bridged() -> None:
    frames = [[(ANN, (100.0,)), (BEN, (400.0,))]] * 12
    frames[5:8] = [[(BEN, (400.0,))]] * 3
    main, left, _ = follow(frames)
    assert left.bridged.tolist() == [False] * 5 + [True] * 3 + [False] * 4
    assert {main.name, left.name} == {"main", "left"}


def test_people_seen_together_never_become_one_however_alike() -> None:
    frames: list[Frame] = [[(ANN, (100, 100, 80)), (ANN, (400, 100, 60))]] * 30
    assert names(follow(frames, persons=ALL)) == ["main", "left", "right"]


def test_more_strangers_than_are_watched_do_not_slow_or_stop_it() -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(3 * WATCHED, 256)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    follower = Follower(FaceSettings())
    for i, look in enumerate(np.repeat(looks, 4, axis=0)):
        follower.add(i // 4 * 10 + i % 4 / 25, seen((100.0,)), look[None])
    assert len(follower._watched) <= WATCHED + 1
    assert len(follower.people(ALL)) == 3 * WATCHED


FACES = st.tuples(st.sampled_from([0, 1, 2, 3]), st.floats(0, 500), st.floats(0, 300))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(FACES, max_size=3), max_size=25))
def test_any_detections_give_a_main_and_f_rows_of_faces_that_were_there(
    script: list[list[tuple[int, float, float]]],
) -> None:
    looks = (ANN, BEN, CYD, DAN)
    frames = [[(looks[who], (x, y)) for who, x, y in frame] for frame in script]
    people = follower_of(frames).people(ALL)
    again = follower_of(frames).people(ALL)
    assert people[0].person.name == "main"
    assert len({one.person.name for one in people}) == len(people)
    for one, same in zip(people, again, strict=True):
        check(one, script)
        np.testing.assert_array_equal(one.paths, same.paths)
        np.testing.assert_array_equal(one.person.boxes, same.person.boxes)


def check(one: Followed, script: list[list[tuple[int, float, float]]]) -> None:
    """A followed person has F rows, each found one a face that was there, of one path."""
    person = one.person
    assert len(person.boxes) == len(person.valid) == len(one.paths) == len(script)
    assert not (person.found & person.bridged).any()
    assert ((one.paths >= 0) == person.found).all()
    assert not person.boxes[~person.valid].any()
    for row in np.flatnonzero(person.found):
        places = [face(x, y)[0] for _, x, y in script[row]]
        assert any(np.array_equal(person.boxes[row], box) for box in places)


# Pictures ----------------------------------------------------------------------------------------


def two(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A picture with two people, each (200, 200, 3), side by side."""
    return np.concatenate([left, right], axis=1)


def test_people_in_pictures_keep_their_identity_over_a_cut_that_swaps_them() -> None:
    ann = face_frame(200, 200, [(100, 100)], size=120)
    ben = np.ascontiguousarray(ann[:, ::-1, ::-1])
    images = np.stack([two(ann, ben)] * 5 + [two(ben, ann)] * 5)
    block, faces = FrameBlock(images, clock(10), 0), FaceSettings(every=5)
    _, left, right = find_people([block], FaceDetector(faces), faces)
    for person in (left, right):
        assert person.found.all()
        at_left = person.boxes[:, [0, 2]].mean(axis=1) < 200
        assert at_left.tolist() == [at_left[0]] * 5 + [not at_left[0]] * 5


def test_a_cut_to_a_place_without_a_face_is_not_bridged_and_a_missed_face_is() -> None:
    face = face_frame(256, 192, [(128, 96)])
    away = np.kron(np.random.default_rng(0).integers(0, 255, (12, 16, 3)), np.ones((16, 16, 1)))
    away = away.astype(np.uint8)
    faces = FaceSettings(every=6)
    for between, bridged in ((away, False), (cv2.GaussianBlur(face, (31, 31), 0), True)):
        images = np.stack([face] * 8 + [between] * 5 + [face] * 8)
        (main,) = find_people([FrameBlock(images, clock(21), 0)], FaceDetector(faces), faces)
        assert main.found.tolist() == [True] * 8 + [False] * 5 + [True] * 8
        assert main.bridged.tolist() == [False] * 8 + [bridged] * 5 + [False] * 8


def test_real_people_who_take_turns_at_one_place_are_told_apart() -> None:
    faces = FaceSettings(every=6)
    shots = [first_face(name, faces) for name in ("pyfeat_single_face", "liveportrait_d0")]
    images = np.concatenate([shots[0][:6], shots[1][:6], shots[0][6:], shots[1][6:]])
    block = FrameBlock(images, clock(24), 0)
    people = find_people([block], FaceDetector(faces), faces, ALL)
    assert names(people) == ["main", "person2"]
    turns = [[True] * 6 + [False] * 6] * 2
    assert sorted(p.found.tolist() for p in people) == sorted(
        [turns[0] + turns[1], [not there for there in turns[0] + turns[1]]]
    )


def first_face(name: str, faces: FaceSettings) -> np.ndarray:
    """12 frames of a clip (12, 240, 240, 3), cut around its face."""
    path = shared_data() / "clips" / f"{name}.mp4"
    images = next(read_frames(path, 12)).images
    x0, y0, x1, y1 = FaceDetector(faces).detect(images[:1])[0].boxes[0]
    half = round((x1 - x0 + y1 - y0) / 2)
    x, y = round((x0 + x1) / 2), round((y0 + y1) / 2)
    cut = images[:, max(y - half, 0) : y + half, max(x - half, 0) : x + half]
    return np.stack([cv2.resize(one, (240, 240)) for one in cut])
