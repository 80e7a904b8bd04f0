import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from fusion.abaw.challenges import CHALLENGES, compound_classes
from fusion.abaw.reading.lists import read_template
from fusion.abaw.submission.checker import check_submission
from fusion.abaw.submission.line_ends import LineEnds
from fusion.abaw.submission.writer import FrameDecisions, write_submission
from fusion.tasks.compound import COMPOUNDS
from fusion.tasks.expr import EXPRESSIONS
from tests.fusion.submissions import HEADERS, check, decisions, pictures, template, va_file


@pytest.mark.parametrize(
    ("challenge", "first_row"),
    [
        ("VA", "12_left/00001.jpg,0.010000,-0.010000"),
        ("EXPR", "12_left/00001.jpg,1"),
        ("AU", "12_left/00001.jpg,0,1,0,0,0,0,0,0,0,0,0,0"),
        ("MTL", "12_left/00001.jpg,0.010000,-0.010000,1,0,1,0,0,0,0,0,0,0,0,0,0"),
        ("CE", "12_left/00001.jpg,1"),
    ],
)
def test_header_and_rows_are_those_of_the_protocol(
    tmp_path: Path, challenge: str, first_row: str
) -> None:
    path = tmp_path / "out" / "submission.txt"
    summary = write_submission(path, challenge, {"12_left": decisions(3), "7": decisions(1)})
    lines = path.read_bytes().decode().split("\n")
    assert CHALLENGES[challenge].header == HEADERS[challenge]
    assert lines[:2] == [HEADERS[challenge], first_row]
    assert [line.split(",")[0] for line in lines[1:]] == [
        *pictures("12_left", 3),
        "7/00001.jpg",
        "",
    ]
    assert (summary.rows, summary.ids) == (4, 2)
    assert check_submission(path, challenge) == []


def test_rows_order_and_spelling_of_the_template_rule(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", ["b/00002.jpg", "a/00003.jpg", "b/00001.jpg"])
    path = tmp_path / "s.txt"
    made = {"a": decisions(3), "b": decisions(2), "c": decisions(2)}
    summary = write_submission(path, "EXPR", made, wanted)
    rows = path.read_text().splitlines()[1:]
    assert rows == ["b/00002.jpg,2", "a/00003.jpg,3", "b/00001.jpg,1"]
    assert summary.unused == ["c"]
    assert (summary.rows, summary.ids, summary.beyond, summary.surplus) == (3, 2, {}, {})
    assert check_submission(path, "EXPR", template=wanted) == []


def rows_of(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def test_one_lacking_frame_repeats_the_last_and_is_counted(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 4))
    summary = write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(3)}, wanted)
    assert [row[-1] for row in rows_of(tmp_path / "s.txt")] == ["1", "2", "3", "3"]
    assert summary.beyond == {"a": 1}
    assert "beyond the last decoded frame, its values repeated: 1 frame of a" in "".join(
        summary.lines()
    )


def test_one_frame_too_many_is_left_out_by_number_and_counted(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 2))
    summary = write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(3)}, wanted)
    assert [row[-1] for row in rows_of(tmp_path / "s.txt")] == ["1", "2"]
    assert summary.surplus == {"a": 1}


@pytest.mark.parametrize("predicted", [1, 3, 7, 30])
def test_lengths_that_differ_by_many_are_refused_unless_named(
    tmp_path: Path, predicted: int
) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 5))
    made, path = {"a": decisions(predicted)}, tmp_path / "s.txt"
    said = f"'a' has {predicted} predicted frames, but its last row is frame 5"
    with pytest.raises(UserError, match=said):
        write_submission(path, "EXPR", made, wanted)
    assert not path.exists()
    summary = write_submission(path, "EXPR", made, wanted, unequal=["a"])
    frames = [min(frame, predicted) for frame in range(1, 6)]
    assert [row[-1] for row in rows_of(path)] == [str(frame % 8) for frame in frames]
    assert (summary.beyond or summary.surplus) == {"a": abs(5 - predicted)}


