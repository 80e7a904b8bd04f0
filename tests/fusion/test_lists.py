from pathlib import Path

import pytest

from features.cli import UserError
from fusion.abaw.lists import read_template, read_test_list
from tests.fusion.abaw_files import write


def test_a_test_list_is_read_as_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "VA_test_set_list.txt", "\ufeff1\r\n2_left\r\nvideo 3\r\n\r\n")
    assert read_test_list(path) == ["1", "2_left", "video 3"]


@pytest.mark.parametrize("text", ["1\n1\n", "1\n2/00001.jpg\n", "a,b\nc,d", "1\n\n2\n", ""])
def test_a_bad_test_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"list\.txt"):
        read_test_list(write(tmp_path / "list.txt", text))


def test_a_template_keeps_rows_order_and_spelling(tmp_path: Path) -> None:
    text = "image_location,valence,arousal\r\n2/00003.jpg,0,0\r\nx/1/00001.png\r\n2/1.jpg,,"
    template = read_template(write(tmp_path / "sample.txt", text))
    assert template.header == "image_location,valence,arousal"
    assert template.ids == ("2", "1")
    assert list(template.pictures()) == ["2/00003.jpg", "x/1/00001.png", "2/1.jpg"]
    assert list(template.pictures(slice(1, 2))) == ["x/1/00001.png"]
    assert template.keys.frame.tolist() == [3, 1, 1]
    assert template.last_frames() == {"2": 3, "1": 1}
    assert [(i, run.start, run.stop) for i, run in template.runs()] == [
        ("2", 0, 1),
        ("1", 1, 2),
        ("2", 2, 3),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h\n1/00000.jpg\n", ":2: .*not from 0"),
        ("h\n1/00001.jpg\n1/00001.jpg\n", ":3: this frame had a row before"),
        ("h\nvideo\n", ":2: .*not a picture"),
        ("h\n", "no rows"),
    ],
)
def test_a_bad_template_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_template(write(tmp_path / "sample.txt", text))
