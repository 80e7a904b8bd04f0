"""`affuse events`: files in, tables out; reviews and markers; what is said of bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import UserError
from fusion.cli import main
from fusion.data.prediction_files import write_predictions
from fusion.events.markers import Marker, read_markers
from tests.fusion.measured import predictions

TIMES = np.arange(100) / 25
AT = np.arange(100)


def smiling(*spans: tuple[int, int]) -> np.ndarray:
    return sum(((a <= AT) & (b > AT)) * 0.9 for a, b in spans)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    left = predictions(TIMES, {"AU12_p": smiling((10, 30), (60, 80))}, id="talk_left", video="talk")
    right = predictions(
        *(TIMES, {"AU12_p": smiling((50, 75))}), id="talk_right", video="talk", face=AT >= 50
    )
    write_predictions(left, tmp_path / "p")
    write_predictions(right, tmp_path / "p", "csv")
    write_predictions(predictions(TIMES, id="näme 'x'"), tmp_path / "p")
    return tmp_path / "p"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["events", *map(str, words)])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def read(path: Path, sep: str = ",") -> pd.DataFrame:
    return pd.read_csv(path, sep=sep, keep_default_na=False, na_values=[""])


def review(folder: Path, **said: object) -> Path:
    path = folder.parent / "review.json"
    path.write_text(json.dumps({"format": 1, "video": "talk", **said}))
    return path


def test_events_counts_and_what_could_not_be_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(capsys, folder)
    assert (status, err) == (0, "")
    assert "3 events (smile 3) of 3 people" in out
    assert "not looked for in 3 of 3 people: event 'speaking': there is no column 'speech'" in out
    events = read(folder / "events/events.tsv", "\t")
    assert events[["clip", "person", "name", "onset", "offset", "peak"]].values.tolist() == [
        ["talk_left", "talk_left", "smile", 0.4, 1.2, 0.9],
        ["talk_left", "talk_left", "smile", 2.4, 3.2, 0.9],
        ["talk_right", "talk_right", "smile", 2.0, 3.0, 0.9],
    ]
    counts = read(folder / "events/counts.csv").set_index(["clip", "name"])
    row = counts.loc["talk_right", "smile"]
    assert (row["count"], row.observed, row.per_minute, row.share) == (1, 2.0, 30, 0.5)
    assert counts.loc["näme 'x'", "smile"]["count"] == 0


def test_one_file_is_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, folder / "talk_right.csv", "--out", folder.parent / "o")
    assert status == 0
    assert "1 event (smile 1) of 1 person" in out
    assert len(read(folder.parent / "o/events.tsv", "\t")) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_markers_as_spreadsheets_save_them(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "markers.csv"
    path.write_text("time;name;video\n2,5;Gru\u00df;talk\n\n0,1;first\n", encoding=encoding)
    assert read_markers(path) == (Marker(0.1, "first", ""), Marker(2.5, "Gru\u00df", "talk"))
    path.write_text("time;name\n1,0;a\n\nx;b\n", encoding=encoding)
    with pytest.raises(UserError, match="line 4: a time in seconds and a name"):
        read_markers(path)


def test_latency_to_markers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    markers = folder.parent / "markers.csv"
    markers.write_text("time,name,video\n2.0,second,talk\n0.1,first,\n3.5,third,talk\n")
    assert call(capsys, folder, "--markers", markers)[0] == 0
    rows = read(folder / "events/latencies.csv")
    own = rows[(rows.event == "smile") & (rows["clip"] == "talk_left")]
    assert own.marker.tolist() == ["first", "second", "third"]
    np.testing.assert_allclose(own.latency, [0.3, 0.4, np.nan])
    assert rows[rows["clip"] == "näme 'x'"].marker.unique().tolist() == ["first"]


def test_a_review_renames_excludes_and_marks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = review(
        folder,
        rename={"talk_left": "Anna"},
        exclude=[{"person": "talk_left", "from": 0.0, "to": 0.8}],
        events=[{"person": None, "name": "laughter", "onset": 1.0, "offset": 1.5}],
    )
    assert call(capsys, folder, "--review", said)[0] == 0
    events = read(folder / "events/events.tsv", "\t")
    anna = events[events.person == "Anna"]
    assert anna[["name", "onset", "offset", "source"]].values.tolist() == [
        ["smile", 0.84, 1.2, "rule"],
        ["laughter", 1.0, 1.5, "review"],
        ["smile", 2.4, 3.2, "rule"],
    ]
    assert (events.name == "laughter").sum() == 2


def test_merged_tracks_are_one_person(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = review(folder, merge=[["talk_right", "talk_left"]], rename={"talk_right": "Bo"})
    assert call(capsys, folder, "--review", said)[0] == 0
    events = read(folder / "events/events.tsv", "\t")
    assert events.person.tolist() == ["Bo", "Bo"]
    assert events.onset.tolist() == [0.4, 2.0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"video": "talc"}, "a review of 'talc', of which .* the nearest is 'talk'"),
        ({"rename": {"talk_lift": "A"}}, "it names 'talk_lift', who is not in video 'talk'"),
        ({"rename": {"talk_left": "talk_right"}}, "are both called 'talk_right'"),
        ({"format": 9}, "format 9, this version reads 1"),
        ({"merge": 3}, "no review"),
        (
            {"exclude": [{"person": None, "from": 3, "to": 1}]},
            "a stretch ends at 1 s before it begins",
        ),
        ({"events": [{"name": "x", "onset": 0, "offset": 1}]}, "no review"),
    ],
)
def test_a_review_that_makes_no_sense(
    said: dict, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, folder, "--review", review(folder, **said))
    assert status == 1
    assert re.search(message, err), err
    assert err.count("\n") == 1
    assert not (folder / "events").exists()


def test_two_reviews_that_disagree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews = folder.parent / "reviews"
    reviews.mkdir()
    one = {"format": 1, "video": "talk", "rename": {"talk_left": "Anna"}}
    for name in ("review.json", "review (1).json"):
        (reviews / name).write_text(json.dumps(one))
    assert call(capsys, folder, "--review", reviews)[0] == 0
    (reviews / "review (1).json").write_text(json.dumps(one | {"rename": {"talk_left": "Eva"}}))
    status, _, err = call(capsys, folder, "--review", reviews)
    assert status == 1
    assert "two reviews of 'talk' that disagree; keep one" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rules", "{own}"], "own.yaml: event 'smirk': there is no column 'AU14_p'"),
        (["--markers", "{own}"], "own.yaml: columns 'time' and 'name' were expected"),
        (["--markers", "nosuch.csv"], "nosuch.csv: no such file of markers"),
        (["--min_validity", "2"], "min_validity must be from 0 to 1"),
        (["--review", "nosuch.json"], "nosuch.json: no such file"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = folder.parent / "own.yaml"
    own.write_text("events: {smirk: AU14_p > .5}\n")
    status, _, err = call(capsys, folder, *(word.format(own=own) for word in words))
    assert status == 1
    assert message in err
    assert err.count("\n") == 1


def test_a_damaged_file_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.parquet").write_bytes(b"PAR1")
    status, out, _ = call(capsys, folder)
    assert status == 1
    assert "failed: bad:" in out
    assert "3 events" in out
