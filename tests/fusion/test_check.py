"""`fusion.check` on data sets other than ABAW: what is there, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from features.cli.app import FAILED, OK
from fusion.check import CheckSettings, check, command
from tests.media import plain_frames, tone, write_sound, write_video

ROWS = ["id,split,person,frame,valence,arousal,AU12"]


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def video(root: Path, name: str, frames: int = 10) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_video(root / name, plain_frames(frames))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a table of two clips, whose videos are there."""
    rows = [f"talk,train,ann,{i},0.5,0,{i % 2}" for i in range(1, 11)]
    write(tmp_path / "labels.csv", *ROWS, *rows, "walk,validation,bob,,0.1,0.2,")
    video(tmp_path, "videos/talk.mp4")
    video(tmp_path, "videos/walk.mkv")
    return tmp_path


def test_a_table_is_counted_by_task_and_split(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(CheckSettings(own)) == OK
    said = capsys.readouterr().out
    assert "Data set\n  a table labels.csv" in said
    report = check(own)
    lines = [line.split() for line in report.tables["Labels"][1:]]
    assert [line[:5] for line in lines] == [
        ["VA", "train", "1", "1", "10"],
        ["VA", "validation", "1", "1", "1"],
        ["AU", "train", "1", "1", "10"],
    ]
    assert report.tables["Media"][0] == "2 videos"
    assert (report.findings.problems, report.findings.remarks) == ([], [])


def test_ids_in_another_case_are_shown_beside_each_other(own: Path) -> None:
    (own / "videos" / "talk.mp4").rename(own / "videos" / "Talk.mp4")
    (problem,) = check(own).findings.problems
    assert "labels without a video, sound or pictures: 1 id (talk)" in problem
    assert "the labels say 'talk', the file is 'Talk'" in problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("talk,train,ann,30,0.5,0,1", "more label lines than frames: 2 files (AU talk +20"),
        ("talk_left,train,ann,1,0.5,0,1\nTalk2,,,,,,1", "labels without a video"),
        ("talk,train,ann,1,0.5,0,1", "frame 1 of 'talk' had a row before"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(own: Path, change: str, problem: str) -> None:
    with (own / "labels.csv").open("a") as file:
        file.write(f"{change}\n")
    assert any(problem in line for line in check(own).findings.problems)
    assert command(CheckSettings(own)) == FAILED


def test_labels_in_milliseconds_lie_after_the_end(tmp_path: Path) -> None:
    video(tmp_path, "talk.mp4", 50)
    rows = [f"talk,{40 * i},0.5,0" for i in range(50)]
    write(tmp_path / "labels.csv", "id,time,valence,arousal", *rows)
    (problem,) = check(tmp_path).findings.problems
    assert "labels after the end of the video: 1 id (talk 1960 s)" in problem


def test_names_that_clash_are_a_problem(own: Path) -> None:
    video(own, "videos/talk_left.mp4")
    assert any("'talk_left' and the person 'left'" in p for p in check(own).findings.problems)


def test_no_labels_and_labels_of_two_sets_are_problems(own: Path) -> None:
    write(own / "1" / "1.json", json.dumps({"frames": {"00000": {"valence": 1, "arousal": 1}}}))
    assert any("keep the labels of one data set" in p for p in check(own).findings.problems)
    (own / "labels.csv").unlink()
    (own / "1" / "1.json").unlink()
    problems = check(own).findings.problems
    assert any("no annotations found; expected folders such as VA_" in p for p in problems)


@pytest.mark.parametrize(
    ("name", "files", "row"),
    [
        ("RAVDESS", ["01-01-05-01-02-01-12.mp4"], ["EXPR", "train", "1", "1", "1"]),
        ("EmoDB", ["03a01Fa.wav"], ["EXPR", "train", "1", "1", "1"]),
        ("AFEW-VA", ["001.mp4"], ["VA", "train", "1", "1", "2"]),
    ],
)
def test_other_data_sets_are_counted(
    tmp_path: Path, name: str, files: list[str], row: list[str]
) -> None:
    for file in files:
        if file.endswith("wav"):
            write_sound(tmp_path / file, tone(0.5), 44100, "pcm_s16le")
        else:
            video(tmp_path, file, 2)
    if name == "AFEW-VA":
        frames = {f"0000{i}": {"valence": i, "arousal": 0} for i in range(2)}
        write(tmp_path / "001" / "001.json", json.dumps({"frames": frames}))
    report = check(tmp_path)
    assert report.tables["Data set"] == [name]
    assert report.tables["Labels"][1].split()[:5] == row
    assert len(report.tables["Labels"]) == 2
    assert report.findings.problems == []
