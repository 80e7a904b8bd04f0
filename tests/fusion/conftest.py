"""Fixtures of the data side: a store, and a corpus in it."""

import pytest

from features.store.track_store import TrackStore
from tests.fusion.small_corpora import clip, put_video


@pytest.fixture
def store(tmp_path):
    return TrackStore(tmp_path / "tracks")


@pytest.fixture
def corpus(store):
    """Four clips of 25 to 70 frames: two to train on, one to validate, one to test."""
    for video, frames in {"1": 70, "2": 25, "3": 45, "4": 30}.items():
        put_video(store, video, frames)
    return [
        clip("1", frames=70),
        clip("2", frames=25),
        clip("3", "validation", 45),
        clip("4", "test"),
    ]
