"""Messages read as a person would write them."""

from pathlib import Path

import numpy as np
import pytest

from features.cli.wording import closing_lines, counted, in_words
from features.extract import ExtractSettings, SourceSettings, command
from features.ingest import IngestSettings, ingest
from features.pipeline.timing import StageTimes
from features.store.feature_track import FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from features.verify import VerifySettings
from features.verify import command as verify
from tests.media import plain_frames, write_video


@pytest.mark.parametrize(
    ("number", "words"), [(0, "no items"), (1, "1 item"), (2, "2 items"), (1000, "1000 items")]
)
def test_a_number_agrees_with_what_it_counts(number: int, words: str) -> None:
    assert counted(number, "item") == words


def test_what_has_another_plural_is_given_it() -> None:
    assert counted(1, "process", "processes") == "1 process"
    assert counted(3, "person", "people") == "3 people"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than a second"), (1, "1 s"), (89, "89 s"), (90, "2 min"), (7200, "2 h"),
     (7260, "2 h 1 min")],
)  # fmt: skip
def test_a_time_has_no_noughts(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def times_of(**stages: tuple[float, float]) -> list[str]:
    times = StageTimes()
    for name, (seconds, amount) in stages.items():
        times.seconds[name.replace("_", " ")] = seconds
        times.add(name.replace("_", " "), amount)
    return times.lines()


def test_a_stage_tells_what_it_did_in_its_unit() -> None:
    assert times_of(decode=(2.0, 1)) == ["decode: 1 frame in 2.0 s (0.5 a second)"]
    assert times_of(find_faces=(0.5, 100)) == ["find faces: 100 frames in 0.5 s (200 a second)"]
    assert times_of(encode=(0.5, 2)) == ["encode: 2 faces in 0.5 s (4.0 a second)"]
    assert times_of(wav2vec2=(2.0, 30)) == ["wav2vec2: 30.0 s of sound in 2.0 s (15 a second)"]


def test_a_stage_that_did_nothing_or_took_no_time_has_no_rate() -> None:
    assert times_of(decode=(0.01, 4), decode_sound=(0.2, 0), cut_and_follow=(0.0, 0)) == [
        "decode: 4 frames",
        "decode sound: 0.2 s",
    ]


def test_one_item_is_one_item(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "a.mp4", plain_frames(3), fps=10)
    data = SourceSettings(root=tmp_path)
    settings = ExtractSettings(data=data, encoders=["expression"], workers="0")
    assert command(settings) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"1 item below {tmp_path}: 0 ready, 1 to do\n")
    assert "\n1 item: 1 extracted, 0 ready before, 0 failed\n" in out
    assert "0 in " not in out
    assert "(0 a second)" not in out


def test_one_problem_is_one_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = TrackInfo("1", "sound", "prosody", "prosody", "r", "s", "x")
    values = np.zeros((1, 2), np.float16)
    path = TrackStore(tmp_path).write(FeatureTrack(values, np.zeros(1), np.ones(1, bool), info))
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(VerifySettings(store=tmp_path)) == 1
    assert f"{tmp_path}: 1 problem\n" in capsys.readouterr().out
    assert verify(VerifySettings(store=tmp_path, repair=True)) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path}: no problems left\n" in out
    assert "1 file removed; now run python -m features.extract\n" in out


def test_one_file_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.csv").write_text("time,x\n0,1\n")
    settings = IngestSettings(input=tmp_path / "1.csv", store=tmp_path / "tracks", stream="x")
    assert ingest(settings) == 0
    assert "1 file: 1 track written, 0 ready before, 0 failed\n" in capsys.readouterr().out


def test_a_command_ends_with_what_it_wrote_what_is_odd_and_what_failed() -> None:
    files = [Path("a.csv"), Path("b.csv"), Path("a.csv")]
    assert list(closing_lines("2 files", files, ["c is empty"], {"d": "no face"})) == [
        "a.csv",
        "b.csv",
        "  remark: c is empty",
        "  failed: d: no face",
        "2 files, 1 failed",
    ]
