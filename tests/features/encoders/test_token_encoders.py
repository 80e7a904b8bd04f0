"""A modality of one's own: one file in another package adds it, and every command knows it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import features
from features.encoders.base import BaseEncoder, Description, TokenEncoder, Tokens
from features.errors import UserError
from features.media import read_frames
from features.pipeline.discovery import find_sources
from features.store.feature_track import FeatureTrack
from features.store.track_store import TrackStore
from tests.media import plain_frames, tone, write_sound, write_video

TRANSCRIPT = '''
"""Words of a transcript ID.csv (start,end,text) as hashed vectors."""

import csv
import hashlib
from dataclasses import dataclass

import numpy as np

from features.encoders.base import BaseEncoder, Description, Tokens


@dataclass(frozen=True)
class TranscriptSettings:
    """Words, hashed.

    Args:
        dim: Length of a vector.
        stream: Name of the stream.
    """

    dim: int = 8
    stream: str = "transcript"


class TranscriptEncoder(BaseEncoder):
    """A `TokenEncoder`."""

    name = "transcript"
    settings_type = TranscriptSettings

    @classmethod
    def describe(cls, settings, margin=0.0):
        return Description(
            name=cls.name, input="transcript ID.vtt or ID.csv", revision="1",
            settings={"dim": settings.dim}, streams={settings.stream: settings.dim},
            licence="none needed", trained_on="nothing", reads=(".vtt", ".csv"),
            columns={settings.stream: tuple(f"hash{i}" for i in range(settings.dim))},
        )

    def encode_file(self, path):
        rows = list(csv.DictReader(path.open()))
        values = np.zeros((len(rows), self.settings["dim"]), np.float32)
        for row, value in zip(rows, values):
            digest = hashlib.sha256(row["text"].encode()).digest()
            value[:] = np.frombuffer(digest, np.uint8)[: len(value)] / 255
        start, end = ([float(row[name]) for row in rows] for name in ("start", "end"))
        return Tokens.between({next(iter(self.streams)): values}, start, end)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder on the path with one module, and the line of metadata that registers it."""
    folder = tmp_path / "site"
    (folder / "transcript-1.dist-info").mkdir(parents=True)
    (folder / "transcript_encoder.py").write_text(TRANSCRIPT)
    info = folder / "transcript-1.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: transcript\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[affuse.encoders]\ntranscript = transcript_encoder:TranscriptEncoder\n"
        "broken = no_such_module:Encoder\n"
    )
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A video with a transcript, and a voice without."""
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", plain_frames(30), fps=10, sound=tone(3.0))
    (tmp_path / "in/a.csv").write_text("start,end,text\n1.5,2.5,there\n0,1,hello\n")
    write_sound(tmp_path / "in/b.wav", tone(1.0), 16_000, "pcm_s16le")
    return tmp_path / "in"


def extract(package: Path, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "features.extract", "--data.root", str(root)]
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [*words, *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )


def transcript(root: Path, name: str) -> FeatureTrack:
    return TrackStore(root / "tracks").read("transcript", name)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_one_file_adds_a_modality_that_the_usual_command_extracts(
    package: Path, root: Path, workers: str
) -> None:
    options = "--encoders", "transcript", "--transcript.dim", "4", "--workers", workers
    done = extract(package, root, *options)
    assert done.returncode == 0, done.stderr
    assert "encoder 'broken' (no_such_module:Encoder) is left out" in done.stderr
    track = transcript(root, "a")
    assert track.times.tolist() == [0.5, 2.0]
    assert track.spans is not None
    assert track.spans.tolist() == [[0.0, 1.0], [1.5, 2.5]]
    table = track.to_pandas()
    assert list(table.columns) == ["hash0", "hash1", "hash2", "hash3"]
    assert table.index.names == ["time", "start", "end"]
    silent = transcript(root, "b")
    assert (len(silent), silent.info.notes) == (0, "no .vtt or .csv of it")
    verify = [sys.executable, "-m", "features.verify", str(root / "tracks"), "--data.root", root]
    assert subprocess.run(verify, check=False).returncode == 0


def test_only_a_changed_transcript_is_read_again(package: Path, root: Path) -> None:
    options = "--encoders", "transcript,prosody", "--workers", "0"
    assert extract(package, root, *options).returncode == 0
    before = {p: p.stat().st_mtime_ns for p in (root / "tracks").rglob("*.safetensors")}
    assert "2 ready" in extract(package, root, *options).stdout
    (root / "b.vtt").write_text("start,end,text\n0,.5,yes\n")
    assert "1 ready, 1 to do" in extract(package, root, *options).stdout
    changed = {p for p in (root / "tracks").rglob("*.safetensors")
               if before.get(p) != p.stat().st_mtime_ns}  # fmt: skip
    assert changed == {root / "tracks/transcript/b.safetensors"}
    assert len(transcript(root, "b")) == 1


def test_of_two_files_the_one_beside_the_recording_is_read_and_others_clash(root: Path) -> None:
    for folder in ("x", "y"):
        (root / folder).mkdir()
        (root / folder / "a.csv").touch()
        (root / folder / "b.csv").touch()
    a, b = find_sources(root)
    assert a.file_for((".csv",)) == root / "a.csv"
    assert a.file_for((".vtt",)) is None
    assert a.file_for(()) == root / "a.mp4"
    with pytest.raises(UserError, match=r"x/b\.csv and .*y/b\.csv are both of 'b'"):
        b.file_for((".vtt", ".csv"))


def test_a_recording_given_alone_has_its_transcript_too(root: Path) -> None:
    (source,) = find_sources(root / "a.mp4")
    assert source.beside == (root / "a.csv",)


def test_tokens_are_ordered_by_their_middles_which_rise() -> None:
    values = np.arange(3, dtype=np.float32)[:, None]
    tokens = Tokens.between({"s": values}, [4, 0, 1], [5, 3, 2])
    assert tokens.values["s"][:, 0].tolist() == [1, 2, 0]
    assert (np.diff(tokens.times) > 0).all()
    np.testing.assert_allclose(tokens.times, [1.5, 1.5, 4.5], atol=1e-5)
    with pytest.raises(ValueError, match="begin and end"):
        Tokens.between({"s": values[:1]}, [2], [1])


@dataclass(frozen=True)
class BrightnessSettings:
    """No settings."""


class Brightness(BaseEncoder):
    """A `TokenEncoder` of the recording itself, as pose is: a token a frame."""

    settings_type = BrightnessSettings

    @classmethod
    def describe(cls, settings: BrightnessSettings, margin: float = 0.0) -> Description:
        names = {"brightness": ("mean",)}
        return Description("brightness", "a video", "1", {}, {"brightness": 1}, "none", "nothing",
                           reads=(), columns=names)  # fmt: skip

    def encode_file(self, path: Path) -> Tokens:
        (block,) = read_frames(path, 100)
        means = block.images.mean(axis=(1, 2, 3), dtype=np.float64)
        return Tokens({"brightness": means[:, None].astype(np.float32)}, block.times)


def test_an_encoder_may_read_the_recording_itself_and_be_given_as_an_object(root: Path) -> None:
    tracks = features.extract_file(root / "a.mp4", encoders=[Brightness()])
    assert list(tracks) == [("brightness", "sound")]
    table = tracks["brightness", "sound"].to_pandas()
    assert list(table.columns) == ["mean"]
    assert len(table) == 30
    assert table["mean"].diff().dropna().gt(2).mean() > 0.9  # each picture is brighter by 4


def test_what_encodes_sound_is_no_token_encoder() -> None:
    from features.encoders.audio.prosody import ProsodyEncoder

    assert not isinstance(ProsodyEncoder(), TokenEncoder)
