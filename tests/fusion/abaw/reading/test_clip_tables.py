"""Tables of whole clips, in the forms in which Hume-Reaction, Hume-Vidmimic2 and BAH come."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from fusion.abaw.clip_challenges import CLIP_CHALLENGES, clip_challenge_of
from fusion.abaw.reading.clip_tables import (
    read_ambivalence,
    read_ambivalent_frames,
    read_intensities,
)

ERI, EMI = CLIP_CHALLENGES["ERI"], CLIP_CHALLENGES["EMI"]
REACTIONS = (
    "File_ID,Split,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise,Age,Country"
)
MIMICRY = "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"


def put(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_reactions_have_seven_values_a_split_and_none_in_the_test_set(tmp_path: Path) -> None:
    path = put(
        tmp_path / "data_info.csv",
        REACTIONS,
        "[00000],Train,0.0,0.039,1.0,0.107,0.143,0.633,0.307,23.0,United States",
        "[15806],Val,0.051,0.225,1.0,0.221,0.159,0.312,0.371,27.0,South Africa",
        "[20463],Test,,,,,,,,,",
    )
    table = read_intensities(path, ERI)
    assert table.index.tolist() == ["00000", "15806", "20463"]
    assert table["split"].tolist() == ["train", "validation", "test"]
    assert list(ERI.columns) == REACTIONS.split(",")[2:9]
    values = table[list(ERI.columns)].to_numpy()
    assert values[0].tolist() == [0.0, 0.039, 1.0, 0.107, 0.143, 0.633, 0.307]
    assert np.isnan(values).any(axis=1).tolist() == [False, False, True]


def test_mimicry_has_six_values_and_ids_of_five_digits(tmp_path: Path) -> None:
    row = "0.0,0.3333333432674408,0.0,0.0,0.0,1.0"
    path = put(tmp_path / "valid_split.csv", MIMICRY, f"08072,{row}", f"73,{row}")
    table = read_intensities(path, EMI)
    assert table.index.tolist() == ["08072", "00073"]
    assert table.loc["08072"].tolist() == [0, 0.3333333432674408, 0, 0, 0, 1]
    assert list(table) == MIMICRY.split(",")[1:]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((MIMICRY.replace("Joy", "Fun"), "1,0,0,0,0,0,0"), ":1: no column Joy"),
        ((MIMICRY, "1,0,0,0,0,0,0", "00001,0,0,0,0,0,0"), ":3: '00001' had a row before"),
        ((MIMICRY, "1,0,0,0,0,0,1.5"), ":2: the values are numbers from 0 to 1"),
        ((MIMICRY, "1,0,0,0,0,0,x"), ":2: the values are numbers from 0 to 1"),
        ((MIMICRY, "1,0,0,0,0,0,"), ":2: some values of the row are empty"),
    ],
)
def test_a_bad_row_of_values_is_named(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(UserError, match="train_split") as caught:
        read_intensities(put(tmp_path / "train_split.csv", *lines), EMI)
    assert said in str(caught.value)


def test_a_list_of_videos_with_ambivalence_tells_class_and_participant(tmp_path: Path) -> None:
    path = put(
        tmp_path / "split/train.txt",
        "Videos/82711/Visite_1/82711_Question_1_2024-11-18_16-07-42_Video.mp4,1,Hello? Well, I",
        "Videos/82593/Visite_1/82593_Question_5_2024-10-02 16-21-02_Video.mp4,0,Eat.",
        "Videos/82593/Visite_1/82593_Question_6_2024-10-02 16-20-28_Video.mp4,-1,",
    )
    table = read_ambivalence(path)
    assert table.index[1] == "82593_Question_5_2024-10-02 16-21-02_Video"
    assert table["person"].tolist() == ["82711", "82593", "82593"]
    assert table["label"].tolist()[:2] == [1, 0]
    assert np.isnan(table["label"].iloc[2])
    with pytest.raises(UserError, match=r"val.txt:2: not 'video,label,transcript'"):
        read_ambivalence(put(tmp_path / "val.txt", "a.mp4,1,", "b.mp4"))


def test_frames_with_ambivalence_are_read_by_their_numbers(tmp_path: Path) -> None:
    path = put(
        tmp_path / "annotation.yml",
        "82557/Visite 1/82557_Question_1_2024-08-22 14-46-11_Video.mp4:",
        "  global_ah: 1",
        "  time_detailed_ah: [!!python/tuple ['00:00:02.200', '00:00:03.000']]",
        "  frame_annotation:",
        "  - - 82557/Visite 1/82557_Question_1_2024-08-22 14-46-11_Video.mp4/frame-2.jpg",
        "    - 1",
        "  - - 82557/Visite 1/82557_Question_1_2024-08-22 14-46-11_Video.mp4/frame-0.jpg",
        "    - 0",
    )
    ((name, frames),) = read_ambivalent_frames(path).items()
    assert name == "82557_Question_1_2024-08-22 14-46-11_Video"
    assert np.array_equal(frames, [0, np.nan, 1], equal_nan=True)
    with pytest.raises(UserError, match="not an annotation of BAH's frames"):
        read_ambivalent_frames(put(tmp_path / "other.yml", "a: {b: 1}"))


def test_an_unknown_challenge_on_clips_is_one_line() -> None:
    with pytest.raises(UserError, match="unknown challenge on clips 'VA'; the known ones are ERI"):
        clip_challenge_of("VA")
