"""What a folder holds: files by what is in them, links, folders that nobody may read."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, command, extract
from features.faces.precropped import find_crops
from features.media import kinds
from features.media.folders import walk
from features.pipeline.discovery import find_sources, look_through
from features.store.track_store import TrackStore
from fusion.abaw.audit.media import find_media
from fusion.abaw.reading.layout import find_layout
from fusion.corpora import visible_files
from tests.media import face_frame, plain_frames, tone, write_sound, write_video


def names(root: Path) -> list[str]:
    return [source.media.name for source in find_sources(root) if source.media]


def settings(root: Path, *encoders: str) -> ExtractSettings:
    return ExtractSettings(data=SourceSettings(root=root), encoders=[*encoders], workers="0")


CODECS = {
    "a.flv": {"codec": "flv1"},
    "b.wmv": {"codec": "wmv2", "sound_codec": "libmp3lame"},
    "c.3gp": {"codec": "mpeg4"},
    "d.ts": {"codec": "mpeg2video", "sound_codec": "mp2"},
    "e.mpg": {"codec": "mpeg2video", "sound_codec": "mp2"},
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos in containers that few think of, and some whose name tells nothing or lies."""
    root = tmp_path_factory.mktemp("recordings")
    for name, how in CODECS.items():
        write_video(root / name, plain_frames(10), sound=tone(0.4), **how)  # type: ignore[arg-type]
    first, *others = map(Image.fromarray, plain_frames(10))
    first.save(root / "f.gif", save_all=True, append_images=others)
    shutil.copy(root / "d.ts", root / "g.MTS")
    shutil.copy(root / "e.mpg", root / "h.dat")
    shutil.copy(root / "a.flv", root / "i")
    write_sound(root / "j.wav", tone(0.4), 44100, "pcm_s16le").rename(root / "j.rec")
    return root


def test_what_can_be_decoded_is_found_whatever_its_ending(recordings: Path, tmp_path: Path) -> None:
    root = shutil.copytree(recordings, tmp_path / "root")
    (root / "module.ts").write_text("export const answer = 42;\n")
    (root / "noise.bin").write_bytes(np.random.default_rng(0).bytes(1 << 16))
    (root / "noise").write_bytes(b"\0" * 100)
    for name in ("notes.txt", "labels.csv"):
        (root / name).write_text("id,AU1\n", encoding="utf-16")
    for name in ("poster.jpg", "x.JPG", ".hidden.mp4", "half.mp4.part"):
        shutil.copy(root / "a.flv", root / name)
    found = look_through(root)
    kinds_of = {one.media.name: one.pictures for one in found.sources if one.media}
    videos = [*CODECS, "f.gif", "g.MTS", "h.dat", "i"]
    assert kinds_of == dict.fromkeys(videos, True) | {"j.rec": False}
    assert found.passed == {
        ".ts": 1, ".bin": 1, "": 1, ".txt": 1, ".csv": 1, ".jpg": 2, ".part": 1
    }  # fmt: skip


def test_files_of_known_endings_are_not_opened_to_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.flv", "b.wav", "c.mov", "d.txt", "e.zip", "f.jpg"):
        (tmp_path / name).write_bytes(b"text")
    monkeypatch.setattr(kinds.av, "open", lambda *_, **__: pytest.fail("opened"))
    assert names(tmp_path) == ["a.mp4", "b.flv", "c.mov"]


