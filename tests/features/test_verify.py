"""Checking a store: each kind of fault is named, and repair removes these files and no others."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from features import verify as verify_module
from features.cli.app import run
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.feature_track import DamagedTrack, FeatureTrack, TrackInfo, read_track
from features.store.track_store import TrackStore
from features.verification.files import CACHE, Kind
from features.verify import VerifySettings, command, verify
from fusion.streams import clip_streams as clips
from tests.media import plain_frames, tone, write_sound, write_video

VISUAL, SOUNDS, IDS = ("faces", "expression"), ("prosody",), ("1", "2", "3")
FRAMES = 4


def write(root: Path, stream: str, video: str, frames: int = FRAMES, **changes: str) -> Path:
    person = "sound" if stream in SOUNDS else "main"
    info = TrackInfo(video, person, stream, stream, "rev", "set", f"source of {video}", frames)
    values = np.arange(frames * 2, dtype=np.float16).reshape(frames, 2)
    info = replace(info, **changes)  # type: ignore[arg-type]
    track = FeatureTrack(values, np.arange(frames) / 25, np.ones(frames, bool), info)
    return TrackStore(root).write(track)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three videos with faces, one visual and one audio stream, of which one track is aligned."""
    root = tmp_path / "tracks"
    for video in IDS:
        for stream in (*VISUAL, *SOUNDS):
            write(root, stream, video)
    cached(root, "prosody", "1")
    return root


def cached(root: Path, stream: str, name: str, key: str = "0123456789abcdef") -> Path:
    """A track of the cache, a copy of its original, younger by a second."""
    original = root / stream / f"{name}.safetensors"
    path = root / CACHE / stream / f"{name}-{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(original.read_bytes())
    changed = original.stat().st_mtime_ns
    os.utime(original, ns=(changed - 10**9, changed - 10**9))
    return path


def found(root: Path, sources: Path | None = None) -> dict[str, Kind]:
    """Problems by path in the store."""
    return {str(p.path.relative_to(root)): p.kind for p in verify(root, sources).problems}


def status_of(*argv: str | Path) -> int:
    words = [str(word) for word in argv]
    with pytest.raises(SystemExit) as stop:
        run(VerifySettings, command, prog="features.verify", description="", argv=words)
    return int(stop.value.code or 0)


def listing(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def repair_removes(root: Path, *names: str) -> bool:
    """Whether repair removes exactly these files, and a second check finds nothing wrong."""
    before = listing(root)
    fine = status_of(root, "--repair") == 0 and status_of(root) == 0
    return fine and before - listing(root) == set(names) and listing(root) <= before


def test_a_whole_store_is_fine_and_nothing_in_it_changes(store: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in store.rglob("*") if p.is_file()}
    assert status_of(store) == 0
    assert status_of(store, "--repair") == 0
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in store.rglob("*") if p.is_file()}
    assert before == after


