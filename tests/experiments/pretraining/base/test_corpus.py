"""The corpus of the packaged model, from a few stills and voices made here."""

import csv
from pathlib import Path

import numpy as np
import pytest

import features
from experiments.pretraining.base import corpus
from experiments.pretraining.base.corpus import BaseCorpus, make, shown
from experiments.pretraining.base.faces import EXPRESSIONS, STEPS, Stills, film
from features.encoders.visual.face.encoder import DIM
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.streams.clip_streams import load_clip
from tests.media import tone


def stills() -> Stills:
    """Two faces of each expression to train on, one held out; a face's number is in its rows."""
    label = np.tile(np.arange(8), 3)
    views = np.arange(24, dtype=np.float16)[:, None, None] * np.ones((1, 4, DIM), np.float16)
    return Stills(views, label, np.arange(24) >= 16)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseCorpus:
    voices = tmp_path / "voices"
    rows = [
        ["v_a", "train", "ann", "Anger", "1"],
        ["v_b", "validation", "bob", "Sadness", ""],
        ["v_c", "train", "ann", "", "0"],
    ]
    for name, *_ in rows:
        sound = tone(1.0)
        features.FeatureExtractor(["prosody"], device="cpu")(
            features.media.Arrays(None, None, sound, 16000), name=name, store=voices / "tracks"
        )
    with (voices / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([corpus.COLUMNS, *rows])
    monkeypatch.setattr(corpus, "read_stills", lambda *args: stills())
    return BaseCorpus(tmp_path, voices, tmp_path / "out", streams=["prosody"])


def test_training_can_read_it_and_nobody_is_on_both_sides(made: BaseCorpus) -> None:
    assert make(made) == 0
    clips = {clip.id: clip for clip in read_corpus(made.out)}
    assert len(clips) == 3 + 2 * corpus.PAIRS + 24
    store = TrackStore(made.out / "tracks")
    for clip in clips.values():
        streams = load_clip(store, clip, {"face": DIM, "prosody": 68}, 0.1)
        assert streams is not None, clip.id
        assert streams.valid["face"].any() == ("v_" not in clip.id or clip.id.startswith("pair"))
        assert streams.valid["prosody"].any() or clip.id.startswith("face")
    people = {"train": set(), "validation": set()}
    for clip in clips.values():
        people[clip.split].add(clip.group)
    assert not people["train"] & people["validation"]
    faces = {name: store.read("face", name) for name in store.ids("face")}
    for name, track in faces.items():
        number = track.values[track.valid].mean()
        assert (number >= 15.9) == (clips[name].split == "validation")


def test_faces_and_voices_agree_and_err_as_often_as_is_assumed() -> None:
    rng = np.random.default_rng(0)
    anger, neutral = EXPRESSIONS.index("Anger"), EXPRESSIONS.index("Neutral")
    drawn = np.array([shown(anger, rng) for _ in range(20000)])
    face, meant = drawn.T
    wrong = 1 - corpus.AGREED - corpus.BLANK
    assert (meant == anger).mean() == pytest.approx(1 - wrong * 6 / 7, abs=0.02)
    right = corpus.AGREED + corpus.BLANK / 2 / 7 + wrong
    assert (face == meant).mean() == pytest.approx(right, abs=0.02)
    blank = corpus.BLANK / 2 + corpus.BLANK / 2 / 7
    assert ((face == neutral) & (meant == anger)).mean() == pytest.approx(blank, abs=0.02)
    assert EXPRESSIONS.index("Other") not in drawn


@pytest.mark.parametrize("frames", [1, STEPS, 25, 100])
def test_a_film_drifts_between_its_views(frames: int) -> None:
    views = np.stack([np.zeros(DIM), np.ones(DIM)]).astype(np.float16)
    rows = film(views, frames, np.random.default_rng(frames))
    assert rows.shape == (frames, DIM)
    assert ((rows >= 0) & (rows <= 1)).all()
    assert np.abs(np.diff(rows.astype(float), axis=0)).max(initial=0) <= 1 / STEPS + 1e-2


def test_without_voices_it_says_what_to_run(made: BaseCorpus) -> None:
    (made.voices / "labels.csv").unlink()
    with pytest.raises(UserError, match=r"run python -m experiments\.pretraining\.base\.voices"):
        make(made)
