from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.abaw.reading.annotations import read_au, read_expr, read_mtl, read_va
from fusion.abaw.reading.tables import parse_numbers
from fusion.tasks.au import UNITS
from tests.fusion.abaw_files import AU, EXPR, EXPR_7, MTL, VA, row, write
from tests.fusion.classic import classic

# One file


def test_minus_one_is_a_legal_valence_and_minus_five_is_none(tmp_path: Path) -> None:
    labels = read_va(write(tmp_path / "1.txt", VA + "-1,-1\n-5,-5\n-5,0.2\n0.3,-5\n1,0.5\n"))
    assert classic(labels).va_mask.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(classic(labels).va[[0, 4]], [[-1, -1], [1, 0.5]])
    assert not classic(labels).va[1:4].any()


def test_scientific_notation_and_whole_numbers_are_numbers(tmp_path: Path) -> None:
    labels = read_va(write(tmp_path / "1.txt", VA + "9.9e-9,1\n0,-2E-3\n"))
    np.testing.assert_allclose(classic(labels).va, [[9.9e-9, 1], [0, -0.002]])
    assert classic(labels).va_mask.all()


def test_minus_one_is_no_expression(tmp_path: Path) -> None:
    labels = read_expr(write(tmp_path / "1.txt", EXPR + "7\n-1\n0\n"))
    assert classic(labels).expr_mask.tolist() == [True, False, True]
    assert classic(labels).expr.tolist() == [7, 0, 0]
    assert not classic(labels).va_mask.any()
    assert not classic(labels).au_mask.any()


def test_units_are_masked_one_by_one(tmp_path: Path) -> None:
    rows = "1,-1,0,1,1,1,1,1,1,1,1,1\n" + ",".join(["-1"] * 12) + "\n"
    labels = read_au(write(tmp_path / "1.txt", AU + rows))
    assert classic(labels).au_mask[0].tolist() == [True, False] + [True] * 10
    assert classic(labels).au[0].tolist() == [1, 0, 0] + [1] * 9
    assert not classic(labels).au_mask[1].any()


@pytest.mark.parametrize(
    "text",
    [
        VA.replace("\n", "\r\n") + "0.1,0.2\r\n0.3,0.4\r\n",
        "\ufeff" + VA + "0.1,0.2\n0.3,0.4\n",
        VA + "0.1,0.2\n0.3,0.4\n\n \n",
        VA + "0.1, 0.2\n 0.3 ,0.4",
        "Valence, Arousal\n0.1,0.2\n0.3,0.4\n",
    ],
    ids=["crlf", "bom", "blank lines at the end", "spaces, no final newline", "header spelling"],
)
def test_harmless_differences_of_writing_are_read(tmp_path: Path, text: str) -> None:
    np.testing.assert_allclose(
        read_va(write(tmp_path / "1.txt", text))["va"].values, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (VA + "0,0\n0.1,0.2,0.3\n", 3, "3 columns instead of 2"),
        (VA + "0,0,0\n0,0,0\n", 2, "3 columns instead of 2"),
        (VA + "0,0\n0.1\n", 3, "1 column instead of 2"),
        (VA + "0,0\n0,x1\n", 3, "'x1' is not a number"),
        (VA + "0,0\n0,1_0\n", 3, "'1_0' is not a number"),
        (VA + "0,\n0,0\n", 2, "'' is not a number"),
        (VA + "0,0\nnan,0\n", 3, "'nan' is not a number"),
        (VA + "0,0\n\n0,0\n", 3, "blank line"),
        (VA + "0,0\n0,1.01\n", 3, "-1 to 1"),
        (VA + "0,0\n-4,0\n", 3, "-1 to 1"),
        ("0.5,0.5\n0,0\n", 1, "header"),
        (VA, 2, "no row"),
        (VA + "0,\u0661\n", 2, "is not a number"),
    ],
)
def test_the_first_bad_line_is_named(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = write(tmp_path / "1.txt", text)
    with pytest.raises(UserError) as caught:
        read_va(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("value", ["8", "-5", "1.5", "-2"])
def test_a_number_that_is_no_expression_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UserError, match=r"1\.txt:3: the expression is 0 to 7"):
        read_expr(write(tmp_path / "1.txt", f"{EXPR}0\n{value}\n"))


def test_edition_2_has_seven_expressions(tmp_path: Path) -> None:
    labels = read_expr(write(tmp_path / "1.txt", EXPR_7 + "6\n-1\n"))
    assert classic(labels).expr.tolist() == [6, 0]
    with pytest.raises(UserError, match=r"2\.txt:3: the expression is 0 to 6"):
        read_expr(write(tmp_path / "2.txt", EXPR_7 + "6\n7\n"))


@pytest.mark.parametrize("value", ["2", "0.5", "-5"])
def test_a_number_that_is_no_unit_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UserError, match=r"1\.txt:2: units are 0 or 1"):
        read_au(write(tmp_path / "1.txt", f"{AU}{value}{',0' * 11}\n"))


