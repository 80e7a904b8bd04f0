from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.cli.app import run
from features.errors import UserError
from features.ingest import IngestSettings, ingest
from features.store.feature_track import FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from tests.media import tone, write_sound
from tests.shared import shared_data

OPENFACE = """frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r, AU01_c
1, 0, 0.000, 0.98, 1, 0.1, 1.5, 1.0
2, 0, 0.033, 0.98, 1, 0.1, 2.5, 1.0
3, 0, 0.067, 0.60, 1, 0.1, 3.5, 1.0
5, 0, 0.133, 0.98, 0, 0.1, 4.5, 1.0
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ingested(source: Path, **settings: Any) -> TrackStore:
    """The store after ingesting a file beside it as stream `x`."""
    store = source.parent / "store"
    assert ingest(IngestSettings(source, store, "x", **settings)) == 0
    return TrackStore(store)


def failure(source: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> str:
    """The one line that says why a file was not ingested."""
    status = ingest(IngestSettings(source, source.parent / "store", "x", **settings))
    lines = [line for line in capsys.readouterr().out.splitlines() if "failed: " in line]
    assert status == 1
    assert len(lines) == 1
    assert str(source) in lines[0]
    return lines[0]


def test_csv_with_times(tmp_path: Path) -> None:
    source = write(
        tmp_path / "12_left.csv", "Time,a,b\n0.02,1,2\n0.06,9.9e-9,\n0.08,nan,4\n0.1,5,6\n"
    )
    track = ingested(source).read("x", "12_left")
    assert (track.info.video, track.info.person) == ("12", "left")
    assert (track.info.encoder, track.info.stream, len(track.info.source)) == ("ingest", "x", 64)
    assert track.times.tolist() == [0.02, 0.06, 0.08, 0.1]
    assert track.valid.tolist() == [True, False, False, True]
    assert track.values.tolist() == [[1, 2], [0, 0], [0, 0], [5, 6]]


def test_csv_with_frames_needs_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "12.csv", "frame;a;valid\n0;1;1\n1;2;0\n3;3;1\n")
    assert "--fps" in failure(source, capsys)
    track = ingested(source, fps=25).read("x", "12")
    assert track.times.tolist() == [0, 0.04, 0.12]
    assert track.valid.tolist() == [True, False, True]
    assert track.dim == 1


def test_frames_take_the_times_of_another_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = np.array([0.033, 0.05, 0.2, 0.21])
    info = TrackInfo("12", "main", "faces", "e", "r", "s", "c")
    track = FeatureTrack(np.zeros((4, 1), np.float32), times, np.ones(4, bool), info)
    TrackStore(tmp_path / "store").write(track)
    source = write(tmp_path / "12.csv", "frame,a\n1,5\n3,6\n4,7\n")
    assert "--first_frame" in failure(source, capsys, times_from="faces")
    store = ingested(source, times_from="faces", first_frame=1)
    assert store.read("x", "12").times.tolist() == [0.033, 0.2, 0.21]
    assert "--times_from gone" in failure(source, capsys, times_from="gone")


def test_openface(tmp_path: Path) -> None:
    source = write(tmp_path / "7.csv", OPENFACE)
    track = ingested(source).read("x", "7")
    assert track.times.tolist() == [0, 0.033, 0.067, 0.133]
    assert track.valid.tolist() == [True, True, False, False]
    assert track.values.tolist() == [[1.5, 1], [2.5, 1], [0, 0], [0, 0]]
    track = ingested(source, fps=10, columns=["gaze.*", "AU.._r"], min_confidence=0.5).read(
        "x", "7"
    )
    assert track.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.4])
    assert track.valid.tolist() == [True, True, True, False]
    assert track.values[2].tolist() == pytest.approx([0.1, 3.5])


def test_two_faces_in_one_openface_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "7.csv", OPENFACE + "5, 1, 0.133, 0.98, 1, 0.1, 4.5, 1.0\n")
    assert "line 6" in failure(source, capsys)


def test_npy_and_npz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.arange(6, dtype=float).reshape(3, 2)
    values[1, 1] = np.nan
    np.save(tmp_path / "1.npy", values)
    np.savez(tmp_path / "2.npz", values=values, times=[0, 0.5, 2], valid=[True, True, False])
    assert "--fps" in failure(tmp_path / "1.npy", capsys)
    track = ingested(tmp_path / "1.npy", fps=50).read("x", "1")
    assert track.times.tolist() == [0, 0.02, 0.04]
    assert track.valid.tolist() == [True, False, True]
    track = ingested(tmp_path / "2.npz").read("x", "2")
    assert track.times.tolist() == [0, 0.5, 2]
    assert track.valid.tolist() == [True, False, False]
    assert track.values.tolist() == [[0, 1], [0, 0], [0, 0]]


def test_one_row_a_clip_becomes_one_token_a_track(tmp_path: Path) -> None:
    source = write(tmp_path / "all.csv", "clip,a,b\n03-01,1,2\nv 2.5.mp4,3,\n3_right,5,6\n")
    store = ingested(source)
    assert store.ids("x") == ["03-01", "3_right", "v 2.5"]
    track = store.read("x", "03-01")
    assert (track.values.tolist(), track.times.tolist()) == ([[1, 2]], [0])
    assert track.info.notes == "clip-level"
    assert not store.read("x", "v 2.5").valid.any()
    assert store.read("x", "3_right").info.person == "right"


def test_sound_belongs_to_no_person(tmp_path: Path) -> None:
    source = write(tmp_path / "12_left.csv", "time,a\n0,1\n")
    info = ingested(source, sound=True).info("x", "12_left")
    assert (info.video, info.person) == ("12_left", "sound")


def test_what_is_there_is_not_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in" / "1.csv", "time,a,b\n0,1,2\n")
    write(tmp_path / "in" / "2.csv", "time,a,b\n0,1,3\n")
    folder = source.parent

    def summary(**settings: Any) -> str:
        assert ingest(IngestSettings(folder, tmp_path / "store", "x", **settings)) == 0
        return capsys.readouterr().out

    assert "2 tracks written, 0 ready before" in summary()
    assert "no tracks written, 2 ready before" in summary()
    write(source, "time,a,b\n0,1,4\n")
    assert "1 track written, 1 ready before" in summary()
    assert "2 tracks written, 0 ready before" in summary(columns=["a"])
    TrackStore(tmp_path / "store").path("x", "2").write_bytes(b"half")
    assert "1 track written, 1 ready before" in summary(columns=["a"])


def test_a_bad_file_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("1", "time,a\n0,1\n"), ("2", "time,a\n0,x\n"), ("3", "time,a\n0,3\n")):
        write(tmp_path / "in" / f"{name}.csv", text)
    assert ingest(IngestSettings(tmp_path / "in", tmp_path / "store", "x")) == 1
    out = capsys.readouterr().out
    assert TrackStore(tmp_path / "store").ids("x") == ["1", "3"]
    assert "2 tracks written" in out
    assert "ready before, 1 failed" in out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no header"),
        ("0,1\n1,2\n", "no header"),
        ("time,a\n", "no rows"),
        ("time,a\n0,1\n\n1,2,3\n", "line 4: 3 cells, the header has 2"),
        ("time,a\n0,1\n1,hello\n", "line 3: 'hello' in column 'a'"),
        ("time,a\n0,1\n,2\n", "line 3: no time"),
        ("time,a\n0,1\nsoon,2\n", "line 3: 'soon' in column 'time'"),
        ("time,a\n0,1\n0,2\n", "line 3: the time 0 s"),
        ("time\n0\n", "no column matches"),
        ("a,b\n0,1\n", "--fps"),
        ("id,a\nx,1\ny,2\nx,3\n", "line 4: 'x' stands in line 2"),
        ("id,a\n,1\n", "line 2: no id"),
        ("id,a\n../x,1\n", "cannot name a track"),
    ],
)
def test_bad_csv_is_one_line(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "12.csv", text)
    assert reason in failure(source, capsys)


def test_numbers_beyond_float32_are_missing(tmp_path: Path) -> None:
    source = write(tmp_path / "12.csv", "time,a\n0,1e300\n1,-inf\n2,3\n")
    assert ingested(source).read("x", "12").valid.tolist() == [False, False, True]


def test_bytes_that_are_no_text_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "12.csv").write_bytes(b"time,a\n\xff\xfe\x00,1\n")
    assert "UTF-8" in failure(tmp_path / "12.csv", capsys)


def bad_arrays(folder: Path) -> dict[str, Path]:
    np.save(folder / "flat.npy", np.zeros(3))
    np.save(folder / "words.npy", np.array([["a"]]))
    np.save(folder / "pickle.npy", np.array([[{}]], dtype=object))
    np.savez(folder / "nameless.npz", np.zeros((2, 2)))
    np.savez(folder / "times.npz", values=np.zeros((2, 2)), times=np.zeros(3))
    np.savez(folder / "still.npz", values=np.zeros((2, 2)), times=np.zeros(2))
    (folder / "torn.npz").write_bytes((folder / "times.npz").read_bytes()[:200])
    (folder / "empty.npy").write_bytes(b"")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    "kind", ["flat", "words", "pickle", "nameless", "times", "still", "torn", "empty"]
)
def test_bad_arrays_are_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure(bad_arrays(tmp_path)[kind], capsys)


def test_files_that_disagree_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in/1.csv", "time,a\n0,1\n")
    write(tmp_path / "in/2.csv", "time,a,b\n0,1,2\n")
    np.savez(tmp_path / "in/1.npz", values=np.zeros((1, 1)), times=np.zeros(1))
    assert ingest(IngestSettings(tmp_path / "in", tmp_path / "store", "x")) == 1
    out = capsys.readouterr().out
    assert "2.csv: 2 features, but" in out
    assert "1.npz: '1' comes from" in out


def test_an_extracted_stream_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = TrackInfo("12", "main", "x", "expression", "r", "s", "c")
    track = FeatureTrack(np.ones((1, 1), np.float32), np.zeros(1), np.ones(1, bool), info)
    store = TrackStore(tmp_path / "store")
    store.write(track)
    assert "choose another --stream" in failure(write(tmp_path / "12.csv", "time,a\n0,1\n"), capsys)
    assert store.info("x", "12") == info


@pytest.mark.parametrize("made", [None, "folder", "film.mp4"])
def test_nothing_to_ingest_is_one_line(made: str | None, tmp_path: Path) -> None:
    source = tmp_path / (made or "gone")
    if made == "folder":
        source.mkdir()
    elif made:
        source.write_bytes(b"")
    with pytest.raises(UserError, match="--input"):
        ingest(IngestSettings(source, tmp_path / "store", "x"))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "12.csv", "frame,a,b\n0,1,2\n")
    argv = ["--input", source, "--store", tmp_path / "s", "--stream", "x", "--fps", 25]
    with pytest.raises(SystemExit) as exit_:
        run(
            IngestSettings,
            ingest,
            prog="features.ingest",
            description="",
            argv=[*map(str, argv), "--columns", '["a"]'],
        )
    assert exit_.value.code == 0
    assert "1 track written" in capsys.readouterr().out
    assert TrackStore(tmp_path / "s").read("x", "12").dim == 1


def test_real_clip_means_of_action_units(tmp_path: Path) -> None:
    source = shared_data() / "ravdess/openface_au_clipmean.csv"
    head = source.read_text().splitlines()[:21]
    store = ingested(write(tmp_path / "au.csv", "\n".join(head)), columns=["AU.*_r"])
    assert len(store.ids("x")) == 20
    assert store.read("x", "03-01-01-01-01-01-01").dim == 17


# Times held against the video


def put_faces(store: Path, video: str, frames: int = 50, fps: float = 25.0) -> None:
    times = np.arange(frames) / fps
    info = TrackInfo(video, "main", "faces", "mtcnn", "r", "s", "c")
    track = FeatureTrack(np.zeros((frames, 1), np.float32), times, np.ones(frames, bool), info)
    TrackStore(store).write(track)


def csv_of(path: Path, times: Sequence[float]) -> Path:
    return write(path, "time,a\n" + "".join(f"{time:.6f},1\n" for time in times))


def test_milliseconds_are_not_taken_for_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_faces(tmp_path / "store", "12")
    source = csv_of(tmp_path / "12.csv", np.arange(0, 2000, 40))
    line = failure(source, capsys)
    assert "its times go to 1960.00 s, its video ends at 1.96 s" in line
    assert "give --time_unit ms" in line
    track = ingested(source, time_unit="ms").read("x", "12")
    assert track.times.tolist() == pytest.approx(np.arange(50) / 25)
    seconds = csv_of(tmp_path / "12.csv", np.arange(50) / 25)
    assert "25,000 rows a second" in failure(seconds, capsys, time_unit="ms")


def test_a_wrong_rate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_faces(tmp_path / "store", "12", frames=500)
    source = tmp_path / "12.npy"
    np.save(source, np.zeros((500, 1)))
    assert "go to 24.95 s, its video ends at 19.96 s" in failure(source, capsys, fps=20)
    assert "as many rows as its video has frames" in failure(source, capsys, fps=30)
    assert len(ingested(source, fps=25).read("x", "12")) == 500
    np.save(source, np.zeros((450, 1)))  # may end early
    assert len(ingested(source, fps=25).read("x", "12")) == 450


def test_times_are_held_against_the_file_where_nothing_is_extracted_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sound(tmp_path / "12.wav", tone(2.0), 44100, "pcm_s16le")
    source = csv_of(tmp_path / "csv" / "12.csv", np.arange(0, 2000, 40))
    settings = IngestSettings(source, tmp_path / "tracks", "x", sound=True)
    assert ingest(settings) == 1
    assert f"ends at 2.00 s ({tmp_path / '12.wav'}); give --time_unit ms" in capsys.readouterr().out
    assert ingest(replace(settings, time_unit="ms")) == 0
    assert "taken as they are" not in capsys.readouterr().out


def test_that_nothing_is_known_of_a_video_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingested(csv_of(tmp_path / "12.csv", [0, 1, 2]))
    said = "times taken as they are, since no track or file of the video is there to hold them"
    assert said in capsys.readouterr().out


def test_features_of_a_video_called_as_a_person_are_its_own(tmp_path: Path) -> None:
    put_faces(tmp_path / "store", "x_left")
    track = ingested(csv_of(tmp_path / "x_left.csv", [0, 1])).read("x", "x_left")
    assert (track.info.video, track.info.person) == ("x_left", "main")
