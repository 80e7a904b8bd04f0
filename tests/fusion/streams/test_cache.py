"""Aligned tracks stay while they are used, and go when nobody has used them for long."""

import os
import time

import numpy as np
import pytest

from fusion.streams.cache import DAY, UNUSED, sweep
from fusion.streams.clip_streams import CACHE, load_clip
from tests.fusion.small_corpora import DIMS, clip, put, put_video

OLD = UNUSED + 60


@pytest.fixture(autouse=True)
def _another_process():
    sweep.cache_clear()


def load(store, window=0.2):
    sweep.cache_clear()
    return load_clip(store, clip("1"), DIMS, window)


def kept(store):
    return sorted((store.root / CACHE).rglob("*.safetensors"))


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def first(store):
    """The aligned track of the first settings, for long unused."""
    put_video(store, "1", 60)
    load(store)
    [path] = kept(store)
    age(path, OLD)
    return path


def test_tracks_of_an_old_window_go_when_another_is_kept(store, first):
    load(store, window=0.5)
    assert len(kept(store)) == 1
    assert first not in kept(store)


def test_tracks_of_an_old_clock_and_of_an_old_original_go(store, first):
    put(store, "voice", "1", np.arange(100) / 50, person="sound")
    load(store)
    [second] = set(kept(store)) - {first}
    age(second, OLD)
    put(store, "faces", "1", np.arange(60) / 25)
    put(store, "face", "1", np.arange(60) / 25)
    load(store)
    assert len(kept(store)) == 1
    assert second not in kept(store)


def test_what_another_run_has_just_found_stays(store, first):
    load(store)
    load(store, window=0.5)
    assert first in kept(store)


def test_what_another_run_reads_all_the_time_stays(store, first):
    data = load(store)
    age(first, OLD)
    assert data.streams["voice"][3:9].shape == (6, 3)
    load(store, window=0.5)
    assert first in kept(store)


def test_an_unused_track_stays_while_nothing_new_is_kept(store, first):
    put_video(store, "2", 60)
    load_clip(store, clip("2"), {"face": 4}, 0.2)
    assert kept(store) == [first]


def test_reading_a_track_in_its_place_leaves_its_time_alone(store, first):
    original = store.path("face", "1")
    age(original, OLD)
    changed = original.stat().st_mtime_ns
    assert load(store).streams["face"][0:2].shape == (2, 4)
    assert original.stat().st_mtime_ns == changed


def test_a_time_that_is_new_enough_is_not_renewed(store, first):
    age(first, DAY / 2)
    changed = first.stat().st_mtime_ns
    load(store)
    assert first.stat().st_mtime_ns == changed


def test_temporary_files_of_killed_runs_go_and_files_of_others_stay(store, first):
    half = first.with_name(f".{first.name}.abcdefgh.partial")
    young = first.with_name(f".{first.name}.ijklmnop.partial")
    others = [first.with_name("notes.txt"), first.with_name("12.safetensors")]
    for path in (half, young, *others):
        path.write_bytes(b"half")
    for path in (half, *others):
        age(path, OLD)
    load(store, window=0.5)
    assert not half.exists()
    assert all(path.exists() for path in (young, *others))


def test_a_folder_of_another_user_does_not_stop_a_run(store, first, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    monkeypatch.setattr("os.utime", refuse)
    assert load(store).valid["voice"].all()
    assert load(store, window=0.5).valid["voice"].all()
    assert len(kept(store)) == 2
