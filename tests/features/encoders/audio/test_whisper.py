from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from features.encoders.audio.whisper import WhisperEncoder, WhisperSettings
from features.encoders.base import AudioEncoder, description_of
from features.errors import UserError
from tests.shared import shared_data

RATE = 16000
SMALL: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "vocab_size": 8,
    "num_mel_bins": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save(WhisperModel(WhisperConfig(**SMALL)), tmp_path_factory.mktemp("whisper"))


def noise(seconds: float) -> np.ndarray:
    n = round(seconds * RATE)
    return (0.1 * np.random.default_rng(0).normal(size=n)).astype(np.float32)


def by_transformers(checkpoint: Path, sound: np.ndarray) -> list[np.ndarray]:
    """Hidden states of the whole model's encoder for at most 30 s, padding included."""
    extractor = WhisperFeatureExtractor.from_pretrained(checkpoint)
    model = WhisperModel.from_pretrained(checkpoint).encoder.eval()
    mel = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_features
    with torch.no_grad():
        return [state[0].numpy() for state in model(mel, output_hidden_states=True).hidden_states]


def encode(checkpoint: Path, sound: np.ndarray, **settings: Any) -> np.ndarray:
    encoder = WhisperEncoder(WhisperSettings(model=str(checkpoint), **settings))
    return encoder.encode_sound([sound]).values["whisper"]


def test_agrees_with_the_original_implementation_on_real_speech() -> None:
    folder = shared_data() / "encoders/whisper-tiny.en-encoder"
    encoder = WhisperEncoder(WhisperSettings(model=str(folder)))
    reference = np.load(folder / "reference_ct2.npz")
    clips = sorted({name.split("/")[0] for name in reference.files})
    assert len(clips) == 3
    for clip in clips:
        path = shared_data() / f"ravdess/audio/Actor_{clip[-2:]}/{clip}.flac"
        values = encoder.encode_sound([soundfile.read(path, dtype="float32")[0]]).values["whisper"]
        assert len(values) == reference[f"{clip}/T"]
        np.testing.assert_allclose(values.mean(0), reference[f"{clip}/mean"], atol=1e-3)
        np.testing.assert_allclose(values.std(0), reference[f"{clip}/std"], atol=1e-3)


def test_short_sound_is_padded_and_the_padding_dropped(checkpoint: Path) -> None:
    sound = noise(1.01)
    states = by_transformers(checkpoint, sound)
    np.testing.assert_allclose(encode(checkpoint, sound), states[-1][:51], atol=1e-5)
    both = encode(checkpoint, sound, layers=[0, 1])
    np.testing.assert_allclose(both, (states[0] + states[1])[:51] / 2, atol=1e-5)


def test_each_layer_can_be_a_stream_of_its_own(checkpoint: Path) -> None:
    sound = noise(1.01)
    states = by_transformers(checkpoint, sound)
    settings = WhisperSettings(model=str(checkpoint), layers=[-1, 1], apart=True, stream="voice")
    encoder = WhisperEncoder(settings)
    tokens = encoder.encode_sound([sound]).values
    assert list(tokens) == list(encoder.streams) == ["voice.1", "voice.2"]
    np.testing.assert_allclose(tokens["voice.1"], states[1][:51], atol=1e-5)
    np.testing.assert_allclose(tokens["voice.2"], states[2][:51], atol=1e-5)


def test_long_sound_is_cut_into_pieces_of_30_seconds(checkpoint: Path) -> None:
    sound = noise(41)
    ours = encode(checkpoint, sound, overlap=4.0)
    first = by_transformers(checkpoint, sound[: 30 * RATE])[-1]
    last = by_transformers(checkpoint, sound[11 * RATE :])[-1]
    cut = round((11 + 30) / 2 * 50)
    assert len(ours) == 41 * 50
    np.testing.assert_allclose(ours[:cut], first[:cut], atol=1e-5)
    np.testing.assert_allclose(ours[cut:], last[cut - 11 * 50 :], atol=1e-5)


def test_blocks_do_not_matter(checkpoint: Path) -> None:
    sound = noise(2)
    encoder = WhisperEncoder(WhisperSettings(model=str(checkpoint), stream="voice"))
    whole = encoder.encode_sound([sound])
    parts = encoder.encode_sound(iter(np.split(sound, [5, 700, 20000])))
    np.testing.assert_array_equal(parts.values["voice"], whole.values["voice"])
    np.testing.assert_allclose(whole.times, (np.arange(100) + 0.5) * 0.02)


@pytest.mark.parametrize(("samples", "tokens"), [(0, 0), (319, 0), (320, 1), (321, 2)])
def test_count_of_tokens(checkpoint: Path, samples: int, tokens: int) -> None:
    values = encode(checkpoint, np.zeros(samples, np.float32))
    assert values.shape == (tokens, 16)
    assert np.isfinite(values).all()


def test_a_whole_speech_recogniser_gives_the_same_as_its_bare_model(tmp_path: Path) -> None:
    torch.manual_seed(1)
    recogniser = WhisperForConditionalGeneration(WhisperConfig(**SMALL))
    whole, bare = save(recogniser, tmp_path / "whole"), save(recogniser.model, tmp_path / "bare")
    np.testing.assert_array_equal(encode(whole, noise(1)), encode(bare, noise(1)))


def test_describes_itself(checkpoint: Path) -> None:
    encoder = WhisperEncoder(WhisperSettings(model=str(checkpoint)))
    assert isinstance(encoder, AudioEncoder)
    assert (encoder.rate, encoder.streams) == (RATE, {"whisper": 16})
    assert encoder.settings == {"layers": [2], "overlap": 4.0}
    assert len(encoder.revision) == 16


def complaint(folder: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        WhisperEncoder(WhisperSettings(model=str(folder), **settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_absent_folder_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    assert "--whisper.model DIR" in complaint(tmp_path / "gone")


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    config = Wav2Vec2Config(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        conv_dim=(8,) * 7,
        num_conv_pos_embedding_groups=1,
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    assert "'wav2vec2'" in complaint(tmp_path)


@pytest.mark.parametrize("settings", [{"layers": [3]}, {"layers": []}, {"overlap": 30.0}])
def test_senseless_settings_are_refused(checkpoint: Path, settings: dict[str, Any]) -> None:
    assert f"--whisper.{next(iter(settings))}" in complaint(checkpoint, **settings)


def test_it_is_described_by_its_configuration_without_weights(checkpoint: Path) -> None:
    settings = WhisperSettings(model=str(checkpoint))
    assert WhisperEncoder.describe(settings) == description_of(WhisperEncoder(settings))
