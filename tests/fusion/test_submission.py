from pathlib import Path

import numpy as np
import pytest

from features.cli import UserError
from fusion.abaw.challenges import CHALLENGES
from fusion.abaw.checker import Problem, check_submission
from fusion.abaw.labels import UNITS
from fusion.abaw.lists import Template, read_template
from fusion.abaw.submission import FrameDecisions, write_submission

HEADERS = {
    "VA": "image_location,valence,arousal",
    "EXPR": "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    "AU": "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
    "MTL": "image,valence,arousal,expression,aus",
}


def decisions(frames: int) -> FrameDecisions:
    """Frame i has valence i / 100, arousal -i / 100, class i mod 8, and unit i mod 12 on."""
    i = np.arange(1, frames + 1)
    au = (i[:, None] % len(UNITS) == np.arange(len(UNITS))).astype(np.int64)
    va = np.stack([i, -i], axis=1).astype(np.float32) / 100
    return FrameDecisions(va=va, expr=i % 8, au=au)


def template(tmp_path: Path, challenge: str, pictures: list[str]) -> Template:
    path = tmp_path / "sample.txt"
    path.write_text("\n".join([HEADERS[challenge], *pictures]))
    return read_template(path)


def pictures(track_id: str, frames: int) -> list[str]:
    return [f"{track_id}/{frame:05d}.jpg" for frame in range(1, frames + 1)]


# Writer


@pytest.mark.parametrize(
    ("challenge", "first_row"),
    [
        ("VA", "12_left/00001.jpg,0.010000,-0.010000"),
        ("EXPR", "12_left/00001.jpg,1"),
        ("AU", "12_left/00001.jpg,0,1,0,0,0,0,0,0,0,0,0,0"),
        ("MTL", "12_left/00001.jpg,0.010000,-0.010000,1,0,1,0,0,0,0,0,0,0,0,0,0"),
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
    given = {"a": decisions(3), "b": decisions(2), "c": decisions(2)}
    summary = write_submission(path, "EXPR", given, wanted)
    rows = path.read_text().splitlines()[1:]
    assert rows == ["b/00002.jpg,2", "a/00003.jpg,3", "b/00001.jpg,1"]
    assert summary.unused == ["c"]
    assert (summary.rows, summary.ids, summary.filled, summary.surplus) == (3, 2, {}, {})
    assert check_submission(path, "EXPR", template=wanted) == []


def test_missing_last_frames_repeat_the_last_prediction_and_are_counted(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 5))
    summary = write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(3)}, wanted)
    rows = (tmp_path / "s.txt").read_text().splitlines()[1:]
    assert [row[-1] for row in rows] == ["1", "2", "3", "3", "3"]
    assert summary.filled == {"a": 2}


def test_a_length_mismatch_is_not_mended_by_repeating_the_last_prediction(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 6))
    with pytest.raises(UserError, match="'a' has 3 predicted frames, but its last row is frame 6"):
        write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(3)}, wanted)
    assert not (tmp_path / "s.txt").exists()


def test_surplus_frames_are_left_out_by_number_and_counted(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 2))
    summary = write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(9)}, wanted)
    assert [r[-1] for r in (tmp_path / "s.txt").read_text().splitlines()[1:]] == ["1", "2"]
    assert summary.surplus == {"a": 7}


