import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from features.encoders.audio.wav2vec2 import PACKAGED, Wav2Vec2Encoder, Wav2Vec2Settings
from features.encoders.base import READY, AudioEncoder, Tokens, description_of
from features.errors import UserError

RATE = 16000
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 8,
}


@pytest.fixture(scope="module", params=["group", "layer"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random wav2vec 2.0, of the kind of `base` (group) or of `large-lv60` (layer)."""
    kind = request.param
    options = {"feat_extract_norm": kind, "do_stable_layer_norm": kind == "layer"}
    torch.manual_seed(0)
    model = Wav2Vec2Model(Wav2Vec2Config(**SMALL, **options, conv_bias=kind == "layer"))
    return save(model, tmp_path_factory.mktemp(kind))


def save(model: Any, folder: Path, *, normalize: bool = True) -> Path:
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return folder


def uneven_sound(seconds: float) -> np.ndarray:
    """Noise that grows tenfold on an offset: no chunk has the statistics of the whole."""
    n = round(seconds * RATE)
    noise = np.random.default_rng(0).normal(size=n)
    return (0.05 + noise * np.linspace(0.02, 0.2, n)).astype(np.float32)


def one_piece(checkpoint: Path, sound: np.ndarray, layers: list[int]) -> np.ndarray:
    """What transformers itself gives for the whole sound."""
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint)
    model = Wav2Vec2Model.from_pretrained(checkpoint).eval()
    wave = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        states = model(wave, output_hidden_states=True).hidden_states
    return torch.stack([states[i][0] for i in layers]).mean(0).numpy()


def encode(checkpoint: Path, sound: np.ndarray, **settings: Any) -> np.ndarray:
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(checkpoint), **settings))
    return encoder.encode_sound([sound]).values["wav2vec2"]


def test_short_sound_is_what_transformers_gives(checkpoint: Path) -> None:
    sound = uneven_sound(1.3)
    ours = encode(checkpoint, sound, layers=[-2, -1])
    np.testing.assert_allclose(ours, one_piece(checkpoint, sound, [1, 2]), atol=1e-4)


def test_long_sound_reaches_the_transformer_as_if_in_one_piece(checkpoint: Path) -> None:
    sound = uneven_sound(17.3)
    ours = encode(checkpoint, sound, layers=[0], chunk=5, overlap=3)
    np.testing.assert_allclose(ours, one_piece(checkpoint, sound, [0]), atol=1e-4)


def test_long_sound_is_close_to_one_piece_after_the_transformer(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = Wav2Vec2Model.from_pretrained(checkpoint)
    for layer in model.encoder.layers:  # as initialised, attention hardly depends on the sound
        layer.attention.q_proj.weight.data *= 4
        layer.attention.k_proj.weight.data *= 4
    save(model, tmp_path)
    sound = uneven_sound(31.7)
    ours, whole = encode(tmp_path, sound, layers=[-1]), one_piece(tmp_path, sound, [-1])
    ours, whole = ours - whole.mean(0), whole - whole.mean(0)
    cosine = (ours * whole).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(whole, axis=1)
    assert cosine.min() > 0.999
    assert np.median(np.linalg.norm(ours - whole, axis=1) / np.linalg.norm(whole, axis=1)) < 0.05


def test_blocks_do_not_matter(checkpoint: Path) -> None:
    sound = uneven_sound(3)
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(checkpoint), chunk=1, overlap=0.5))
    whole = encoder.encode_sound([sound])
    parts = encoder.encode_sound(iter(np.split(sound, [1, 7000, 7000, 33000])))
    np.testing.assert_array_equal(parts.values["wav2vec2"], whole.values["wav2vec2"])


def test_tokens_are_centred_on_what_they_hear(checkpoint: Path) -> None:
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(checkpoint), stream="voice"))
    tokens: Tokens = encoder.encode_sound([uneven_sound(1)])
    assert tokens.values["voice"].shape == (49, 16)
    assert tokens.values["voice"].dtype == np.float32
    np.testing.assert_allclose(tokens.times, (320 * np.arange(49) + 200) / RATE)


@pytest.mark.parametrize(("samples", "tokens"), [(0, 0), (399, 0), (400, 1)])
def test_sound_shorter_than_a_token_has_none(checkpoint: Path, samples: int, tokens: int) -> None:
    assert encode(checkpoint, np.ones(samples, np.float32)).shape == (tokens, 16)


def test_silence_is_finite(checkpoint: Path) -> None:
    assert np.isfinite(encode(checkpoint, np.zeros(RATE, np.float32))).all()


def test_describes_itself(checkpoint: Path) -> None:
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(checkpoint)))
    assert isinstance(encoder, AudioEncoder)
    assert (encoder.rate, encoder.streams) == (RATE, {"wav2vec2": 16})
    assert encoder.settings["layers"] == [1, 2]
    assert json.dumps(encoder.settings)
    assert str(checkpoint) not in json.dumps(encoder.settings)


def test_revision_follows_the_weights(tmp_path: Path) -> None:
    revisions = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        folder = save(Wav2Vec2Model(Wav2Vec2Config(**SMALL)), tmp_path / f"{len(revisions)}")
        revisions.append(Wav2Vec2Encoder(Wav2Vec2Settings(model=str(folder))).revision)
    assert revisions[0] == revisions[1] != revisions[2]


@pytest.mark.parametrize("kind", [(HubertModel, HubertConfig), (WavLMModel, WavLMConfig)])
def test_kin_of_wav2vec2_are_heard(kind: tuple[Any, Any], tmp_path: Path) -> None:
    model_class, config_class = kind
    folder = save(model_class(config_class(**SMALL)), tmp_path)
    assert encode(folder, uneven_sound(2.5), chunk=1, overlap=0.5).shape == (124, 16)


def test_weights_below_a_head_are_found(tmp_path: Path) -> None:
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL))
    save(model, tmp_path)
    sound = uneven_sound(1)
    np.testing.assert_allclose(
        encode(tmp_path, sound), one_piece(tmp_path, sound, [1, 2]), atol=1e-4
    )


def test_a_checkpoint_that_does_not_normalise_is_followed(tmp_path: Path) -> None:
    options = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    model = Wav2Vec2Model(Wav2Vec2Config(**SMALL, **options))
    save(model, tmp_path, normalize=False)
    sound = uneven_sound(1)
    np.testing.assert_allclose(
        encode(tmp_path, sound, layers=[-1]), one_piece(tmp_path, sound, [-1]), atol=1e-4
    )


def complaint(folder: Path | str, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        Wav2Vec2Encoder(Wav2Vec2Settings(model=str(folder), **settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_absent_folder_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    message = complaint(tmp_path / "gone")
    assert str(tmp_path / "gone") in message
    assert "--wav2vec2.model DIR" in message


def test_a_hub_out_of_reach_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = complaint("nobody-at-all/no-such-model")
    assert "nobody-at-all/no-such-model" in message
    assert "--wav2vec2.model DIR" in message


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    save(BertModel(BertConfig(**tiny, vocab_size=8, intermediate_size=8)), tmp_path)
    assert "'bert'" in complaint(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert "model.safetensors" in complaint(tmp_path)


def test_damaged_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(
            file.read_bytes()[: None if file.suffix == ".json" else 900]
        )
    assert "cannot read the weights" in complaint(tmp_path)


def test_weights_that_leave_the_model_untrained_are_refused(tmp_path: Path) -> None:
    save(Wav2Vec2Model(Wav2Vec2Config(**SMALL)), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "missing" in complaint(tmp_path)


@pytest.mark.parametrize("settings", [{"layers": [3]}, {"layers": [-4]}, {"overlap": 20.0}])
def test_senseless_settings_are_refused(checkpoint: Path, settings: dict[str, Any]) -> None:
    assert f"--wav2vec2.{next(iter(settings))}" in complaint(checkpoint, **settings)


def test_the_packaged_model_is_small_and_works_without_a_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert Wav2Vec2Encoder.status(Wav2Vec2Settings()) == READY
    assert sum(f.stat().st_size for f in PACKAGED.iterdir()) <= 5_000_000
    encoder = Wav2Vec2Encoder()
    tokens = encoder.encode_sound([uneven_sound(1.0)])
    assert tokens.values["wav2vec2"].shape == (49, 192)
    assert np.isfinite(tokens.values["wav2vec2"]).all()


def test_it_is_described_by_its_configuration_without_weights(checkpoint: Path) -> None:
    settings = Wav2Vec2Settings(model=str(checkpoint))
    assert Wav2Vec2Encoder.describe(settings) == description_of(Wav2Vec2Encoder(settings))