def test_the_table_counts_tracks_and_tokens(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status_of(store)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["expression", "3", "12", "0.0", "0", "0"]
    assert [row[0] for row in rows[2:4]] == ["faces", "prosody"]


@settings(max_examples=25, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    root = tmp_path_factory.mktemp("tracks")
    write(root, "prosody", "1")
    path = write(root, "prosody", "2")
    changed = bytearray(path.read_bytes())
    changed[int(place * len(changed))] ^= 1 << bit
    path.write_bytes(changed)
    assert found(root) == {"prosody/2.safetensors": Kind.DAMAGED}
    with pytest.raises(DamagedTrack):
        read_track(path)


@settings(max_examples=25, deadline=None)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, keep: float
) -> None:
    root = tmp_path_factory.mktemp("tracks")
    write(root, "prosody", "1")
    path = write(root, "prosody", "2")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert found(root) == {"prosody/2.safetensors": Kind.DAMAGED}


def test_repair_takes_a_damaged_track_and_what_hangs_on_it(store: Path) -> None:
    for name in ("faces/1", "prosody/1"):
        path = store / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    assert found(store) == {
        "faces/1.safetensors": Kind.DAMAGED,
        "expression/1.safetensors": Kind.ORPHAN,  # extraction redoes it with the faces
        "prosody/1.safetensors": Kind.DAMAGED,
        ".aligned/prosody/1-0123456789abcdef.safetensors": Kind.CACHE,
    }
    assert repair_removes(store, *found(store))


def test_tracks_that_changed_places_are_misnamed(store: Path) -> None:
    one, two = store / "prosody/2.safetensors", store / "prosody/3.safetensors"
    one.rename(store / "aside")
    two.rename(one)
    (store / "aside").rename(two)
    assert found(store) == dict.fromkeys(
        ("prosody/2.safetensors", "prosody/3.safetensors"), Kind.MISNAMED
    )
    assert repair_removes(store, *found(store))


def test_a_track_of_another_stream_is_misnamed(store: Path) -> None:
    (store / "prosody/3.safetensors").write_bytes((store / "faces/3.safetensors").read_bytes())
    assert repair_removes(store, "prosody/3.safetensors")


def test_a_stream_that_somebody_renamed_is_named_once_and_survives(store: Path) -> None:
    (store / "prosody").rename(store / "my prosody")
    assert found(store)["my prosody"] is Kind.FOREIGN
    before = listing(store / "my prosody")
    assert status_of(store, "--repair") == 1
    assert listing(store / "my prosody") == before


@pytest.mark.parametrize("change", ["encoder", "revision", "settings"])
def test_the_minority_made_in_another_way_is_stale(store: Path, change: str) -> None:
    other: dict[str, Any] = {change: "other"}
    write(store, "expression", "2", **other)
    write(store, "prosody", "3", **other)
    assert found(store) == dict.fromkeys(
        ("expression/2.safetensors", "prosody/3.safetensors"), Kind.STALE
    )
    assert change in str(verify(store).problems[0])
    assert repair_removes(store, *found(store))


def test_of_two_equal_halves_the_newer_counts(tmp_path: Path) -> None:
    for name, kind, changed in (("1", "old", 100), ("2", "new", 200)):
        os.utime(write(tmp_path, "prosody", name, settings=kind), (changed, changed))
    assert found(tmp_path) == {"prosody/1.safetensors": Kind.STALE}


def test_ingested_tracks_may_each_be_made_in_their_own_way(store: Path) -> None:
    for video in IDS:
        write(store, "openface", video, frames=int(video), encoder="ingest", settings=video)
    assert found(store) == {}


def test_everything_visual_off_the_clock_of_its_faces_is_redone(store: Path) -> None:
    write(store, "faces", "2", frames=FRAMES + 1)
    assert found(store) == dict.fromkeys(
        ("expression/2.safetensors", "faces/2.safetensors"), Kind.STALE
    )
    assert repair_removes(store, *found(store))


def test_a_visual_track_without_faces_is_an_orphan(store: Path) -> None:
    (store / "faces/3.safetensors").unlink()
    assert found(store) == {"expression/3.safetensors": Kind.ORPHAN}
    assert repair_removes(store, *found(store))


@pytest.mark.parametrize(
    "place",
    [
        "prosody/.2.safetensors.a1b2c3d_.partial",
        ".sources.json.abcdefgh.partial",
        ".aligned/prosody/.1-00.safetensors.abcdefgh.partial",
    ],
)
def test_a_temporary_file_of_a_killed_run_is_removed(store: Path, place: str) -> None:
    (store / place).write_bytes(b"half")
    assert found(store) == {place: Kind.TEMPORARY}
    assert repair_removes(store, place)


def test_files_of_others_survive_repair(store: Path) -> None:
    write(store, "expression", "2", settings="other")
    names = ("notes.txt", "faces/notes.txt", "faces/film.partial", "faces/.hidden", "plots/a.png")
    for name in names:
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_text("mine")
    assert found(store)["faces/notes.txt"] is found(store)["faces/film.partial"] is Kind.STRAY
    assert "notes.txt" not in found(store)
    assert repair_removes(store, "expression/2.safetensors")


@pytest.mark.parametrize("length", [None, -1])
def test_weights_among_the_tracks_are_foreign_and_survive_even_if_cut(
    store: Path, length: int | None
) -> None:
    weights = store / "faces/model.safetensors"
    weights.write_bytes(save({"layer.weight": np.ones((3, 3))})[:length])
    assert found(store) == {"faces/model.safetensors": Kind.FOREIGN}
    assert status_of(store, "--repair") == 1
    assert weights.exists()


@pytest.mark.parametrize("made_anew", [True, False])
def test_the_cache_of_an_original_that_is_gone_or_new_is_stale(
    store: Path, made_anew: bool
) -> None:
    (store / "prosody/1.safetensors").unlink()
    if made_anew:
        write(store, "prosody", "1")
        [in_cache] = (store / CACHE / "prosody").iterdir()
        os.utime(in_cache, (1, 1))
    assert repair_removes(store, ".aligned/prosody/1-0123456789abcdef.safetensors")


def test_the_cache_of_other_values_is_stale_whatever_its_age(store: Path) -> None:
    for video in IDS:
        path = write(store, "prosody", video, revision="new")
        os.utime(path, (1, 1))
    assert repair_removes(store, ".aligned/prosody/1-0123456789abcdef.safetensors")


def test_the_cache_is_where_fusion_keeps_it() -> None:
    assert CACHE == clips.CACHE


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "\udcff"])
def test_a_damaged_memory_of_sources_is_named_and_removed(store: Path, text: str) -> None:
    (store / "sources.json").write_bytes(text.encode(errors="surrogateescape"))
    assert found(store) == {"sources.json": Kind.DAMAGED}
    assert (store / "sources.json").exists()
    assert repair_removes(store, "sources.json")


