from pathlib import Path

import numpy as np
import pytest

from features.cli.app import FAILED, OK
from features.errors import UserError
from fusion.abaw.audit.media import video_facts
from fusion.abaw.check import CheckReport, CheckSettings, check, command
from tests.fusion.abaw_files import AU, CE, EXPR, MTL, VA, row, write
from tests.media import plain_frames, trim, write_video
from tests.streams import code, put

VA_TRAIN = "VA_Estimation_Challenge/Train_Set"


def video(path: Path, frames: int, fps: float = 25.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, plain_frames(frames, 32, 32), fps=fps)


def pictures(folder: Path, numbers: range | list[int]) -> None:
    for number in numbers:
        write(folder / f"{number:05d}.jpg", "not looked into")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small data set without a problem: three people in two videos, in two batches."""
    write(tmp_path / VA_TRAIN / "1_left.txt", VA + "0.5,0.5\n-5,-5\n-0.5,0.5\n")
    write(tmp_path / VA_TRAIN / "1_right.txt", VA + "0,0\n" * 3)
    write(tmp_path / "EXPR_Recognition_Challenge/Validation_Set/2.txt", EXPR + "4\n4\n7\n-1\n")
    video(tmp_path / "batch1/1.mp4", 3, 30.0)
    video(tmp_path / "batch2/2.mkv", 4)
    return tmp_path


def table(report: CheckReport, title: str) -> list[list[str]]:
    found = next(lines for name, lines in report.tables.items() if name.startswith(title))
    return [line.split() for line in found]


def test_a_sound_data_set_has_no_problem(root: Path) -> None:
    report = check(root)
    assert report.findings.problems == []
    assert report.findings.remarks == []
    assert command(CheckSettings(root)) == OK


def test_labels_are_counted_by_task_and_split(root: Path) -> None:
    report = check(root)
    assert table(report, "Label files")[1:] == [
        ["VA", "train", "2", "1", "6", "1", "16.667", "1"],
        ["EXPR", "validation", "1", "1", "4", "1", "25.000", "1"],
    ]
    assert table(report, "Valence")[1] == ["train", "5", "0.000", "0.316", "0.200", "0.245"]
    expressions = {cells[0]: cells[1:] for cells in table(report, "Expressions")}
    assert expressions["Happiness"] == ["2", "66.67"]
    assert expressions["Other"] == ["1", "33.33"]
    assert expressions["Anger"] == ["0", "0.00"]


def test_units_are_counted_over_their_own_labels(root: Path) -> None:
    rest = ",0" * 10
    text = AU + f"1,-1{rest}\n0,1{rest}\n0,1{rest}\n"
    write(root / "AU_Detection_Challenge/Train_Set/1_left.txt", text)
    units = dict(table(check(root), "Action units")[1:])
    assert (units["AU1"], units["AU2"], units["AU4"]) == ("33.33", "100.00", "0.00")
    assert units["frames"] == "3"


def test_rates_and_lengths_come_from_the_videos(root: Path) -> None:
    write(root / "videos_fps.csv", "video_name,fps\n1.mp4,29.97\n3.avi,12.5\n")
    write(root / VA_TRAIN / "1_right.txt", VA + "0,0\n" * 4)
    report = check(root)
    assert table(report, "Frames per second")[-1] == ["from", "12.5", "to", "30"]
    assert table(report, "Label lines")[1:] == [
        ["VA", "train", "1", "1", "0", "0", "0", "0", "+1"],
        ["EXPR", "validation", "1", "0", "0", "0", "0", "0", "0"],
    ]
    assert report.findings.problems == []


def test_many_lines_more_than_frames_are_a_problem_and_fewer_a_remark(root: Path) -> None:
    write(root / VA_TRAIN / "1_right.txt", VA + "0,0\n" * 5)
    write(root / "EXPR_Recognition_Challenge/Validation_Set/2.txt", EXPR + "4\n4\n")
    findings = check(root).findings
    assert len(findings.problems) == 1
    assert "1 file (VA 1_right +2)" in findings.problems[0]
    assert any("1 file (EXPR 2 -2)" in remark for remark in findings.remarks)
    assert command(CheckSettings(root)) == FAILED


def test_labels_without_video_are_a_problem_and_video_without_labels_a_remark(root: Path) -> None:
    write(root / VA_TRAIN / "12.txt", VA + "0,0\n")
    write(root / "test/VA.txt", "20\n")
    video(root / "batch1/1_1.mp4", 2)
    findings = check(root).findings
    assert any(
        "labels without a video, sound or pictures: 1 id (12)" in p for p in findings.problems
    )
    assert any("1 id (20)" in p for p in findings.problems)
    assert any("1 video (1_1)" in remark for remark in findings.remarks)


def test_annotations_alone_are_no_problem_and_videos_may_be_elsewhere(root: Path) -> None:
    notes = root / "VA_Estimation_Challenge"
    alone = check(notes).findings
    assert alone.problems == []
    assert any("--videos" in remark for remark in alone.remarks)
    together = check(notes, root).findings
    assert together.problems == []
    assert any("neither labels nor a list: 1 video (2)" in r for r in together.remarks)
    with pytest.raises(UserError, match="absent"):
        check(notes, root / "absent")


def test_a_video_in_two_splits_is_a_leak_within_and_across_tasks(root: Path) -> None:
    write(root / "EXPR_Recognition_Challenge/Train_Set/2.txt", EXPR + "4\n")
    (problem,) = check(root).findings.problems
    assert "1 video (2: EXPR train, EXPR validation)" in problem
    write(root / "AU_Detection_Challenge/Validation_Set/1_left.txt", AU + "0" + ",0" * 11)
    (problem,) = check(root).findings.problems
    assert "1: VA train, AU validation" in problem


def test_a_person_in_two_splits_is_a_leak(root: Path) -> None:
    write(root / "people.csv", "id,person\n1_left,p1\n2,p1\n1_right,p2\n")
    (problem,) = check(root).findings.problems
    assert "leak" in problem
    assert "p1: VA train, EXPR validation" in problem
    assert "p2" not in problem


def test_a_listed_test_video_with_training_labels_is_a_leak(root: Path) -> None:
    write(root / "test/VA.txt", "1\n")
    (problem,) = check(root).findings.problems
    assert "1: VA train, VA test" in problem


def test_one_unreadable_file_is_named_and_the_rest_is_read(root: Path) -> None:
    bad = write(root / VA_TRAIN / "5.txt", VA + "0,0\n0,x\n")
    broken = write(root / "batch2/5.avi", "not a video")
    write(root / "people.csv", "who\n")
    report = check(root)
    assert any(p.startswith(f"{bad}:3: 'x'") for p in report.findings.problems)
    assert any(p.startswith(str(broken)) for p in report.findings.problems)
    assert any("people.csv" in p for p in report.findings.problems)
    assert table(report, "Label files")[1][:5] == ["VA", "train", "2", "1", "6"]


def test_faces_are_counted_over_merged_folders(root: Path) -> None:
    write(root / VA_TRAIN / "1_left.txt", VA + "0,0\n" * 4)
    video(root / "batch1/1.mp4", 4)
    pictures(root / "cropped_aligned/1_left", [1, 9])
    pictures(root / "cropped_aligned_new_50_vids/1_left", [3])
    report = check(root)
    assert table(report, "Frames without a face")[-1][:6] == [
        "VA",
        "train",
        "1",
        "4",
        "2",
        "50.00",
    ]
    assert any("no folder of pictures: 2 ids (1_right; 2)" in r for r in report.findings.remarks)


def test_pictures_alone_stand_for_a_video(tmp_path: Path) -> None:
    write(tmp_path / VA_TRAIN / "7.txt", VA + "0,0\n" * 4)
    pictures(tmp_path / "cropped_aligned/7", range(1, 4))
    assert check(tmp_path).findings.problems == []


def test_placeholders_of_a_test_set_are_not_taken_for_labels(root: Path) -> None:
    write(root / "VA_Estimation_Challenge/Test_Set/9.txt", VA + "0.5,0.5\n" * 3)
    video(root / "batch1/9.mp4", 3)
    report = check(root)
    assert table(report, "Label files")[2][5] == "placeholders"
    assert [cells[0] for cells in table(report, "Valence")[1:]] == ["train"]


def test_lists_and_sample_submissions_are_compared(root: Path) -> None:
    write(root / "test/VA.txt", "8\n9\n")
    write(root / "test/VA_sample_submission.txt", "image_location,valence,arousal\n9/00001.jpg,0,0")
    for name in ("8", "9"):
        video(root / f"batch1/{name}.mp4", 2)
    report = check(root)
    assert table(report, "Lists")[1:] == [
        ["VA.txt", "VA", "2"],
        ["VA_sample_submission.txt", "VA", "1", "1"],
    ]
    assert any("1 id (8)" in remark for remark in report.findings.remarks)


def test_multi_task_and_compound_files_have_their_lines(tmp_path: Path) -> None:
    write(tmp_path / "training_set_annotations.txt", MTL + row("1/00002.jpg", va="-5,-5"))
    write(tmp_path / "CE_Challenge/Validation_Set/3.txt", CE + "1\n2\n")
    report = check(tmp_path)
    rows = table(report, "Label files")[1:]
    assert [cells[:5] for cells in rows] == [
        ["MTL", "train", "1", "1", "1"],
        ["CE", "validation", "1", "1", "2"],
    ]
    assert table(report, "Expressions")[0] == ["MTL", "train", "%"]


def test_single_task_files_beside_multi_task_ones_are_remarked_on(root: Path) -> None:
    write(root / "training_set_annotations.txt", MTL + row("1_left/00001.jpg"))
    (remark,) = check(root).findings.remarks
    assert "need --data.challenge single or mtl" in remark


def test_two_files_of_one_video_id_and_a_folder_without_labels_are_named(tmp_path: Path) -> None:
    video(tmp_path / "batch1/1.mp4", 2)
    video(tmp_path / "batch2/1.avi", 2)
    problems = check(tmp_path).findings.problems
    assert any("another file has this id" in problem for problem in problems)
    assert any("no labels" in problem for problem in problems)


def test_the_report_is_printed_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root / "people.csv", "id,person\n1_left,p1\n2,p1\n")
    assert command(CheckSettings(root)) == FAILED
    text = capsys.readouterr().out
    assert "Label files\n" in text
    assert "PROBLEM: leak" in text
    assert text.rstrip().endswith("problems: 1, remarks: 0")


def test_frames_of_a_video_are_those_that_its_edit_list_shows(root: Path) -> None:
    path = write_video(root / "batch1/1.mp4", plain_frames(50, 32, 32), options={"g": "10"})
    trim(path, 1.0, 0.6)
    assert video_facts(path).frames == 15
    write(root / VA_TRAIN / "1_left.txt", VA + "0.5,0.5\n" * 15)
    write(root / VA_TRAIN / "1_right.txt", VA + "0,0\n" * 15)
    assert check(root).findings.problems == []


def test_a_video_that_is_cut_off_is_named(root: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), dtype=np.uint8)
    path = write_video(root / "batch1/1.mp4", noise, fast_start=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    problems = "\n".join(check(root).findings.problems)
    assert f"{path}: breaks off after frame 1" in problems


@pytest.mark.parametrize("kind", ["fragments", "between keyframes"])
def test_frames_of_which_no_index_tells_are_counted(root: Path, kind: str) -> None:
    (root / "batch1/1.mp4").unlink()
    if kind == "fragments":
        images, layout = plain_frames(30, 32, 32), {"movflags": "frag_keyframe"}
        frames = 30
        write_video(root / "batch1/1.mp4", images, options={"g": "10"}, layout=layout)
    else:
        put(root / "batch1/1.mp4", code("libx264", 30, 12, 2, False), 3)
        frames = 18  # of 27 packets, those from the next keyframe on
    for person in ("left", "right"):
        write(root / VA_TRAIN / f"1_{person}.txt", VA + "0,0\n" * frames)
    assert check(root).findings.problems == []
    assert video_facts(root / "batch1/1.mp4").frames == frames
