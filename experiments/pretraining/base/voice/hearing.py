"""What encoders say of whole voices: tokens > a row of numbers a clip, kept on disk by person.

Data flow: sound > encoder > hidden states, each layer's and their mean (the stream) > mean and
deviation over tokens. Prosody's pitch counts where it is voiced.

Letters: N clips, H layers, T tokens, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from experiments.kept import Cache
from experiments.pretraining.base.voices import RATE, Voice
from experiments.pretraining.distil_data import HOP, without_padding
from features.cli.progress import ProgressReport
from features.encoders.audio.prosody import ProsodyEncoder
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder
from features.store.fingerprint import sha256_of

SILENCE = 50
"""Tokens of silence that the teacher hears behind a clip: a second."""
VERSION = 1
"""Raise this when a change of the code changes the numbers."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Row = dict[str, np.ndarray]
"""Name to (features,)."""
Rows = dict[str, np.ndarray]
"""Name to (N, features)."""


@dataclass(frozen=True)
class Ear:
    """Who hears, and how.

    Attributes:
        name: Of the encoder.
        key: What changes the rows.
        describe: Sounds (N,) of one person to name and row, for each.
    """

    name: str
    key: Sequence[object]
    describe: Callable[[list[np.ndarray]], list[Row]]


def prosody() -> Ear:
    """`stream`, the plain moments, and `prosody`, with quantiles and pitch where voiced."""
    encoder = ProsodyEncoder()
    key = [encoder.revision, encoder.settings]
    return Ear("prosody", key, lambda sounds: [_prosody_row(encoder, s) for s in sounds])


def wav2vec2() -> Ear:
    """The packaged one: `stream`, and `layer0` to `layer4`."""
    encoder = Wav2Vec2Encoder()
    key = [encoder.revision, encoder.settings]
    return Ear("wav2vec2", key, lambda sounds: [_layer_row(encoder, s) for s in sounds])


def whisper(folder: Path) -> Ear:
    """The teacher in a folder: `layer0` to `layer4`, the last of which is its stream.

    It hears a clip and a second of silence instead of 30 s of them, in a tenth of the time.
    """
    mel = WhisperFeatureExtractor.from_pretrained(folder)
    encoder = WhisperModel.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    places = encoder.embed_positions.weight.detach().clone()
    key = [sha256_of(*sorted(folder.glob("*.safetensors"))), SILENCE]
    return Ear(
        "whisper", key, lambda sounds: [_taught_row(mel, encoder, places, s) for s in sounds]
    )


def hear(voices: Sequence[Voice], ear: Ear, cache: Cache) -> Rows:
    """Rows of all voices in their order; people that were heard before are read from the cache."""
    people = sorted({voice.person for voice in voices})
    rows: list[Row] = [{}] * len(voices)
    with ProgressReport(ear.name, len(people)) as progress:
        for person in people:
            own = [i for i, voice in enumerate(voices) if voice.person == person]
            said = [voices[i] for i in own]
            key = [sha256_of(*(voice.sound for voice in said)), *ear.key, VERSION]
            heard = cache.get(f"voices-{ear.name}-{person}", key, partial(_hear, said, ear))
            for i, row in zip(own, heard, strict=True):
                rows[i] = row
            progress.step(person)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def read_sound(path: Path, cut: bool) -> np.ndarray:
    """(N,) float32 at 16 kHz, without silence at its end if that is padding."""
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    return without_padding(sound) if cut else np.asarray(sound)


def _hear(voices: Sequence[Voice], ear: Ear) -> list[Row]:
    return ear.describe([read_sound(voice.sound, voice.corpus == "emodb") for voice in voices])


def moments(tokens: np.ndarray) -> np.ndarray:
    """(T, D) to mean and deviation, (2 D,) float32."""
    return np.concatenate([tokens.mean(0), tokens.std(0)]).astype(np.float32)


def _layer_row(encoder: Wav2Vec2Encoder, sound: np.ndarray) -> Row:
    kept: list[Any] = []
    hook = encoder._model.register_forward_hook(
        lambda _module, _inputs, output: kept.append(output.hidden_states)
    )
    tokens = next(iter(encoder.encode_sound([sound]).values.values()))
    hook.remove()
    (states,) = kept  # clips are shorter than a chunk
    layers = [state[0, : len(tokens)].cpu().numpy() for state in states]
    return {"stream": moments(tokens)} | {
        f"layer{number}": moments(layer) for number, layer in enumerate(layers)
    }


@torch.inference_mode()
def _taught_row(mel: Any, encoder: Any, places: torch.Tensor, sound: np.ndarray) -> Row:
    tokens = len(sound) // HOP
    heard = min(tokens + SILENCE, len(places))
    features = mel(sound, sampling_rate=RATE, return_tensors="pt").input_features
    encoder.config.max_source_positions = heard  # what it checks the length of its input by
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(places[:heard])
    states = encoder(features[..., : 2 * heard], output_hidden_states=True).hidden_states
    return {f"layer{n}": moments(state[0, :tokens].numpy()) for n, state in enumerate(states)}


def _prosody_row(encoder: ProsodyEncoder, sound: np.ndarray) -> Row:
    """Rows of plain moments, and of functionals that know what is voiced."""
    tokens = encoder.encode_sound([sound]).values["prosody"].astype(np.float64)
    at = {name: i for i, name in enumerate(encoder.columns["prosody"])}
    voiced = tokens[:, at["voiced"]] > 0
    loud = tokens[tokens[:, at["energy"]] > np.quantile(tokens[:, at["energy"]], 0.95) - 30]
    melody = tokens[voiced] if voiced.any() else np.zeros((1, tokens.shape[1]))
    slopes = [at["energy.slope"], at["pitch.slope"]]
    spread = loud[:, [at["energy"], at["alpha_ratio"], *slopes]]
    row = [
        moments(loud),
        np.quantile(melody[:, at["pitch"]], QUANTILES),
        np.quantile(np.abs(melody[:, slopes]), QUANTILES, axis=0).ravel(),
        np.quantile(spread, QUANTILES, axis=0).ravel(),
        moments(melody[:, [at["pitch"], at["periodicity"]]]),
        np.array([voiced.mean(), len(loud) / len(tokens)]),
    ]
    return {"stream": moments(tokens), "prosody": np.concatenate(row).astype(np.float32)}
