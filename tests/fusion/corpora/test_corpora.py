"""Data sets other than ABAW: tables, RAVDESS, AFEW-VA, and which of them a folder is."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.cli.app import run
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion import corpora
from fusion.check import CheckSettings, command
from fusion.corpora import read_corpus, registry
from fusion.corpora.registry import data_sets
from fusion.data.folds import folds_of
from fusion.data.predictions import FramePredictions
from fusion.metrics.evaluation import Evaluation
from fusion.reporting.truth import merge
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS, expression_of_clip
from fusion.tasks.labels import ClipLabels, TimedLabels
from tests.fusion.classic import TASKS, classic, classic_predictions
from tests.fusion.small_corpora import module, put, put_video
from tests.shared import shared_data


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def table(root: Path, *lines: str) -> dict[str, Clip]:
    """Clips by id of a folder with such a table."""
    write(root / "labels.csv", *lines)
    return {clip.id: clip for clip in read_corpus(root)}


def afew(root: Path, name: str, frames: dict[str, object], **more: object) -> Path:
    content = json.dumps({"video_id": name, "frames": frames} | more)
    return write(root / name / f"{name}.json", content)


def touch(root: Path, *names: str) -> None:
    for name in names:
        write(root / name, "")


# Tables


def test_rows_with_frames_become_labels_of_those_frames(tmp_path: Path) -> None:
    clips = table(
        tmp_path,
        "id,frame,valence,arousal,expression,AU1,AU26",
        "talk,3,0.5,-1,Fear,1,",
        "talk,1,-0.25,0,,0,1",
        "walk,2,,,7,,",
    )
    talk, walk = clips["talk"].labels, clips["walk"].labels
    assert len(talk) == 3
    assert classic(talk).va.tolist() == [[-0.25, 0], [0, 0], [0.5, -1]]
    assert classic(talk).va_mask.tolist() == [True, False, True]
    assert classic(talk).expr_mask.tolist() == [False, False, True]
    assert EXPRESSIONS[classic(talk).expr[2]] == "Fear"
    assert classic(talk).au[:, 0].tolist() == [0, 0, 1]
    assert classic(talk).au_mask[:, 0].tolist() == [True, False, True]
    assert classic(talk).au_mask[:, 11].tolist() == [True, False, False]
    assert not classic(talk).au_mask[:, 1:11].any()
    assert (len(walk), classic(walk).expr[1], classic(walk).va_mask.any()) == (2, 7, False)


def test_a_row_without_a_frame_holds_for_every_frame(tmp_path: Path) -> None:
    clips = table(tmp_path, "id,frame,expression,AU2", "a,,anger,1", "b,2,Sadness,")
    whole = clips["a"].labels.resized(4)
    assert isinstance(clips["a"].labels, ClipLabels)
    assert classic(whole).expr.tolist() == [1] * 4
    assert classic(whole).expr_mask.all()
    assert classic(whole).au[:, 1].tolist() == [1] * 4
    assert classic(whole).au_mask.sum() == 4
    assert classic(clips["b"].labels.resized(4)).expr_mask.tolist() == [False, True, False, False]


def test_rows_with_times_are_given_to_the_nearest_frames_of_any_clock(tmp_path: Path) -> None:
    clips = table(
        tmp_path,
        "id,time,valence,arousal,AU1",
        *(f"talk,{t},{t / 2},0,{t == 0.5:d}" for t in (0.5, 0.25, 0.0, 0.75)),  # 4 Hz
        "gap,0,0.1,0,",
        "gap,0.1,,,",  # said to have none
        "gap,0.2,0.3,0,",
        "gap,0.4,0.5,0,",  # .3 is not there
        "whole,,0.9,0,1",
    )
    talk, gap, whole = (clips[name].labels for name in ("talk", "gap", "whole"))
    assert isinstance(talk, TimedLabels)
    assert talk.times.tolist() == [0, 0.25, 0.5, 0.75]
    times = np.arange(24) / 25
    at_25 = talk.on(times)
    nearest = np.minimum(np.round(times * 4), 3) / 4
    expected, shown = np.float32(nearest / 2), np.abs(times - nearest) <= 0.15
    assert classic(at_25).va_mask.tolist() == shown.tolist()
    assert classic(at_25).va[classic(at_25).va_mask, 0].tolist() == expected[shown].tolist()
    assert np.flatnonzero(classic(at_25).au[:, 0]).tolist() == [10, 11, 12, 13, 14, 15]
    at_50 = talk.on(np.arange(48) / 50)
    assert classic(at_50).va[:, 0][::2].tolist() == classic(at_25).va[:, 0].tolist()
    short = gap.on(np.arange(12) / 25)
    assert np.flatnonzero(classic(short).va_mask).tolist() == [0, 1, 4, 5, 6, 9, 10, 11]
    assert classic(short).va[[0, 4, 9], 0].tolist() == np.float32([0.1, 0.3, 0.5]).tolist()
    assert gap.of_task("va").on(np.arange(12) / 25)["va"].mask.sum() == 8
    assert not classic(gap.of_task("au").on(np.arange(12) / 25)).va_mask.any()
    assert isinstance(whole, ClipLabels)


def test_labels_denser_than_frames_and_a_single_one_go_to_the_nearest_frame(tmp_path: Path) -> None:
    rows = [f"dense,{i / 100:.2f},{i / 100:.2f},0" for i in range(1, 100, 2)]  # off the frames
    clips = table(tmp_path, "id,time,valence,arousal", *rows, "one,0.37,0.5,0.5")
    dense = clips["dense"].labels.on(np.arange(25) / 25)
    assert classic(dense).va_mask.all()
    assert np.abs(classic(dense).va[:, 0] - np.arange(25) / 25).max() <= 0.0101
    assert np.flatnonzero(clips["one"].labels.on(np.arange(25) / 25)["va"].mask).tolist() == [9]


def test_labels_of_another_video_or_in_milliseconds_are_refused(tmp_path: Path) -> None:
    rows = [f"talk,{i * 40},0,0" for i in range(50)]
    clips = table(tmp_path, "id,time,valence,arousal", *rows)
    with pytest.raises(UserError, match=r"^talk: its labels reach 1960 s, but it ends at 1\.96 s"):
        clips["talk"].labels_on(np.arange(50) / 25)


def test_how_labels_by_time_are_placed_is_said(tmp_path: Path) -> None:
    store = TrackStore(tmp_path / "tracks")
    for name in ("a", "b"):
        put_video(store, name, 30)
    rows = [f"{name},{split},{i / 4},1" for name, split in (("a", ""), ("b", "validation"))
            for i in range(5)]  # fmt: skip
    clips = table(tmp_path, "id,split,time,AU1", *rows)
    data = module(list(clips.values()), store)
    data.setup("fit")
    told = "labels by time, about 0.25 s apart: each frame takes the nearest row, no further than"
    assert any(line.startswith(f"train: {told} 0.6 of that") for line in data.lines())
    assert classic(data.datasets["train"].labels[0]).au_mask[:, 0].all()


def test_split_person_and_video_of_a_clip(tmp_path: Path) -> None:
    clips = table(
        tmp_path,
        "id,split,person,expression",
        "talk_left,validation,ann,0",
        "talk_right,,bob,0",
        "walk,test,,",
    )
    assert [clip.id for clip in read_corpus(tmp_path)] == ["talk_right", "talk_left", "walk"]
    assert [(c.split, c.video, c.group) for c in clips.values()] == [
        ("train", "talk", "bob"),
        ("validation", "talk", "ann"),
        ("test", "walk", "walk"),
    ]
    assert len(clips["walk"].labels) == 0


def test_without_split_and_person_clips_are_trained_on_and_grouped_by_video(tmp_path: Path) -> None:
    clips = table(tmp_path, "id,expression", "001,1", "talk_left,2")
    assert [(c.id, c.split, c.group) for c in clips.values()] == [
        ("001", "train", "001"),
        ("talk_left", "train", "talk"),
    ]


def test_people_csv_names_the_persons_of_any_data_set(tmp_path: Path) -> None:
    write(tmp_path / "people.csv", "id,person", "a,ann", "b,ann")
    clips = table(tmp_path, "id,expression", "a,1", "b,2", "c_left,3")
    assert [clip.group for clip in clips.values()] == ["ann", "ann", "c"]


def test_what_spreadsheets_write_is_understood(tmp_path: Path) -> None:
    lines = ['"ID", Frame ,Valence,AROUSAL,expression,au1', " a , 1 , 0.5 ,0.5, 3.0 ,1.0 ", ""]
    (tmp_path / "labels.csv").write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    (clip,) = read_corpus(tmp_path)
    assert (clip.id, len(clip.labels), classic(clip.labels).expr[0]) == ("a", 1, 3)
    assert classic(clip.labels).va.tolist() == [[0.5, 0.5]]
    assert classic(clip.labels).au[0, 0] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id,valence", "a,1"], "csv:1: valence and arousal are labels only together"),
        (["id,arrousal", "a,1"], "csv:1: unknown column 'arrousal'"),
        (["id,second", "a,1"], "csv:1: unknown column 'second'"),
        (["id,AU1,au1", "a,1,1"], "csv:1: column 'AU1' is there twice"),
        (["id,AU1"], "csv:2: there is no row"),
        (["id,AU1", "a,1", "b,2"], "csv:3: AU1 is 0 or 1"),
        (["id,AU1", "a,1", "b,on"], "csv:3: AU1 is 'on', not a number"),
        (["id,AU1", "a,1", "b"], "csv:3: 1 cell under 2 columns"),
        (["id,AU1", "a,1", "", "b,1"], "csv:3: the id is ''"),
        (["id,AU1", "a,1", ",1"], "csv:3: the id is ''"),
        (["id,AU1", "a,1", "talk.mp4,1"], "csv:3: the id is 'talk.mp4'"),
        (["id,AU1", "a,1", "x/talk,1"], "csv:3: the id is 'x/talk'"),
        (["id,frame,AU1", "a,1,1", "a,0,1"], "csv:3: the frame must be"),
        (["id,frame,time,AU1", "a,1,1,1"], "csv:1: frame and time both say where"),
        (["id,time,AU1", "a,0,1", "a,-1,1"], "csv:3: the time must be seconds"),
        (["id,time,AU1", "a,0,1", "a,inf,1"], "csv:3: the time must be seconds"),
        (["id,time,AU1", "a,0,1", "a,1 s,1"], "csv:3: time is '1 s', not a number"),
        (["id,time,AU1", "a,.5,1", "b,.5,1", "a,0.50,1"], "csv:4: 0.5 s of 'a' had a row before"),
        (["id,time,AU1", "b,1,1", "a,0,1", "a,,1"], "csv:3: the clip has a row without a time"),
        (["id,frame,AU1", "a,1,1", "a,2.5,1"], "csv:3: the frame must be"),
        (["id,frame,AU1", "a,1,1", "a,inf,1"], "csv:3: the frame must be"),
        (["id,frame,AU1", "a,1,1", "a,1e9,1"], "csv:3: the frame must be"),
        (["id,frame,AU1", "a,7,1", "b,7,1", "a,7,1"], "csv:4: frame 7 of 'a' had a row before"),
        (["id,AU1", "a,1", "a,1"], "csv:3: the whole clip of 'a' had a row before"),
        (["id,frame,AU1", "b,1,1", "a,1,1", "a,,1"], "csv:3: the clip has a row without a frame"),
        (["id,valence,arousal", "a,-1,1", "b,-5,-5"], "csv:3: valence and arousal are -1 to 1"),
        (["id,valence,arousal", "a,-1,1", "b,0,"], "csv:3: valence or arousal is empty"),
        (["id,expression", "a,7", "b,8"], "csv:3: the expression is one of Neutral"),
        (["id,expression", "a,Anger", "b,angry"], "csv:3: the expression is one of Neutral"),
        (["id,split,AU1", "a,train,1", "b,val,1"], "csv:3: the split is 'val'"),
        (["id,split,frame", "a,train,1", "a,test,2"], "csv:3: the split is not that of"),
        (["id,person,frame", "a,ann,1", "b,bob,1", "a,,2"], "csv:4: the person is not that of"),
    ],
)
def test_mistakes_in_a_table_are_one_line_with_file_and_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        table(tmp_path, *lines)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


TABLE = "id,frame,valence,arousal,expression\nmüller,1,0.25,-0.5,Fear\nmüller,2,1,0,\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_tables_are_read_in_the_encodings_and_separators_of_spreadsheets(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    text = TABLE.replace(",", separator).replace("\n", "\r\n")
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    (clip,) = read_corpus(tmp_path)
    assert (clip.id, classic(clip.labels).va.tolist()) == ("müller", [[0.25, -0.5], [1, 0]])
    assert classic(clip.labels).expr.tolist() == [EXPRESSIONS.index("Fear"), 0]
    (tmp_path / "people.csv").write_bytes(
        f"id{separator}person\nmüller{separator}Ä\n".encode(encoding)
    )
    assert read_corpus(tmp_path)[0].group == "Ä"


def test_decimal_commas_are_read_where_semicolons_separate(tmp_path: Path) -> None:
    clips = table(tmp_path, "id;frame;valence;arousal", "a;1;0,25;-0,5", "a;2;1;0")
    assert classic(clips["a"].labels).va.tolist() == [[0.25, -0.5], [1, 0]]
    write(tmp_path / "labels.csv", "id;frame;valence;arousal", "a;1;0,25;-0,5", "a;2;0.1;0")
    with pytest.raises(UserError, match=r"labels\.csv:3: valence is '0\.1', not a number"):
        read_corpus(tmp_path)


def test_that_an_encoding_is_a_guess_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "labels.csv").write_bytes("id,AU1\nmüller,1\n".encode("latin-1"))
    read_corpus(tmp_path)
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "not in UTF-8; read as Latin-1 (Windows). Save it in UTF-8 if ids or names come out wrong"
    ]


def test_a_table_without_ids_is_named_where_no_labels_are_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv has no column id, but clip, AU1"):
        table(tmp_path, "clip,AU1", "a,1")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"id,AU1\na,\0\n")
    with pytest.raises(UserError, match=r"labels\.csv: not a text file; save it as CSV"):
        read_corpus(tmp_path)


CELLS = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.integers(1, 30),
    st.none() | st.tuples(*[st.integers(-100, 100).map(lambda n: n / 100)] * 2),
    st.none() | st.integers(0, 7),
    st.tuples(*[st.sampled_from([None, 0, 1])] * len(UNITS)),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=1, unique_by=lambda row: row[:2]))
def test_every_cell_of_a_table_comes_back_at_its_place(tmp_path: Path, rows: list[tuple]) -> None:
    def text(value: object) -> str:
        return "" if value is None else str(value)

    lines = [
        ",".join([name, str(frame), *map(text, [*(va or (None, None)), expr, *units])])
        for name, frame, va, expr, units in rows
    ]
    clips = table(tmp_path, f"id,frame,valence,arousal,expression,{','.join(UNITS)}", *lines)
    counts = np.zeros(3, int)
    for name, frame, va, expr, units in rows:
        labels, row = clips[name].labels.resized(30), frame - 1
        counts += [va is not None, expr is not None, sum(unit is not None for unit in units)]
        assert va is None or classic(labels).va[row].tolist() == np.float32(va).tolist()
        assert expr is None or classic(labels).expr[row] == expr
        assert classic(labels).va_mask[row] == (va is not None)
        assert classic(labels).expr_mask[row] == (expr is not None)
        assert classic(labels).au_mask[row].tolist() == [unit is not None for unit in units]
        assert classic(labels).au[row].tolist() == [unit or 0 for unit in units]
    all_labels = [clip.labels for clip in clips.values()]
    masks = [
        [classic(x).va_mask.sum(), classic(x).expr_mask.sum(), classic(x).au_mask.sum()]
        for x in all_labels
    ]
    assert np.sum(masks, axis=0).tolist() == counts.tolist()


# RAVDESS


def test_names_of_ravdess_are_labels_of_whole_clips(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Actor_12/01-01-05-01-02-01-12.mp4",
        "Actor_12/01-01-02-01-02-01-12.mp4",
        "Actor_03/03-01-08-02-01-02-03.flac",
        "tracks/face/01-01-05-01-02-01-12.safetensors",
        "notes.txt",
    )
    clips = {clip.id: clip for clip in read_corpus(tmp_path)}
    angry, calm = clips["01-01-05-01-02-01-12"], clips["01-01-02-01-02-01-12"]
    surprised = clips["03-01-08-02-01-02-03"]
    assert len(clips) == 3
    assert [EXPRESSIONS[e] for e in classic(angry.labels.resized(3)).expr] == ["Anger"] * 3
    assert EXPRESSIONS[classic(surprised.labels).expr[0]] == "Surprise"
    assert not classic(calm.labels.resized(3)).expr_mask.any()
    assert "expr" not in calm.labels.by_task
    for clip, emotion in ((angry, "angry"), (calm, "calm"), (surprised, "surprised")):
        assert isinstance(clip.labels, ClipLabels)
        own = clip.labels.resized(3)["emotions"]
        assert own.mask.all()
        assert [own.names[number] for number in own.values] == [emotion] * 3
    assert {clip.split for clip in clips.values()} == {"train"}
    assert [clip.group for clip in (angry, calm, surprised)] == ["Actor_12"] * 2 + ["Actor_03"]


def test_the_expressions_of_a_data_set_are_those_that_occur_in_it(tmp_path: Path) -> None:
    touch(tmp_path / "r", "01-01-05-01-02-01-12.mp4", "01-01-03-01-02-01-11.mp4")
    for clip in read_corpus(tmp_path / "r"):
        assert clip.classes == {"expr": {"Anger", "Happiness"}}
    clips = table(tmp_path / "t", "id,split,expression", "a,train,Fear", "b,validation,Neutral")
    assert clips["b"].classes == {"expr": {"Fear", "Neutral"}}
    assert table(tmp_path / "u", "id,AU1", "a,1")["a"].classes == {}


def test_a_performance_in_several_modalities_is_one_clip(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "03-01-05-01-02-01-12.wav",
        "02-01-05-01-02-01-12.mp4",
        "01-01-05-01-02-01-12.mp4",
        "03-01-05-01-02-02-12.wav",
        "02-01-05-01-02-02-12.mp4",
        "03-01-06-01-02-02-12.wav",
    )
    assert [clip.id[:2] for clip in read_corpus(tmp_path)] == ["01", "02", "03"]


def test_the_labels_of_real_ravdess_are_those_of_its_table() -> None:
    root = shared_data() / "ravdess"
    names = ["Neutral", None, "Happiness", "Sadness", "Anger", "Fear", "Disgust", "Surprise"]
    rows = [line.split(",") for line in (root / "labels.csv").read_text().splitlines()[1:]]
    clips = {clip.id.partition("-")[2]: clip for clip in read_corpus(root)}
    assert len(clips) == len(rows) == 1200
    for row in rows:
        clip, name = clips[row[0].partition("-")[2]], names[int(row[4]) - 1]
        emotion = clip.labels["emotions"]
        assert emotion.names[emotion.values[0]] == row[3]
        known = bool(classic(clip.labels).expr_mask[0])
        assert (EXPRESSIONS[classic(clip.labels).expr[0]] if known else None) == name
        assert clip.group == f"Actor_{row[1]}"


# AFEW-VA


def test_picture_00000_of_afew_va_is_the_first_row(tmp_path: Path) -> None:
    frames = {
        "00000": {"landmarks": [[1, 2]], "valence": -10.0, "arousal": 3.0},
        "00002": {"landmarks": [], "valence": 5, "arousal": 0},
    }
    afew(tmp_path / "part1", "001", frames, actor="one")
    afew(tmp_path, "002", frames)
    touch(tmp_path, "part1/001/00000.png")
    first, second = read_corpus(tmp_path)
    assert (first.id, first.split, first.group, second.group) == ("001", "train", "one", "002")
    assert classic(first.labels).va_mask.tolist() == [True, False, True]
    assert np.allclose(classic(first.labels).va, [[-1, 0.3], [0, 0], [0.5, 0]])
    assert not classic(first.labels).expr_mask.any()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({"00000": {"valence": 11, "arousal": 0}}, "frame 00000 has 11, 0;"),
        ({"00000": {"valence": None, "arousal": 0}}, "frame 00000 has nan, 0;"),
        ({"00000": {"valence": 1}}, "frame 00000 lacks a number"),
        ({"00000": 7}, "frame 00000 lacks a number"),
        ({"first": {"valence": 1, "arousal": 0}}, "'first' is no number of a frame"),
        ({}, "no 'frames' in it"),
    ],
)
def test_mistakes_in_afew_va_name_file_and_frame(
    tmp_path: Path, frames: dict[str, object], message: str
) -> None:
    path = afew(tmp_path, "001", frames)
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path / "001/001.json", '{"frames":', "oops}")
    with pytest.raises(UserError, match=r"001\.json:2: not JSON"):
        read_corpus(tmp_path)


def test_the_same_afew_va_clip_twice_is_refused(tmp_path: Path) -> None:
    for part in ("a", "b"):
        afew(tmp_path / part, "001", {"00000": {"valence": 1, "arousal": 0}})
    with pytest.raises(UserError, match="'001' is also"):
        read_corpus(tmp_path)


# EmoDB


def test_names_of_emodb_are_labels_of_whole_clips(tmp_path: Path) -> None:
    touch(tmp_path, "wav/03a01Fa.wav", "wav/10b02Lb.wav", "16/16a05Wb.ogg", "wav/03a01Xa.wav")
    touch(tmp_path, "notes/03a01Fa.txt")
    clips = {clip.id: clip for clip in read_corpus(tmp_path)}
    assert sorted(clips) == ["03a01Fa", "10b02Lb", "16a05Wb"]
    assert EXPRESSIONS[classic(clips["03a01Fa"].labels).expr[0]] == "Happiness"
    assert EXPRESSIONS[classic(clips["16a05Wb"].labels).expr[0]] == "Anger"
    assert not classic(clips["10b02Lb"].labels).expr_mask.any()  # boredom
    assert [clip.group for clip in clips.values()] == ["03", "10", "16"]
    touch(tmp_path, "again/03a01Fa.flac")
    with pytest.raises(UserError, match="'03a01Fa' is also"):
        read_corpus(tmp_path)


def test_the_labels_of_real_emodb_are_those_of_its_table() -> None:
    import csv

    root = shared_data() / "speech"
    with (root / "speech.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == "emodb"]
    words = {"anger": 1, "disgust": 2, "fear": 3, "happiness": 4, "sadness": 5, "neutral": 0}
    clips = {clip.id: clip for clip in read_corpus(root / "emodb")}
    assert len(clips) == len(rows) == 535
    for row in rows:
        clip = clips[Path(row["file"]).stem]
        known = words.get(row["emotion"])
        assert classic(clip.labels).expr_mask.any() == (known is not None), row
        assert known is None or classic(clip.labels).expr[0] == known


# Which data set a folder is


def test_a_folder_of_abaw_is_read_as_before(tmp_path: Path) -> None:
    write(tmp_path / "AU_Set/Train_Set/1.txt", ",".join(UNITS), ",".join("0" * len(UNITS)))
    write(tmp_path / "labels.csv", "video,note", "1,good")  # no table of ours: no column id
    assert [(clip.id, len(clip.labels)) for clip in read_corpus(tmp_path)] == [("1", 1)]


def test_labels_of_two_data_sets_in_a_folder_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "01-01-05-01-02-01-12.mp4")
    write(tmp_path / "labels.csv", "id,AU1", "a,1")
    with pytest.raises(UserError, match=r"holds RAVDESS and a table labels\.csv; keep"):
        read_corpus(tmp_path)
    (tmp_path / "labels.csv").unlink()
    write(tmp_path / "AU_Set/Train_Set/1.txt", ",".join(UNITS), ",".join("0" * len(UNITS)))
    with pytest.raises(UserError, match="holds ABAW's annotations and RAVDESS; keep"):
        read_corpus(tmp_path)


def test_the_order_of_data_sets_is_not_that_of_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = data_sets()
    backwards = dict(reversed(registry._known.items()))
    monkeypatch.setattr(registry, "_known", backwards)
    assert data_sets() == usual


def test_a_folder_without_labels_or_no_folder_is_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "talk.mp4", ".hidden/labels.csv", "cropped_aligned/001/001.json")
    with pytest.raises(UserError, match=r"no annotations found; expected .* labels\.csv"):
        read_corpus(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        read_corpus(tmp_path / "absent")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the registry as it was."""
    data_sets()
    monkeypatch.setattr(registry, "_known", dict(registry._known))