def test_a_track_without_a_checksum_is_counted_and_not_wrong(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store / "faces/1.safetensors"
    track = read_track(path)
    header = {"track": json.dumps(vars(track.info))}
    tensors = {name: getattr(track, name) for name in ("values", "times", "valid")}
    path.write_bytes(save(tensors, metadata=header))
    assert status_of(store) == 0
    faces = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("faces"))
    assert faces.split()[-2:] == ["1", "0"]


def deny(monkeypatch: pytest.MonkeyPatch, denied: Path, method: str) -> None:
    """Makes a path unreadable, even for root."""
    original: Callable[..., object] = getattr(Path, method)

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self == denied:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, method, refuse)


@pytest.mark.parametrize(("name", "method"), [("faces/1.safetensors", "open"),
                                              ("faces", "iterdir")])  # fmt: skip
def test_what_may_not_be_read_is_one_line_and_stops_repair(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    method: str,
) -> None:
    deny(monkeypatch, store / name, method)
    before = sorted(os.walk(store))
    assert found(store)[name] is Kind.UNREADABLE
    assert status_of(store, "--repair") == 1
    error = [line for line in capsys.readouterr().err.splitlines() if "Permission" in line]
    assert len(error) == 1
    assert str(store / name) in error[0]
    assert sorted(os.walk(store)) == before


@pytest.mark.parametrize("make", [False, True])
def test_an_absent_or_empty_store_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: bool
) -> None:
    root = tmp_path / "tracks"
    if make:
        (root / "faces").mkdir(parents=True)
    assert status_of(root) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"features.verify: {root}: no ")
    assert output.err.count("\n") == 1


