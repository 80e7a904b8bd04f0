"""The summary by hand: frames weigh as long as they last, blanks say why."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import UserError
from fusion.cli import main
from fusion.data.prediction_files import write_predictions
from fusion.statistics.participants import read_participants
from tests.fusion.measured import predictions

# Eight frames of .1 s, twelve of .2 s: a quarter of the time is short frames.
TIMES = np.cumsum([0.0] + [0.1] * 8 + [0.2] * 11)
SHORT = np.arange(20) < 8
HAPPY = 4


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["summarize", *map(str, words)])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def summary(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "statistics/summary.csv", keep_default_na=False, na_values=[""])


def test_frames_count_as_long_as_they_last(tmp_path: Path, capsys) -> None:
    said = predictions(
        TIMES,
        {"AU12_p": np.where(SHORT, 0.2, 0.8)},
        validity=np.where(SHORT, 1.0, 0.5),
        speech=np.where(SHORT, 0.9, 0.1),
        classes=np.where(SHORT, 0, HAPPY),
    )
    write_predictions(said, tmp_path)
    assert call(capsys, tmp_path)[0] == 0
    (row,) = summary(tmp_path).to_dict("records")
    assert row["seconds"] == pytest.approx(3.2)
    assert row["AU12_p_mean"] == pytest.approx(0.65)
    assert row["AU12_p_mean_weighted"] == pytest.approx(0.56)
    assert row["AU12_p_sd"] == pytest.approx(np.sqrt(3 / 16) * 0.6, abs=1e-5)
    assert [row[f"AU12_p_q{q}"] for q in ("05", "25", "50", "95")] == pytest.approx(
        [0.2, 0.2, 0.8, 0.8]
    )
    assert row["expression_Neutral_share"] == pytest.approx(1 / 4)
    assert row["expression_Happiness_share"] == pytest.approx(3 / 4)
    assert row["expression_Happiness_share_weighted"] == pytest.approx(0.6)
    assert row["speech_share"] == pytest.approx(1 / 4)
    assert (row["smile_count"], row["smile_share"]) == (1, pytest.approx(3 / 4))
    assert row["smile_per_minute"] == pytest.approx(18.75)
    assert row["valid_share"] == row["face_share"] == 1
    assert pd.isna(row["why_blank"])


def test_what_has_too_little_to_go_by_is_blank_and_says_why(tmp_path: Path, capsys) -> None:
    times = np.arange(100) / 10
    little = np.where(np.arange(100) < 15, 0.5, np.nan)
    tiny = np.where(np.arange(100) < 5, 0.5, np.nan)
    said = predictions(times, {"AU1_p": little, "AU2_p": tiny, "AU4_p": little * np.nan})
    write_predictions(said, tmp_path)
    assert call(capsys, tmp_path)[0] == 0
    (row,) = summary(tmp_path).to_dict("records")
    assert row["why_blank"] == (
        "valid for less than 20% of the time: AU1_p, event brow_raise; valid for less than 1 s:"
        " AU2_p; no valid frame: AU4_p, event frown"
    )
    assert np.isnan([row["AU1_p_mean"], row["AU2_p_sd"], row["AU4_p_q50"]]).all()
    assert row["AU1_p_valid"] == pytest.approx(0.15)
    assert np.isnan(row["frown_count"])
    assert row["AU12_p_mean"] == 0
    assert call(capsys, tmp_path, "--min_share", "0.1")[0] == 0
    assert summary(tmp_path)["AU1_p_mean"][0] == 0.5


def test_without_a_face_the_voice_is_left(tmp_path: Path, capsys) -> None:
    said = predictions(TIMES, face=np.zeros(20, bool), speech=np.full(20, 0.9))
    write_predictions(said, tmp_path)
    assert call(capsys, tmp_path)[0] == 0
    (row,) = summary(tmp_path).to_dict("records")
    assert (row["speech_share"], row["valid_share"]) == (1, 0)
    assert np.isnan([row["AU12_p_mean"], row["expression_Neutral_share"]]).all()
    assert "no valid frame: Neutral" in row["why_blank"]
    assert call(capsys, tmp_path, "--min_validity", "0")[0] == 0
    assert summary(tmp_path)["expression_Neutral_share"][0] == 1


def test_what_a_voice_alone_tells_counts_while_somebody_speaks(tmp_path: Path, capsys) -> None:
    said = predictions(
        TIMES,
        speech=np.where(SHORT, 0.1, 0.9),
        vocal=np.where(SHORT, 1.0, 0.25),
        face=np.zeros(20, bool),
    )
    write_predictions(said, tmp_path)
    assert call(capsys, tmp_path)[0] == 0
    (row,) = summary(tmp_path).to_dict("records")
    assert row["vocal_arousal_mean"] == pytest.approx(0.25)
    assert row["vocal_arousal_valid"] == pytest.approx(3 / 4)


def test_participants_bring_their_columns(tmp_path: Path, capsys) -> None:
    for id in ("sub-1_before", "sub-1_after", "sub-2"):
        write_predictions(predictions(TIMES, id=id), tmp_path / "p")
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\nsub-1\t30\nsub-2\tn/a\nsub-3\t40\n")
    status, out, _ = call(capsys, tmp_path / "p", "--participants", table)
    assert status == 0
    assert "participants without a clip: sub-3" in out
    rows = summary(tmp_path / "p").set_index("clip")
    assert rows.participant_id.to_dict() == {
        "sub-1_after": "sub-1",
        "sub-1_before": "sub-1",
        "sub-2": "sub-2",
    }
    assert rows.age["sub-1_after"] == 30
    assert np.isnan(rows.age["sub-2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\na\n", "a column 'participant_id' was expected"),
        ("participant_id\n\n,x\n", ""),
        ("participant_id,clip\nA,a\nB,a\n", "clip 'a' stands there twice"),
        ("participant_id,clip\nA,b\n", "no participant for clip 'a'; add a row with 'a'"),
        ("participant_id\nb\n", "no participant for clip 'a'"),
        ("participant_id\na\na\n", "clip 'a' may be of several rows (a, a)"),
    ],
)
def test_a_table_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "participants.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_participants(path).of("a", "a")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min_share", "3"], "min_share must be from 0 to 1"),
        (["--group", "sex"], "--group names a column of --participants"),
        (["--participants", "{table}", "--group", "sex"], "no column 'sex'; there are age"),
        (["--synchrony.lag", "60"], "synchrony.lag must be from 0 to the window"),
        (["--participants", "nosuch.tsv"], "nosuch.tsv: no such table of participants"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, tmp_path: Path, capsys) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\ntalk\t30\n")
    write_predictions(predictions(TIMES), tmp_path)
    status, _, err = call(capsys, tmp_path, *(word.format(table=table) for word in words))
    assert status == 1
    assert message in err
    assert err.count("\n") == 1
