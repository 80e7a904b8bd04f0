from pathlib import Path

import pytest

from features.errors import UserError
from fusion.abaw.reading.annotations import read_corpus, read_truth
from fusion.abaw.reading.compound import read_compound, read_compound_corpus
from fusion.abaw.reading.layout import video_of
from fusion.tasks.clips import Clip
from tests.fusion.abaw_files import AU, CE, EXPR, EXPR_7, MTL, VA, row, write
from tests.fusion.classic import classic


def by_key(clips: list[Clip]) -> dict[tuple[str, str], Clip]:
    assert len({(clip.split, clip.id) for clip in clips}) == len(clips)
    return {(clip.split, clip.id): clip for clip in clips}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A small folder in the layout of editions 6 and later."""
    root = tmp_path / "Aff-Wild2"
    notes = root / "annotations"
    units = "1" + ",0" * 11 + "\n"
    write(notes / "VA_Estimation_Challenge/Train_Set/12.txt", VA + "0.1,0.2\n0.3,0.4\n-5,-5\n")
    write(notes / "VA_Estimation_Challenge/Train_Set/12_left.txt", VA + "0.5,0.5\n")
    write(notes / "VA_Estimation_Challenge/Train_Set/video10_1.txt", VA + "0,0\n")
    write(notes / "VA_Estimation_Challenge/Validation_Set/7.txt", VA + "0,0\n")
    write(notes / "EXPR_Recognition_Challenge/Train_Set/12.txt", EXPR + "4\n4\n4\n4\n")
    write(notes / "EXPR_Recognition_Challenge/Train_Set/7.txt", EXPR + "6\n")
    write(notes / "EXPR_Recognition_Challenge/Validation_Set/8.txt", EXPR + "2\n")
    write(notes / "AU_Detection_Challenge/Train_Set/12.txt", AU + units)
    write(root / "test/VA.txt", "20\n21_right\n")
    write(root / "test/EXPR.txt", "20\n22\n")
    write(
        root / "test/VA_sample_submission.txt", "image_location,valence,arousal\n20/00001.jpg,0,0"
    )
    write(root / "cropped_aligned/VA_Estimation_Challenge/Train_Set/99.txt", "pictures lie here")
    return root


def test_tasks_of_one_id_become_one_clip_as_long_as_the_longest(corpus: Path) -> None:
    twelve = by_key(read_corpus(corpus))["train", "12"].labels
    assert len(twelve) == 4
    assert classic(twelve).va_mask.tolist() == [True, True, False, False]
    assert classic(twelve).expr_mask.all()
    assert classic(twelve).au_mask.all(axis=1).tolist() == [True, False, False, False]
    assert classic(twelve).expr.tolist() == [4] * 4


def test_ids_of_all_splits_are_listed_in_a_fixed_order(corpus: Path) -> None:
    keys = [(clip.split, clip.id) for clip in read_corpus(corpus)]
    assert keys == [
        *(("train", i) for i in ("12", "12_left", "7", "video10_1")),
        *(("validation", i) for i in ("7", "8")),
        *(("test", i) for i in ("20", "21_right", "22")),
    ]


def test_labels_of_another_split_never_leak_into_a_clip(corpus: Path) -> None:
    clips = by_key(read_corpus(corpus))
    train, validation = clips["train", "7"].labels, clips["validation", "7"].labels
    assert classic(train).expr_mask.all()
    assert not classic(train).va_mask.any()
    assert classic(validation).va_mask.all()
    assert not classic(validation).expr_mask.any()


def test_left_and_right_are_endings_and_not_prefixes(corpus: Path) -> None:
    clips = by_key(read_corpus(corpus))
    assert len(clips["train", "12_left"].labels) == 1
    assert clips["train", "12_left"].video == "12"
    assert clips["train", "video10_1"].video == "video10_1"
    assert [video_of(i) for i in ("12_right", "12_leftish", "left", "a_left_b", "12_Left")] == [
        "12",
        "12_leftish",
        "left",
        "a_left_b",
        "12_Left",
    ]


def test_group_is_the_person_or_else_the_video(corpus: Path) -> None:
    assert by_key(read_corpus(corpus))["train", "12_left"].group == "12"
    write(corpus / "people.csv", "id,person\n12,anna\n12_left,bert\n21,carl\n")
    clips = by_key(read_corpus(corpus))
    assert clips["train", "12"].group == "anna"
    assert clips["train", "12_left"].group == "bert"
    assert clips["test", "21_right"].group == "carl"
    assert clips["train", "video10_1"].group == "video10_1"


@pytest.mark.parametrize("text", ["name,who\n1,a\n", "", "id,person\n1,a\n1,b\n"])
def test_a_bad_list_of_people_is_refused(corpus: Path, text: str) -> None:
    write(corpus / "people.csv", text)
    with pytest.raises(UserError, match=r"people\.csv"):
        read_corpus(corpus)


def test_folder_names_of_older_editions_and_letter_case_are_known(tmp_path: Path) -> None:
    write(
        tmp_path / "Third ABAW Annotations/EXPR_Classification_challenge/TRAIN_SET/1.txt",
        EXPR + "1\n",
    )
    write(tmp_path / "au detection challenge/training_set/1.txt", AU + ",".join("0" * 12))
    (clip,) = read_corpus(tmp_path)
    assert classic(clip.labels).expr_mask.all()
    assert classic(clip.labels).au_mask.all()


def test_the_root_may_be_one_challenge_folder(corpus: Path) -> None:
    root = corpus / "annotations/VA_Estimation_Challenge"
    assert [c.id for c in read_corpus(root)] == ["12", "12_left", "video10_1", "7"]


def test_placeholder_labels_of_a_published_test_set_are_not_read(corpus: Path) -> None:
    write(corpus / "annotations/VA_Estimation_Challenge/Test_Set/30.txt", VA + "0.5,0.5\n" * 9)
    clip = by_key(read_corpus(corpus))["test", "30"]
    assert len(clip.labels) == 0


def test_truth_of_a_test_set_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "demo_truth"
    write(root / "VA_Estimation_Challenge/Test_Set/20.txt", VA + "0.5,0.25\n")
    write(root / "EXPR_Recognition_Challenge/Test_Set/20.txt", EXPR + "1\n2\n")
    (clip,) = read_truth(root)
    assert (clip.id, clip.split, len(clip.labels)) == ("20", "test", 2)
    assert classic(clip.labels).va[0].tolist() == [0.5, 0.25]
    with pytest.raises(UserError, match="no annotations found"):
        read_corpus(root)


def test_truth_is_not_looked_for_in_training_folders(corpus: Path) -> None:
    with pytest.raises(UserError, match="Test_Set"):
        read_truth(corpus)


def test_multi_task_files_are_read_where_there_are_no_single_tasks(tmp_path: Path) -> None:
    write(tmp_path / "training_set_annotations.txt", MTL + row("1/00002.jpg"))
    write(tmp_path / "MTL_Challenge/validation_set.txt", MTL + row("2/00001.jpg"))
    write(tmp_path / "elsewhere/train_set.txt", "not an annotation")
    clips = by_key(read_corpus(tmp_path))
    assert list(clips) == [("train", "1"), ("validation", "2")]
    assert len(clips["train", "1"].labels) == 2


def test_single_tasks_beside_multi_task_files_are_read_only_when_said_which(corpus: Path) -> None:
    single = [(clip.split, clip.id) for clip in read_corpus(corpus)]
    path = write(corpus / "MTL_Challenge/train_set.txt", MTL + row("50/00001.jpg"))
    with pytest.raises(UserError, match=r"single tasks \(.*Train_Set\) and multi-task") as error:
        read_corpus(corpus)
    assert str(path) in str(error.value)
    assert "--data.challenge single or mtl" in str(error.value)
    assert "\n" not in str(error.value)
    assert [(clip.split, clip.id) for clip in read_corpus(corpus, "single")] == single
    (clip,) = (clip for clip in read_corpus(corpus, "mtl") if clip.split == "train")
    assert (clip.id, clip.origin) == ("50", "ABAW's multi-task files")


def test_the_only_kind_of_annotations_is_read_whatever_is_asked_for_and_named(corpus: Path) -> None:
    assert {c.origin for c in read_corpus(corpus, "mtl")} == {"ABAW's single-task files"}


def test_two_editions_below_one_root_are_refused(corpus: Path) -> None:
    write(corpus / "5th_ABAW_Annotations/VA_Estimation_Challenge/Train_Set/12.txt", VA + "0,0\n")
    with pytest.raises(UserError, match="one edition"):
        read_corpus(corpus)


def test_folders_without_annotations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_corpus(tmp_path / "absent")
    with pytest.raises(UserError, match="VA_Estimation_Challenge"):
        read_corpus(tmp_path)
    (tmp_path / "VA_Estimation_Challenge/Train_Set").mkdir(parents=True)
    with pytest.raises(UserError, match=r"Train_Set: no \.txt file"):
        read_corpus(tmp_path)


def test_lists_are_found_by_their_name(corpus: Path) -> None:
    write(corpus / "names/AU_test_set_list.txt", "77\n")
    assert ("test", "77") in by_key(read_corpus(corpus))


SINGLE = {
    2: ("", ("VA_Set", "EXPR_Set", "AU_Set"), "Training_Set"),
    3: (
        "Third ABAW Annotations",
        ("VA_Estimation_Challenge", "EXPR_Classification_Challenge", "AU_Detection_Challenge"),
        "Train_Set",
    ),
    5: (
        "5th_ABAW_Annotations",
        ("VA_Estimation_Challenge", "EXPR_Classification_Challenge", "AU_Detection_Challenge"),
        "Train_Set",
    ),
    6: (
        "6th_ABAW_Annotations",
        ("VA_Estimation_Challenge", "EXPR_Recognition_Challenge", "AU_Detection_Challenge"),
        "Train_Set",
    ),
    10: (
        "data/10th ABAW/Annotations",
        ("va-estimation-challenge", "EXPR Recognition Challenge", "AU_DETECTION_CHALLENGE"),
        "train set",
    ),
}


@pytest.mark.parametrize("edition", SINGLE)
def test_single_tasks_of_each_edition_are_found(tmp_path: Path, edition: int) -> None:
    top, (va, expr, au), train = SINGLE[edition]
    header = EXPR_7 if edition == 2 else EXPR
    for folder, text in (
        (va, VA + "-1,1\n-5,-5\n"),
        (expr, header + "6\n-1\n"),
        (au, AU + "1" + ",0" * 11 + "\n" + ",".join(["-1"] * 12) + "\n"),
    ):
        write(tmp_path / top / folder / train / "3_right.txt", text)
        write(tmp_path / top / folder / "Validation_Set" / "4.txt", text)
    clips = by_key(read_corpus(tmp_path))
    assert list(clips) == [("train", "3_right"), ("validation", "4")]
    labels = clips["train", "3_right"].labels
    assert classic(labels).va[0].tolist() == [-1, 1]
    assert classic(labels).expr[0] == 6
    assert classic(labels).au[0].tolist() == [1] + [0] * 11
    for mask in (
        classic(labels).va_mask,
        classic(labels).expr_mask,
        classic(labels).au_mask.all(axis=1),
    ):
        assert mask.tolist() == [True, False]


@pytest.mark.parametrize(
    "names",
    [
        ("MTL_Challenge/train_set.txt", "MTL_Challenge/validation_set.txt"),
        ("training_set_annotations.txt", "validation_set_annotations.txt"),
        ("ABAW 7/training_set_annotations.txt", "ABAW 7/validation_set_annotations.txt"),
    ],
    ids=["3", "4", "7 and 11"],
)
def test_multi_task_files_of_each_edition_are_found(tmp_path: Path, names: tuple[str, str]) -> None:
    write(tmp_path / names[0], MTL + row("1_left/00003.jpg", va="-5,-5") + row("1/00001.jpg"))
    write(tmp_path / names[1], MTL + row("2/00001.jpg", expr="-1"))
    write(tmp_path / "MTL_test_set_release.txt", "image\n9/00001.jpg\n9/00004.jpg\n8/00001.jpg\n")
    clips = by_key(read_corpus(tmp_path))
    assert list(clips) == [
        ("train", "1"),
        ("train", "1_left"),
        ("validation", "2"),
        ("test", "8"),
        ("test", "9"),
    ]
    assert not classic(clips["train", "1_left"].labels).va_mask.any()
    assert classic(clips["train", "1_left"].labels).expr_mask.tolist() == [False, False, True]


def test_a_sample_submission_tells_the_test_ids_where_nothing_else_does(tmp_path: Path) -> None:
    write(tmp_path / "VA_Set/Train_Set/1.txt", VA + "0,0\n")
    sample = "image_location,valence,arousal\n5/00001.jpg,0,0\n4_left/00001.jpg,0,0\n"
    write(tmp_path / "VA_test_set_example.txt", sample)
    assert [c.id for c in read_corpus(tmp_path) if c.split == "test"] == ["4_left", "5"]
    write(tmp_path / "VA_test_set_release.txt", "5\n")
    assert [c.id for c in read_corpus(tmp_path) if c.split == "test"] == ["5"]


def test_compound_labels_are_read_apart(corpus: Path) -> None:
    write(corpus / "CE_Challenge/Validation_Set/60.txt", CE + "6\n-1\n0\n")
    labels = {c.id: c.labels for c in read_compound_corpus(corpus)}["60"]["compound"]
    assert labels.values.tolist() == [6, 0, 0]
    assert labels.mask.tolist() == [True, False, True]
    assert "60" not in {clip.id for clip in read_corpus(corpus)}


def test_bad_compound_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1\.txt:3: the compound expression is 0 to 6"):
        read_compound(write(tmp_path / "1.txt", CE + "6\n7\n"))
    with pytest.raises(UserError, match=r"2\.txt:1: the header"):
        read_compound(write(tmp_path / "2.txt", EXPR + "6\n"))
    with pytest.raises(UserError, match="no compound labels"):
        read_compound_corpus(tmp_path)
    for folder in ("CE_Challenge/Validation_Set", "CE_Challenge/Test_Set"):
        write(tmp_path / folder / "1.txt", CE + "6\n")
    with pytest.raises(UserError, match="another folder"):
        read_compound_corpus(tmp_path)
