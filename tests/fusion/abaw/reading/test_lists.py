from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.abaw.reading.lists import Template, read_listed_ids, read_template, read_test_list
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
        ("h\n1/00002.jpg,0\n\n1/00001.jpg\n\n1/00002.jpg,1\n", ":6: this frame had a row"),
        ("h\n1/00001.jpg\n1/9999999.jpg\n", ":3: .*above"),
        ("h\nvideo\n", ":2: .*not a picture"),
        ("h\n", "no rows"),
    ],
)
def test_a_bad_template_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_template(write(tmp_path / "sample.txt", text))


def test_a_list_of_frames_is_read_with_and_without_a_header(tmp_path: Path) -> None:
    frames = "7_left/00002.jpg\n7_left/00004.jpg\n8/00001.jpg\n"
    for name, header in (("a.txt", ""), ("b.txt", "image_location\n")):
        path = write(tmp_path / name, header + frames)
        template = read_template(path)
        assert template.header == header.strip()
        assert template.keys.frame.tolist() == [2, 4, 1]
        assert read_listed_ids(path) == ["7_left", "8"]
    assert read_listed_ids(write(tmp_path / "c.txt", "8\n7_left\n")) == ["8", "7_left"]


IDS = st.sampled_from(["1", "12_left", "video10_1", "9-24-1920x1080", "a b", "x.y"])


@settings(max_examples=30, deadline=None)
@given(
    keys=st.lists(st.tuples(IDS, st.integers(1, 99_999)), min_size=1, max_size=20, unique=True),
    rest=st.sampled_from(["", ",4", ",0.1,-0.3", ", ,"]),
    before=st.sampled_from(["", " ", "folder/"]),
    end=st.sampled_from(["\n", "\r\n", ""]),
)
def test_rows_are_read_alike_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[tuple[str, int]],
    rest: str,
    before: str,
    end: str,
) -> None:
    mark = end or "\n"
    rows = [f"{before}{track_id}/{frame:05d}.jpg{rest}" for track_id, frame in keys]
    text = mark.join(["image_location,x", *rows]) + end
    template = read_template(write(tmp_path_factory.mktemp("lists") / "sample.txt", text))
    read = [(template.ids[i], int(f)) for i, f in zip(*_columns(template), strict=True)]
    assert read == keys
    assert list(template.pictures()) == [row.removesuffix(rest).strip() for row in rows]


def _columns(template: Template) -> tuple[list[int], list[int]]:
    return template.keys.index.tolist(), template.keys.frame.tolist()