def test_a_track_written_since_the_check_began_stays(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(store, "prosody", "3", settings="other")

    def late(root: Path, sources: Path | None) -> verify_module.Findings:
        findings = verify(root, sources)
        write(store, "prosody", "3")
        changed = path.stat().st_mtime_ns + 10**9
        os.utime(path, ns=(changed, changed))
        return findings

    monkeypatch.setattr(verify_module, "verify", late)
    assert status_of(store, "--repair") == 1
    assert read_track(path).info.settings == "set"


def test_problems_go_to_a_table_if_wanted(store: Path, tmp_path: Path) -> None:
    write(store, "prosody", "3", settings="other")
    assert status_of(f"--out={tmp_path / 'problems.csv'}", store) == 1
    with (tmp_path / "problems.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["kind"], row["path"]) == ("stale", str(store / "prosody/3.safetensors"))


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound, a video, and a video with ready-made crops of two people, with their tracks."""
    root = tmp_path_factory.mktemp("corpus")
    write_sound(root / "a.wav", tone(0.3), 44_100, "pcm_s16le")
    for name in ("b", "c"):
        write_video(root / f"{name}.mp4", plain_frames(FRAMES), sound=tone(0.3))
    for person in ("left", "right"):
        folder = root / "cropped_aligned" / f"c_{person}"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "00001.png"), np.zeros((112, 112, 3), np.uint8))
    extract(ExtractSettings(data=SourceSettings(root=root), encoders=["prosody"], workers="0"))
    return root


@pytest.fixture
def corpus(extracted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(extracted, tmp_path / "corpus")


def test_tracks_of_extraction_agree_with_their_sources(corpus: Path) -> None:
    names = {"faces": ["b", "c_left", "c_right"], "prosody": ["a", "b", "c"]}
    store = TrackStore(corpus / "tracks")
    assert {stream: store.ids(stream) for stream in store.streams()} == names
    assert status_of("--data.root", corpus) == 0


def test_a_changed_source_makes_its_tracks_stale(corpus: Path) -> None:
    write_sound(corpus / "a.wav", tone(0.4), 44_100, "pcm_s16le")
    (corpus / "cropped_aligned/c_left/00002.png").write_bytes(b"more")
    wanted = dict.fromkeys(
        ("faces/c_left.safetensors", "faces/c_right.safetensors", "prosody/a.safetensors"),
        Kind.STALE,
    )
    assert found(corpus / "tracks") == {}
    assert found(corpus / "tracks", corpus) == wanted
    assert status_of(corpus / "tracks", "--repair", "--data.root", corpus) == 0
    assert found(corpus / "tracks", corpus) == {}
    assert (corpus / "tracks/prosody/c.safetensors").exists()


def test_a_removed_source_leaves_orphans(corpus: Path) -> None:
    (corpus / "b.mp4").unlink()
    shutil.rmtree(corpus / "cropped_aligned/c_right")
    kinds = found(corpus / "tracks", corpus)
    assert kinds.pop("faces/c_left.safetensors") is Kind.STALE  # the crops of `c` have changed
    assert kinds == dict.fromkeys(
        ("faces/b.safetensors", "faces/c_right.safetensors", "prosody/b.safetensors"), Kind.ORPHAN
    )


def test_the_sources_of_another_store_are_refused(
    store: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(store, "--repair", "--data.root", corpus) == 1
    assert f"{corpus}: no track" in capsys.readouterr().err.splitlines()[-1]
    assert found(store) == {}


def test_a_damaged_memory_does_not_stand_for_the_sources(corpus: Path) -> None:
    memory = corpus / "tracks/sources.json"
    memory.write_text("{")
    assert found(corpus / "tracks", corpus) == {"sources.json": Kind.DAMAGED}
    assert memory.read_text() == "{"


def test_every_track_is_redone_after_repair_and_equal_to_before(corpus: Path) -> None:
    store = corpus / "tracks"
    before = {path: path.read_bytes() for path in store.rglob("*.safetensors")}
    for path in before:
        path.write_bytes(path.read_bytes()[:-1])
    assert status_of(store, "--repair") == 0
    assert not list(store.rglob("*.safetensors"))
    extract(ExtractSettings(data=SourceSettings(root=corpus), encoders=["prosody"], workers="0"))
    assert {path: path.read_bytes() for path in store.rglob("*.safetensors")} == before
