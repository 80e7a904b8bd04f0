"""Extraction: what is missing is made, what is there stays, bad items are named and passed over."""

import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest

from features.cli.app import run
from features.cli.progress import beat
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, command, extract
from features.faces.detect import FaceSettings
from features.pipeline.extractor import Extractor
from features.store import atomic_file
from features.store.track_store import TrackStore
from tests.media import face_frame, face_picture, plain_frames, tone, write_sound, write_video
from tests.waiting import eventually, limit

FRAMES = 8


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video with a face and a tone."""
    path = tmp_path_factory.mktemp("video") / "12.mp4"
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(FRAMES)]
    return write_video(path, frames, fps=10, sound=tone(0.8))


@pytest.fixture
def root(tmp_path: Path, video: Path) -> Path:
    """A corpus of that one video."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / video.name).write_bytes(video.read_bytes())
    return folder


def settings(root: Path, *encoders: str) -> ExtractSettings:
    names = list(encoders) or ["expression", "prosody"]
    return ExtractSettings(data=SourceSettings(root=root), encoders=names, workers="0")


def stamps(store: Path) -> dict[str, int]:
    """Time of change of each track."""
    return {str(p.relative_to(store)): p.stat().st_mtime_ns for p in store.rglob("*.safetensors")}


def status_of(argv: list[str]) -> int:
    argv = [*argv, "--workers", "0"]
    with pytest.raises(SystemExit) as stop:
        run(ExtractSettings, command, prog="features.extract", description="", argv=argv)
    return int(stop.value.code or 0)


def test_sound_without_pictures_says_how_long_it_is_and_that_of_a_video_does_not(
    root: Path,
) -> None:
    write_sound(root / "voice.wav", tone(1.3), 44_100, "pcm_s16le")
    store = TrackStore(extract(settings(root, "prosody")).store)
    assert store.info("prosody", "voice").duration == pytest.approx(1.3, abs=1e-4)
    assert store.info("prosody", "12").duration == 0
    assert store.ids("faces") == ["12"]


def test_every_stream_has_a_row_a_frame_on_the_containers_clock(root: Path) -> None:
    store = TrackStore(extract(settings(root)).store)
    faces, expression = store.read("faces", "12"), store.read("expression", "12")
    assert len(faces) == len(expression) == FRAMES
    np.testing.assert_allclose(expression.times, np.arange(FRAMES) / 10, atol=1e-6)
    assert expression.valid.all()
    probs = store.read("expression.probs", "12").values.astype(float)
    np.testing.assert_allclose(probs.sum(1), 1, atol=2e-3)
    prosody = store.read("prosody", "12")
    assert 30 <= len(prosody) <= 41  # .8 s at 50 Hz
    assert prosody.info.person == "sound"
    assert expression.info.frames == FRAMES
    assert expression.info.source == faces.info.source


def test_a_second_run_does_nothing(root: Path) -> None:
    before = stamps(extract(settings(root)).store)
    again = extract(settings(root))
    assert again.ready == again.items == 1
    assert stamps(again.store) == before


def test_another_encoder_leaves_the_other_tracks_alone(root: Path) -> None:
    before = stamps(extract(settings(root, "prosody")).store)
    after = stamps(extract(settings(root)).store)
    assert before.items() <= after.items()
    assert "expression/12.safetensors" in after


def test_a_changed_setting_redoes_what_it_touches_and_no_more(root: Path) -> None:
    first = settings(root)
    before = stamps(extract(first).store)
    first.faces = type(first.faces)(size=96)
    after = stamps(extract(first).store)
    changed = {name.split("/")[0] for name in before if before[name] != after[name]}
    assert changed == {"faces", "expression", "expression.probs", "expression.metric"}


def test_features_of_other_crops_are_stale_even_when_the_faces_are_new(root: Path) -> None:
    first = settings(root, "expression")
    before = stamps(extract(first).store)
    first.faces = type(first.faces)(size=96)
    first.encoders = ["prosody"]  # finds the faces anew and stops there
    extract(first)
    first.encoders = ["expression"]
    after = stamps(extract(first).store)
    assert after["expression/12.safetensors"] != before["expression/12.safetensors"]


def test_sound_that_starts_late_keeps_its_place(tmp_path: Path) -> None:
    write_video(tmp_path / "late.mp4", plain_frames(12), fps=10, sound=tone(0.6), sound_start=0.5)
    extract(settings(tmp_path, "prosody"))
    track = TrackStore(tmp_path / "tracks").read("prosody", "late")
    assert 0.4 < track.times[0] < 0.6


def test_a_changed_source_is_extracted_anew(root: Path) -> None:
    before = stamps(extract(settings(root, "prosody")).store)
    write_video(root / "12.mp4", plain_frames(5), fps=10, sound=tone(0.5, hertz=200))
    after = stamps(extract(settings(root, "prosody")).store)
    assert all(after[name] != before[name] for name in before)


