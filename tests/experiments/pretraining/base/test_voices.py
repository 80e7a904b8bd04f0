"""The corpus of voices: who is in it, who is kept apart, and that training can read it."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from experiments.pretraining.base.voices import Voices, make, read_voices, write_voices
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from tests.shared import shared_data

SPEECH = [
    ("emodb/03/03a01Fa.ogg", "emodb", "03", "happiness", "train"),
    ("emodb/16/16a01La.ogg", "emodb", "16", "boredom", "valid"),
    ("nemo/AB0/AB0_fear_1.ogg", "nemo", "AB0", "fear", "train"),
    ("urdu/SM1/SM1_F1.ogg", "urdu", "SM1", "anger", "valid"),
    ("librispeech/19/19-1.ogg", "librispeech", "19", "", "train"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the shared data, of tones; EmoDB's are half silence."""
    root, rows = tmp_path_factory.mktemp("shared"), []
    tone = 0.3 * np.sin(np.arange(8000) * 2 * np.pi * 200 / 16000)
    for actor in ("01", "02", "05"):
        for emotion, intensity in (("calm", "strong"), ("angry", "strong"), ("angry", "normal")):
            clip = f"03-01-{emotion}-{intensity}-01-01-{actor}"
            rows.append([clip, actor, emotion, intensity])
            _sound(root / "ravdess/audio" / f"Actor_{actor}" / f"{clip}.flac", tone)
    _table(root / "ravdess/labels.csv", ["clip", "actor", "emotion", "intensity"], rows)
    for file, corpus, *_ in SPEECH:
        quiet = np.zeros(8000 if corpus == "emodb" else 0)
        _sound(root / "speech" / file, np.concatenate([tone, quiet]))
    _table(root / "speech/speech.csv", ["file", "corpus", "speaker", "emotion", "split"], SPEECH)
    return root


def _sound(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)


def _table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_the_actor_of_the_test_is_in_no_voice_in_any_form(data, tmp_path):
    write_voices(data, tmp_path)
    assert "ravdess_02" in (tmp_path / "labels.csv").read_text()
    assert "-01\n" not in (tmp_path / "labels.csv").read_text().replace(",", "\n")
    assert [path.name for path in tmp_path.rglob("*-01.*")] == []


def test_training_reads_the_corpus_with_splits_people_and_labels(data, tmp_path):
    write_voices(data, tmp_path)
    clips = {clip.id: clip for clip in read_corpus(tmp_path)}
    assert len(clips) == 6 + 4
    calm = clips["ravdess_03-01-calm-strong-01-01-02"]
    assert (calm.split, calm.group) == ("validation", "ravdess_02")
    assert clips["emodb_03a01Fa"].split == "train"
    assert clips["emodb_16a01La"].split == clips["urdu_SM1_F1"].split == "validation"


def test_expressions_are_abaws_and_arousal_is_only_where_it_was_said(data):
    told = {v.id: (v.expression, v.arousal) for v in read_voices(data)}
    assert told["ravdess_03-01-angry-strong-01-01-05"] == ("Anger", 1.0)
    assert told["ravdess_03-01-angry-normal-01-01-05"] == ("Anger", 0.0)
    assert told["ravdess_03-01-calm-strong-01-01-05"][1] == 0.0
    assert told["emodb_16a01La"] == ("", None)
    assert told["nemo_AB0_fear_1"] == ("Fear", None)


def test_sounds_are_links_but_those_that_lose_their_padding(data, tmp_path):
    write_voices(data, tmp_path)
    assert (tmp_path / "nemo/nemo_AB0_fear_1.ogg").is_symlink()
    cut = tmp_path / "emodb/emodb_03a01Fa.flac"
    assert not cut.is_symlink()
    assert soundfile.info(cut).frames == pytest.approx(8000, abs=400)


def test_only_what_was_asked_for_is_written_and_a_typing_error_is_named(data, tmp_path):
    assert {v.corpus for v in write_voices(data, tmp_path, ["nemo"])} == {"nemo"}
    with pytest.raises(UserError, match="unknown corpus emo; known are ravdess"):
        write_voices(data, tmp_path, ["emo"])


def test_tracks_are_extracted_beside_the_table(data, tmp_path):
    assert make(Voices(data, tmp_path, ["urdu"], ["prosody"])) == 0
    assert TrackStore(tmp_path / "tracks").ids("prosody") == ["urdu_SM1_F1"]


def test_the_shared_corpora_have_each_expression_and_speakers_apart():
    voices = read_voices(shared_data())
    people = {
        split: {v.person for v in voices if v.split == split} for split in ("train", "validation")
    }
    assert not people["train"] & people["validation"]
    assert {"ravdess_02", "ravdess_03", "ravdess_04", "emodb_16", "nemo_WR0"} <= people[
        "validation"
    ]
    assert len({v.expression for v in voices if v.split == "train"} - {""}) == 7
