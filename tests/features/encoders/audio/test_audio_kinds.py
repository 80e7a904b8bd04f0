"""Checkpoints of every kind, whole and broken, and unusual sound, through the wav2vec2 encoder."""

import hashlib
import json
import pickle
import socket
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from features.encoders.audio import wav2vec2
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Settings
from features.encoders.audio.whisper import WhisperEncoder, WhisperSettings
from features.encoders.base import READY, Status
from features.errors import UserError
from features.media.sound.audio_cache import Spool
from tests.features.encoders.audio.test_wav2vec2 import RATE, SMALL, encode, save, uneven_sound

GROUP = {"feat_extract_norm": "group"}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
KINDS = {
    "wav2vec2-group": ("Wav2Vec2", GROUP),
    "wav2vec2-layer": ("Wav2Vec2", LAYER),
    "hubert-group": ("Hubert", GROUP),
    "hubert-layer": ("Hubert", LAYER),
    "wavlm-group": ("WavLM", GROUP),
    "wavlm-layer": ("WavLM", LAYER),
    "data2vec-audio": ("Data2VecAudio", {}),
}
OPTION = "--wav2vec2.model"


def tiny(kind: str, **options: Any) -> Any:
    name, norm = KINDS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SMALL, **norm, **options)
    return getattr(transformers, f"{name}Model")(config).eval()


def by_transformers(model: Any, sound: np.ndarray) -> np.ndarray:
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    wave = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        states = model(wave, output_hidden_states=True).hidden_states
    return torch.stack([states[1][0], states[2][0]]).mean(0).numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tiny("wav2vec2-group"), tmp_path / "checkpoint")