def test_a_damaged_track_is_made_again(root: Path) -> None:
    store = TrackStore(extract(settings(root)).store)
    whole = store.path("expression", "12").read_bytes()
    store.path("expression", "12").write_bytes(whole[:-7])
    extract(settings(root))
    assert store.path("expression", "12").read_bytes() == whole


def test_one_bad_video_does_not_stop_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "11.mp4").write_text("no video at all")
    (root / "13.mp4").write_bytes((root / "12.mp4").read_bytes()[:900])
    assert status_of(["--data.root", str(root), "--encoders", "[expression]"]) == 1
    out = capsys.readouterr().out
    assert "1 extracted, 0 ready before, 2 failed" in out
    assert "failed: 11: " in out
    assert "failed: 13: " in out
    assert TrackStore(root / "tracks").ids("expression") == ["12"]


def test_a_video_without_sound_gets_an_empty_track_that_is_not_made_again(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", plain_frames(4), fps=10)
    extract(settings(tmp_path, "prosody"))
    track = TrackStore(tmp_path / "tracks").read("prosody", "mute")
    assert (len(track), track.info.notes) == (0, "no sound")
    assert extract(settings(tmp_path, "prosody")).ready == 1


@pytest.mark.parametrize(("height", "width"), [(96, 128), (8, 8)])
def test_frames_without_a_face_keep_their_rows(tmp_path: Path, height: int, width: int) -> None:
    write_video(tmp_path / "empty.mp4", plain_frames(5, height, width), fps=10)
    extract(settings(tmp_path, "expression"))
    track = TrackStore(tmp_path / "tracks").read("expression", "empty")
    assert len(track) == 5
    assert not track.valid.any()


def test_two_people_get_tracks_by_their_place(tmp_path: Path) -> None:
    frames = [face_frame(320, 160, [(80, 80), (240, 80)], size=120) for _ in range(6)]
    write_video(tmp_path / "pair.mp4", frames, fps=10)
    extract(settings(tmp_path, "expression"))
    store = TrackStore(tmp_path / "tracks")
    assert store.ids("expression") == ["pair", "pair_left", "pair_right"]
    left, right = (store.read("faces", f"pair_{side}").values[0, 0] for side in ("left", "right"))
    assert left < right
    assert extract(settings(tmp_path, "expression")).ready == 1
    store.path("faces", "pair").unlink()  # as if killed before main, who is written last
    extract(settings(tmp_path, "expression"))
    assert store.ids("faces") == ["pair", "pair_left", "pair_right"]


def test_ready_made_crops_are_read_instead_of_the_video(root: Path) -> None:
    for folder, numbers in (("cropped_aligned", (1, 2)), ("Cropped_Aligned_new_50_vids", (4,))):
        for number in numbers:
            path = root / folder / "12" / f"{number:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), face_picture(112)[:, :, ::-1])
    extract(settings(root, "expression"))
    track = TrackStore(root / "tracks").read("expression", "12")
    assert track.valid.tolist() == [True, True, False, True] + [False] * (FRAMES - 4)
    assert extract(settings(root, "expression")).ready == 1
    (root / "cropped_aligned" / "12" / "00002.jpg").unlink()
    extract(settings(root, "expression"))
    track = TrackStore(root / "tracks").read("expression", "12")
    assert track.valid.tolist() == [True, False, False, True] + [False] * (FRAMES - 4)


def test_ready_made_crops_are_as_close_as_encoders_are_told(tmp_path: Path) -> None:
    path = tmp_path / "cropped_aligned" / "12" / "00001.jpg"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), face_picture(112)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    plain = settings(tmp_path, "expression")
    plain.data.crops_fps = 25.0
    close = TrackStore(extract(plain).store).read("expression", "12").values.astype("f4")
    wider = replace(plain, faces=FaceSettings(margin=0.3))
    again = TrackStore(extract(wider).store).read("expression", "12")
    assert (
        np.corrcoef(close[0], again.values[0].astype("f4"))[0, 1] > 0.999
    )  # cut as if they showed more: .996