def test_a_template_of_chosen_pictures_may_end_long_before_the_video(tmp_path: Path) -> None:
    wanted = template(tmp_path, "MTL", ["a/00002.jpg", "a/00003.jpg"])
    summary = write_submission(tmp_path / "s.txt", "MTL", {"a": decisions(90)}, wanted)
    assert summary.surplus == {"a": 87}


def test_frames_without_a_face_are_counted_where_they_are_asked_for(tmp_path: Path) -> None:
    wanted = template(tmp_path, "VA", ["a/00001.jpg", "a/00003.jpg", *pictures("b", 2)])
    no_face = replace(decisions(4), face=np.array([True, False, False, False]))
    made = {"a": no_face, "b": replace(decisions(1), face=np.array([False]))}
    summary = write_submission(tmp_path / "s.txt", "VA", made, wanted)
    assert summary.no_face == {"a": 1, "b": 1}
    assert summary.beyond == {"b": 1}
    assert any("no face" in line and "2 frames of a, b" in line for line in summary.lines())


@pytest.mark.parametrize("mark", [b"\n", b"\r\n"])
@pytest.mark.parametrize("final", [True, False])
def test_lines_end_as_those_of_the_template(tmp_path: Path, mark: bytes, final: bool) -> None:
    sample, path = tmp_path / "sample.txt", tmp_path / "s.txt"
    rows = [HEADERS["EXPR"], "a/00001.jpg, 0 ", "b/00001.jpg , 0"]
    sample.write_bytes(mark.join(map(str.encode, rows)) + mark * final)
    wanted, ends = read_template(sample), LineEnds.of(sample)
    write_submission(path, "EXPR", {"a": decisions(1), "b": decisions(1)}, wanted, ends=ends)
    expected = [HEADERS["EXPR"].encode(), b"a/00001.jpg,1", b"b/00001.jpg,1"]
    assert path.read_bytes() == mark.join(expected) + mark * final
    assert check_submission(path, "EXPR", template=wanted, ends=ends) == []


def test_other_line_ends_than_the_template_has_are_named_once(tmp_path: Path) -> None:
    sample = tmp_path / "sample.txt"
    sample.write_bytes(va_file("a/00001.jpg,0,0", "a/00002.jpg,0,0").replace("\n", "\r\n").encode())
    text = va_file("a/00001.jpg,0,0", "a/00002.jpg,0,0")
    ends = LineEnds.of(sample)
    assert check(tmp_path, "VA", text, template=read_template(sample), ends=ends) == [
        "line 1: lines end in LF; those of the sample submission in CRLF"
    ]


@pytest.mark.parametrize(
    "spelling", ["cropped_aligned/a/{:05d}.jpg", "a/{:d}.jpg", "a/{:05d}.PNG", "a/{:05d}"]
)
def test_the_templates_spelling_of_pictures_is_kept(tmp_path: Path, spelling: str) -> None:
    spelt = [spelling.format(frame) for frame in (1, 2)]
    wanted, path = template(tmp_path, "VA", spelt), tmp_path / "s.txt"
    write_submission(path, "VA", {"a": decisions(2)}, wanted)
    assert [row.split(",")[0] for row in rows_of(path)] == spelt
    assert check_submission(path, "VA", template=wanted) == []


def test_a_list_of_frames_without_a_header_gets_the_challenges(tmp_path: Path) -> None:
    sample, path = tmp_path / "list.txt", tmp_path / "s.txt"
    sample.write_text("a/00001.jpg\na/00002.jpg\n")
    write_submission(path, "MTL", {"a": decisions(2)}, read_template(sample))
    assert path.read_text().startswith(f"{HEADERS['MTL']}\na/00001.jpg,")
    assert check_submission(path, "MTL", template=read_template(sample)) == []


def test_a_template_with_repeated_rows_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sample.txt:4: this frame had a row before"):
        template(tmp_path, "VA", ["a/00001.jpg,0,0", "a/00002.jpg,0,0", "a/00001.jpg,0,0"])