def test_units_in_another_order_are_refused(tmp_path: Path) -> None:
    header = ",".join(reversed(UNITS))
    with pytest.raises(UserError, match=r"1\.txt:1: the header"):
        read_au(write(tmp_path / "1.txt", f"{header}\n{','.join('0' * 12)}\n"))


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.txt"
    path.write_bytes(VA.encode() + b"0,0\n\xff\xfe,0\n")
    with pytest.raises(UserError, match=r"1\.txt:3: .*not a number"):
        read_va(path)


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="empty"):
        read_va(write(tmp_path / "1.txt", "\n"))
    with pytest.raises(UserError, match="no such file"):
        read_va(tmp_path / "2.txt")


VALUES = st.floats(-1, 1, width=32).map(float) | st.just(-5.0)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]
) -> None:
    text = VA + "".join(f"{v!r},{a!r}\n" for v, a in rows)
    labels = read_va(write(tmp_path_factory.mktemp("va") / "1.txt", text))
    wanted = np.array(rows, np.float32)
    valid = (wanted != -5).all(axis=1)
    np.testing.assert_array_equal(classic(labels).va_mask, valid)
    np.testing.assert_array_equal(classic(labels).va[valid], wanted[valid])
    assert not classic(labels).va[~valid].any()


NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.1, -5.0, 1e-12, 9.9e-9])


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), data=st.data())
def test_rows_are_read_alike_plain_and_with_spaces(
    rows: list[tuple[float, float]], data: st.DataObject
) -> None:
    plain = [f"{a!r},{b!r}" for a, b in rows]
    odd = list(plain)
    at = data.draw(st.integers(0, len(rows) - 1))
    odd[at] = f" +{odd[at]} " if rows[at][0] >= 0 else f" {odd[at]}\t"
    first = parse_numbers(plain, Path("plain"), 2)
    np.testing.assert_array_equal(first, np.array(rows))
    np.testing.assert_array_equal(first, parse_numbers(odd, Path("odd"), 2))


@pytest.mark.parametrize("odd", ["", "1", "1,2,3", "inf,0", "NaN,0", "0x1,0", '"1",0', ",0"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_irregular_row_passes_wherever_it_is(odd: str, place: int) -> None:
    lines = ["0.5,0.25", "1,1"]
    lines.insert(place, odd)
    with pytest.raises(UserError, match=f"^file:{place + 2}: "):
        parse_numbers(lines, Path("file"), 2)


# Multi-task files


def test_multi_task_rows_are_placed_by_frame_number(tmp_path: Path) -> None:
    none = ",".join(["-1"] * 12)
    text = (
        MTL
        + row("12/00004.jpg", expr="5")
        + row("12_left/00001.jpg", va="-5,-5")
        + row("12/00002.jpg", expr="-1", au=none)
    )
    labels = read_mtl(write(tmp_path / "train_set.txt", text))
    assert list(labels) == ["12", "12_left"]
    twelve = labels["12"]
    assert len(twelve) == 4
    assert classic(twelve).va_mask.tolist() == [False, True, False, True]
    assert classic(twelve).expr_mask.tolist() == [False, False, False, True]
    assert classic(twelve).expr[3] == 5
    assert classic(twelve).au_mask.any(axis=1).tolist() == [False, False, False, True]
    assert not classic(labels["12_left"]).va_mask.any()
    assert classic(labels["12_left"]).expr[0] == 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (row("1/00001.jpg") + row("1/00000.jpg"), ":3: .*count from 1, not from 0"),
        (row("1/00001.jpg") + row("1/00001.jpg"), ":3: this frame had a row before"),
        (row("1/00001.jpg") + row("00002.jpg"), ":3: .*not a picture"),
        (row("1/00001.jpg") + row("1/99999999.jpg"), ":3: .*above"),
        (row("1/00001.jpg") + row("1/00002.jpg", expr="9"), ":3: the expression"),
        (row("1/00001.jpg") + row("1/00002.jpg", au="0"), ":3: 4 columns instead of 15"),
    ],
)
def test_bad_multi_task_rows_are_named(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_mtl(write(tmp_path / "train_set.txt", MTL + rows))
