from pathlib import Path

import pytest

from features.errors import UserError
from fusion.abaw.challenges import EDITION_2
from fusion.abaw.submission.edition2 import Sample, check_folder, read_samples, write_folder
from fusion.abaw.submission.line_ends import LineEnds
from fusion.tasks.au import UNITS
from tests.fusion.submissions import decisions


@pytest.mark.parametrize(
    ("challenge", "header", "row"),
    [
        ("VA", "valence,arousal", "0.010000,-0.010000"),
        ("EXPR", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise", "1"),
        ("AU", ",".join(UNITS), "0,1,0,0,0,0,0,0,0,0,0,0"),
    ],
)
def test_edition_2_has_a_file_for_each_video_like_its_annotation(
    tmp_path: Path, challenge: str, header: str, row: str
) -> None:
    made = {"12_left": decisions(5), "12": decisions(2)}
    summary = write_folder(tmp_path / "out", challenge, made)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["12.txt", "12_left.txt"]
    lines = (tmp_path / "out/12_left.txt").read_bytes().decode().split("\n")
    assert lines[:2] == [header, row]
    assert (len(lines), lines[-1]) == (7, "")
    assert (summary.rows, summary.ids) == (7, 2)
    assert check_folder(tmp_path / "out", challenge, frames={"12": 2, "12_left": 5}) == {}


def test_edition_2_knows_no_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of this edition"):
        write_folder(tmp_path, "EXPR", {"a": decisions(7)})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.txt").write_text(f"{EDITION_2['EXPR'].header}\n6\n7\n")
    (problem,) = check_folder(tmp_path, "EXPR")[tmp_path / "a.txt"]
    assert str(problem) == "line 3: expression '7' is not a whole number from 0 to 6"


def test_edition_2_has_neither_mtl_nor_compounds(tmp_path: Path) -> None:
    for challenge in ("MTL", "CE"):
        with pytest.raises(UserError, match="of edition 2; the known ones are VA, EXPR, AU"):
            write_folder(tmp_path, challenge, {"a": decisions(1)})


def test_sample_files_fix_the_length_and_line_ends_of_edition_2(tmp_path: Path) -> None:
    samples, out = tmp_path / "samples", tmp_path / "out"
    samples.mkdir()
    (samples / "a.txt").write_bytes(b"valence,arousal\r\n0,0\r\n0,0\r\n0,0")
    wanted = read_samples(samples)
    assert wanted == {"a": Sample(3, LineEnds(b"\r\n", final=False))}
    summary = write_folder(out, "VA", {"a": decisions(4), "b": decisions(1)}, wanted)
    assert (out / "a.txt").read_bytes().split(b"\r\n")[1:] == [
        f"0.0{i}0000,-0.0{i}0000".encode() for i in (1, 2, 3)
    ]
    assert (summary.surplus, summary.unused) == ({"a": 1}, ["b"])
    for frames in (1, 9):
        with pytest.raises(UserError, match="its last row is frame 3"):
            write_folder(out, "VA", {"a": decisions(frames)}, wanted)
    with pytest.raises(UserError, match=r"no prediction of 1 of 1 listed id \(a\)"):
        write_folder(out, "VA", {"b": decisions(3)}, wanted)


def test_files_of_edition_2_are_checked_by_id_and_length(tmp_path: Path) -> None:
    for name, rows in {"a": "0,0\n0,0\n", "a_left": "0,0\n", "c": "", "d": "0,x\n\n"}.items():
        (tmp_path / f"{name}.txt").write_text("valence,arousal\n" + rows)
    found = check_folder(tmp_path, "VA", frames={"a": 3, "b": None, "c": None, "d": 2})
    said = {path.name: [str(problem) for problem in found[path]] for path in found}
    assert said == {
        "a.txt": ["2 rows instead of 3, one for every frame"],
        "a_left.txt": ["'a_left' is not in the test list"],
        "c.txt": ["no rows instead of at least one, one for every frame"],
        "d.txt": ["line 2: arousal 'x' is not a number from -1 to 1", "line 3: a blank line"],
        tmp_path.name: ["'b' has no file"],
    }
    with pytest.raises(UserError, match="no such folder"):
        check_folder(tmp_path / "absent", "VA")