@pytest.mark.usefixtures("registered")
def test_one_module_adds_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(corpora.__file__).with_name("README.md").read_text()
    example = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "code").mkdir()
    (tmp_path / "code/crema_d.py").write_text(example)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    root = tmp_path / "data"
    touch(
        root,
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "1002_IEO_NEU_XX.mp4",
    )
    with pytest.raises(UserError, match="no annotations found; expected"):
        read_corpus(root)
    monkeypatch.delitem(sys.modules, "crema_d", raising=False)
    words = ["--root", str(root), "--plugins", "crema_d"]
    with pytest.raises(SystemExit):  # its empty files are problems
        run(CheckSettings, command, prog="check", description="", argv=words)
    clips = read_corpus(root)
    assert [(c.id, EXPRESSIONS[classic(c.labels).expr[0]], c.group, c.origin) for c in clips] == [
        ("1001_DFA_ANG_XX", "Anger", "1001", "CREMA-D"),
        ("1002_IEO_NEU_XX", "Neutral", "1002", "CREMA-D"),
    ]
    assert "CREMA-D" in capsys.readouterr().out


@pytest.mark.usefixtures("registered")
def test_a_name_that_another_module_has_registered_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'EmoDB' is also that of fusion.*emodb"):
        registry.register("EmoDB", layout="", find=lambda root, files: [])(lambda paths: [])


