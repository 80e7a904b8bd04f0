import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import UserError
from fusion.data.review import Event, read_review, review_of

SAID: dict[str, Any] = {
    "format": 1,
    "video": "talk",
    "rename": {"talk_left": "Änna </script>", "talk_person3": "Ben"},
    "merge": [["talk_left", "talk_person3"], ["talk_person4", "talk_person3"]],
    "exclude": [
        {"person": None, "from": None, "to": 1.0},
        {"person": "talk_person4", "from": 3.0, "to": 4.0},
        {"person": "talk", "from": None, "to": None},
    ],
    "events": [
        {"person": "talk", "name": "nod", "onset": 2, "offset": 2},
        {"person": None, "name": "bell", "onset": 0.5, "offset": 1},
    ],
}


def write(path: Path, said: object) -> Path:
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    review = read_review(write(tmp_path / "review.json", SAID))
    again = review_of(json.loads(json.dumps(review.description())))
    assert again == review
    assert review.events[0] == Event(None, "bell", 0.5, 1.0)
    assert json.loads(json.dumps(review.description())) == {
        **SAID,
        "events": SAID["events"][::-1],
    }


def test_merged_people_are_one_under_the_first_id_and_its_name() -> None:
    review = review_of(SAID)
    ids = ("talk_left", "talk_person3", "talk_person4", "talk")
    assert [review.person_of(id) for id in ids] == ["talk_left"] * 3 + ["talk"]
    assert review.name_of("talk_person4") == "Änna </script>"
    assert review.name_of("talk") == "talk"


def test_excluded_frames_do_not_count_for_whoever_is_meant() -> None:
    review, times = review_of(SAID), np.array([0.5, 1.0, 2.0, 3.0, 4.0, 4.5])
    assert review.kept("talk_left", times).tolist() == [False, False, True, False, False, True]
    assert not review.kept("talk", times).any()
    assert review.kept("talk_other", times).tolist() == [False, False, True, True, True, True]


def test_events_of_everybody_are_those_of_each() -> None:
    review = review_of(SAID)
    assert [e.name for e in review.events_of("talk")] == ["bell", "nod"]
    assert [e.name for e in review.events_of("talk_left")] == ["bell"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"exclude": [{"person": None, "from": 2, "to": 1}]}, "ends at 1 s before it begins"),
        ({"events": [{"person": None, "name": "x", "onset": "a", "offset": 1}]}, "float"),
        ({"events": [{"person": None, "name": "x", "onset": None, "offset": 1}]}, "float"),
        ({"events": [{"name": "x", "onset": 0, "offset": 1}]}, "person"),
        ({"rename": ["talk"]}, "items"),
    ],
)
def test_what_is_no_review_is_said_in_a_line(tmp_path: Path, change: dict, message: str) -> None:
    path = write(tmp_path / "review.json", {**SAID, **change})
    with pytest.raises(UserError, match=message) as caught:
        read_review(path)
    assert str(caught.value).startswith(f"{path}: no review (")
    assert "\n" not in str(caught.value)


def test_other_files_and_absent_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match="no review"):
        read_review(tmp_path / "a.json")
    with pytest.raises(UserError, match="no such file"):
        read_review(tmp_path / "b.json")


def test_the_review_of_another_video_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "review.json", SAID)
    read_review(path, ["talk", "talk_left", "talk_person3", "talk_person4"])
    with pytest.raises(UserError, match="names 'talk_left', who is not in video 'talk'"):
        read_review(path, ["talk"])
