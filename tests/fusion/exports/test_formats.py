"""Each format read back, by the library of the other side where there is one."""

import csv
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pympi
import pytest
import webvtt
from bids_validator import BIDSValidator
from praatio import textgrid

from fusion.cli import main
from fusion.data.prediction_files import write_predictions
from tests.fusion.classic import classic_predictions
from tests.fusion.measured import predictions

# A rate that varies: 25 frames a second, then 10, and a pause of 4 s.
TIMES = np.cumsum([0.04] * 25 + [0.1] * 20 + [4.0] + [0.1] * 4) - 0.04
FRAMES = len(TIMES)
AT = np.arange(FRAMES)
HAPPY = 4
NASTY = "<b>&'\"</script>=1\u2028ü😀\x07"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["export", *map(str, words)])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    smile = np.where((AT >= 5) & (AT < 30), 0.9, 0.1)
    units = {"AU12_p": smile, "AU4_p": np.where(AT == 3, np.nan, 0.2)}
    classes = np.where(AT < 20, 0, HAPPY)
    for id, more in {"talk_left": {"units": units}, "talk_right": {"face": AT > 25}}.items():
        said = predictions(TIMES, id=id, video="talk", classes=classes, **more)
        write_predictions(said, tmp_path / "p")
    review = {
        "format": 1,
        "video": "talk",
        "rename": {"talk_left": NASTY},
        "events": [
            {"person": "talk_left", "name": NASTY, "onset": 0.5, "offset": 1.0},
            {"person": "talk_left", "name": NASTY, "onset": 0.9, "offset": 1.2},
            {"person": "talk_right", "name": "click", "onset": 0.7, "offset": 0.7},
            {"person": "talk_right", "name": "=1+1", "onset": 0.1, "offset": 0.2},
        ],
    }
    (tmp_path / "review.json").write_text(json.dumps(review))
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "talk.mp4").write_bytes(b"never opened")
    return tmp_path / "p"


@pytest.fixture
def made(folder: Path, request: pytest.FixtureRequest, capsys) -> Path:
    """The folder of files in the format that a test is about."""
    more = ["--review", folder.parent / "review.json", "--videos", folder.parent / "clips"]
    status, out, _ = call(capsys, folder, "--format", request.param, *more)
    assert status == 0, out
    return folder / "export"


