"""Fingerprints: equal for equal content, settings and version, and for nothing else."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from features.store.feature_track import DamagedTrack, FeatureTrack, TrackInfo
from features.store.fingerprint import ABSENT, fingerprint, tracks_content
from features.store.track_store import TrackStore

INFO = TrackInfo("12", "main", "faces", "mtcnn", "r1", "s1", "0" * 64)


@dataclass(frozen=True)
class Settings:
    """Settings with something nested."""

    window: float = 0.5
    inner: tuple[Path, ...] = (Path("a"),)


def written(store: TrackStore, value: float = 1.0, info: TrackInfo = INFO) -> Path:
    """A track of one row."""
    values = np.full((1, 2), value, np.float32)
    return store.write(FeatureTrack(values, np.zeros(1), np.ones(1, bool), info))


def test_equal_content_settings_and_version_give_one_fingerprint_in_every_process() -> None:
    assert fingerprint(["a"], Settings(), version=1) == "181032933874113f"
    assert fingerprint(("a",), Settings(), version=1) == fingerprint(["a"], Settings(), version=1)
    assert fingerprint({2, 1}, {"b": 1, "a": 2}, version=1) == fingerprint(
        {1, 2}, {"a": 2, "b": 1}, version=1
    )


def test_another_content_setting_or_version_gives_another() -> None:
    every = [
        fingerprint(["a"], Settings(), version=1),
        fingerprint(["b"], Settings(), version=1),
        fingerprint(["a"], Settings(window=0.6), version=1),
        fingerprint(["a"], Settings(inner=(Path("b"),)), version=1),
        fingerprint(["a"], Settings(), version=2),
        fingerprint(["a"], Settings(), version="1"),
        fingerprint(["a"], version=1),
    ]
    assert len(set(every)) == len(every)


def test_what_has_no_value_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        fingerprint([object()], version=1)


def test_tracks_count_by_what_they_hold_and_not_by_time_or_place(tmp_path: Path) -> None:
    here, there = TrackStore(tmp_path / "a"), TrackStore(tmp_path / "b")
    path, copy = written(here), written(there)
    os.utime(copy, ns=(1, 1))
    other = written(here, info=replace(INFO, stream="expression"))
    assert tracks_content([path]) == tracks_content([copy])
    assert tracks_content([path, other]) == tracks_content([other, path])
    assert tracks_content([path]) != tracks_content([path, other])


def test_a_track_made_anew_with_other_values_or_another_key_is_other_content(
    tmp_path: Path,
) -> None:
    store = TrackStore(tmp_path)
    path = written(store)
    before = tracks_content([path])
    written(store, 2.0)
    assert tracks_content([path]) != before
    written(store, 1.0, replace(INFO, revision="r2"))
    assert tracks_content([path]) != before
    written(store)
    assert tracks_content([path]) == before


def test_only_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(TrackStore(tmp_path))
    monkeypatch.setattr("features.store.fingerprint.sha256_of", None)
    monkeypatch.setattr("features.store.feature_track._checksum", None)
    [[stream, name, checksum]] = tracks_content([path])
    assert (stream, name, len(checksum)) == ("faces", "12", 64)


def test_a_track_without_a_checksum_counts_by_its_bytes(tmp_path: Path) -> None:
    path = written(TrackStore(tmp_path))
    with safe_open(path, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in ("values", "times", "valid")}
        text = file.metadata()["track"]
    start = text.index(', "checksum"')
    save_file(arrays, path, {"track": text[:start] + "}"})
    before = tracks_content([path])
    save_file(arrays | {"values": arrays["values"] + 1}, path, {"track": text[:start] + "}"})
    assert tracks_content([path]) != before


def test_an_absent_track_is_content_too_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    store = TrackStore(tmp_path)
    path = store.path("faces", "12")
    assert tracks_content([path]) == [["faces", "12", ABSENT]]
    written(store)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedTrack, match="12"):
        tracks_content([path])