def test_frames_that_the_template_leaves_out_do_not_shift_the_rest(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", ["a/00002.jpg", "a/00005.jpg"])
    write_submission(tmp_path / "s.txt", "EXPR", {"a": decisions(5)}, wanted)
    rows = (tmp_path / "s.txt").read_text().splitlines()[1:]
    assert rows == ["a/00002.jpg,2", "a/00005.jpg,5"]


def test_an_id_without_prediction_is_refused_by_name(tmp_path: Path) -> None:
    wanted = template(tmp_path, "EXPR", pictures("a", 1) + pictures("a_left", 1))
    with pytest.raises(UserError, match=r"1 of 2 listed ids have no prediction \(a_left\)"):
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
    ],
    ids=["nan", "filler -5", "length", "filler -1", "float class", "unit filler", "logits"],
)
def test_fillers_and_logits_are_no_decisions(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        FrameDecisions(**(vars(decisions(2)) | change))


# Checker


def check(tmp_path: Path, challenge: str, text: str, **kwargs: object) -> list[str]:
    path = tmp_path / "checked.txt"
    path.write_bytes(text.encode())
    problems: list[Problem] = check_submission(path, challenge, **kwargs)  # type: ignore[arg-type]
    return [str(problem) for problem in problems]


def va_file(*rows: str) -> str:
    return "\n".join([HEADERS["VA"], *rows]) + "\n"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a/00001.jpg,0,0", "a/00002.jpg,0"], "line 3: a row has 3 fields"),
        (["a/00001.jpg,0,0", "a/00002.jpg,0,nan"], "line 3: arousal 'nan' is not a number"),
        (["a/00001.jpg,1.2,0"], "line 2: valence '1.2' is not a number from -1 to 1"),
        (["a/00001.jpg,-5,-5"], "line 2: valence '-5' is not a number from -1 to 1"),
        (["a/00001.jpg, 0,0"], "line 2: valence ' 0' is not a number"),
        (["a/00001.jpg,0,0", "", "a/00002.jpg,0,0"], "line 3: a blank line"),
        (["a/00001.jpg,0,0", ""], "line 3: a blank line"),
        (["a/00000.jpg,0,0", "a/00001.jpg,0,0"], "line 2: frame 00000 of 'a': frames count from 1"),
        (["a/1.jpg,0,0"], "line 2: 'a/1.jpg' is not a picture such as video/00001.jpg"),
        (["a/00001.jpg,0,0", "a/00001.jpg,0,0"], "line 3: frame 1 of 'a' had a row before"),
        (["a/00001.jpg,0,0", "a/00003.jpg,0,0"], "'a' lacks rows: 1, the first is frame 2"),
        (["a/00002.jpg,0,0", "a/00001.jpg,0,0"], "line 2: frame 2 of 'a' where frame 1 is due"),
    ],
)
def test_each_fault_of_a_row_is_named(tmp_path: Path, rows: list[str], said: str) -> None:
    problems = check(tmp_path, "VA", va_file(*rows))
    assert problems[0].startswith(said)
    assert len(problems) <= 2


def test_expression_rows_with_nine_fields_are_named(tmp_path: Path) -> None:
    text = f"{HEADERS['EXPR']}\na/00001.jpg,3\na/00002.jpg,0,0,0,1,0,0,0,0\n"
    assert check(tmp_path, "EXPR", text) == [
        "line 3: a row has 2 fields (picture, expression), this one has 9"
    ]


@pytest.mark.parametrize("value", ["3.0", "8", "-1", "+3", "03", "1e0", ""])
def test_expressions_are_whole_numbers(tmp_path: Path, value: str) -> None:
    (problem,) = check(tmp_path, "EXPR", f"{HEADERS['EXPR']}\na/00001.jpg,{value}\n")
    assert problem == f"line 2: expression '{value}' is not a whole number from 0 to 7"


@pytest.mark.parametrize("value", ["0.7", "2", "-1"])
def test_units_are_zero_or_one(tmp_path: Path, value: str) -> None:
    (problem,) = check(tmp_path, "AU", f"{HEADERS['AU']}\na/00001.jpg{',0' * 11},{value}\n")
    assert problem == f"line 2: AU26 '{value}' is not a whole number from 0 to 1"


@pytest.mark.parametrize("value", ["1", "-1", "9.9e-9", "-.5", "0.", "1E-3"])
def test_every_way_to_write_a_number_is_read(tmp_path: Path, value: str) -> None:
    assert check(tmp_path, "VA", va_file(f"a/00001.jpg,{value},0")) == []


def test_the_header_is_compared_to_the_letter(tmp_path: Path) -> None:
    rows = "\na/00001.jpg,0,0\n"
    assert check(tmp_path, "VA", HEADERS["VA"] + rows) == []
    for header in ("image,valence,arousal", "image_location, valence,arousal", "a/00001.jpg,0,0"):
        assert check(tmp_path, "VA", header + rows)[0].startswith("line 1: the header is")