def in_format(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", [name], indirect=True)


ALICE = "<b>&'\"</script>=1 ü😀"
SMILE = [(0.2, 1.56)]


@in_format("elan")
def test_elan_has_tiers_and_the_linked_video(made: Path) -> None:
    document = pympi.Elan.Eaf(made / "talk.eaf")
    tiers = document.get_tier_names()
    assert {f"{ALICE} expression", f"{ALICE} smile", f"{ALICE} {ALICE} (by hand)"} <= set(tiers)
    assert document.get_annotation_data_for_tier(f"{ALICE} expression") == [
        (0, 800, "Neutral"),
        (800, 3060, "Happiness"),
        (6960, 7460, "Happiness"),
    ]
    assert document.get_annotation_data_for_tier(f"{ALICE} smile") == [(200, 1560, "smile")]
    assert document.get_annotation_data_for_tier(f"{ALICE} {ALICE} (by hand)") == [
        (500, 1200, ALICE)
    ]
    assert document.get_annotation_data_for_tier("talk_right click (by hand)") == [
        (700, 701, "click")
    ]
    (link,) = document.get_linked_files()
    assert (made / link["RELATIVE_MEDIA_URL"]).resolve() == made.parents[1] / "clips/talk.mp4"
    assert link["MIME_TYPE"] == "video/mp4"


@in_format("praat")
def test_praat_has_the_same_tiers(made: Path) -> None:
    grid = textgrid.openTextgrid(str(made / "talk.TextGrid"), includeEmptyIntervals=False)
    said = [tuple(e) for e in grid.getTier(f"{ALICE} expression").entries]
    assert [label for *_, label in said] == ["Neutral", "Happiness", "Happiness"]
    np.testing.assert_allclose([x[:2] for x in said], [(0, 0.8), (0.8, 3.06), (6.96, 7.46)])
    (smile,) = grid.getTier(f"{ALICE} smile").entries
    assert (smile.start, smile.end) == pytest.approx(SMILE[0])
    assert grid.getTier("talk_right smile").entries == ()
    assert grid.maxTimestamp == pytest.approx(7.46)


@in_format("boris")
def test_boris_has_states_and_points(made: Path) -> None:
    rows = pd.read_csv(made / "talk_boris.tsv", sep="\t")
    assert rows["Start (s)"].is_monotonic_increasing
    smile = rows[rows.Behavior == "smile"].iloc[0]
    assert (smile["Start (s)"], smile["Stop (s)"], smile["Subject"]) == (0.2, 1.56, ALICE)
    assert smile["Media file name"].endswith("clips/talk.mp4")
    click = rows[rows.Behavior == "click"].iloc[0]
    assert (click["Behavior type"], click["Behavioral category"]) == ("POINT", "by hand")
    assert set(rows["Behavior type"]) == {"STATE", "POINT"}


@in_format("openface")
def test_openface_has_presence_and_nothing_that_we_lack(made: Path) -> None:
    rows = pd.read_csv(made / "talk_left_openface.csv")
    assert list(rows)[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    units = ["AU01", "AU02", "AU04", "AU06", "AU12"]
    assert list(rows)[5:] == [f"{u}_c" for u in units] + [f"{u}_p" for u in units]
    assert not [name for name in rows if name.endswith("_r") or name.startswith(("gaze", "pose"))]
    np.testing.assert_allclose(rows.timestamp, TIMES, atol=1e-6)
    np.testing.assert_array_equal(rows.AU12_c, (AT >= 5) & (AT < 30))
    assert np.isnan(rows.AU04_c[3])
    right = pd.read_csv(made / "talk_right_openface.csv")
    assert (right.face_id == 1).all()
    np.testing.assert_array_equal(right.success, AT > 25)
    np.testing.assert_array_equal(right.confidence > 0, AT > 25)


def test_presence_is_by_the_threshold_that_was_chosen(tmp_path: Path, capsys) -> None:
    units = np.tile(np.array([[0.1], [0.3], [0.6]], np.float32), 12)
    said = classic_predictions(
        id="a",
        video="a",
        times=np.arange(3) / 25,
        face=np.ones(3, bool),
        va=np.zeros((3, 2), np.float32),
        expr=np.full((3, 8), 1 / 8, np.float32),
        au=units,
        thresholds=np.full(12, 0.2, np.float32),
        provenance={},
    )
    write_predictions(said, tmp_path)
    assert call(capsys, tmp_path, "--format", "openface,elan")[0] == 0
    rows = pd.read_csv(tmp_path / "export/a_openface.csv")
    assert rows.AU12_c.tolist() == [0, 1, 1]
    assert len([name for name in rows if name.endswith("_c")]) == 12
    document = pympi.Elan.Eaf(tmp_path / "export/a.eaf")
    assert document.get_annotation_data_for_tier("a AU12_on") == [(40, 120, "AU12")]


@in_format("bids")
def test_bids_has_events_and_a_regular_recording(made: Path) -> None:
    files = [path for path in (made / "bids").rglob("*") if path.is_file()]
    for path in files:
        assert BIDSValidator().is_bids("/" + path.relative_to(made / "bids").as_posix()), path
    assert len(files) == 9
    folder = made / "bids/sub-bscript1/beh"
    events = pd.read_csv(folder / "sub-bscript1_task-talk_events.tsv", sep="\t")
    assert list(events)[:3] == ["onset", "duration", "trial_type"]
    smile = events[events.trial_type == "smile"].iloc[0]
    assert (smile.onset, smile.duration) == (0.2, 1.36)
    name = "sub-bscript1_task-talk_recording-affect_physio"
    about = json.loads((folder / f"{name}.json").read_text())
    with gzip.open(folder / f"{name}.tsv.gz", "rt") as file:
        rows = pd.read_csv(file, sep="\t", header=None, names=about["Columns"], na_values="n/a")
    rate = about["SamplingFrequency"]
    assert rate == pytest.approx(25) or rate == pytest.approx(10)
    ticks = about["StartTime"] + np.arange(len(rows)) / rate
    shown = np.array([np.flatnonzero(tick + 1e-6 >= TIMES)[-1] for tick in ticks])
    np.testing.assert_allclose(rows.AU12_p, np.where((shown >= 5) & (shown < 30), 0.9, 0.1))
    assert about["AU12_p"]["Description"]


@in_format("webvtt")
def test_webvtt_says_who_shows_what(made: Path) -> None:
    captions = webvtt.read(made / "talk.vtt").captions
    starts = [each.start for each in captions]
    assert starts == sorted(starts)
    (smile,) = [each for each in captions if "smile" in each.raw_text]
    assert (smile.start, smile.end) == ("00:00:00.200", "00:00:01.560")
    text = (made / "talk.vtt").read_text()
    assert "</script>" not in text
    assert "&lt;b" in text


@in_format("jsonl")
def test_json_lines_are_frames(made: Path) -> None:
    rows = [json.loads(line) for line in (made / "talk.jsonl").read_text().split("\n") if line]
    assert len(rows) == 2 * FRAMES
    first = rows[3]
    assert (first["person"], first["frame"], first["expression"]) == (NASTY, 4, "Neutral")
    assert first["AU4_p"] is None
    assert first["time"] == pytest.approx(TIMES[3])


@in_format("parquet")
def test_parquet_says_what_columns_mean(made: Path) -> None:
    table = pq.read_table(made / "talk_frames.parquet")
    frame = table.to_pandas()
    assert frame.groupby("clip").size().to_dict() == {"talk_left": FRAMES, "talk_right": FRAMES}
    np.testing.assert_allclose(frame.time[:FRAMES], TIMES)
    assert frame.AU4_p.isna().sum() == 1
    assert table.schema.field("AU12_p").metadata[b"meaning"] == b"What AU12_p is"


@in_format("excel")
def test_excel_has_events_frames_and_meanings(made: Path) -> None:
    book = openpyxl.load_workbook(made / "talk.xlsx")
    assert book.sheetnames == ["events", "frames", "columns"]
    events = pd.read_excel(made / "talk.xlsx", sheet_name="events")
    assert events[events.name == "smile"].onset.tolist() == [pytest.approx(0.2)]
    cells = [cell for row in book["events"].iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"], "a name became a formula"
    assert book["frames"].max_row == 2 * FRAMES + 1
    assert len(pd.read_excel(made / "talk.xlsx", sheet_name="columns")) >= 13


def test_a_sheet_that_is_full_goes_on_in_the_next(tmp_path: Path) -> None:
    from fusion.exports.excel import Excel

    book = openpyxl.Workbook(write_only=True)
    Excel()._sheet(book, "frames", ["n"], ([n] for n in range(7)), most=4)
    book.save(tmp_path / "a.xlsx")
    sheets = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets
    assert [sheet.title for sheet in sheets] == ["frames", "frames 2", "frames 3"]
    assert [[r[0].value for r in sheet.iter_rows(min_row=2)] for sheet in sheets] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]


def test_no_frames_and_no_face_are_written_too(tmp_path: Path, capsys) -> None:
    write_predictions(predictions(np.empty(0), id="empty"), tmp_path)
    write_predictions(predictions(TIMES, id="unseen", face=np.zeros(FRAMES, bool)), tmp_path)
    every = "elan,praat,boris,openface,bids,webvtt,jsonl,parquet,excel"
    status, out, _ = call(capsys, tmp_path, "--format", every)
    assert status == 0, out
    document = pympi.Elan.Eaf(tmp_path / "export/unseen.eaf")
    assert document.get_annotation_data_for_tier("unseen expression") == []
    assert list(csv.reader((tmp_path / "export/empty_openface.csv").open()))[1:] == []


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "--format says which, separated by commas. elan: ELAN"),
        (["--format", "elen"], 2, "no format 'elen'; did you mean 'elan'?"),
        (["--format", "elan", "--min_validity", "-1"], 1, "min_validity must be"),
        (["--format", "elan", "--rules", "nosuch"], 1, "no such file of rules"),
    ],
)
def test_bad_input_is_one_line(words, status, message, folder: Path, capsys) -> None:
    said = call(capsys, folder, *words)
    assert said[0] == status
    assert message in said[2]
    assert said[2].count("\n") == 1


def test_names_that_become_one_are_told(tmp_path: Path, capsys) -> None:
    write_predictions(predictions(TIMES, id="a-b"), tmp_path)
    write_predictions(predictions(TIMES, id="ab"), tmp_path)
    status, out, _ = call(capsys, tmp_path, "--format", "bids")
    assert status == 1
    assert "is of 'a-b' too and was written over; rename one" in out


def test_a_missing_package_is_named(folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    status, _, err = call(capsys, folder, "--format", "excel")
    assert status == 1
    assert "format excel needs more: pip install 'affuse[exports]'" in err