def test_data_sets_are_listed_nowhere_but_in_their_own_files_and_on_the_page() -> None:
    folder = Path(corpora.__file__).parent
    names = [known.name for known in data_sets()]
    page = (folder / "README.md").read_text()
    assert [name for name in names if name not in page] == []
    code = {
        path: path.read_text()
        for path in folder.parent.rglob("*.py")
        if path.parent != folder / "readers"
    }
    listing = [str(path) for path, text in code.items() if sum(n in text for n in names) > 1]
    assert listing == []


# What others make of labels of a whole clip


def predictions(name: str, expr: list[int]) -> FramePredictions:
    frames = len(expr)
    return classic_predictions(
        id=name,
        video=name,
        times=np.arange(frames) / 25,
        face=np.ones(frames, bool),
        va=np.zeros((frames, 2), np.float32),
        expr=np.eye(8, dtype=np.float32)[expr],
        au=np.zeros((frames, 12), np.float32),
        thresholds=np.full(12, 0.5, np.float32),
    )


def test_every_frame_of_a_whole_clip_is_scored_without_complaint() -> None:
    evaluation = Evaluation.of([Clip("a", "a", "train", expression_of_clip("Disgust"), "a")])
    evaluation.add(predictions("a", [2] * 9 + [1]))
    assert not evaluation.faults
    assert not evaluation.remarks
    confusion = evaluation.metrics.statistics["expr"].confusion
    assert (confusion[2, 2], confusion[2, 1], confusion.sum()) == (9, 1, 10)


