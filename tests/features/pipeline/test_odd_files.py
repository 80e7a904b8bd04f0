"""What lies among the videos and is none: each is named once, nothing hangs, the others go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.cli.app import run
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, command, extract
from features.pipeline.discovery import find_sources
from features.pipeline.source_hashes import SourceHashes
from features.store.track_store import TrackStore
from features.verify import verify
from tests.media import plain_frames, tone, write_sound, write_video
from tests.waiting import limit

PROSODY = "--encoders", "[prosody]"
LIMIT = 60
"""Seconds after which a command hangs."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A whole sound among all that can be named like one, or like a video."""
    folder = tmp_path / "corpus"
    (folder / "folder.mp4").mkdir(parents=True)
    write_sound(folder / "folder.mp4/good.wav", tone(0.3), 44_100, "pcm_s16le")
    (folder / "empty.mp4").touch()
    (folder / "broken.mp4").symlink_to("nothing")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "device.wav").symlink_to("/dev/zero")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe.mp4")
    return folder


def process(module: str, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=limit(LIMIT),
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_each_odd_file_is_named_once_and_the_others_are_extracted(root: Path) -> None:
    done = process("features.extract", "--data.root", root, *PROSODY)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    failed = sorted(line.split()[1] for line in done.stdout.splitlines() if "failed: " in line)
    assert failed == ["broken:", "device:", "empty:", "loop:", "pipe:"]
    assert TrackStore(root / "tracks").ids("prosody") == ["good"]
    checked = process("features.verify", root / "tracks", "--data.root", root)
    assert (checked.returncode, checked.stdout.splitlines()[-1][-11:]) == (0, "no problems")


def test_a_shard_with_odd_files_does_not_hang(root: Path) -> None:
    done = process("features.extract", "--data.root", root, *PROSODY, "--shard", "1/1")
    assert done.returncode == 1
    assert TrackStore(root / "tracks").ids("prosody") == ["good"]


@pytest.mark.parametrize("name", ["pipe.mp4", "device.wav"])
def test_what_has_no_end_is_not_hashed(root: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}.*pipe or a device; leave it out"):
        SourceHashes(root / "sources.json").of(root / name)


def test_tracks_in_the_root_are_no_sources(tmp_path: Path) -> None:
    for name in ("a", "tracks", "tracks/faces/b", "more/tracks/c"):
        path = tmp_path / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [source.id for source in find_sources(tmp_path)] == ["a", "c", "tracks"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--bogus", "1"], "unknown setting 'bogus'"),
        (["--data.root", "ABSENT"], "no such file or folder"),
        (["--data.root", "CORPUS/pipe.mp4"], "no video"),
        (["--data.root", "CORPUS/broken.mp4"], "no such file or folder"),
        (["--data.root", "CORPUS", "--data.store", "CORPUS/empty.mp4"], "a file stands where"),
        (["--data.root", "CORPUS", "--data.store", "CORPUS/empty.mp4/t"], "a file stands where"),
    ],
)
def test_a_command_that_cannot_work_is_one_line_and_a_status(
    root: Path, argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("CORPUS", str(root)) for word in argv]
    with pytest.raises(SystemExit) as stop:
        run(ExtractSettings, command, prog="p", description="", argv=[*words, *PROSODY])
    assert stop.value.code in (1, 2)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("inside", ["root", "store", "same"])
def test_root_and_store_may_lie_in_one_another(tmp_path: Path, inside: str) -> None:
    places = {
        "root": (tmp_path / "videos", tmp_path),
        "store": (tmp_path, tmp_path / "made"),
        "same": (tmp_path, tmp_path),
    }
    root, store = places[inside]
    root.mkdir(exist_ok=True)
    write_video(root / "a.mp4", plain_frames(2), sound=tone(0.3))
    settings = ExtractSettings(data=SourceSettings(root, store), encoders=["prosody"], workers="0")
    assert extract(settings).extracted == 1
    assert extract(settings).ready == 1
    assert verify(store, root).problems == []
