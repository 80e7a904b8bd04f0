"""Data sets of the challenges on whole clips: Hume-Reaction, Hume-Vidmimic2, BAH."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from fusion.abaw.clip_challenges import MIMICRY, REACTIONS
from fusion.check import check
from fusion.corpora import read_corpus
from fusion.tasks.labels import ClipLabels

INFO = f"File_ID,Split,{','.join(REACTIONS)},Age,Country"
SPLIT = f"Filename,{','.join(MIMICRY)}"
VIDEO = "Videos/{0}/Visite_1/{0}_Question_{1}_2024-11-18_16-07-42_Video.mp4"


def put(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def reactions(root: Path) -> None:
    put(
        root / "data_info.csv",
        INFO,
        "[00001],Train,0.1,0.2,0.3,0.4,0.5,0.6,1.0,23.0,United States",
        "[00002],Val,0.0,1.0,0.0,0.0,0.0,0.0,0.5,31.5,South Africa",
        "[00003],Test,,,,,,,,,",
    )


def mimicry(root: Path) -> None:
    put(root / "train_split.csv", SPLIT, "00000,0.0,0.5,0.0,0.0,0.25,0.0")
    put(root / "valid_split.csv", SPLIT, "08072,1.0,0.0,0.0,0.0,0.0,0.0")
    put(root / "test/test_split.csv", SPLIT, "12660,0.0,0.0,0.0,0.0,0.0,0.0")


def ambivalence(root: Path) -> None:
    put(root / "split/train.txt", f"{VIDEO.format(82711, 1)},1,Hello? Well, I", "")
    put(root / "split/val.txt", f"{VIDEO.format(82593, 1)},0,Eat.", f"{VIDEO.format(82593, 2)},1,")
    put(root / "split/test.txt", f"{VIDEO.format(82729, 1)},0,So, um")


FOLDERS = {"BAH": ambivalence, "Hume-Reaction": reactions, "Hume-Vidmimic2": mimicry}


def test_reactions_are_seven_intensities_of_each_clip(tmp_path: Path) -> None:
    reactions(tmp_path)
    clips = read_corpus(tmp_path)
    assert [(c.id, c.split, c.origin, c.group) for c in clips] == [
        ("00001", "train", "Hume-Reaction", "00001"),
        ("00002", "validation", "Hume-Reaction", "00002"),
        ("00003", "test", "Hume-Reaction", "00003"),
    ]
    labels = clips[0].labels
    assert isinstance(labels, ClipLabels)
    assert labels["intensities"].names == REACTIONS
    assert labels["intensities"].values.round(6).tolist() == [
        pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0])
    ]
    assert [c.labels.tasks() for c in clips] == [["intensities"], ["intensities"], []]


def test_mimicry_has_six_and_its_test_list_holds_placeholders(tmp_path: Path) -> None:
    mimicry(tmp_path)
    clips = {clip.id: clip for clip in read_corpus(tmp_path)}
    assert {name: clip.split for name, clip in clips.items()} == {
        "00000": "train",
        "08072": "validation",
        "12660": "test",
    }
    assert clips["08072"].labels["intensities"].values.tolist() == [[1, 0, 0, 0, 0, 0]]
    assert clips["08072"].labels["intensities"].names == MIMICRY
    assert clips["12660"].labels.tasks() == []


def test_a_video_is_ambivalent_or_not_and_its_participant_is_the_person(tmp_path: Path) -> None:
    ambivalence(tmp_path)
    clips = read_corpus(tmp_path)
    found = [(c.split, c.group, c.labels["emotions"].values.tolist()) for c in clips]
    assert found == [
        ("train", "82711", [1]),
        ("validation", "82593", [0]),
        ("validation", "82593", [1]),
        ("test", "82729", [0]),
    ]
    assert clips[0].id == "82711_Question_1_2024-11-18_16-07-42_Video"
    assert clips[0].labels["emotions"].names == ("absent", "present")


def test_frames_of_edition_8_have_classes_of_their_own(tmp_path: Path) -> None:
    video = "82557/Visite 1/82557_Question_1_2024-08-22 14-46-11_Video.mp4"
    put(
        tmp_path / "BAH-val-8th-ABAW/annotation.yml",
        f"{video}:",
        "  frame_annotation:",
        *(f"  - [{video}/frame-{frame}.jpg, {label}]" for frame, label in enumerate([0, 1, 1])),
    )
    (clip,) = read_corpus(tmp_path)
    assert (clip.split, clip.group) == ("validation", "82557")
    assert clip.labels["emotions"].values.tolist() == [0, 1, 1]
    assert not isinstance(clip.labels, ClipLabels)


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_the_check_knows_them_and_counts_their_labels(tmp_path: Path, name: str) -> None:
    FOLDERS[name](tmp_path)
    report = check(tmp_path)
    assert report.tables["Data set"] == [name]
    text = "\n".join(report.tables["Labels"])
    assert ("EMOTIONS" if name == "BAH" else "INTENSITIES") in text
    assert report.findings.problems == []
    names = {"BAH": "present", "Hume-Reaction": "Empathic-Pain", "Hume-Vidmimic2": "Empathic Pain"}
    assert any(names[name] in "\n".join(lines) for lines in report.tables.values())


def test_a_clip_in_two_lists_is_refused(tmp_path: Path) -> None:
    mimicry(tmp_path)
    put(tmp_path / "valid_split.csv", SPLIT, "00000,0.0,0.5,0.0,0.0,0.25,0.0")
    with pytest.raises(UserError, match=r"valid_split.csv: '00000' is in another list too"):
        read_corpus(tmp_path)


def test_other_files_of_these_names_are_no_such_data_set(tmp_path: Path) -> None:
    put(tmp_path / "data_info.csv", "a,b", "1,2")
    put(tmp_path / "train_split.csv", "Filename,Joy", "1,2")
    put(tmp_path / "split/train.txt", "talk", "walk")
    np.save(tmp_path / "data_info.npy", np.zeros(3))
    with pytest.raises(UserError, match="no annotations found; expected"):
        read_corpus(tmp_path)