def test_labels_of_a_whole_clip_stay_whole_in_a_report() -> None:
    assert merge([expression_of_clip("Fear")]).resized(5)["expr"].values.tolist() == [3] * 5


def test_folds_hold_actors_out_and_share_their_clips_evenly(tmp_path: Path) -> None:
    touch(tmp_path, *(f"01-01-0{e}-01-01-01-{a:02}.mp4" for e in (1, 3, 5) for a in range(1, 7)))
    clips = read_corpus(tmp_path)
    folds = [{clips[i].group for i in fold} for fold in folds_of(clips, 3, TASKS)]
    assert [len(fold) for fold in folds] == [2, 2, 2]
    assert len(set.union(*folds)) == 6


def test_batches_of_a_plain_folder_have_the_right_masks(tmp_path: Path) -> None:
    store = TrackStore(tmp_path / "tracks")
    for name in ("talk", "walk", "rest"):
        put_video(store, name, 20)
    clips = table(
        tmp_path,
        "id,split,frame,valence,arousal,expression",
        "talk,train,2,0.5,-0.5,",
        "talk,train,4,,,Anger",
        "walk,,,,,Fear",
        "rest,validation,1,0.1,0.2,",
    )
    data = module(list(clips.values()), store)
    data.setup("fit")
    talk, walk = (data.datasets["train"][i].targets for i in (0, 1))
    assert np.flatnonzero(talk["va"].mask[0]).tolist() == [1]
    assert talk["va"].values[0, 1].tolist() == [0.5, -0.5]
    assert np.flatnonzero(talk["expr"].mask[0]).tolist() == [3]
    assert walk["expr"].mask.all()
    assert (walk["expr"].values == EXPRESSIONS.index("Fear")).all()
    assert not walk["va"].mask.any()
    assert not walk["au"].mask.any()
    assert data.summaries["train"].absent == {"talk": 16}
    batch = next(iter(data.val_dataloader()))
    assert batch.targets["va"].mask.sum() == 1


# Videos that are called as people are


@pytest.mark.parametrize("known_by", ["videos", "tracks"])
def test_a_video_called_as_a_person_is_a_video_of_its_own(tmp_path: Path, known_by: str) -> None:
    write(
        tmp_path / "labels.csv", "id,AU1", "x_left,1", "x_right,1", "dyad01_person1,1", "y_left,1"
    )
    if known_by == "videos":
        touch(tmp_path, "videos/x_left.mp4", "videos/x_right.mov", "dyad01_person1.MP4", "y.mp4")
    else:
        store = TrackStore(tmp_path / "tracks")
        for video in ("x_left", "x_right", "dyad01_person1"):
            put(store, "voice", video, [0.0], person="sound")
        put(store, "faces", "y", [0.0], person="left")
    clips = {clip.id: (clip.video, clip.group) for clip in read_corpus(tmp_path)}
    assert clips == {
        "x_left": ("x_left", "x_left"),
        "x_right": ("x_right", "x_right"),
        "dyad01_person1": ("dyad01_person1", "dyad01_person1"),
        "y_left": ("y", "y"),
    }
