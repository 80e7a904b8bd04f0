"""Who of the people in a video counts, and by what name."""

import numpy as np
import pytest

from features.errors import UserError
from features.store.person_names import ALL, is_person, parse_persons
from tests.features.faces.test_tracker import ANN, BEN, CYD, DAN, Frame, at, follow, names


def test_single_false_face_makes_no_second_person() -> None:
    frames: list[Frame] = [[(ANN, (200, 100, 60))]] * 40
    frames[11] = [*frames[11], (BEN, (500, 300, 200))]
    people = follow(frames, persons=ALL)
    assert names(people) == ["main"]
    assert people[0].found.all()


def test_lone_false_face_is_nobody() -> None:
    (main,) = follow([*[[]] * 20, *at(200), *[[]] * 20], persons=ALL)
    assert not main.valid.any()


def test_two_people_together_are_named_by_position() -> None:
    frames: list[Frame] = [[(ANN, (400, 100, 80)), (BEN, (100, 100, 60))]] * 40
    main, left, right = follow(frames)
    assert names([main, left, right]) == ["main", "left", "right"]
    assert left.boxes[:, 0].max() < right.boxes[:, 0].min()
    np.testing.assert_array_equal(main.boxes, right.boxes)  # the larger one


def test_order_of_detections_does_not_swap_people() -> None:
    pair: Frame = [(ANN, (100, 100, 60)), (BEN, (180, 100, 60))]
    _, left, right = follow([pair if i % 2 else pair[::-1] for i in range(40)])
    assert np.ptp(left.boxes[:, 0]) == 0
    assert np.ptp(right.boxes[:, 0]) == 0


def test_people_who_take_turns_are_not_together() -> None:
    frames: list[Frame] = [[(ANN, (100, 100, 80))]] * 30 + [[(BEN, (400, 100, 60))]] * 30
    people = follow(frames)
    assert names(people) == ["main"]
    assert people[0].found.tolist() == [True] * 30 + [False] * 30
    assert names(follow(frames, persons=3)) == ["main", "person2"]


def test_second_person_for_a_fifth_of_the_time_is_no_companion() -> None:
    ann: Frame = [(ANN, (100, 100, 80))]
    assert names(follow([[*ann, (BEN, (400, 100, 60))]] * 20 + [ann] * 80)) == ["main"]


def test_main_is_who_fills_most_of_the_video() -> None:
    ben: Frame = [(BEN, (400, 100, 60))]
    (main,) = follow([[(ANN, (100, 100, 90)), *ben]] * 10 + [ben] * 90)
    assert main.found.all()


def test_further_people_are_numbered_by_what_they_fill() -> None:
    crowd = [
        (CYD, (100.0, 100.0, 50.0)),
        (DAN, (250.0, 100.0, 40.0)),
        (ANN, (400.0, 100.0, 80.0)),
        (BEN, (550.0, 100.0, 60.0)),
    ]
    people = {p.name: p for p in follow([crowd] * 20, persons=ALL)}
    assert list(people) == ["main", "left", "right", "person3", "person4"]
    middles = {name: p.boxes[0, [0, 2]].mean() for name, p in people.items()}
    assert middles == {"main": 400, "left": 400, "right": 550, "person3": 100, "person4": 250}


@pytest.mark.parametrize(
    ("persons", "expected"),
    [("main", 1), ("1", 1), ("2", 3), ("3", 4), ("all", 5), ("9", 5)],
)
def test_persons_limit_who_is_named(persons: str, expected: int) -> None:
    crowd: Frame = [(look, (100.0 + 150 * i,)) for i, look in enumerate((ANN, BEN, CYD, DAN))]
    assert len(follow([crowd] * 8, persons=parse_persons(persons))) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "both", "2.5", "Main", "two", "²"])
def test_persons_that_make_no_sense_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="all, main, or a number") as error:
        parse_persons(text)
    assert "\n" not in str(error.value)


def test_names_of_people_are_known_from_other_words() -> None:
    assert all(map(is_person, ["main", "left", "right", "person2", "person31"]))
    assert not any(map(is_person, ["sound", "person", "person0", "person03", "xperson3", "Left"]))
