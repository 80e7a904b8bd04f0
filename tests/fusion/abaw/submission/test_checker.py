from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.abaw.challenges import CHALLENGES
from fusion.abaw.submission.checker import check_submission
from fusion.abaw.submission.row_form import RowForm
from tests.fusion.submissions import HEADERS, check, pictures, template, va_file


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
        (
            ["a/00000.jpg,0,0", "a/00001.jpg,0,0"],
            "line 2: 'a/00000.jpg': frames count from 1, not from 0",
        ),
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


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    problems = check(tmp_path, "VA", "\ufeff" + va_file("a/00001.jpg,0,0"))
    assert ["byte-order mark" in problem for problem in problems] == [True]


def test_files_as_the_organisers_write_them_are_taken(tmp_path: Path) -> None:
    text = va_file("a/00001.jpg,-1,-1", "a/00002.jpg,-1,-1")
    for sample in (text, text.removesuffix("\n"), text.replace("\n", "\r\n")):
        assert check(tmp_path, "VA", sample) == []


def test_lines_that_end_otherwise_than_the_first_are_named(tmp_path: Path) -> None:
    text = va_file("a/00001.jpg,0,0", "a/00002.jpg,0,0", "a/00003.jpg,0,0")
    mixed = text.replace("2.jpg,0,0\n", "2.jpg,0,0\r\n")
    assert check(tmp_path, "VA", mixed) == [
        "line 3: this line ends in CRLF, the first one does not"
    ]
    mixed = text.replace("\n", "\r\n").replace("2.jpg,0,0\r\n", "2.jpg,0,0\n")
    assert check(tmp_path, "VA", mixed) == ["line 3: this line ends in LF, the first one does not"]
    half = text.removesuffix("\n") + "\r"
    assert check(tmp_path, "VA", half) == ["line 4: this line ends in CRLF, the first one does not"]
    assert check(tmp_path, "VA", text.replace("\n", "\r\n").removesuffix("\r\n")) == []


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
        "'b' has no row at all instead of 3 rows",
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
        ("a2 a3", ["'b' has no row at all instead of 1 row"]),
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
    assert problem.startswith("line 2: 'a/99999999999.jpg': the frame number is above")


def test_a_fault_among_good_rows_is_found_with_and_without_a_template(tmp_path: Path) -> None:
    rows = [f"{picture},0.5,0" for picture in pictures("a", 9)]
    rows[6] = rows[6].replace(",0.5", ",1.5")
    wanted = template(tmp_path, "VA", pictures("a", 9))
    said = ["line 8: valence '1.5' is not a number from -1 to 1"]
    assert check(tmp_path, "VA", va_file(*rows)) == said
    assert check(tmp_path, "VA", va_file(*rows), template=wanted) == said
    rows[6], rows[2] = rows[6].replace("1.5", "1"), rows[3]
    assert check(tmp_path, "VA", va_file(*rows), template=wanted) == [
        "line 5: frame 4 of 'a' had a row before",
        "'a' lacks rows: 1, the first is frame 3",
    ]


NUMBERS = st.one_of(
    st.floats(-1.5, 1.5).map(repr),
    st.floats(-1.5, 1.5).map("{:.3e}".format),
    st.text("0123456789.-+eE", max_size=7),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12))
def test_what_all_rows_are_held_against_takes_no_faulty_one(values: list[tuple[str, str]]) -> None:
    form = RowForm(CHALLENGES["VA"])
    lines = [f"a/{frame:05d}.jpg,{v},{a}" for frame, (v, a) in enumerate(values, 1)]
    doubtful = set(form.doubtful(pa.array(lines)).tolist())
    assert not any(form.fault(line) for row, line in enumerate(lines) if row not in doubtful)


def test_usual_numbers_are_judged_all_at_once() -> None:
    form = RowForm(CHALLENGES["VA"])
    usual = ("0.123456", "-0.5", "0", "1", "-1", "1.000000", "1e-05", "-9.9E-3", "0.0")
    lines = pa.array([f"a/00001.jpg,{number},0" for number in usual])
    assert form.doubtful(lines).tolist() == []