def test_byte_order_mark_and_crlf_are_named(tmp_path: Path) -> None:
    text = va_file("a/00001.jpg,0,0")
    assert ["byte-order mark" in p for p in check(tmp_path, "VA", "\ufeff" + text)] == [True]
    assert ["CRLF" in p for p in check(tmp_path, "VA", text.replace("\n", "\r\n"))] == [True]


def test_a_file_without_rows_or_header_is_named(tmp_path: Path) -> None:
    assert check(tmp_path, "VA", va_file()) == ["there are no rows"]
    assert check(tmp_path, "VA", "")[0].startswith("line 1: the header is ''")
    with pytest.raises(UserError, match="no such file"):
        check_submission(tmp_path / "absent.txt", "VA")


def test_ids_are_compared_with_the_list(tmp_path: Path) -> None:
    text = va_file("a/00001.jpg,0,0", "a_left/00001.jpg,0,0")
    listed = {"a": None, "b": 3}
    assert check(tmp_path, "VA", text, frames=listed) == [
        "line 3: 'a_left' is not in the test list",
        "'b' has no row at all; 3 are due",
    ]


def test_frames_are_compared_with_their_known_number(tmp_path: Path) -> None:
    text = va_file(*(f"{picture},0,0" for picture in pictures("a", 3)))
    assert check(tmp_path, "VA", text, frames={"a": 3}) == []
    assert check(tmp_path, "VA", text, frames={"a": 4}) == [
        "'a' lacks rows: 1, the first is frame 4"
    ]
    assert check(tmp_path, "VA", text, frames={"a": 2}) == [
        "line 4: frame 3 of 'a' is not asked for"
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a2 a3 b1", []),
        ("a2 a3", ["'b' has no row at all; 1 are due"]),
        ("a2 b1", ["'a' lacks rows: 1, the first is frame 3"]),
        ("a2 a3 b1 b2", ["line 5: frame 2 of 'b' is not asked for"]),
        ("a1 a2 a3 b1", ["line 2: frame 1 of 'a' is not asked for"]),
        ("a2 a2 a3 b1", ["line 3: frame 2 of 'a' had a row before"]),
        ("a3 a2 b1", ["line 2: frame 3 of 'a' where frame 2 is due"]),
        ("a2 b1 a3", ["line 3: the sample submission has another picture here; keep its order"]),
        ("a2 a3 b1 c1", ["line 5: 'c' is not in the test list"]),
    ],
)
def test_rows_are_compared_with_the_template(tmp_path: Path, rows: str, said: list[str]) -> None:
    wanted = template(tmp_path, "VA", ["a/00002.jpg", "a/00003.jpg", "b/00001.jpg"])
    text = va_file(*(f"{row[0]}/0000{row[1]}.jpg,0,0" for row in rows.split()))
    assert check(tmp_path, "VA", text, template=wanted) == said


def test_a_picture_spelt_otherwise_than_in_the_template_is_named(tmp_path: Path) -> None:
    wanted = template(tmp_path, "VA", pictures("a", 2))
    problems = check(tmp_path, "VA", va_file("a/00001.jpg,0,0", "a/2.jpg,0,0"), template=wanted)
    assert problems == ["line 3: the sample submission has another picture here; keep its order"]


def test_only_the_first_problems_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    text = va_file(*(f"{picture},2,0" for picture in pictures("a", 30)))
    problems = check(tmp_path, "VA", text, most=3)
    assert [p.split(":")[0] for p in problems[:3]] == ["line 2", "line 3", "line 4"]
    assert problems[3:] == ["and 27 more problems"]


def test_an_absurd_frame_number_is_named(tmp_path: Path) -> None:
    (problem, *_) = check(tmp_path, "VA", va_file("a/99999999999.jpg,0,0", "a/00001.jpg,0,0"))
    assert problem.startswith("line 2: frame 99999999999 of 'a'")