def test_pictures_and_sound_of_one_name_are_one_item(tmp_path: Path) -> None:
    """CREMA-D's layout: the voice would be all that is extracted, or the ids would clash."""
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "VideoFlash").mkdir()
    pictures = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(8)]
    write_video(tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv", pictures, codec="flv1")
    write_sound(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav", tone(0.6), 44100, "pcm_s16le")
    assert extract(settings(tmp_path, "expression", "prosody")).complete
    store = TrackStore(tmp_path / "tracks")
    seen = store.read("expression", "1001_DFA_ANG_XX")
    assert (len(seen), seen.valid.all()) == (8, True)
    heard = store.read("prosody", "1001_DFA_ANG_XX")
    assert len(heard) == pytest.approx(30, abs=2)
    assert (heard.info.notes, heard.info.duration) == ("", 0)
    (tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav").unlink()
    assert extract(settings(tmp_path, "prosody")).extracted == 1  # what was heard is gone
    assert store.read("prosody", "1001_DFA_ANG_XX").info.notes == "no sound"


def test_a_videos_own_sound_comes_before_that_beside_it(tmp_path: Path) -> None:
    write_video(tmp_path / "a.flv", plain_frames(25), codec="flv1", sound=tone(1.0))
    write_sound(tmp_path / "a.wav", tone(0.3), 44100, "pcm_s16le")
    extract(settings(tmp_path, "prosody"))
    assert len(TrackStore(tmp_path / "tracks").read("prosody", "a")) == pytest.approx(50, abs=4)


def test_two_files_of_a_kind_and_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.mp4", "b/a.flv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"a\.flv and .*a\.mp4 have the same id 'a'; rename one"):
        find_sources(tmp_path)


def test_a_voice_in_a_container_of_videos_is_sound(tmp_path: Path) -> None:
    """What recorders of browsers and phones write; beside a video it is its sound."""
    write_sound(tmp_path / "a.mp4", tone(0.5), 44100, "aac")
    write_sound(tmp_path / "b.mkv", tone(0.5), 44100, "aac")
    write_video(tmp_path / "b.mp4", plain_frames(10))
    (a, b) = find_sources(tmp_path)
    assert [path.name for path in b.files] == ["b.mp4", "b.mkv"]
    summary = extract(settings(tmp_path, "expression", "prosody"))
    assert (summary.failures, summary.extracted) == ({}, 2)
    store = TrackStore(tmp_path / "tracks")
    assert (store.ids("faces"), store.ids("prosody")) == (["b"], ["a", "b"])
    assert store.info("prosody", "a").duration == pytest.approx(0.5, abs=0.1)
    assert a.media == tmp_path / "a.mp4"
    assert extract(settings(tmp_path, "expression", "prosody")).ready == 2


def test_the_summary_counts_what_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sound(tmp_path / "a.wav", tone(0.3), 44100, "pcm_s16le")
    for name in ("b.txt", "c.txt", "d.jpg", "readme", "cropped_aligned/a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert command(settings(tmp_path, "prosody")) == 1  # crops without pictures
    said = capsys.readouterr().out
    assert "passed over, neither video nor sound: 2 .txt, 1 without ending, 1 .jpg" in said


# Links


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A root whose videos, crops and annotations lie elsewhere, with loops and a second way in."""
    away, root = tmp_path / "away", tmp_path / "root"
    for name in (
        "batch1/1.mp4",
        "cropped_aligned/1/00001.jpg",
        "ann/VA_Estimation_Challenge/Train_Set/1.txt",
    ):
        (away / name).parent.mkdir(parents=True)
        (away / name).touch()
    (root / "real").mkdir(parents=True)
    (root / "real" / "2.mp4").touch()
    (root / "a_link").symlink_to(away)
    (root / "again").symlink_to(away / "batch1")
    (root / "b_real").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    (away / "back").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "nowhere").symlink_to(tmp_path / "gone")
    return root


def test_linked_folders_are_followed_once(linked: Path) -> None:
    assert {source.id: source.media for source in find_sources(linked)} == {
        "1": linked / "a_link" / "batch1" / "1.mp4",
        "2": linked / "real" / "2.mp4",
    }


def test_all_who_look_for_something_follow_links(linked: Path) -> None:
    assert [len(folders) for folders in find_crops(linked).values()] == [1]
    assert [file.id for file in find_layout(linked).labels] == ["1"]
    assert sorted(find_media(linked).videos) == ["1", "2"]
    assert [path.name for path in visible_files(linked) if path.suffix == ".mp4"] == [
        "2.mp4", "1.mp4"
    ]  # fmt: skip


def test_folders_that_are_really_there_come_before_links_to_them(linked: Path) -> None:
    folders = [folder.relative_to(linked).as_posix() for folder, _, _ in walk(linked)]
    assert folders[:2] == [".", "real"]
    assert len(folders) == len({(linked / name).resolve() for name in folders})


# Folders that cannot be read


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that nobody may list, even where tests are run by one who may all."""
    (tmp_path / "locked").mkdir()
    write_sound(tmp_path / "a.wav", tone(0.3), 44100, "pcm_s16le")
    (tmp_path / "locked" / "b.wav").touch()
    scan: Callable[..., object] = os.scandir

    def scandir(path: str | Path = ".") -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return tmp_path


def test_a_folder_that_cannot_be_read_is_named_and_counts_as_not_done(
    locked: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert command(settings(locked, "prosody")) == 1
    assert f"not looked into: {locked / 'locked'}: no right" in capsys.readouterr().out
    caplog.clear()
    visible_files(locked)
    assert f"{locked / 'locked'}: cannot be read (Permission denied)" in caplog.text
    assert find_media(locked).unreadable == [locked / "locked"]
