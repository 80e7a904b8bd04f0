"""Files of any name are extracted or refused in one line, and nothing is written elsewhere."""

import csv
import sys
import unicodedata
from pathlib import Path

import pytest

from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.summary import ExtractSummary
from features.store.track_store import TrackStore
from tests.media import plain_frames, tone, write_sound, write_video

GOOD = [
    "two words  and more",
    " a space at both ends ",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "日本語-видео-🎬",
    "-rf",
    "--data.root=elsewhere",
    "a..b",
    "to..",
    "%2e%2e%2fetc",
    "quo'te",
    'dou"ble',
    "$HOME `id` ;rm *?[x]",
    "12:30",
    "data:x",
    "C:x",
    "comma,semicolon;tab\tend",
    "line\nbreak",
    "x" * 200,
]
REFUSED = ["up\\..\\..\\x", "y" * 250]
HIDDEN = [".hidden", ".", "..\\..\\up"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems forbid such names")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "s.wav"
    return write_sound(path, tone(0.2, 16_000), 16_000, "pcm_s16le").read_bytes()


def run(root: Path, *encoders: str) -> ExtractSummary:
    names = list(encoders) or ["prosody"]
    return extract(ExtractSettings(data=SourceSettings(root=root), encoders=names, workers="0"))


def outside(folder: Path, store: Path) -> set[Path]:
    """Everything below a folder that is not in the store."""
    return {path for path in folder.rglob("*") if store not in path.parents and path != store}


def test_names_of_all_kinds_end_in_the_store_or_in_a_line(tmp_path: Path, sound: bytes) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    for name in [*GOOD, *REFUSED, *HIDDEN]:
        (root / f"{name}.wav").write_bytes(sound)
    before = outside(tmp_path, root / "tracks")
    summary = run(root)
    assert outside(tmp_path, summary.store) == before
    assert TrackStore(summary.store).ids("prosody") == sorted(GOOD)
    assert sorted(summary.failures) == sorted(REFUSED)
    assert {path.parent for path in summary.store.rglob("*.safetensors")} == {
        summary.store / "prosody"
    }
    with (summary.store / "failures.csv").open(newline="") as file:
        causes = {row["id"]: row["cause"] for row in csv.DictReader(file)}
    assert causes.keys() == set(REFUSED)
    assert not any("\n" in cause for cause in causes.values())
    assert run(root).ready == len(GOOD)


@pytest.mark.parametrize("name", ["-v", "a: b\nc", "up\\..\\..\\x"])
def test_videos_too(tmp_path: Path, name: str) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    write_video(tmp_path / "v.mp4", plain_frames(3)).rename(root / f"{name}.mp4")
    before = outside(tmp_path, root / "tracks")
    summary = run(root, "expression")
    assert outside(tmp_path, summary.store) == before
    refused = "\\" in name
    assert list(summary.failures) == ([name] if refused else [])
    assert TrackStore(summary.store).ids("faces") == ([] if refused else [name])


def test_bytes_that_are_no_text_do_not_end_a_run(tmp_path: Path, sound: bytes) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    odd = root / b"caf\xe9.wav".decode(errors="surrogateescape")
    try:
        odd.write_bytes(sound)
    except OSError:
        pytest.skip("this file system takes text only")
    (root / "plain.wav").write_bytes(sound)
    summary = run(root)
    assert "plain" in TrackStore(summary.store).ids("prosody")
    assert set(TrackStore(summary.store).ids("prosody")) | set(summary.failures) == {
        "plain",
        odd.stem,
    }


def test_folders_with_steps_back_lead_to_the_same_store(tmp_path: Path, sound: bytes) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one.wav").write_bytes(sound)
    before = outside(tmp_path, tmp_path / "a" / "tracks")
    run(tmp_path / "a" / "b" / "..")
    assert outside(tmp_path, tmp_path / "a" / "tracks") == before
    assert TrackStore(tmp_path / "a" / "tracks").ids("prosody") == ["one"]


@pytest.mark.parametrize(
    "track_id", ["..", ".", "../up", "a/../../b", "/etc/x", "a\\b", "", "a\0b"]
)
def test_store_has_no_place_for_ids_that_lead_out_of_it(tmp_path: Path, track_id: str) -> None:
    with pytest.raises(UserError, match="cannot name a track"):
        TrackStore(tmp_path).path("faces", track_id)
    with pytest.raises(UserError, match="cannot name a track"):
        TrackStore(tmp_path).path(track_id, "12")
