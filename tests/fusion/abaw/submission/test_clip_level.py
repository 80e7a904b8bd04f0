"""Submissions with a row for each clip."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import UserError
from fusion.abaw.clip_challenges import MIMICRY, REACTIONS
from fusion.abaw.submission.clip_level import check_clips, read_asked_clips, write_clips

VIDEO = "Videos/82711/Visite_1/82711_Question_{}_Video.mp4"
AMBIVALENT = [VIDEO.format(2), VIDEO.format(1)]


def values(columns: tuple[str, ...], *ids: str) -> pd.DataFrame:
    """Row i holds i / 10, i / 10 + .01 and so on."""
    rows = np.arange(1, len(ids) + 1)[:, None] / 10 + np.arange(len(columns)) / 100
    return pd.DataFrame(rows, index=list(ids), columns=list(columns))


def test_reactions_are_written_for_the_test_rows_as_the_table_spells_them(tmp_path: Path) -> None:
    table = tmp_path / "data_info.csv"
    names = ",".join(REACTIONS)
    table.write_text(f"File_ID,Split,{names}\n[00001],Train{',0' * 7}\n[00002],Test{',' * 7}\n")
    asked = read_asked_clips(table, "ERI")
    out = tmp_path / "eri.csv"
    assert write_clips(out, "ERI", values(REACTIONS, "00001", "00002"), asked) == 1
    assert out.read_text() == (
        "File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise\n"
        "[00002],0.200000,0.210000,0.220000,0.230000,0.240000,0.250000,0.260000\n"
    )
    assert check_clips(out, "ERI", asked) == []


def test_mimicry_is_written_by_id_and_kept_within_its_range(tmp_path: Path) -> None:
    out, answers = tmp_path / "emi.csv", values(MIMICRY, "12660", "12661")
    answers.loc["12661"] = [-0.5, 0, 0, 0, 0, 1.5]
    write_clips(out, "EMI", answers)
    assert out.read_text().splitlines() == [
        "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy",
        "12660,0.100000,0.110000,0.120000,0.130000,0.140000,0.150000",
        "12661,0.000000,0.000000,0.000000,0.000000,0.000000,1.000000",
    ]
    assert check_clips(out, "EMI") == []


def test_ambivalence_is_written_in_the_order_of_the_sample_with_or_without_probabilities(
    tmp_path: Path,
) -> None:
    sample, out = tmp_path / "trial-0.txt", tmp_path / "trial-1.txt"
    sample.write_text("".join(f"{video},0\n" for video in AMBIVALENT))
    asked = read_asked_clips(sample, "AH")
    answers = pd.DataFrame(
        {"class": [1, 0], "probability": [0.87654321, 0.1]},
        index=["82711_Question_1_Video", "82711_Question_2_Video"],
    )
    write_clips(out, "AH", answers, asked)
    assert out.read_text() == (
        f"{AMBIVALENT[0]},0.9000,0.1000,0\n{AMBIVALENT[1]},0.1235,0.8765,1\n"
    )
    assert check_clips(out, "AH", asked) == []
    write_clips(out, "AH", answers[["class"]], asked)
    assert out.read_text() == f"{AMBIVALENT[0]},0\n{AMBIVALENT[1]},1\n"
    assert check_clips(out, "AH", asked) == []


def test_written_probabilities_add_up_to_one_as_the_organisers_check_it(tmp_path: Path) -> None:
    share = (np.arange(2000) + 0.5) / 10_000  # halfway between two that can be written
    answers = pd.DataFrame({"class": share > 0.5, "probability": share}, map(str, range(2000)))
    write_clips(tmp_path / "t.txt", "AH", answers)
    assert check_clips(tmp_path / "t.txt", "AH") == []


def test_a_clip_without_an_answer_is_named_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prediction of 1 clip \(12661\)"):
        write_clips(tmp_path / "o.csv", "EMI", values(MIMICRY, "12660"), ["12660", "12661"])
    answers = values(MIMICRY, "12660")
    answers.iloc[0, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        write_clips(tmp_path / "o.csv", "EMI", answers)
    assert not (tmp_path / "o.csv").exists()


GOOD = "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"


@pytest.mark.parametrize(
    ("challenge", "lines", "said"),
    [
        ("EMI", ["Filename,Joy", "1,0,0,0,0,0,0"], "line 1: the header is 'Filename,Joy'"),
        ("EMI", [GOOD, "1,0,0,0,0,0"], "line 2: a row has 7 fields, this one has 6"),
        ("EMI", [GOOD, "1,0,0,0,0,0,2"], "line 2: '0,0,0,0,0,2' are not from 0 to 1"),
        ("EMI", [GOOD, "1,0,0,0,0,0,x"], "line 2: '0,0,0,0,0,x' are not numbers"),
        ("EMI", [GOOD, "1,0,0,0,0,0,nan"], "line 2: '0,0,0,0,0,nan' are not from 0 to 1"),
        ("EMI", [GOOD, *["1,0,0,0,0,0,0"] * 2], "line 3: '1' had a row before"),
        ("EMI", [GOOD], "there are no rows"),
        ("AH", ["a.mp4,1.0"], "line 1: the class '1.0' is not 0 or 1"),
        ("AH", ["a.mp4,0.5,0.4,0"], "line 1: the two probabilities do not add up to 1"),
        ("AH", ["a.mp4,1", "b.mp4,0.5,0.5,1"], "line 2: a row has 2 fields, this one has 4"),
    ],
)
def test_each_fault_of_a_file_is_named(
    tmp_path: Path, challenge: str, lines: list[str], said: str
) -> None:
    path = tmp_path / "o.csv"
    path.write_text("\n".join(lines) + "\n")
    assert str(check_clips(path, challenge)[0]).startswith(said)


def test_rows_are_compared_with_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "o.txt"
    path.write_text("a.mp4,1\nc.mp4,0\n")
    assert [str(problem) for problem in check_clips(path, "AH", ["a.mp4", "b.mp4"])] == [
        "'b.mp4' has no row",
        "line 2: 'c.mp4' is not asked for",
    ]
    assert [str(problem) for problem in check_clips(path, "AH", ["c.mp4", "a.mp4"])] == [
        "line 1: 'a.mp4' where 'c.mp4' is due; keep the order"
    ]