def refusal(model: Path | str) -> str:
    with pytest.raises(UserError) as error:
        Wav2Vec2Encoder(Wav2Vec2Settings(model=str(model)))
    message = str(error.value)
    assert "\n" not in message
    assert OPTION in message
    assert str(model) in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_what_transformers_gives(kind: str, tmp_path: Path) -> None:
    model, sound = tiny(kind), uneven_sound(0.6)
    ours = encode(save(model, tmp_path), sound)
    np.testing.assert_allclose(ours, by_transformers(model, sound), atol=1e-4)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_dimensional_speech_emotion_checkpoint_is_heard_without_its_head(
    file: str, tmp_path: Path
) -> None:
    model, sound = tiny("wav2vec2-layer"), uneven_sound(0.6)
    save(model, tmp_path)
    weights = {
        f"wav2vec2.{name}": w for name, w in load_file(tmp_path / "model.safetensors").items()
    }
    # Older files, as such checkpoints are, name the parts of weight normalisation otherwise.
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        conv = "wav2vec2.encoder.pos_conv_embed.conv"
        weights[f"{conv}.{old}"] = weights.pop(f"{conv}.parametrizations.weight.{new}")
    for layer, size in (("dense", 16), ("out_proj", 3)):
        weights[f"classifier.{layer}.weight"] = torch.ones(size, 16)
        weights[f"classifier.{layer}.bias"] = torch.ones(size)
    (tmp_path / "model.safetensors").unlink()
    if file.endswith("bin"):
        torch.save(weights, tmp_path / file)
    else:
        save_file(weights, tmp_path / file, {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"architectures": ["Wav2Vec2ForSpeechClassification"], "problem_type": "regression"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(encode(tmp_path, sound), by_transformers(model, sound), atol=1e-4)


@pytest.mark.parametrize(
    "kind", ["whisper", "bert", "speecht5", "encodec", "wav2vec2-bert", "sew", "vit"]
)
def test_other_models_are_refused_by_their_kind(kind: str, tmp_path: Path) -> None:
    transformers.AutoConfig.for_model(kind).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert f"'{kind}'" in refusal(tmp_path)


def test_the_packaged_checkpoint_is_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sound = tiny("wav2vec2-group").half(), uneven_sound(0.6)
    monkeypatch.setattr(wav2vec2, "PACKAGED", save(model, folder))
    assert Wav2Vec2Encoder.status(Wav2Vec2Settings()) == READY
    encoder = Wav2Vec2Encoder()
    values = encoder.encode_sound([sound]).values["wav2vec2"]
    np.testing.assert_allclose(values, by_transformers(model.float(), sound), atol=1e-4)
    assert "Apache-2.0" in encoder.licence
    assert "distilled from Whisper tiny.en's encoder" in encoder.trained_on


def test_an_absent_packaged_checkpoint_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wav2vec2, "PACKAGED", tmp_path / "gone")
    assert Wav2Vec2Encoder.status(Wav2Vec2Settings()).word == "needs weights"
    with pytest.raises(UserError, match="gone: weights are absent; install the package anew"):
        Wav2Vec2Encoder()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layers.1.attention.k_proj.weight"][3, 3] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "'encoder.layers.1.attention.k_proj.weight' is not finite" in refusal(folder)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    message = refusal(folder)
    assert "feed_forward" in message
    assert "config.json asks for" in message


class _Code:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_code_in_a_torch_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for save_to in (torch.save, lambda w, path: path.write_bytes(pickle.dumps(w))):
        save_to(weights | {"more": _Code(tmp_path / "harm")}, folder / "pytorch_model.bin")
        assert "no code in it was run" in refusal(folder)
        assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_truncated_weights_are_refused(folder: Path, file: str, kept: float) -> None:
    weights = load_file(folder / "model.safetensors")
    if file.endswith("bin"):
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / file)
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: round(kept * len(data))])
    assert "cannot read the weights" in refusal(folder)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert "holds no model.safetensors" in refusal(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert "cannot read the configuration" in refusal(tmp_path)


@pytest.fixture
def hub_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's local cache with `someone/tiny` in it, and no network; gives the weights' blob."""
    model = tmp_path / "cache/models--someone--tiny"
    snapshot = model / "snapshots" / ("0" * 40)
    for part in (model / "blobs", model / "refs", snapshot):
        part.mkdir(parents=True)
    (model / "refs/main").write_text("0" * 40)
    for file in folder.iterdir():
        data = file.read_bytes()
        blob = model / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / file.name).symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return (snapshot / "model.safetensors").resolve()


def test_a_model_in_the_hub_s_cache_is_ready_without_a_network(
    hub_cache: Path, folder: Path
) -> None:
    settings = Wav2Vec2Settings(model="someone/tiny")
    assert Wav2Vec2Encoder.status(settings) == READY
    local = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(folder)))
    assert Wav2Vec2Encoder(settings).revision == local.revision


def test_a_download_that_does_not_have_the_hub_s_hash_is_refused(hub_cache: Path) -> None:
    data = bytearray(hub_cache.read_bytes())
    data[-1] ^= 1
    hub_cache.write_bytes(data)
    with pytest.raises(UserError, match=f"sha256 differs\\); delete {hub_cache} and run again"):
        Wav2Vec2Encoder(Wav2Vec2Settings(model="someone/tiny"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_status_tells_what_is_needed_without_a_network(
    no_network: None, hub_cache: Path, folder: Path, tmp_path: Path
) -> None:
    def status(model: str | Path) -> Status:
        return Wav2Vec2Encoder.status(Wav2Vec2Settings(model=str(model)))

    assert status(folder) == READY
    assert status("nobody/nothing").word == "needs download"
    assert f"{OPTION} DIR" in status("nobody/nothing").remedy
    (tmp_path / "empty").mkdir()
    for absent in (tmp_path / "gone", tmp_path / "empty"):
        assert status(absent).word == "needs weights"
        assert str(absent) in status(absent).remedy
    hub_cache.unlink()  # the snapshot's link now leads nowhere
    assert status("someone/tiny").word == "needs download"


def test_status_of_whisper_is_that_of_its_checkpoint(no_network: None, hub_cache: Path) -> None:
    assert WhisperEncoder.status(WhisperSettings(model="someone/tiny")) == READY
    status = WhisperEncoder.status(WhisperSettings(model="openai/whisper-tiny"))
    assert status.word == "needs download"
    assert "--whisper.model DIR" in status.remedy


def test_a_checkpoint_of_another_sampling_rate_asks_for_it(tmp_path: Path) -> None:
    tiny("wav2vec2-group").save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(tmp_path)))
    assert (encoder.rate, encoder.input, encoder.token_rate) == (8000, "sound 8000 Hz", 25)
    tokens = encoder.encode_sound([uneven_sound(0.5)])  # 8000 samples: one second at this rate
    np.testing.assert_allclose(tokens.times, (320 * np.arange(24) + 200) / 8000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("samples", "tokens"), [(0, 0), (160, 0), (1600, 4)])
def test_short_and_silent_sound_is_finite(
    kind: str, samples: int, tokens: int, tmp_path: Path
) -> None:
    values = encode(save(tiny(kind), tmp_path), np.zeros(samples, np.float32))
    assert values.shape == (tokens, 16)
    assert np.isfinite(values).all()


def test_long_sound_is_never_held_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[weakref.ref[np.ndarray]] = []
    alive, reads = [], []

    def sound() -> Iterator[np.ndarray]:
        for _ in range(40):
            block = uneven_sound(0.5)
            blocks.append(weakref.ref(block))
            yield block
            del block
            alive.append(sum(ref() is not None for ref in blocks))

    read = Spool.read

    def recorded(self: Spool, start: int, stop: int) -> np.ndarray:
        reads.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(Spool, "read", recorded)
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(folder), chunk=1.5, overlap=0.5))
    assert encoder.encode_sound(sound()).values["wav2vec2"].shape == (999, 16)
    assert max(alive) <= 2
    # A chunk, or the stretch of two seconds that statistics are gathered over.
    assert max(reads) <= 2.1 * RATE