def test_frames_that_the_template_leaves_out_do_not_shift_the_rest(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", ["a/00002.jpg", "a/00005.jpg"])
    write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(5)}, wanted)
    rows = (tmp_path / "s.txt").read_text().splitlines()[1:]
    assert rows == ["a/00002.jpg,2", "a/00005.jpg,5"]


def test_an_id_without_prediction_is_refused_by_name(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 1) + pictures("a_left", 1))
    with pytest.raises(UserError, match=r"no prediction of 1 of 2 listed ids \(a_left\)"):
        write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(1)}, wanted)


def test_a_template_of_another_challenge_is_refused(tmp_path: Path) -> None:
    wanted = template(tmp_path, "VA", pictures("a", 1))
    with pytest.raises(UserError, match="sample of the same challenge"):
        write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(1)}, wanted)


def test_an_unknown_challenge_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="VA, EXPR, AU, MTL"):
        write_submission(tmp_path / "s.txt", "XY", {"a": decisions(1)})


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no predictions"):
        write_submission(tmp_path / "s.txt", "VA", {})
    with pytest.raises(UserError, match="'a' has no predicted frame"):
        write_submission(tmp_path / "s.txt", "VA", {"a": decisions(0)})


def test_a_failed_run_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("old")
    with pytest.raises(UserError):
        write_submission(path, "VA", {"a": decisions(1), "b": decisions(0)})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_while_writing_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("os.fsync", crash)
    for name, old in (("new.txt", None), ("old.txt", "old")):
        path = tmp_path / name
        if old:
            path.write_text(old)
        with pytest.raises(OSError, match="no space"):
            write_submission(path, "VA", {"a": decisions(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_written_to_is_an_error_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError):
        write_submission(tmp_path / "s.txt", "VA", {"a": decisions(2)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"va": np.full((2, 2), np.nan, np.float32)},
        {"va": np.full((2, 2), -5, np.float32)},
        {"va": np.zeros((3, 2), np.float32)},
        {"expr": np.array([-1, 0])},
        {"expr": np.array([0.0, 1.0])},
        {"au": np.full((2, 12), -1)},
        {"au": np.full((2, 12), 0.7)},
        {"ce": np.array([0, 7])},
        {"face": np.ones(2)},
    ],
    ids=[
        "nan",
        "filler-5",
        "length",
        "filler-1",
        "float-class",
        "unit-filler",
        "logits",
        "compound",
        "face",
    ],
)
def test_fillers_and_logits_are_no_decisions(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        FrameDecisions(**(vars(decisions(2)) | change))


def test_a_compound_scores_the_sum_of_its_two() -> None:
    expr = np.zeros((len(COMPOUNDS) + 1, len(EXPRESSIONS)), np.float32)
    for row, (one, other) in enumerate(COMPOUNDS.values()):
        expr[row, [EXPRESSIONS.index(one), EXPRESSIONS.index(other)]] = 0.2, 0.15
        expr[row, [0, 7]] = 0.3, 0.35
    expr[-1, [2, 4, 6]] = 0.3, 0.4, 0.2  # Happiness and Surprise beat Disgust and Surprise
    assert compound_classes(expr).tolist() == [*range(len(COMPOUNDS)), 1]
    assert list(COMPOUNDS) == HEADERS["CE"].split(",")[1:]


def test_a_compound_scores_the_sum_of_two_sigmoids_where_there_are_any() -> None:
    expr = np.full((2, len(EXPRESSIONS)), 0.125, np.float32)
    expr[:, EXPRESSIONS.index("Disgust")] = 0.5
    anger, disgust, fear, happiness, sadness, surprise = range(6)
    compound = np.zeros((2, 6), np.float32)
    compound[0, [happiness, sadness, anger, fear]] = 0.95, 0.6, 0.5, 0.45  # 1.1 is Sadly_Angry
    compound[1, [happiness, surprise, disgust]] = 0.5, 0.3, 0.6  # .9 beats .8
    assert compound_classes(expr, compound).tolist() == [6, 3]
    assert compound_classes(expr).tolist() == [3, 3]
