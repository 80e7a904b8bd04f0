"""Features from a script or a notebook: the same as the command's, with nothing left behind."""

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import features
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.media import read_frames
from tests.media import face_frame, plain_frames, tone, write_video

DOCUMENTED = (
    "features.api",
    "features.cli.list_options",
    "features.encoders.tokens",
)
ENCODERS = ["expression", "prosody"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video with a face and a tone, alone in its folder."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(10)]
    return write_video(path, frames, fps=10, sound=tone(1.0))


@pytest.fixture(scope="module")
def tracks(clip: Path) -> dict[tuple[str, str], features.FeatureTrack]:
    return features.extract_file(clip, encoders=ENCODERS, device="cpu")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_run(name: str, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed


def test_all_public_names_are_there_and_listed() -> None:
    for name in features.__all__:
        assert getattr(features, name).__doc__
        assert name in dir(features)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = features.nothing


def test_import_loads_nothing_heavy() -> None:
    code = "import features, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout))
    assert not loaded & {"numpy", "torch", "transformers", "pandas", "scipy", "av", "cv2"}


def test_tracks_are_those_of_the_command(
    clip: Path, tmp_path: Path, tracks: dict[tuple[str, str], features.FeatureTrack]
) -> None:
    where = SourceSettings(root=clip, store=tmp_path)
    extract(ExtractSettings(data=where, encoders=ENCODERS, device="cpu", workers="0"))
    store = features.TrackStore(tmp_path)
    assert {stream for stream, _ in tracks} == set(store.streams())
    for (stream, person), track in tracks.items():
        other = store.read(stream, "clip")
        assert other.info == track.info
        assert track.info.person == person
        np.testing.assert_array_equal(track.values, other.values)
        np.testing.assert_array_equal(track.times, other.times)


def test_columns_have_names(tracks: dict[tuple[str, str], features.FeatureTrack]) -> None:
    faces = tracks["faces", "main"].to_pandas()
    assert faces.columns[:4].tolist() == ["x0", "y0", "x1", "y1"]
    assert faces.index.name == "time"
    assert tracks["expression", "main"].columns[:2] == ["expression.0", "expression.1"]
    assert "pitch" in tracks["prosody", "sound"].to_pandas()


def test_nothing_is_written_beside_the_clip_or_left_behind(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads, environment = torch.get_num_threads(), dict(os.environ)
    torch.set_num_threads(3)
    try:
        features.extract_file(str(clip), encoders=["prosody"])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == environment


def test_a_named_store_is_kept_and_what_is_ready_in_it_is_not_made_again(
    clip: Path, tmp_path: Path
) -> None:
    store = tmp_path / "kept"
    features.extract_file(clip, encoders=["prosody"], store=store)
    path = store / "prosody/clip.safetensors"
    before = path.stat().st_mtime_ns
    tracks = features.extract_file(clip, encoders=["prosody"], store=store)
    assert path.stat().st_mtime_ns == before
    assert list(tracks) == [("prosody", "sound")]
    assert [p.name for p in store.iterdir() if p.name.startswith(".")] == []


def test_arrays_give_what_the_file_gives(
    clip: Path, tmp_path: Path, tracks: dict[tuple[str, str], features.FeatureTrack]
) -> None:
    (block,) = read_frames(clip, 16)
    from features.media.sound.audio import native_sound

    native = native_sound(clip)
    assert native is not None
    samples = np.concatenate(list(native.blocks))
    given = block.images, block.times, samples, native.rate
    found = features.extract_arrays(*given, encoders=ENCODERS, start=native.offset, device="cpu")
    assert list(found) == list(tracks)
    for key, track in tracks.items():
        np.testing.assert_array_equal(found[key].values, track.values)
        np.testing.assert_array_equal(found[key].valid, track.valid)
        np.testing.assert_array_equal(found[key].times, track.times)


def test_integers_and_channels_are_heard_as_floats() -> None:
    mono = tone(1.0, 16_000)
    stereo = (np.stack([mono, mono], axis=1) * 32768).astype(np.int16)
    one, other = (
        features.extract_arrays(samples=samples, rate=16_000, encoders=["prosody"])
        for samples in (mono, stereo)
    )
    key = ("prosody", "sound")
    energy = [tracks[key].to_pandas()["energy"].to_numpy() for tracks in (one, other)]
    np.testing.assert_allclose(*energy, atol=0.05)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "neither frames nor samples"),
        ({"frames": np.zeros((2, 8, 8), np.uint8)}, "pictures"),
        ({"frames": np.zeros((2, 8, 8, 3)), "times": [0, 1]}, "uint8"),
        ({"frames": np.zeros((2, 8, 8, 3), np.uint8), "times": [1, 0]}, "rising"),
        ({"frames": np.zeros((2, 8, 8, 3), np.uint8)}, "rising"),
        ({"samples": np.zeros(8)}, "rate"),
        ({"samples": np.zeros((2, 800)), "rate": 8000}, r"\(N, C\)"),
        ({"samples": np.zeros(800, np.uint8), "rate": 8000}, "floats"),
    ],
    ids=["nothing", "grey", "floats", "falling", "timeless", "rateless", "turned", "bytes"],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        features.extract_arrays(**arrays, encoders=["prosody"])  # type: ignore[arg-type]


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.mp4: no such file"):
        features.extract_file(tmp_path / "gone.mp4", encoders=["prosody"])
    (tmp_path / "bad.mp4").write_bytes(bytes(1000))
    with pytest.raises(UserError, match=r"bad\.mp4"):
        features.extract_file(tmp_path / "bad.mp4", encoders=["prosody"])


def test_settings_of_encoders_are_checked(clip: Path) -> None:
    extractor = features.FeatureExtractor(["prosody"], prosody={"mel_bands": 4})
    assert extractor(clip)["prosody", "sound"].dim == 11
    with pytest.raises(UserError, match="unknown setting 'prosodie'"):
        features.FeatureExtractor(["prosody"], prosodie={})
    with pytest.raises(UserError, match=r"settings of prosody: .*mels"):
        features.FeatureExtractor(["prosody"], prosody={"mels": 4})


def test_progress_rises_to_one(clip: Path) -> None:
    told: list[float] = []
    features.extract_file(clip, encoders=["expression"], progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 1


def test_a_script_needs_no_guard_and_prints_nothing(clip: Path) -> None:
    code = (
        "import multiprocessing, os\n"
        "before = dict(os.environ)\n"
        "import features\n"
        f"tracks = features.extract_file({str(clip)!r}, encoders=['expression'])\n"
        "assert not multiprocessing.active_children()\n"
        "assert dict(os.environ) == before\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_losses_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "cut.mkv", plain_frames(50), sound=tone(2.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    features.extract_file(path, encoders=["prosody"])
    assert any("cut.mkv" in line and "promises" in line for line in caplog.messages)


def test_sound_is_read_from_what_soundfile_gives(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", tone(1.0, 16_000), 16_000, subtype="FLOAT")
    samples, rate = soundfile.read(tmp_path / "s.wav", dtype="float32")
    key = ("prosody", "sound")
    one = features.extract_file(tmp_path / "s.wav", encoders=["prosody"])[key]
    other = features.extract_arrays(samples=samples, rate=rate, encoders=["prosody"])[key]
    np.testing.assert_array_equal(one.values, other.values)
    assert one.info.duration == other.info.duration == 1.0
