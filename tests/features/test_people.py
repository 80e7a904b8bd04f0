"""Who is on screen when: the command `features.people`, and names of people's tracks."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cli.app import FAILED, OK
from features.errors import UserError
from features.faces.person_track import FACE_COLUMNS
from features.people import PeopleSettings, command, stretches, summary
from features.pipeline.discovery import find_sources
from features.store.feature_track import FeatureTrack, TrackInfo
from features.store.person_names import split_person
from features.store.track_store import TrackStore


def track_of(
    valid: list[bool],
    video: str = "12",
    person: str = "main",
    fps: float = 10.0,
    box: tuple[float, float, float, float] = (10, 20, 50, 60),
) -> FeatureTrack:
    values = np.zeros((len(valid), len(FACE_COLUMNS)), np.float32)
    values[valid, :4] = box
    info = TrackInfo(video, person, "faces", "mtcnn", "r", "s", "hash", len(valid))
    return FeatureTrack(values, np.arange(len(valid)) / fps, np.array(valid, bool), info)


def store_of(folder: Path, *tracks: FeatureTrack) -> TrackStore:
    store = TrackStore(folder)
    for track in tracks:
        store.write(track)
    return store


def test_stretch_tells_when_and_where() -> None:
    (row,) = stretches(track_of([False] * 5 + [True] * 20 + [False] * 5), 1.0)
    assert (row.video, row.person, row.frames) == ("12", "main", 20)
    assert row.from_s == pytest.approx(0.5)
    assert row.to_s == pytest.approx(2.5)  # the last frame stays until the next comes
    assert (row.x, row.y, row.side) == (30, 40, 40)


def test_short_absence_is_joined_and_long_one_parts() -> None:
    away_short = [True] * 5 + [False] * 9 + [True] * 5
    assert [row.frames for row in stretches(track_of(away_short), 1.0)] == [10]
    assert [row.frames for row in stretches(track_of(away_short), 0.5)] == [5, 5]
    assert len(stretches(track_of([True] * 5 + [False] * 10 + [True] * 5), 1.0)) == 2


def test_slow_video_is_one_stretch_however_far_its_frames_are_apart() -> None:
    (row,) = stretches(track_of([True] * 4, fps=0.2), 1.0)
    assert (row.from_s, row.to_s) == (0, 20)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.floats(0, 3))
def test_stretches_hold_every_frame_in_view_once_and_do_not_meet(
    valid: list[bool], max_gap: float
) -> None:
    rows = stretches(track_of(valid), max_gap)
    assert sum(row.frames for row in rows) == sum(valid)
    for row, after in pairwise(rows):
        assert row.from_s < row.to_s < after.from_s


def test_person_who_is_named_twice_is_counted_once() -> None:
    left = track_of([True] * 10, person="left")
    right = track_of([True] * 5 + [False] * 5, person="right", box=(100, 20, 140, 60))
    main, third = track_of([True] * 10), track_of([False] * 10, person="person3")
    line = summary([main, left, third, right])
    assert line == "12: 2 people in 1.0 s, left 1.0 s, right 0.5 s"


def test_table_has_a_row_a_stretch_of_everybody(tmp_path: Path, capsys) -> None:
    twice = [True] * 5 + [False] * 20 + [True] * 5
    store_of(
        tmp_path / "s",
        track_of(twice, "b c", "main"),
        track_of([True] * 8, "a", "main"),
        track_of([True] * 8, "a", "person3", box=(0, 0, 8, 8)),
        track_of([False] * 8, "z", "main"),
    )
    assert command(PeopleSettings(tmp_path / "s", out=tmp_path / "people.csv")) == OK
    with (tmp_path / "people.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [(row["video"], row["person"], row["from_s"], row["frames"]) for row in rows]
    assert found == [
        ("a", "main", "0.000", "8"),
        ("a", "person3", "0.000", "8"),
        ("b c", "main", "0.000", "5"),
        ("b c", "main", "2.500", "5"),
    ]
    assert rows[0]["side"] == "40.0"
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "a: 2 people in 0.8 s, person3 0.8 s, main 0.8 s",
        "b c: 1 person in 3.0 s, main 1.0 s",
        "z: no people in 0.8 s",
    ]


def test_table_is_printed_where_no_file_is_named(tmp_path: Path, capsys) -> None:
    store_of(tmp_path, track_of([True] * 8))
    assert command(PeopleSettings(tmp_path)) == OK
    assert capsys.readouterr().out.startswith("video,person,from_s,to_s,frames,x,y,side\n12,main,")


def test_damaged_track_is_named_and_the_others_are_told(tmp_path: Path, capsys) -> None:
    store = store_of(tmp_path, track_of([True] * 8), track_of([True] * 8, "13"))
    path = store.path("faces", "13")
    path.write_bytes(path.read_bytes()[:-7])
    assert command(PeopleSettings(tmp_path)) == FAILED
    printed = capsys.readouterr().out
    assert str(path) in printed
    assert "12: 1 person" in printed


def test_video_without_frames_has_nobody(tmp_path: Path, capsys) -> None:
    store_of(tmp_path, track_of([]))
    assert command(PeopleSettings(tmp_path)) == OK
    assert "12: no people in 0.0 s" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_store_without_faces_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no faces tracks.*features\.extract") as error:
        command(PeopleSettings(tmp_path / name))
    assert "\n" not in str(error.value)


# Names of tracks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("12", ("12", "main")),
        ("12_left", ("12", "left")),
        ("12_right", ("12", "right")),
        ("12_person3", ("12", "person3")),
        ("a_b_person12", ("a_b", "person12")),
        ("12_main", ("12_main", "main")),
        ("12_person", ("12_person", "main")),
        ("12_person0", ("12_person0", "main")),
        ("12_person3_left", ("12_person3", "left")),
        ("_left", ("_left", "main")),
        ("_person3", ("_person3", "main")),
        ("person3", ("person3", "main")),
        ("12_Left", ("12_Left", "main")),
        ("", ("", "main")),
    ],
)
def test_person_is_split_off_a_name(name: str, expected: tuple[str, str]) -> None:
    assert split_person(name) == expected


def test_video_whose_own_name_ends_like_a_person_stays_a_video(tmp_path: Path) -> None:
    assert split_person("trip_person3", {"trip_person3"}) == ("trip_person3", "main")
    (tmp_path / "trip_person3.mp4").touch()
    for name in ("trip_person3", "12_person4", "12"):
        (tmp_path / "cropped_aligned" / name).mkdir(parents=True)
    found = {source.id: sorted(source.crops) for source in find_sources(tmp_path)}
    assert found == {"12": ["main", "person4"], "trip_person3": ["main"]}