def test_crops_without_a_video_need_their_frame_rate(tmp_path: Path) -> None:
    path = tmp_path / "cropped_aligned" / "7_left" / "00002.jpg"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), face_picture(112)[:, :, ::-1])
    (tmp_path / "cropped_aligned" / "8").mkdir()
    wanted = settings(tmp_path, "expression")
    assert "empty" in extract(wanted).failures["8"]
    (tmp_path / "cropped_aligned" / "8").rmdir()
    assert "give --data.crops_fps" in extract(wanted).failures["7"]
    wanted.data.crops_fps = 25
    assert not extract(wanted).failures
    track = TrackStore(tmp_path / "tracks").read("expression", "7_left")
    assert track.times.tolist() == [0, 0.04]
    assert track.valid.tolist() == [False, True]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_nothing_to_extract_is_one_line_and_a_status(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert status_of(["--data.root", str(tmp_path / name)]) == 1
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


def test_two_files_of_one_id_are_refused(root: Path) -> None:
    (root / "batch2").mkdir()
    (root / "batch2" / "12.avi").write_bytes(b"")
    with pytest.raises(UserError, match="same id '12'"):
        extract(settings(root))


def test_an_unknown_encoder_is_refused_with_the_known_ones(root: Path) -> None:
    with pytest.raises(UserError, match="unknown encoder 'prosdy'; did you mean 'prosody'"):
        extract(settings(root, "prosdy"))


def test_a_full_disk_stops_with_one_line_and_keeps_what_is_done(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def replacing(path: Path) -> Iterator[IO[bytes]]:
        if "expression" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        with atomic_file.replacing(path) as file:
            yield file

    monkeypatch.setattr("features.store.feature_track.replacing", replacing)
    assert status_of(["--data.root", str(root)]) == 1
    error = capsys.readouterr().err
    assert "no space left on the disk" in error
    assert TrackStore(root / "tracks").streams() == ["faces", "prosody", "wav2vec2"]
    assert not list((root / "tracks").rglob(".*"))


def test_ctrl_c_keeps_finished_items(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "13.mp4").write_bytes((root / "12.mp4").read_bytes())
    work = Extractor.work

    def interrupted(self: Extractor, todo) -> None:  # type: ignore[no-untyped-def]
        if todo.source.id == "13":
            raise KeyboardInterrupt
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", interrupted)
    assert status_of(["--data.root", str(root), "--encoders", "[prosody]"]) == 130
    assert "finished work is kept" in capsys.readouterr().err
    assert TrackStore(root / "tracks").ids("prosody") == ["12"]
    assert not list((root / "tracks").rglob(".*"))  # claims are given back


def test_shards_together_make_everything_once(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("13", "14"):
        (root / f"{name}.mp4").write_bytes((root / "12.mp4").read_bytes())
    for shard, items in (("1/2", 2), ("2/2", 1)):
        argv = ["--data.root", str(root), "--encoders", "[prosody]", "--shard", shard]
        assert status_of(argv) == 0
        assert f": {items} extracted, 0 ready" in capsys.readouterr().out
    assert TrackStore(root / "tracks").ids("prosody") == ["12", "13", "14"]
    assert extract(settings(root, "prosody")).ready == 3


def test_a_shard_that_makes_no_sense_is_one_line_and_a_status(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["--data.root", str(root), "--shard", "9/8"]) == 1
    assert capsys.readouterr().err == (
        "features.extract: --shard 9/8: give i/N with i from 1 to N, e.g. 3/8\n"
    )


def test_failures_that_stand_keep_the_status(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "11.mp4").write_text("no video at all")
    argv = ["--data.root", str(root), "--encoders", "[prosody]"]
    assert [status_of(argv), status_of(argv)] == [1, 1]
    assert "failed before: 1;" in capsys.readouterr().out
    assert status_of([*argv, "--retry_failed", "true"]) == 1
    assert "failed before" not in capsys.readouterr().out
    (root / "11.mp4").unlink()
    assert status_of(argv) == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(root: Path, tmp_path: Path) -> None:
    for name in ("13", "14"):
        (root / f"{name}.mp4").write_bytes((root / "12.mp4").read_bytes())
    argv = ["-m", "features.extract", "--data.root", str(root), "--workers", "0", "--data.store"]
    process = subprocess.Popen(
        [sys.executable, *argv, str(tmp_path / "killed")], stdout=subprocess.DEVNULL
    )
    second = tmp_path / "killed" / "expression" / "13.safetensors"
    eventually(lambda: second.exists() or process.poll() is not None, 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {k: v for k, v in stamps(tmp_path / "killed").items() if k.endswith("/12.safetensors")}
    assert len(done) == 6
    for store in (tmp_path / "killed", tmp_path / "whole"):
        extract(ExtractSettings(data=SourceSettings(root=root, store=store), workers="0"))
    assert done.items() <= stamps(tmp_path / "killed").items()
    names = sorted(stamps(tmp_path / "whole"))
    assert names == sorted(stamps(tmp_path / "killed"))
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_run_that_watches_workers_does_not_load_torch(root: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None)\n"
        "from features.extract import *\n"
        "run(ExtractSettings, command, prog='features.extract', description='')"
    )
    argv = [sys.executable, "-c", code, "--data.root", str(root), "--workers", "1"]
    for done in ("1 extracted", "1 ready before"):
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (result.returncode, done in result.stdout) == (0, True), result.stderr


def test_ctrl_c_without_workers_does_not_wait_for_the_sound(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearing, heard = threading.Event(), threading.Event()

    def hear(*_: object) -> None:  # hours of sound
        until = time.monotonic() + limit()
        while time.monotonic() < until:
            hearing.set()
            time.sleep(0.01)
            beat()
        heard.set()

    def see(*_: object) -> None:
        hearing.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(Extractor, "_listen", hear)
    monkeypatch.setattr(Extractor, "_see", see)
    with pytest.raises(KeyboardInterrupt):
        extract(ExtractSettings(data=SourceSettings(root=root, store=tmp_path), workers="0"))
    assert not heard.is_set()
    beat()  # who works on is not told to stop
