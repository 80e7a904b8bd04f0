import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.studies.ravdess.data import SEGMENT, hear, layers_of, make_encoders, read_corpus
from experiments.studies.ravdess.streams import cut
from features.encoders.base import Tokens
from features.errors import UserError
from tests.experiments.ravdess_small import Ear, write_folder, write_table


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"labels\.csv: absent"):
        read_corpus(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    write_folder(tmp_path)
    write_table(tmp_path / "labels.csv", ["clip", "actor"], [["x", 1]])
    with pytest.raises(UserError, match="emotion_code"):
        read_corpus(tmp_path)


def test_a_missing_sound_is_named(tmp_path):
    corpus = read_corpus(write_folder(tmp_path))
    corpus.path(5).unlink()
    with pytest.raises(UserError, match=corpus.names[5]):
        read_corpus(tmp_path)


@pytest.mark.parametrize("code", ["0", "9", "happy"])
def test_an_emotion_that_is_none_is_refused(tmp_path, code):
    write_folder(tmp_path)
    text = (tmp_path / "labels.csv").read_text().splitlines()
    clip, actor, _, fold = text[1].split(",")
    text[1] = ",".join([clip, actor, code, fold])
    (tmp_path / "labels.csv").write_text("\n".join(text))
    with pytest.raises(UserError, match=r"labels\.csv|no number"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("cell", ["nan", "", "x"])
def test_units_that_are_no_numbers_are_refused(tmp_path, cell):
    path = write_folder(tmp_path) / "openface_au_clipmean.csv"
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:-1], ",".join([*text[-1].split(",")[:4], cell])]))
    with pytest.raises(UserError, match="number"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(("rate", "seconds"), [(8000, 1.0), (16000, 0.05), (16000, 31.0)])
def test_sound_of_another_rate_or_length_is_refused_by_name(tmp_path, rate, seconds):
    corpus = read_corpus(write_folder(tmp_path))
    soundfile.write(corpus.path(0), np.zeros(round(rate * seconds)), rate)
    with pytest.raises(UserError, match=corpus.names[0]):
        hear(corpus, Ear(), tmp_path / "heard")


def test_a_missing_encoder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder.*--whisper"):
        make_encoders(tmp_path / "nowhere")


def test_sound_that_cannot_be_read_is_named(tmp_path):
    corpus = read_corpus(write_folder(tmp_path))
    corpus.path(0).write_bytes(b"no sound")
    with pytest.raises(UserError, match=corpus.names[0]):
        hear(corpus, Ear(), tmp_path / "heard")


def test_clips_are_heard_once_and_come_in_the_table_s_order(tmp_path):
    root, ear = write_folder(tmp_path / "data"), Ear()
    lines = (root / "labels.csv").read_text().splitlines()
    shuffled = np.random.default_rng(0).permutation(lines[1:])
    (root / "labels.csv").write_text("\n".join([lines[0], *shuffled]))
    corpus = read_corpus(root)
    first = hear(corpus, ear, tmp_path / "heard")
    count = ear.heard
    again = hear(corpus, ear, tmp_path / "heard")
    assert count == len(corpus.names) == ear.heard
    np.testing.assert_array_equal(first.segments, again.segments)
    sound, _ = soundfile.read(corpus.path(3), dtype="float32")
    tokens = next(iter(Ear().encode_sound([sound]).values.values()))
    np.testing.assert_allclose(first.moments[3, 0, :4], tokens.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        first.segments[3, 0, 0], tokens[:SEGMENT].mean(0), rtol=2e-3, atol=1e-3
    )


def test_hidden_states_are_taken_from_an_encoder_that_has_them():
    class Network(nn.Module):
        def forward(self, x):
            return type("Out", (), {"hidden_states": [x[None] * k for k in range(3)]})

    class Deep(Ear):
        def __init__(self):
            super().__init__()
            self.network = Network()

        def encode_sound(self, blocks, dtype=np.float32):
            self.network(torch.ones(4, 2))
            return Tokens({"deep": np.zeros((3, 2), np.float32)}, np.zeros(3))

    layers = layers_of(Deep(), np.zeros(100))
    assert layers.shape == (2, 3, 2)
    assert layers[:, 0, 0].tolist() == [1, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5))
def test_parts_of_any_clip_lie_within_its_segments(length, padding):
    segments = np.zeros((1, 1, length + padding, 1), np.float16)
    segments[0, 0, :length, 0] = np.arange(1, length + 1)
    heard = type("H", (), {"segments": segments, "lengths": np.array([length])})
    parts = cut(heard)[0, :, 0]
    assert parts[0] >= 1
    assert parts[-1] <= length
    assert (np.diff(parts) >= 0).all()
